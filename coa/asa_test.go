package coa_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/coa/coatest"
	"sallyport/coa/coatest/freeradius"
	"sallyport/ops/secret"
)

// users is what FreeRADIUS gives the ASA: quarantine first, then a downloadable ACL, which
// the ASA believes with a Message-Authenticator only.
const users = `
"cisco" Cleartext-Password := "cisco"
	Cisco-AVPair += "url-redirect-acl=ACL_WEBAUTH_REDIRECT",
	Cisco-AVPair += "url-redirect=https://posture.example.com:8443/portal/gateway?sessionId=1"

"#ACSACL#-IP-PERMIT-57e5bcbd" Auth-Type := Accept
	Message-Authenticator := 0x00,
	Cisco-AVPair += "ip:inacl#1=permit ip any any"
`

// TestASAAgainstFreeRADIUSAndRadclient puts the ASA emulator between two independent
// codecs: FreeRADIUS lets it in and serves its downloadable ACL, radclient sends it CoA
// and Disconnect requests. What our own engine proves with it rests on this.
func TestASAAgainstFreeRADIUSAndRadclient(t *testing.T) {
	t.Parallel()
	server := freeradius.Start(t, freeradius.Options{Users: users})
	asa, err := coatest.NewASA(coatest.ASAConfig{Name: "asa", Secret: secret.New([]byte(server.Secret)),
		AuthServer: server.Auth, AcctServer: server.Acct, Source: netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	defer asa.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := asa.Login(ctx, "cisco", "wrong", coatest.Endpoint{}); !errors.As(err, new(*coatest.RejectedError)) {
		t.Fatalf("a wrong password: %v", err)
	}
	session, err := asa.Login(ctx, "cisco", "cisco", coatest.Endpoint{})
	if err != nil {
		t.Fatal(err)
	}
	if a := session.Authorization(); !a.Redirected() || a.RedirectACL != "ACL_WEBAUTH_REDIRECT" {
		t.Fatalf("after the login: %s", a)
	}
	id := `Cisco-AVPair = "audit-session-id=` + session.AuditSessionID() + `"`
	push := []string{"Message-Authenticator = 0x00", "NAS-IP-Address = " + asa.NASIP().String(), id,
		`Cisco-AVPair += "coa-push=true"`, `Cisco-AVPair += "ACS:CiscoSecure-Defined-ACL=#ACSACL#-IP-PERMIT-57e5bcbd"`}
	answer(t, asa, server.Secret, "coa", nil, "CoA-ACK", push...)
	if err := session.WaitFor(ctx, func(a coatest.Access) bool {
		return a.Full() && fmt.Sprint(a.DACL) == "[permit ip any any]"
	}); err != nil {
		t.Fatalf("the downloaded ACL is not in force: %v; %s", err, session.Access())
	}
	answer(t, asa, "another secret", "coa", freeradius.ErrNoReply, "", push...)
	unknown := strings.Replace(strings.Join(push, "\n"), session.AuditSessionID(), "0a3042ca0001d00000000000", 1)
	answer(t, asa, server.Secret, "coa", freeradius.ErrRefused, "Error-Cause = Session-Context-Not-Found", unknown)
	answer(t, asa, server.Secret, "disconnect", nil, "Disconnect-ACK", "Message-Authenticator = 0x00", id)
	answer(t, asa, server.Secret, "disconnect", freeradius.ErrRefused, "Error-Cause = Session-Context-Not-Found",
		"Message-Authenticator = 0x00", id)
	starts := server.Received(t, "Accounting-Request", 2)
	if got := strings.Join(append(starts[0], starts[1]...), "\n"); !strings.Contains(got, "Acct-Status-Type = Start") ||
		!strings.Contains(got, "Acct-Status-Type = Stop") || !strings.Contains(got, "Framed-IP-Address = ") {
		t.Errorf("FreeRADIUS decoded as accounting:\n%s", got)
	}
}

// answer has radclient send a request to the ASA and looks at what came back.
func answer(t *testing.T, asa *coatest.ASA, shared, command string, fault error, words string, attributes ...string) {
	t.Helper()
	output, err := freeradius.Client(t, asa.CoAAddr(), command, shared, attributes...)
	if !errors.Is(err, fault) || (err == nil) != (fault == nil) || !strings.Contains(output, words) {
		t.Errorf("%s: %v, want %v and %q in\n%s", command, err, fault, words, output)
	}
}
