package config

import (
	"net/netip"
	"reflect"
	"testing"
	"time"
)

func loadSound(t *testing.T) *Config {
	t.Helper()
	t.Setenv("SALLYPORT_TEST_SECRET", "another long random secret")
	c, warnings, faults := Load("testdata/sound/sallyport.yaml")
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		// A checkout may not keep the mode of the secret file.
		if w.Path != "nas[0].secret" {
			t.Error("warning: " + w.Text())
		}
	}
	return c
}

// TestEverySectionArrives reads a file that uses every kind of value.
func TestEverySectionArrives(t *testing.T) {
	c := loadSound(t)
	asa, lab := &c.NAS[0], &c.NAS[1]
	for _, want := range []struct {
		what      string
		got, want any
	}{
		{"name", c.Appliance.Name.Value, "posture-1.example.com"},
		{"relative path", c.Appliance.State.Value, "testdata/sound/state"},
		{"addresses", c.Listen.Authentication[1].Value, ":1645"},
		{"off", c.Listen.Metrics.String(), "off"},
		{"single address", asa.Addresses, []netip.Prefix{netip.MustParsePrefix("10.48.66.202/32")}},
		{"two prefixes", lab.Addresses, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")}},
		{"secret from a file, without its newline", string(asa.Secret.Reveal()), "a-long-random-shared-secret"},
		{"secret from the environment", string(lab.Secret.Reveal()), "another long random secret"},
		{"position", asa.Recipe.Pos.String(), "testdata/sound/sallyport.yaml:12:13"},
		{"default of a text", lab.Recipe.Value, "rfc5176"},
		{"source", asa.CoA.Source, []netip.Addr{netip.MustParseAddr("10.48.23.88")}},
		{"duration", asa.CoA.Timeout, 1500 * time.Millisecond},
		{"default of a duration", lab.CoA.Timeout, 2 * time.Second},
		{"word", lab.MessageAuthenticator, Require},
		{"flag", lab.LimitProxyState, true},
		{"users", c.Identity.Stores[0].Users[0].Groups, []string{"employees"}},
		{"disabled user", c.Identity.Stores[0].Users[1].Disabled, true},
		{"accept follows the file", c.Identity.MAB.Accept, MABListed},
		{"MACs in one form", c.Identity.MAB.Endpoints[1].MAC, "00:50:56:aa:bb:cd"},
		{"number as a key", c.Identity.MAB.Endpoints[2].MAC, "00:50:56:aa:bb:ce"},
		{"maps keep their order", c.Posture.Conditions.Names()[:2], []string{"USB_Check", "USB_Known"}},
		{"report-valid follows heartbeat", c.Posture.Agent.ReportValid, 15 * time.Minute},
		{"enforcement", c.Posture.Policy[0].Requirements[0].Enforcement, Mandatory},
		{"list of lines", c.Authorization.DACLs[0].Value.Lines[0].Value, "permit ip any any"},
		{"block of lines", len(c.Authorization.DACLs[1].Value.Lines), 3},
		{"place of a line in a block", c.Authorization.DACLs[1].Value.Lines[2].Pos.Line, 40},
		{"days", c.Authorization.Profiles[0].Value.SessionTimeout, 36 * time.Hour},
		{"weeks", c.Records.Keep, 4 * 7 * 24 * time.Hour},
		{"attribute list", c.Authorization.Profiles[1].Value.Attributes[0].Values[1].Value, "b=c"},
		{"attribute single", c.Authorization.Profiles[1].Value.Attributes[1].Values[0].Value, "hello"},
		{"number as a text", c.Authorization.Profiles[1].Value.VLAN.Value, "120"},
		{"empty list is not a missing one", len(*c.Tests[0].Steps[1].Report.USB), 0},
		{"default in a list", (*c.Tests[0].Steps[2].Report.USB)[0].State, "active"},
		{"default status", c.Posture.DefaultStatus, "NotApplicable"},
		{"source of each family", lab.CoA.Source, []netip.Addr{netip.MustParseAddr("10.48.23.88"), netip.MustParseAddr("2001:db8::88")}},
		{"fallback", lab.CoA.Fallback, "bounce"},
		{"fallback of its recipe", asa.CoA.Fallback, ""},
		{"limit of the portal", c.Portal.Limits.RequestBurst, 1000},
		{"limit of the portal by default", c.Portal.Limits.Handshakes, 64},
		{"drain", c.Drain, 10 * time.Second},
	} {
		if !reflect.DeepEqual(want.got, want.want) {
			t.Errorf("%s: got %v, want %v", want.what, want.got, want.want)
		}
	}
	if p, ok := c.Authorization.Profiles.Get("Posture_Redirect"); !ok || p.Redirect.ACL.Value != "ACL_WEBAUTH_REDIRECT" {
		t.Error("a profile is found by name")
	}
	if _, ok := c.Authorization.Profiles.Get("None"); ok {
		t.Error("a profile that is not there is found")
	}
}

// TestPlaceInsideText: an offset in a quoted expression is a column of the file.
func TestPlaceInsideText(t *testing.T) {
	c := loadSound(t)
	when := c.Authorization.Rules[1].When
	if got, want := when.At(8).Column, 47+8; got != want {
		t.Errorf("column %d, want %d", got, want)
	}
	if got := (Text{Value: "built in"}).At(3); !got.IsZero() {
		t.Errorf("a default has a place: %v", got)
	}
}

func TestRevisionFollowsContent(t *testing.T) {
	a, b := loadSound(t), loadSound(t)
	if a.Revision() != b.Revision() || len(a.Revision()) != 12 {
		t.Fatalf("%q and %q", a.Revision(), b.Revision())
	}
	b.Sources[1].Sum[0]++
	if a.Revision() == b.Revision() {
		t.Fatal("another users file is the same revision")
	}
}
