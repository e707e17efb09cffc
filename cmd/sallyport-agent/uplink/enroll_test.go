package uplink_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/cmd/sallyport-agent/uplink"
	"sallyport/cmd/sallyport-agent/uplink/uplinktest"
	"sallyport/netio/report"
)

func authority(t *testing.T, a *uplinktest.Appliance) *uplinktest.Authority {
	t.Helper()
	auth, err := uplinktest.NewAuthority()
	must(t, err)
	a.SetAuthority(auth)
	return auth
}

// enrolled is an agent that met an appliance with an authority.
func enrolled(t *testing.T) (*uplinktest.Appliance, *uplinktest.Authority, *uplink.Client, uplink.Config) {
	t.Helper()
	a := uplinktest.New(t)
	auth := authority(t, a)
	a.AddSession("S1", "T1")
	cfg := config(t, a)
	cfg.Servers = []string{a.Addr()}
	c := client(t, cfg)
	_, err := c.Discover(ctx)
	must(t, err)
	_, err = c.Claim(ctx, a.Base(), "S1", "T1")
	must(t, err)
	if e := c.Enrolment(); !strings.HasPrefix(e.Authority, "sha256:") || e.Problem != "" || e.Until.IsZero() {
		t.Fatalf("not enrolled: %+v", e)
	}
	return a, auth, c, cfg
}

// TestEnrolment: once, with the key that is bound; the certificate goes with the next claim,
// and a restart changes nothing.
func TestEnrolment(t *testing.T) {
	a, _, _, cfg := enrolled(t)
	_, err := client(t, cfg).Discover(ctx)
	must(t, err)
	c := client(t, cfg)
	_, err = c.Discover(ctx)
	must(t, err)
	_, err = c.Claim(ctx, a.Base(), "S1", "")
	must(t, err)
	if n := a.Served(report.PathEnroll); n != 1 {
		t.Errorf("enrolled %d times", n)
	}
	policy, err := c.Policy(ctx, a.Base(), "e1")
	if err != nil || policy.ETag != "e1" {
		t.Errorf("the signed policy: %v %v", policy, err)
	}
}

// TestCertificateThatDoesNotCount: the agent asks for another one when the one that it has
// did not raise the binding, once in a session, and brings the old one along.
func TestCertificateThatDoesNotCount(t *testing.T) {
	a := uplinktest.New(t)
	authority(t, a)
	a.Unproved = true
	cfg := config(t, a)
	cfg.Servers = []string{a.Addr()}
	c := client(t, cfg)
	_, err := c.Discover(ctx)
	must(t, err)
	for _, one := range []struct {
		session, assurance string
		enrolled           int
		proved             bool
	}{
		{"S1", "ticket", 1, false}, // the first, which says nothing
		{"S1", "ticket", 2, false}, // it did not count
		{"S1", "ticket", 2, false},
		{"S2", "ticket", 3, true}, // by now this session can be proved
		{"S2", "ticket", 3, true}, // not in the session that it was made in
		{"S3", report.AssuranceKey, 3, true},
		{"S4", report.AssuranceKey, 3, true},
	} {
		a.AddSession(one.session, "T")
		a.Unproved = !one.proved
		claimed, err := c.Claim(ctx, a.Base(), one.session, "T")
		must(t, err)
		if n := a.Served(report.PathEnroll); claimed.Assurance != one.assurance || n != one.enrolled {
			t.Errorf("%s: %s, enrolled %d times, want %s and %d", one.session, claimed.Assurance, n, one.assurance, one.enrolled)
		}
	}
}

// TestDowngrade: an agent that is tied to an authority obeys nobody who offers less.
func TestDowngrade(t *testing.T) {
	for name, test := range map[string]struct {
		change         func(*testing.T, *uplinktest.Appliance, *uplinktest.Authority)
		discover, fail string // what they say; empty: they succeed
	}{
		"nothing": {func(*testing.T, *uplinktest.Appliance, *uplinktest.Authority) {}, "", ""},
		"the appliance has no authority any more": {func(_ *testing.T, a *uplinktest.Appliance, _ *uplinktest.Authority) { a.SetAuthority(nil) },
			"does not vouch", "not signed"},
		"it says nothing": {func(_ *testing.T, _ *uplinktest.Appliance, auth *uplinktest.Authority) { auth.Silent = true },
			"does not vouch", "not signed"},
		"another authority": {func(t *testing.T, a *uplinktest.Appliance, _ *uplinktest.Authority) { authority(t, a) },
			"does not vouch", "signature does not fit"},
		"the policy is older than one seen": {func(_ *testing.T, _ *uplinktest.Appliance, auth *uplinktest.Authority) { auth.Issued = 999 },
			"", "signed at 999, and one of 1000 was seen"},
		"the policy is unsigned": {func(_ *testing.T, a *uplinktest.Appliance, _ *uplinktest.Authority) {
			a.Inject(report.PathPolicy, func(w http.ResponseWriter, _ *http.Request) {
				w.Write([]byte(`{"v":1,"etag":"e1","collect":[],"heartbeat_s":1,"requirements":[]}`))
			})
		}, "", "not signed"},
		"the policy is another than was signed": {func(_ *testing.T, a *uplinktest.Appliance, auth *uplinktest.Authority) {
			a.Inject(report.PathPolicy, func(w http.ResponseWriter, r *http.Request) {
				if err := auth.Sign(w.Header(), r.URL.Path, []byte(`{}`)); err == nil {
					w.Write([]byte(`{"v":1,"etag":"e1","collect":[],"heartbeat_s":1,"requirements":[]}`))
				}
			})
		}, "", "signature does not fit"},
	} {
		t.Run(name, func(t *testing.T) {
			a, auth, c, _ := enrolled(t)
			_, err := c.Policy(ctx, a.Base(), "e1")
			must(t, err)
			test.change(t, a, auth)
			check := func(what string, err error, want string) {
				t.Helper()
				if want == "" {
					must(t, err)
					return
				}
				wantError(t, err, want)
			}
			_, err = c.Policy(ctx, a.Base(), "e1")
			check("policy", err, test.fail)
			_, err = c.Discover(ctx)
			check("discovery", err, test.discover)
		})
	}
}

// TestAnotherCertificateOfTheSameHost: whoever has a certificate that the rules of trust
// take, and not the authority's vouch, is told nothing and obeyed in nothing.
func TestAnotherCertificateOfTheSameHost(t *testing.T) {
	a, auth, _, cfg := enrolled(t)
	evil := uplinktest.New(t)
	evil.AddSession("S1", "T1")
	other, err := uplinktest.NewAuthority()
	must(t, err)
	evil.SetAuthority(other)
	c := client(t, cfg) // both certificates are of one root: httptest has one for all
	_, err = c.Claim(ctx, evil.Base(), "S1", "T1")
	wantError(t, err, "has not vouched for the certificate")
	cfg.Servers = []string{evil.Addr()}
	found, err := client(t, cfg).Discover(ctx)
	if err != nil || found.Appliance != a.Base() {
		t.Errorf("found %+v, %v; want the one it knows", found, err)
	}
	a.Stop()
	_, err = client(t, cfg).Discover(ctx)
	wantError(t, err, "does not vouch for it")
	evil.SetAuthority(auth) // a second appliance of the same site has the same authority
	_, err = client(t, cfg).Discover(ctx)
	must(t, err)
	if a.Served(report.PathEnroll) != 1 || evil.Served(report.PathEnroll) != 0 {
		t.Error("it enrolled elsewhere")
	}
}

// TestWithoutAuthority: an appliance that enrols nobody is obeyed as before, and said so.
func TestWithoutAuthority(t *testing.T) {
	a := uplinktest.New(t)
	a.AddSession("S1", "T1")
	c := client(t, config(t, a))
	_, err := c.Claim(ctx, a.Base(), "S1", "T1")
	must(t, err)
	if e := c.Enrolment(); e.Authority != "" || !strings.Contains(e.Problem, "does not enrol") {
		t.Errorf("%+v", e)
	}
	_, err = c.Policy(ctx, a.Base(), "e1")
	must(t, err)
}

// TestCertificateIsRenewedInTime, and one that the appliance does not take is let go.
func TestCertificateIsRenewedInTime(t *testing.T) {
	a := uplinktest.New(t)
	authority(t, a)
	a.DeviceLife = 24 * time.Hour
	a.AddSession("S1", "T1")
	cfg := config(t, a)
	cfg.Servers = []string{a.Addr()}
	c := client(t, cfg)
	_, err := c.Discover(ctx)
	must(t, err)
	for want := 1; want <= 2; want++ {
		_, err = c.Claim(ctx, a.Base(), "S1", "T1")
		must(t, err)
		if n := a.Served(report.PathEnroll); n != want {
			t.Fatalf("enrolled %d times, want %d: a day is soon", n, want)
		}
	}
	a.Inject(report.PathSession, uplinktest.Refuse(http.StatusForbidden, report.CodeCertificate))
	if _, err = c.Claim(ctx, a.Base(), "S1", "T1"); err == nil {
		t.Fatal("no error")
	}
	if cfg.Memory.Certificate() != nil || len(cfg.Memory.Authority()) == 0 {
		t.Error("the certificate is kept, or the authority is not")
	}
}
