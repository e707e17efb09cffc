package endtoend

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"sallyport/netio/radius"
	"sallyport/netio/report"
)

// refuses posts a body and wants a certain refusal.
func (d *device) refuses(t *testing.T, what, path string, body []byte, want refusal) {
	t.Helper()
	status, answer := d.post(path, body)
	if status == http.StatusOK {
		t.Errorf("%s: accepted: %s", what, answer)
	} else if got := d.refused(status, answer); got != want {
		t.Errorf("%s: %v, want %v: %s", what, got, want, answer)
	}
}

func encoded(t *testing.T, document any) []byte {
	t.Helper()
	b, err := json.Marshal(document)
	must(t, err)
	return b
}

// TestWrongReports: what must not be judged is refused with a code that says why, and
// changes no session.
func TestWrongReports(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	n := newNAS(t, "127.0.0.3")
	const other = "0a3042ca0001e00056e2dce4"
	d, neighbour, stranger := a.device(), a.device(), a.device()
	d.bind(n.redirected(a, auditID))
	neighbour.bind(n.redirected(a, other))
	first := d.document("active")
	firstBytes := encoded(t, first)
	verdict := d.send(first)
	if verdict.Status != "NonCompliant" {
		t.Fatal(verdict.Status)
	}
	version := a.session(auditID).Version

	status, again := d.post(report.PathReport, firstBytes)
	if v, err := report.DecodeVerdict(again); status != http.StatusOK || err != nil || v.DecisionID != verdict.DecisionID {
		t.Errorf("the same bytes again: %d %s", status, again)
	}
	changed := *first
	changed.Facts = d.document().Facts
	d.refuses(t, "the same number, other bytes", report.PathReport, encoded(t, &changed), refusal{http.StatusConflict, report.CodeReplay})
	stale := d.document()
	stale.Nonce = first.Nonce
	d.refuses(t, "a stale nonce", report.PathReport, encoded(t, stale), refusal{http.StatusConflict, report.CodeStaleNonce})
	theirs := d.document()
	theirs.SessionID = other
	d.refuses(t, "another's session", report.PathReport, encoded(t, theirs), refusal{http.StatusForbidden, report.CodeBadSignature})
	nobodys := d.document()
	nobodys.SessionID = "0a3042ca0001f00056e2dce5"
	d.refuses(t, "a session that does not exist", report.PathReport, encoded(t, nobodys), refusal{http.StatusNotFound, report.CodeUnknownSession})
	mine := d.document()
	stranger.refuses(t, "another's key", report.PathReport, encoded(t, mine), refusal{http.StatusForbidden, report.CodeBadSignature})
	d.refuses(t, "too large", report.PathReport, large(report.ReportBytesMax), refusal{http.StatusRequestEntityTooLarge, report.CodeTooLarge})
	d.refuses(t, "a claim that is too large", report.PathSession, large(report.ClaimBytesMax), refusal{http.StatusRequestEntityTooLarge, report.CodeTooLarge})
	d.refuses(t, "no JSON", report.PathReport, []byte(`{"v":1,`), refusal{http.StatusBadRequest, report.CodeMalformed})
	future := d.document()
	future.V = 99
	d.refuses(t, "a later version", report.PathReport, encoded(t, future), refusal{http.StatusBadRequest, report.CodeVersion})
	if now := a.session(auditID).Version; now != version {
		t.Errorf("refused reports changed the session from version %d to %d", version, now)
	}
	for _, reason := range []string{"too-large", "malformed", "version", "unknown-session", "signature", "replay", "stale-nonce"} {
		if a.metric(`portal_total\{event="refused_`+reason+`"\}`) == 0 {
			t.Errorf("no refusal was counted as %s", reason)
		}
	}
	d.compliant() // with the nonce that was given out last
}

func large(most int) []byte {
	return []byte(`{"v":1,"boot_id":"` + strings.Repeat("x", most) + `"}`)
}

// TestWrongTickets: a ticket binds once and for its own session. One that is too old or was
// replaced is tested where time is a value, in engine/step.
func TestWrongTickets(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	n := newNAS(t, "127.0.0.1")
	const other = "0a3042ca0001e00056e2dce4"
	ticket := func(redirect string) string {
		u, err := url.Parse(redirect)
		must(t, err)
		return u.Query().Get(report.QueryTicket)
	}
	newest := ticket(n.redirected(a, auditID))
	if again := ticket(n.redirected(a, auditID)); again != newest {
		t.Errorf("the NAS asked again and got another ticket: %s, then %s", newest, again)
	}
	elsewhere := ticket(n.redirected(a, other))
	d := a.device()
	refuse := func(what string, d *device, ticket, code string) {
		t.Helper()
		if status, body := d.claim(auditID, ticket); status != http.StatusForbidden || d.refused(status, body).code != code {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
	refuse("none", d, "", report.CodeAddressMismatch)
	refuse("a forged one", d, newest[:10]+strings.ToUpper(newest[10:12])+"x"+newest[13:], report.CodeTicketUnknown)
	refuse("that of another session", d, elsewhere, report.CodeTicketUnknown)
	if status, body := d.claim(auditID, newest); status != http.StatusOK {
		t.Fatalf("the newest: %d %s", status, body)
	}
	if status, body := d.claim(auditID, newest); status != http.StatusOK {
		t.Errorf("the same device again, whose answer was lost: %d %s", status, body)
	}
	refuse("a used one, by another device", a.device(), newest, report.CodeTicketUsed)
	refuse("none, by another device", a.device(), "", report.CodeNotBound)
	if s := a.session(auditID); s.Posture.Assurance != "ticket" {
		t.Errorf("%+v", s.Posture)
	}
}

// TestSlowBody: who sends a report slowly is cut off, and holds up nobody.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	host := strings.TrimPrefix(a.bound.Portal, "https://")
	d := a.device()
	transport := d.http.Transport.(*http.Transport)
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", host, transport.TLSClientConfig)
	must(t, err)
	defer conn.Close()
	begun := time.Now()
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", report.PathReport, host)
	must(t, err)

	n := newNAS(t, "127.0.0.3")
	d.bind(n.redirected(a, auditID))
	d.compliant()
	if v := n.exchange(a.auth(), n.pap("cisco", "cisco", auditID, nil)); v.Code() != radius.AccessAccept {
		t.Error(v.Code())
	}
	must(t, conn.SetReadDeadline(begun.Add(2*patience)))
	answer, err := io.ReadAll(conn)
	must(t, err)
	if took := time.Since(begun); !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") || !strings.Contains(string(answer), report.CodeSlow) {
		t.Errorf("after %s: %s", took, answer)
	}
	if got := a.metric(`portal_total\{event="refused_slow-body"\}`); got != 1 {
		t.Errorf("%v slow bodies were counted, want 1", got)
	}
}
