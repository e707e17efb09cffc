package endtoend

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"testing"

	"sallyport/netio/report"
)

// device is an endpoint with a key, which says over HTTPS what a test wants.
type device struct {
	t     *testing.T
	base  string // https://host:port
	http  *http.Client
	key   *ecdsa.PrivateKey
	id    string
	seq   uint64
	nonce string

	certificate string // goes with claims, once there is one
}

func (a *appliance) device() *device {
	a.t.Helper()
	text, err := os.ReadFile(a.bound.Certificate)
	must(a.t, err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		a.t.Fatalf("%s holds no certificate", a.bound.Certificate)
	}
	d := &device{t: a.t, base: a.bound.Portal, http: &http.Client{Timeout: 2 * patience,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}}
	a.t.Cleanup(d.http.CloseIdleConnections)
	d.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	return d
}

// post sends a body with its signature. What comes back is the status and the body.
func (d *device) post(path string, body []byte) (int, []byte) {
	d.t.Helper()
	signature, err := report.Sign(d.key, path, body)
	must(d.t, err)
	status, text, err := d.exchange(path, signature, body)
	must(d.t, err)
	return status, text
}

func (d *device) exchange(path, signature string, body []byte) (int, []byte, error) {
	r, err := http.NewRequest(http.MethodPost, d.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set(report.HeaderSignature, signature)
	r.Header.Set("Content-Type", report.MediaType)
	answer, err := d.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, text, err
}

// refusal is the status and the code of an answer that is not 200.
type refusal struct {
	status int
	code   string
}

func (d *device) refused(status int, body []byte) refusal {
	d.t.Helper()
	p, err := report.DecodeProblem(body)
	if err != nil {
		d.t.Fatalf("%d: %v: %s", status, err, body)
	}
	return refusal{status, p.Code}
}

// claim asks to report for a session.
func (d *device) claim(id, ticket string) (int, []byte) {
	d.t.Helper()
	body, err := json.Marshal(&report.Claim{V: report.Version, SessionID: id, Ticket: ticket, Key: report.MarshalKey(&d.key.PublicKey), Certificate: d.certificate,
		Agent: report.Agent{Name: "test", Version: "1"}, System: report.System{OS: "linux", Hostname: "endpoint"}})
	must(d.t, err)
	return d.post(report.PathSession, body)
}

// bind claims by the redirect URL that a NAS got, and returns how it is bound.
func (d *device) bind(redirect string) (assurance string) {
	d.t.Helper()
	u, err := url.Parse(redirect)
	must(d.t, err)
	status, body := d.claim(u.Query().Get(report.QuerySessionID), u.Query().Get(report.QueryTicket))
	if status != http.StatusOK {
		d.t.Fatalf("claim: %d %s", status, body)
	}
	claimed, err := report.DecodeClaimed(body)
	must(d.t, err)
	d.id, d.seq, d.nonce = claimed.SessionID, claimed.Seq, claimed.Nonce
	return claimed.Assurance
}

// document is the next report; sticks are the states of as many sticks.
func (d *device) document(sticks ...string) *report.Report {
	usb := &report.USB{Devices: []report.USBDevice{}}
	for _, state := range sticks {
		usb.Devices = append(usb.Devices, report.USBDevice{Port: "2-1", Ifaces: []string{"08/06/50"}, State: state})
	}
	return &report.Report{V: report.Version, SessionID: d.id, Seq: d.seq + 1, Nonce: d.nonce, Trigger: report.TriggerInitial,
		Agent: report.Agent{Name: "test", Version: "1"}, System: report.System{OS: "linux", Hostname: "endpoint"}, Facts: report.Facts{USB: usb}}
}

// send reports and takes the verdict to heart.
func (d *device) send(doc *report.Report) *report.Verdict {
	d.t.Helper()
	body, err := json.Marshal(doc)
	must(d.t, err)
	status, answer := d.post(report.PathReport, body)
	if status != http.StatusOK {
		d.t.Fatalf("report: %d %s", status, answer)
	}
	verdict, err := report.DecodeVerdict(answer)
	must(d.t, err)
	d.seq, d.nonce = doc.Seq, verdict.Nonce
	return verdict
}

// compliant reports that there is no stick, and wants that to be believed.
func (d *device) compliant() {
	d.t.Helper()
	if v := d.send(d.document()); v.Status != "Compliant" {
		d.t.Fatalf("the verdict is %s: %s", v.Status, v.Message)
	}
}

// poll asks for events and returns the status; 0 when the connection broke.
func (d *device) poll(after uint64) int {
	path := fmt.Sprintf("%s?%s=%s&%s=%d", report.PathEvents, report.QueryEventSessionID, d.id, report.QueryEventAfter, after)
	signature, err := report.Sign(d.key, path, nil)
	if err != nil {
		return 0
	}
	r, err := http.NewRequest(http.MethodGet, d.base+path, nil)
	if err != nil {
		return 0
	}
	r.Header.Set(report.HeaderSignature, signature)
	answer, err := d.http.Do(r)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	return answer.StatusCode
}
