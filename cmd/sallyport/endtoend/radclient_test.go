package endtoend

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"sallyport/coa/coatest/freeradius"
	"sallyport/netio/radius"
)

const auditID = "0a3042ca0001d00056e2dce3"

// radclient is one exchange, and what radclient printed of the reply.
func radclient(t *testing.T, to netip.AddrPort, command string, fault error, want []string, attributes ...string) string {
	t.Helper()
	out, err := freeradius.Client(t, to, command, sharedSecret, attributes...)
	if !errors.Is(err, fault) || (err == nil) != (fault == nil) {
		t.Fatalf("%s: %v, want %v:\n%s", command, err, fault, out)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("%s: %q is not in\n%s", command, w, out)
		}
	}
	return out
}

// TestRadclientLogsIn: an independent codec logs in, reads the redirect, believes our
// authenticators, and is told no when the password is wrong.
func TestRadclientLogsIn(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	login := []string{`User-Name = "cisco"`, `User-Password = "cisco"`, `Calling-Station-Id = "10.229.16.34"`, "NAS-IP-Address = 127.0.0.1",
		`Cisco-AVPair = "audit-session-id=` + auditID + `"`, `Cisco-AVPair += "mdm-tlv=device-platform=linux-64"`, "Message-Authenticator = 0x00"}
	out := radclient(t, a.auth(), "auth", nil, []string{"Received Access-Accept", "Message-Authenticator = 0x",
		`Cisco-AVPair = "url-redirect-acl=ACL_WEBAUTH_REDIRECT"`,
		`Cisco-AVPair = "url-redirect=` + a.bound.Portal + `/portal/gateway?`, "sessionId=" + auditID, "ticket="}, login...)
	if s := a.session(auditID); s.Identity != "cisco" || s.Posture.Status != "Pending" || s.Authorization.Profile != "Posture_Redirect" {
		t.Errorf("%+v after\n%s", s, out)
	}
	login[1] = `User-Password = "guess"`
	radclient(t, a.auth(), "auth", freeradius.ErrRefused, []string{"Received Access-Reject", "Message-Authenticator = 0x"}, login...)
	radclient(t, a.auth(), "auth", nil, []string{"Received Access-Accept"}, "Service-Type = Call-Check", `User-Name = "000c29c9d999"`,
		`User-Password = "000c29c9d999"`, `Calling-Station-Id = "00-0C-29-C9-D9-99"`, "NAS-Port-Type = Ethernet", "Message-Authenticator = 0x00")
	radclient(t, a.auth(), "auth", freeradius.ErrRefused, []string{"Received Access-Reject"}, "Service-Type = Call-Check",
		`User-Name = "000c29c9d998"`, `User-Password = "000c29c9d998"`, `Calling-Station-Id = "00-0C-29-C9-D9-98"`, "Message-Authenticator = 0x00")
	radclient(t, a.auth(), "status", nil, []string{"Received Access-Accept"}, "Message-Authenticator = 0x00")
	radclient(t, a.acct(), "status", nil, []string{"Received Accounting-Response"}, "Message-Authenticator = 0x00")
}

// TestRadclientAccounting: Start, Interim-Update and Stop are answered, and their totals
// are in the session.
func TestRadclientAccounting(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	record := func(kind, octets string) []string {
		return []string{"Acct-Status-Type = " + kind, `Acct-Session-Id = "63815AAF"`, `User-Name = "cisco"`, "Framed-IP-Address = 172.16.31.10",
			"Acct-Input-Octets = " + octets, "Acct-Input-Gigawords = 1", "NAS-IP-Address = 127.0.0.1", `Cisco-AVPair = "audit-session-id=` + auditID + `"`}
	}
	for _, kind := range []string{"Start", "Interim-Update", "Stop"} {
		radclient(t, a.acct(), "acct", nil, []string{"Received Accounting-Response"}, record(kind, "17")...)
	}
	s := a.session(auditID)
	if s.State != "ended" || s.IPAddress != "172.16.31.10" || s.AcctSessionID != "63815AAF" || s.Accounting == nil || s.Accounting.InOctets != 1<<32+17 {
		t.Errorf("%+v, %+v", s, s.Accounting)
	}
	before := a.drops("asa", "bad_authenticator")
	if out, err := freeradius.Client(t, a.acct(), "acct", "another secret", record("Start", "1")...); !errors.Is(err, freeradius.ErrNoReply) {
		t.Errorf("another secret: %v\n%s", err, out)
	}
	if got := a.drops("asa", "bad_authenticator") - before; got != 2 {
		t.Errorf("%d drops were counted, want one for each of the 2 transmissions", got)
	}
	if out, err := freeradius.Client(t, a.auth(), "auth", "another secret", `User-Name = "cisco"`, `User-Password = "cisco"`,
		"Message-Authenticator = 0x00"); !errors.Is(err, freeradius.ErrNoReply) {
		t.Errorf("another secret: %v\n%s", err, out)
	}
	if got := a.drops("asa", "bad_message_authenticator"); got != 2 {
		t.Errorf("%d drops were counted, want 2", got)
	}
}

// TestDuplicates: who sends the same octets again gets the same octets again, and nothing
// happens twice (RFC 5080 section 2.2.2).
func TestDuplicates(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	n := newNAS(t, "127.0.0.1")
	for _, c := range []struct {
		name string
		to   netip.AddrPort
		pkt  []byte
		want radius.Code
	}{
		{"login", a.auth(), n.pap("cisco", "cisco", auditID, nil), radius.AccessAccept},
		{"wrong password", a.auth(), n.pap("cisco", "guess", auditID, nil), radius.AccessReject},
		{"accounting", a.acct(), n.accounting(acctStart, "63815AAF", auditID, "172.16.31.10"), radius.AccountingResponse},
	} {
		n.send(c.to, c.pkt)
		first := n.receive()
		if v := n.verified(c.pkt, first); v.Code() != c.want {
			t.Fatalf("%s: %s", c.name, v.Code())
		}
		version := a.session(auditID).Version
		for range 3 {
			n.send(c.to, c.pkt)
			if again := n.receive(); !same(first, again) {
				t.Errorf("%s: the duplicate got\n%x, first\n%x", c.name, again, first)
			}
		}
		if now := a.session(auditID).Version; now != version {
			t.Errorf("%s: the duplicates changed the session from version %d to %d", c.name, version, now)
		}
	}
	if got := a.metric(`radius_duplicates_total\{nas="asa"\}`); got != 9 {
		t.Errorf("%v duplicates were counted, want 9", got)
	}
	// The same identifier with another authenticator is another request.
	pkt := n.pap("cisco", "cisco", fmt.Sprintf("%024x", 7), nil)
	n.next--
	if v := n.exchange(a.auth(), pkt); v.Code() != radius.AccessAccept {
		t.Error(v.Code())
	}
	pkt = n.pap("cisco", "guess", fmt.Sprintf("%024x", 8), nil)
	if v := n.exchange(a.auth(), pkt); v.Code() != radius.AccessReject {
		t.Error(v.Code())
	}
}
