package coatest

import (
	"errors"
	"strings"
	"testing"

	"sallyport/coa/coatest/freeradius"
)

// TestRadclientIsRefused sends with an encoder that is not ours what an ASA has to
// refuse, and reads the causes in its words; then what it has to take.
func TestRadclientIsRefused(t *testing.T) {
	s := newServer(t)
	a := newASA(t, s)
	session := login(t, a, "cisco")
	const stamp = `Event-Timestamp = "Mar 11 2016 14:57:55 UTC"`
	names := `Cisco-AVPair = "audit-session-id=` + session.AuditSessionID() + `"`
	push := []string{stamp, "Message-Authenticator = 0x00", names, `Cisco-AVPair += "coa-push=true"`}
	with := func(attributes ...string) []string { return append(append([]string(nil), push...), attributes...) }
	redirect := []string{`Cisco-AVPair += "url-redirect-acl=ACL_WEBAUTH_REDIRECT"`, `Cisco-AVPair += "url-redirect=` + portal + `"`}
	for _, c := range []struct {
		command    string
		attributes []string
		fault      error
		words      string
		access     string
	}{
		{"coa", with("Framed-MTU = 1400"), freeradius.ErrRefused, "Error-Cause = Unsupported-Attribute", "redirect "},
		{"coa", with(`Cisco-AVPair += "subscriber:command=reauthenticate"`), freeradius.ErrRefused, "Error-Cause = Unsupported-Attribute", "redirect "},
		{"coa", with("NAS-IP-Address = 10.0.0.1"), freeradius.ErrRefused, "Error-Cause = NAS-Identification-Mismatch", "redirect "},
		{"coa", []string{stamp, "Filter-Id = IN"}, freeradius.ErrRefused, "Error-Cause = Missing-Attribute", "redirect "},
		{"coa", with("Service-Type = Authorize-Only"), freeradius.ErrRefused, "Error-Cause = Unsupported-Service", "redirect "},
		{"disconnect", []string{stamp, names, "Filter-Id = IN"}, freeradius.ErrRefused, "Error-Cause = Unsupported-Attribute", "redirect "},
		{"coa", with("Filter-Id = IN", "Class = 0x31", "Session-Timeout = 60"), nil, "Received CoA-ACK", "filter IN"},
		{"coa", with(redirect...), nil, "Received CoA-ACK", "redirect ACL_WEBAUTH_REDIRECT to " + portal},
		{"disconnect", []string{stamp, `Calling-Station-Id = "10.62.145.44"`, `Acct-Session-Id = "` + session.AcctSessionID() + `"`}, nil, "Received Disconnect-ACK", "ended: "},
	} {
		output, err := freeradius.Client(t, a.CoAAddr(), c.command, shared, c.attributes...)
		if !errors.Is(err, c.fault) || (err == nil) != (c.fault == nil) || !strings.Contains(output, c.words) {
			t.Errorf("%s %q: %v, want %v and %q in\n%s", c.command, c.attributes, err, c.fault, c.words, output)
		}
		if got := session.Access(); !strings.HasPrefix(got, c.access) {
			t.Errorf("%s %q: access %s, want %s", c.command, c.attributes, got, c.access)
		}
	}
}
