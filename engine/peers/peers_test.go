package peers

import (
	"errors"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sallyport/coa/coatest/freeradius"
	"sallyport/engine/record"
)

const auditID = "0a3042ca0001d00056e2dce3"

// redirectTo finds the redirect URL in what radclient or FreeRADIUS printed.
var redirectTo = regexp.MustCompile(`"url-redirect=(https://[^"]+)"`)

// aclNamed finds the full name of a downloadable ACL.
var aclNamed = regexp.MustCompile(`ACS:CiscoSecure-Defined-ACL=(#ACSACL#[^"]+)"`)

// What radclient prints of a download: the entries, what it says against a Challenge, and
// the State that brings the rest.
var (
	aclEntries  = regexp.MustCompile(`"ip:inacl#(\d+)=(permit tcp any host [\d.]+ eq 443)"`)
	noAccept    = regexp.MustCompile(`\(\d+\) -: Expected Access-Accept got Access-Challenge\n`)
	stateOfPart = regexp.MustCompile(`Received Access-Challenge [^$]*?\tState = (0x[0-9a-f]+)`)
)

func login(user, password, audit string) []string {
	return []string{`User-Name = "` + user + `"`, `User-Password = "` + password + `"`, `Calling-Station-Id = "10.229.16.34"`, "NAS-IP-Address = 127.0.0.1",
		`Cisco-AVPair = "audit-session-id=` + audit + `"`, `Cisco-AVPair += "mdm-tlv=device-platform=linux-64"`,
		`Cisco-AVPair += "coa-push=true"`, "Message-Authenticator = 0x00"}
}

func mab(mac, called string) []string {
	return []string{"Service-Type = Call-Check", `User-Name = "` + mac + `"`, `User-Password = "` + mac + `"`,
		`Calling-Station-Id = "` + called + `"`, "NAS-Port-Type = Ethernet", "Message-Authenticator = 0x00"}
}

func download(name string) []string {
	return []string{`User-Name = "` + name + `"`, `Cisco-AVPair = "aaa:service=ip_admission"`, `Cisco-AVPair += "aaa:event=acl-download"`, "Message-Authenticator = 0x00"}
}

// radclient is one exchange with radclient, which must end as fault says, and what it
// printed. It verifies the answer's authenticators, and takes an answer where they are
// wrong for none.
func radclient(t *testing.T, to netip.AddrPort, command string, fault error, attributes ...string) string {
	t.Helper()
	out, err := freeradius.Client(t, to, command, sharedSecret, attributes...)
	if !errors.Is(err, fault) || (err == nil) != (fault == nil) {
		t.Fatalf("radclient %s: %v, want %v:\n%s", command, err, fault, out)
	}
	return out
}

// TestRadclientLogins: who may come in, and with what.
func TestRadclientLogins(t *testing.T) {
	t.Parallel()
	a := newAppliance(t, options{})
	const accept, reject, signed = "Received Access-Accept", "Received Access-Reject", "Message-Authenticator = 0x"
	for _, c := range []struct {
		name    string
		command string
		to      netip.AddrPort
		send    []string
		fault   error
		want    []string
		never   string
	}{
		{"PAP", "auth", a.auth(), login("cisco", "cisco", auditID), nil,
			[]string{accept, signed, `Cisco-AVPair = "url-redirect-acl=ACL_WEBAUTH_REDIRECT"`,
				`Cisco-AVPair = "url-redirect=` + a.bound.Portal + `/portal/gateway?`, "sessionId=" + auditID, "ticket="}, "ACSACL"},
		{"a wrong password", "auth", a.auth(), login("cisco", "guess", auditID), freeradius.ErrRefused, []string{reject, signed}, "Cisco-AVPair = \"url-"},
		{"an unknown user", "auth", a.auth(), login("nobody", "cisco", auditID), freeradius.ErrRefused, []string{reject, signed}, "Cisco-AVPair = \"url-"},
		{"MAB", "auth", a.auth(), mab("000c29c9d999", "00-0C-29-C9-D9-99"), nil, []string{accept, signed}, reject},
		{"MAB of an unknown endpoint", "auth", a.auth(), mab("000c29c9d998", "00-0C-29-C9-D9-98"), freeradius.ErrRefused, []string{reject, signed}, accept},
		{"Status-Server for authentication", "status", a.auth(), []string{"Message-Authenticator = 0x00"}, nil, []string{accept, signed}, reject},
		{"Status-Server for accounting", "status", a.acct(), []string{"Message-Authenticator = 0x00"}, nil, []string{"Received Accounting-Response"}, accept},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := radclient(t, c.to, c.command, c.fault, c.send...)
			_, received, _ := strings.Cut(out, "Received ") // what goes before was sent
			received = "Received " + received
			for _, w := range c.want {
				if !strings.Contains(received, w) {
					t.Errorf("%q is not in\n%s", w, received)
				}
			}
			if strings.Contains(received, c.never) {
				t.Errorf("%q is in\n%s", c.never, received)
			}
		})
	}
	if s := a.session(auditID); s.Identity != "cisco" || s.State != "live" || s.Posture.Status != "Pending" || s.Authorization.Profile != "Posture_Redirect" {
		t.Errorf("%+v", s)
	}
}

// TestRadclientAccounting: each record is answered, and what it says is in the session.
func TestRadclientAccounting(t *testing.T) {
	t.Parallel()
	a := newAppliance(t, options{})
	radclient(t, a.auth(), "auth", nil, login("cisco", "cisco", auditID)...)
	for _, c := range []struct{ kind, state string }{{"Start", "live"}, {"Interim-Update", "live"}, {"Stop", "ended"}} {
		out := radclient(t, a.acct(), "acct", nil, "Acct-Status-Type = "+c.kind, `Acct-Session-Id = "63815AAF"`, `User-Name = "cisco"`,
			"Framed-IP-Address = 172.16.31.10", "Acct-Input-Octets = 17", "Acct-Input-Gigawords = 1", "NAS-IP-Address = 127.0.0.1",
			`Cisco-AVPair = "audit-session-id=`+auditID+`"`)
		if s := a.session(auditID); !strings.Contains(out, "Received Accounting-Response") || s.State != c.state || s.IPAddress != "172.16.31.10" ||
			s.AcctSessionID != "63815AAF" || s.Accounting == nil || s.Accounting.InOctets != 1<<32+17 {
			t.Errorf("%s: %+v, %+v after\n%s", c.kind, s, s.Accounting, out)
		}
	}
}

// TestRadclientWrongSecret: there is silence, and radclient says so with exit code 1.
func TestRadclientWrongSecret(t *testing.T) {
	t.Parallel()
	a := newAppliance(t, options{})
	for command, to := range map[string]netip.AddrPort{"auth": a.auth(), "acct": a.acct(), "status": a.auth()} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			out, err := freeradius.Client(t, to, command, "another secret", append(login("cisco", "cisco", auditID), "Acct-Status-Type = Start")...)
			if !errors.Is(err, freeradius.ErrNoReply) || strings.Contains(out, "Received ") {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

// TestRadclientDownloadsAnACL: the name comes with the Accept, the entries for the name; a
// long one begins with a Challenge, and its State brings the rest.
func TestRadclientDownloadsAnACL(t *testing.T) {
	t.Parallel()
	a := newAppliance(t, options{})
	radclient(t, a.auth(), "auth", nil, login("cisco", "cisco", auditID)...)
	name := aclNamed.FindStringSubmatch(radclient(t, a.auth(), "auth", nil, login("long", "cisco", "0a3042ca0001e00056e2dce4")...))
	if name == nil {
		t.Fatal("the Accept names no ACL")
	}
	downloadAll(t, a, name[1])
	out := radclient(t, a.auth(), "auth", freeradius.ErrRefused, download("#ACSACL#-IP-NONE-00000000")...)
	if !strings.Contains(out, "Received Access-Reject") {
		t.Errorf("an ACL that does not exist:\n%s", out)
	}
	send := download(name[1])
	send[2] = `Cisco-AVPair += "aaa:event=other"` // it does not say that it is a download
	if out, err := freeradius.Client(t, a.auth(), "auth", sharedSecret, send...); !errors.Is(err, freeradius.ErrNoReply) {
		t.Errorf("a login by the name of an ACL: %v\n%s", err, out)
	}
}

// downloadAll gets every entry of the long ACL, in order.
func downloadAll(t *testing.T, a *appliance, name string) {
	t.Helper()
	got, parts, send := 0, 0, download(name)
	for {
		// To radclient a Challenge is no Accept. It says so on standard error, which may
		// come in the middle of an entry.
		out, err := freeradius.Client(t, a.auth(), "auth", sharedSecret, send...)
		out = noAccept.ReplaceAllString(out, "")
		for _, entry := range aclEntries.FindAllStringSubmatch(out, -1) {
			if want := aclEntry(got); entry[1] != strconv.Itoa(got+1) || entry[2] != want {
				t.Fatalf("entry %s is %q, want entry %d, %q", entry[1], entry[2], got+1, want)
			}
			got++
		}
		parts++
		if err == nil {
			break
		}
		more := stateOfPart.FindStringSubmatch(out)
		if !errors.Is(err, freeradius.ErrRefused) || more == nil || parts > 10 {
			t.Fatalf("part %d: %v\n%s", parts, err, out)
		}
		send = append(download(name), "State = "+more[1])
	}
	if got != longEntries || parts < 2 {
		t.Errorf("%d entries in %d parts, want %d in several", got, parts, longEntries)
	}
}

// compliant logs in with radclient and reports that all is well.
func compliant(t *testing.T, a *appliance, audit string) {
	t.Helper()
	out := radclient(t, a.auth(), "auth", nil, login("cisco", "cisco", audit)...)
	to := redirectTo.FindStringSubmatch(out)
	if to == nil {
		t.Fatalf("no redirect in\n%s", out)
	}
	if status := a.claim(to[1]).report(); status != "Compliant" {
		t.Fatal(status)
	}
}

// TestFreeRADIUSAnswersChanges: an ACK opens the session, a NAK with Error-Cause 503 ends
// it (RFC 5176 section 3.5), and an independent server reads what was pushed.
func TestFreeRADIUSAnswersChanges(t *testing.T) {
	t.Parallel()
	const unknown = "0a3042ca0001e00056e2dce4"
	server := freeradius.Start(t, freeradius.Options{Secret: sharedSecret, Sessions: []string{auditID}})
	a := newAppliance(t, options{coaPort: server.CoA.Port()})
	compliant(t, a, auditID)
	compliant(t, a, unknown)
	row := a.settled(auditID)
	if s := a.session(auditID); row.Status != record.Passed || s.State != "live" || s.Authorization.Profile != "FullAccess" ||
		s.Posture.Status != "Compliant" || s.Change != nil || s.LastChange == nil || s.LastChange.Outcome != "ack" {
		t.Errorf("acknowledged: %+v, %+v", row, s)
	}
	row = a.settled(unknown)
	if s := a.session(unknown); row.Status != record.Failed || !strings.Contains(row.Reason, "503") || s.State != "ended" || !strings.Contains(s.EndCause, "503") {
		t.Errorf("refused: %+v, %+v", row, s)
	}
	ids := ""
	for _, packet := range server.Received(t, "CoA-Request", 2) {
		got := strings.Join(packet, "\n")
		if !strings.HasPrefix(got, "Message-Authenticator = 0x") {
			t.Errorf("Message-Authenticator is not first:\n%s", got)
		}
		for _, want := range []string{"NAS-IP-Address = 127.0.0.1", "Event-Timestamp = ", `Cisco-AVPair = "coa-push=true"`,
			`Cisco-AVPair = "ACS:CiscoSecure-Defined-ACL=#ACSACL#-IP-PERMIT_ALL_TRAFFIC-`} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not in what FreeRADIUS decoded:\n%s", want, got)
			}
		}
		ids += got
	}
	for _, id := range []string{auditID, unknown} {
		if !strings.Contains(ids, "audit-session-id="+id) {
			t.Errorf("FreeRADIUS heard nothing of session %s:\n%s", id, ids)
		}
	}
}

// TestFreeRADIUSDoesNotBelieve: with another CoA secret there is silence; the session
// keeps what it has, and the silence is on record.
func TestFreeRADIUSDoesNotBelieve(t *testing.T) {
	t.Parallel()
	server := freeradius.Start(t, freeradius.Options{Secret: sharedSecret, Sessions: []string{auditID}})
	a := newAppliance(t, options{coaPort: server.CoA.Port(), coaSecret: "a-secret-that-nobody-knows-000001"})
	compliant(t, a, auditID)
	row := a.settled(auditID)
	s := a.session(auditID)
	if row.Status != record.Failed || !strings.Contains(row.Reason, "no answer") {
		t.Errorf("in the live log: %+v", row)
	}
	if s.State != "live" || s.Authorization.Profile != "Posture_Redirect" || s.Posture.Status != "Compliant" || s.LastChange == nil || s.LastChange.Outcome != "silent" {
		t.Errorf("in the session: %+v, %+v", s, s.LastChange)
	}
}
