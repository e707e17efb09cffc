package recipe

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/netio/radius"
	"sallyport/netio/radius/dictionary"
	"sallyport/netio/radius/radiustest"
)

// acme is a switch that nobody has heard of.
func acme() Definition {
	return Definition{Name: "acme", Like: "hostapd", Port: 4799,
		Find:    [][]string{{"acct-session-id", "user-name?"}, {"calling-station-id"}},
		NameNAS: "identifier", Apply: "reauthenticate",
		Reauthenticate: []string{"HP-Port-Bounce-Host=0", "Cisco-AVPair=subscriber:command=reauthenticate"},
		Bounce:         []string{"HP-Port-Bounce-Host=12"},
		RedirectURL:    "HP-Captive-Portal-URL", DACL: "Cisco-AVPair=acl", FilterID: "Filter-Id", GroupPolicy: "HP-User-Role", VLAN: "tunnel-tagged",
		Refuses: []string{"Session-Timeout"}, Fallback: FallbackBounce, ConfirmWithin: time.Minute, InFlightMax: 4, RateMax: 10}
}

// TestDefine: a recipe in words, and the packets that it makes.
func TestDefine(t *testing.T) {
	book, faults := Define([]Definition{acme(), {Name: "acme-2", Like: "acme", Apply: "disconnect", VLAN: "ASA-VLAN", RedirectURL: "none"},
		{Name: "plain"}, {Name: "pushed", Like: "cisco-ios", Apply: "push", Push: []string{"Cisco-AVPair=coa-push=true"}}})
	if faults != nil {
		t.Fatal(faults)
	}
	var out strings.Builder
	for _, name := range []string{"acme", "acme-2", "plain", "pushed"} {
		r, ok := book.Lookup(name)
		if !ok {
			t.Fatalf("no recipe %s", name)
		}
		fmt.Fprintf(&out, "%s: port %d, applies by %s, fallback %s, %d in flight, %d a second, confirmed within %s\n", r.Name(), r.Port(), r.Apply(),
			r.Fallback(), r.InFlightMax(), r.RateMax(), r.ConfirmWithin())
		g := sayable(r, Grant{RedirectURL: "https://posture.example.com/", DACLName: "A", VLAN: "663", FilterID: "F", GroupPolicy: "G"})
		for _, code := range []radius.Code{radius.AccessAccept, radius.CoARequest} {
			out.WriteString(packet(t, r, code, &g))
		}
	}
	if out.String() != defined {
		t.Errorf("got\n%s", out.String())
	}
	if names := book.Names(); len(names) != len(Names())+4 || names[len(names)-4] != "acme" {
		t.Errorf("names %v", names)
	}
}

// defined is what TestDefine's recipes make.
const defined = `acme: port 4799, applies by reauthenticate, fallback bounce, 4 in flight, 10 a second, confirmed within 1m0s
Access-Accept 1
	HP-User-Role = "G"
	Cisco-AVPair = "acl=A"
	HP-Captive-Portal-URL = "https://posture.example.com/"
	Filter-Id = "F"
	Tunnel-Type = 1:VLAN
	Tunnel-Medium-Type = 1:IEEE-802
	Tunnel-Private-Group-ID = 1:"663"
CoA-Request 1
	NAS-Identifier = "asa-1"
	Acct-Session-Id = "63815AAF"
	User-Name = "cisco"
	Event-Timestamp = 2016-03-11T14:57:54Z
	HP-Port-Bounce-Host = 0
	Cisco-AVPair = "subscriber:command=reauthenticate"
acme-2: port 4799, applies by disconnect, fallback bounce, 4 in flight, 10 a second, confirmed within 1m0s
Access-Accept 1
	HP-User-Role = "G"
	Cisco-AVPair = "acl=A"
	Filter-Id = "F"
	ASA-VLAN = 663
Disconnect-Request 1
	NAS-Identifier = "asa-1"
	Acct-Session-Id = "63815AAF"
	User-Name = "cisco"
	Event-Timestamp = 2016-03-11T14:57:54Z
plain: port 3799, applies by push, fallback default, 0 in flight, 0 a second, confirmed within 0s
Access-Accept 1
	Filter-Id = "F"
	Tunnel-Type = VLAN
	Tunnel-Medium-Type = IEEE-802
	Tunnel-Private-Group-ID = "663"
CoA-Request 1
	NAS-IP-Address = 10.48.66.202
	Acct-Session-Id = "63815AAF"
	User-Name = "cisco"
	Event-Timestamp = 2016-03-11T14:57:54Z
	Filter-Id = "F"
	Tunnel-Type = VLAN
	Tunnel-Medium-Type = IEEE-802
	Tunnel-Private-Group-ID = "663"
pushed: port 1700, applies by push, fallback default, 0 in flight, 0 a second, confirmed within 30s
Access-Accept 1
	Cisco-AVPair = "ACS:CiscoSecure-Defined-ACL=A"
	Cisco-AVPair = "url-redirect=https://posture.example.com/"
	Filter-Id = "F"
	Tunnel-Type = 1:VLAN
	Tunnel-Medium-Type = 1:IEEE-802
	Tunnel-Private-Group-ID = 1:"663"
CoA-Request 1
	NAS-IP-Address = 10.48.66.202
	Cisco-AVPair = "audit-session-id=0a3042ca0001d00056e2dce3"
	Calling-Station-Id = "10.62.145.44"
	Event-Timestamp = 2016-03-11T14:57:54Z
	Cisco-AVPair = "coa-push=true"
	Cisco-AVPair = "ACS:CiscoSecure-Defined-ACL=A"
	Cisco-AVPair = "url-redirect=https://posture.example.com/"
	Filter-Id = "F"
	Tunnel-Type = 1:VLAN
	Tunnel-Medium-Type = 1:IEEE-802
	Tunnel-Private-Group-ID = 1:"663"
`

// packet is the authorization, or how it is told later, in words.
func packet(t *testing.T, r *Recipe, code radius.Code, g *Grant) string {
	t.Helper()
	id := sample()
	if code != radius.AccessAccept {
		code = r.Change(Push)
	}
	b := radius.BeginWith(nil, code, 1, false)
	err := r.AppendAccess(&b, g)
	if code != radius.AccessAccept {
		b = radius.BeginWith(nil, code, 1, false)
		err = r.AppendChange(&b, Push, &id, g)
	}
	if err != nil {
		t.Fatal(err)
	}
	pkt, err := radiustest.Key(t, "secret").SealRequest(&b)
	if err != nil {
		t.Fatal(err)
	}
	var v radius.View
	if why := v.Decode(pkt); why != radius.Sound {
		t.Fatal(why)
	}
	return dictionary.Format(&v)
}

// TestDefineRefuses what would make a wrong packet, or none, with what would do instead.
func TestDefineRefuses(t *testing.T) {
	for _, test := range []struct {
		change func(d *Definition)
		want   string
	}{
		{func(d *Definition) { d.Name = "cisco-asa" }, `recipe cisco-asa: name: there is a recipe "cisco-asa" already`},
		{func(d *Definition) { d.Like = "hostap" }, `recipe acme: like: "hostap" is none of cisco-asa, `},
		{func(d *Definition) { d.Find = [][]string{{"mac"}} }, `recipe acme: find: "mac" is none of audit-session-id, `},
		{func(d *Definition) { d.Find = [][]string{{"user-name?"}} }, `recipe acme: find: a way that needs nothing would change every session`},
		{func(d *Definition) { d.Find = [][]string{} }, `recipe acme: find: no way to find a session`},
		{func(d *Definition) { d.NameNAS = "name" }, `recipe acme: name-nas-by: "name" is none of address, identifier`},
		{func(d *Definition) { d.Apply = "bounce" }, `recipe acme: apply: "bounce" is none of push, reauthenticate, disconnect`},
		{func(d *Definition) { d.Reauthenticate = nil }, `recipe acme: apply: it is not said how to make the NAS reauthenticate`},
		{func(d *Definition) { d.Bounce = []string{"HP-Port-Bounce-Host"} }, `recipe acme: bounce: "HP-Port-Bounce-Host" is not Name=value`},
		{func(d *Definition) { d.Bounce = []string{"HP-Port-Bounce-Host=long"} }, `recipe acme: bounce: HP-Port-Bounce-Host: `},
		{func(d *Definition) { d.Bounce = []string{"Cisco-AVPair=" + strings.Repeat("x", 248)} }, `recipe acme: bounce: Cisco-AVPair: `},
		{func(d *Definition) { d.Bounce = []string{"Service-Type=8"} }, `recipe acme: bounce: Service-Type: in a change it asks for something else`},
		{func(d *Definition) { d.GroupPolicy = "HP-User-Rule" }, `recipe acme: group-policy: there is no attribute "HP-User-Rule"`},
		{func(d *Definition) { d.GroupPolicy = "tunnel" }, `recipe acme: group-policy: tunnel is a way to say a VLAN`},
		{func(d *Definition) { d.GroupPolicy = "HP-Port-Bounce-Host" }, `recipe acme: group-policy: HP-Port-Bounce-Host holds no "group-policy": it is a number`},
		{func(d *Definition) { d.DACL = "Filter-Id=x" }, `recipe acme: dacl: "Filter-Id=x" is no pair: Cisco-AVPair=name`},
		{func(d *Definition) { d.Refuses = []string{"Sesion-Timeout"} }, `recipe acme: refuses: there is no attribute "Sesion-Timeout"`},
		{func(d *Definition) { d.Apply, d.Fallback = "disconnect", FallbackDisconnect }, `recipe acme: fallback: a new authorization comes by disconnect already`},
	} {
		d := acme()
		test.change(&d)
		book, faults := Define([]Definition{d})
		if book != nil || len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), test.want) {
			t.Errorf("got %v\nwant %s", faults, test.want)
		}
	}
}
