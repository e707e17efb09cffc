// Package uplinktest is an appliance and a NAS to argue with: real sockets and TLS on
// loopback, every signature, nonce and number checked, and answers that a test can
// replace for as many requests as it wants.
package uplinktest

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/netio/report"
)

// Appliance answers agents on loopback.
type Appliance struct {
	t    testing.TB
	addr string

	mu       sync.Mutex // guards what follows
	server   *httptest.Server
	shown    *x509.Certificate
	sessions map[string]*session
	injected map[string][]http.HandlerFunc
	etag     string
	served   map[string]int
	ended    chan struct{} // closed when the server stops: long polls go

	authority *Authority

	// DeviceLife is how long a device certificate is good for; 0: a year. Set before the first claim.
	DeviceLife time.Duration

	// Unproved: device certificates say nothing of the session. Set before the first claim.
	Unproved bool

	// Judge answers a report; the default wants every active stick blocked. It is called
	// with the lock held, so it may not call the Appliance.
	Judge func(report.Report) report.Verdict
	// Reports gets every report that was judged anew.
	Reports chan report.Report
}

// session is what the appliance holds of one session.
type session struct {
	ticket   string
	used     bool
	key      []byte
	nonce    string
	seq      uint64
	body     string
	answer   []byte
	epoch    uint64
	status   string
	events   []report.Event
	eventSeq uint64
	wake     chan struct{}
}

// New starts an appliance; it stops with the test.
func New(t testing.TB) *Appliance { return NewAt(t, "127.0.0.1:0") }

// NewAt is New at another address of this machine.
func NewAt(t testing.TB, addr string) *Appliance {
	a := &Appliance{t: t, addr: addr, sessions: map[string]*session{}, injected: map[string][]http.HandlerFunc{}, served: map[string]int{},
		etag: "e1", Reports: make(chan report.Report, 256), Judge: BlockSticks}
	a.Start()
	t.Cleanup(a.Stop)
	return a
}

// BlockSticks is a judge that is content when no stick can be used.
func BlockSticks(r report.Report) report.Verdict {
	v := report.Verdict{Status: "Compliant"}
	if r.Facts.USB == nil || r.Facts.USB.Error != "" {
		return report.Verdict{Status: "NonCompliant", Message: "It cannot be told whether USB storage is connected."}
	}
	for _, d := range r.Facts.USB.Devices {
		if d.State == report.USBActive {
			return report.Verdict{Status: "NonCompliant", Message: "Remove the USB disk; it has been blocked.",
				Actions: []report.Action{{ID: "block-" + strconv.FormatUint(r.Seq, 10), Verb: report.VerbUSBBlock, Mode: "automatic", Requirement: "USB_Block"}},
				Requirements: []report.Outcome{{Policy: "Windows 7 USB check", Requirement: "USB_Block", Enforcement: "mandatory",
					Status: "failed", Failed: []string{"USB_Check"}}}}
		}
	}
	return v
}

// Start serves, after the first time on the same address with the same certificate.
func (a *Appliance) Start() {
	a.mu.Lock()
	defer a.mu.Unlock()
	l, err := net.Listen("tcp", a.addr)
	if err != nil {
		a.t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(a.handler())
	s.Listener.Close()
	s.Listener = l
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that agents break off are what tests want
	a.addr = l.Addr().String()
	a.ended = make(chan struct{})
	s.StartTLS()
	a.server, a.shown = s, s.Certificate()
}

// Stop closes every connection and stops serving.
func (a *Appliance) Stop() {
	a.mu.Lock()
	s := a.server
	if s == nil {
		a.mu.Unlock()
		return
	}
	a.server = nil
	close(a.ended)
	a.mu.Unlock()
	s.CloseClientConnections()
	s.Close()
}

// Base is "https://127.0.0.1:port".
func (a *Appliance) Base() string { return "https://" + a.Addr() }

// Addr is "127.0.0.1:port", the same after a restart.
func (a *Appliance) Addr() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.addr
}

// Certificate is what it shows.
func (a *Appliance) Certificate() *x509.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.shown
}

// AddSession makes a session with a ticket and returns what a NAS redirects to.
func (a *Appliance) AddSession(sessionID, ticket string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions[sessionID] = &session{ticket: ticket, status: "Pending", wake: make(chan struct{})}
	return fmt.Sprintf("https://%s%s?sessionId=%s&portal=p&action=cpp&ticket=%s", a.addr, report.PathGateway, sessionID, ticket)
}

// RemoveSession forgets a session: unknown from now on.
func (a *Appliance) RemoveSession(sessionID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.sessions[sessionID]; s != nil {
		close(s.wake)
		delete(a.sessions, sessionID)
	}
}

// Push sends an event to whoever waits for the session's.
func (a *Appliance) Push(sessionID string, e report.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[sessionID]
	s.eventSeq++
	e.Seq = s.eventSeq
	s.events = append(s.events, e)
	close(s.wake)
	s.wake = make(chan struct{})
}

// SpendNonce makes the nonce that the agent holds stale.
func (a *Appliance) SpendNonce(sessionID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions[sessionID].nonce = "spent" + strconv.Itoa(len(a.served)) + a.sessions[sessionID].nonce
}

// Inject answers the next requests to a path (as in report, policies by PathPolicy) by
// handlers, one request each, before anything is looked at.
func (a *Appliance) Inject(path string, handlers ...http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.injected[path] = append(a.injected[path], handlers...)
}

// Served counts the requests to a path.
func (a *Appliance) Served(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.served[path]
}

// Hangup closes the connection without an answer.
func Hangup(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}

// Refuse answers with a Problem.
func Refuse(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, &report.Problem{Status: status, Code: code, Detail: "as the test wants it"})
	}
}

// LoseAnswer is a handler that judges a report, then throws the answer away: the agent
// has to send the same octets again.
func (a *Appliance) LoseAnswer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		a.report(httptest.NewRecorder(), r, body)
	}
	Hangup(w, r)
}

func refuse(w http.ResponseWriter, p *report.Problem) {
	w.Header().Set("Content-Type", report.MediaType)
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // a document of ours that JSON cannot write
	}
	return b
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", report.MediaType)
	json.NewEncoder(w).Encode(v)
}

// NAS is a plain web server that answers every request as an access device in the way
// does: with a redirect, or with whatever the handler says.
func NAS(t testing.TB, handler http.HandlerFunc) (addr string) {
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// Redirect answers with 302 to a location.
func Redirect(location string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusFound)
	}
}

// pollWait is how long a poll waits here; the real appliance lets it wait 50 s.
const pollWait = 5 * time.Second
