package engine

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"sallyport/engine/record"
	"sallyport/netio/radius"
	"sallyport/netio/report"
	"sallyport/netio/udp"
	"sallyport/netio/udp/udptest"
	"sallyport/ops/clock"
	"sallyport/ops/config"
	"sallyport/ops/secret"
	"sallyport/sessions"
)

const sharedSecret = "a-shared-secret-of-32-octets-0001"

var (
	asaAddr = netip.MustParseAddrPort("127.0.0.1:20000")
	iosAddr = netip.MustParseAddrPort("127.0.0.2:20000")
)

// rig is an engine over an in-memory network, with a NAS that the test plays.
type rig struct {
	clock   clock.Clock // nil: the system's
	t       *testing.T
	dir     string
	e       *Engine
	net     *udptest.Server
	key     *radius.Key
	next    byte
	fed     int // packets of allocations
	deadKey *ecdsa.PrivateKey
}

const testConfig = `
appliance: {name: 127.0.0.1, state: state}
listen: {authentication: ["127.0.0.1:0"], accounting: ["127.0.0.1:0"], portal: "127.0.0.1:0", console: "127.0.0.1:0", metrics: "127.0.0.1:0"}
nas:
  - {name: asa, address: 127.0.0.1, secret: {file: secret}, recipe: cisco-asa, coa: {port: COAPORT, timeout: 100ms, retries: 1}}
  - {name: ios, address: 127.0.0.2, secret: {file: secret}, recipe: cisco-ios, message-authenticator: require, limit-proxy-state: true}
identity:
  stores: [{name: internal, users-file: users.yaml}]
  mab: {endpoints-file: endpoints.yaml}
posture:
  conditions: {USB_Check: {usb: {mass-storage: absent}}}
  remediations: {USB_Block: {usb: block, mode: automatic, message: "Remove the USB disk; it has been blocked."}}
  requirements: {USB_Block: {os: [windows, linux], conditions: [USB_Check], remediation: USB_Block}}
  policy:
    - {rule: USB check, when: 'endpoint.os != "macos"', requirements: [{name: USB_Block, enforcement: mandatory}]}
authorization:
  dacls:
    PERMIT_ALL_TRAFFIC: ["permit ip any any"]
    LONG: [LONGLINES]
  profiles:
    FullAccess:       {dacl: PERMIT_ALL_TRAFFIC}
    Long:             {dacl: LONG}
    Posture_Redirect: {redirect: {portal: client-provisioning, acl: ACL_WEBAUTH_REDIRECT}}
    GoAway:           {reject: true, attributes: {Reply-Message: ["Not today"]}}
  rules:
    - {rule: Locked_Out,               when: '"contractors" in session.groups', profile: GoAway}
    - {rule: Long_List,                when: 'session.user == "long"', profile: Long}
    - {rule: Compliant_Devices_Access, when: 'session.authenticated && session.posture == "Compliant"', profile: FullAccess}
    - {rule: Posture_Unknown,          when: 'session.posture != "Compliant"', profile: Posture_Redirect}
  default: DenyAccess
`

func newRig(t *testing.T, coaPort int) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir()}
	var err error
	if r.key, err = radius.NewKey(secret.New([]byte(sharedSecret))); err != nil {
		t.Fatal(err)
	}
	if r.deadKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for i := range 300 {
		lines = append(lines, fmt.Sprintf("permit tcp any host 10.%d.%d.1 eq 443", i/250, i%250))
	}
	text := strings.NewReplacer("COAPORT", fmt.Sprint(coaPort), "LONGLINES", `"`+strings.Join(lines, `", "`)+`"`).Replace(testConfig)
	hash, err := bcrypt.GenerateFromPassword([]byte("cisco"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	r.write("sallyport.yaml", text)
	r.write("secret", sharedSecret+"\n")
	r.write("endpoints.yaml", "00:0c:29:c9:d9:99: {groups: [printers], os: macos}\n")
	r.write("users.yaml", fmt.Sprintf("cisco: {password: %q, groups: [employees]}\nlong: {password: %q}\nout: {password: %q, groups: [contractors]}\n", hash, hash, hash))
	r.open()
	t.Cleanup(r.close)
	return r
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) open() {
	r.t.Helper()
	log := slog.New(slog.NewTextHandler(testWriter{r.t}, nil))
	e, err := Open(Options{Config: filepath.Join(r.dir, "sallyport.yaml"), Logger: func(config.Log) *slog.Logger { return log }, Clock: r.clock})
	if err != nil {
		r.t.Fatal(err)
	}
	r.e = e
	r.net = udptest.New(e, udp.Listener{Role: RoleAuthentication}, udp.Listener{Role: RoleAccounting})
}

func (r *rig) close() {
	if r.e == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.e.Drain(ctx); err != nil {
		r.t.Error(err)
	}
	r.net.Close()
	r.e = nil
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// request begins a request with a new identifier.
func (r *rig) request(code radius.Code) radius.Builder {
	r.next++
	return radius.Begin(nil, code, r.next)
}

func (r *rig) seal(b *radius.Builder) []byte {
	r.t.Helper()
	pkt, err := r.key.SealRequest(b)
	if err != nil {
		r.t.Fatal(err)
	}
	return pkt
}

// pap is the login of an ASA.
func (r *rig) pap(user, password, audit string) []byte {
	b := r.request(radius.AccessRequest)
	b.Text(radius.UserName, user)
	b.Password(r.key, []byte(password))
	b.U32(radius.NASPort, 0x1d000)
	b.Text(radius.CallingStationID, "10.229.16.34")
	b.U32(radius.NASPortType, 5)
	b.AVPair("mdm-tlv", "device-platform=linux-64")
	b.AVPair("mdm-tlv", "device-mac=00-0c-29-c9-d9-37 ")
	b.Addr(radius.NASIPAddress, netip.MustParseAddr("127.0.0.1"))
	if audit != "" {
		b.AVPair("audit-session-id", audit)
	}
	b.AVPair("coa-push", "true")
	return r.seal(&b)
}

func (r *rig) acct(kind uint32, audit string, more func(*radius.Builder)) []byte {
	b := r.request(radius.AccountingRequest)
	b.U32(radius.AcctStatusType, kind)
	b.Text(radius.AcctSessionID, "63815AAF")
	if audit != "" {
		b.AVPair("audit-session-id", audit)
	}
	if more != nil {
		more(&b)
	}
	return r.seal(&b)
}

// exchange feeds one packet and returns the verified reply, nil for silence.
func (r *rig) exchange(from netip.AddrPort, listener int, pkt []byte) *radius.View {
	r.t.Helper()
	replies := r.net.Feed(listener, udptest.Packet{From: from, Data: pkt})
	if len(replies) == 0 {
		replies = r.net.AwaitLate(r.t, 1)
	}
	return r.verified(pkt, replies[0].Data)
}

func (r *rig) verified(request, reply []byte) *radius.View {
	r.t.Helper()
	var q, v radius.View
	if why := q.Decode(request); why != radius.Sound {
		r.t.Fatal(why)
	}
	if why := v.Decode(reply); why != radius.Sound {
		r.t.Fatalf("reply: %s", why)
	}
	if why := r.key.VerifyResponse(&v, q.Authenticator()); why != radius.Sound {
		r.t.Fatalf("reply: %s", why)
	}
	if v.Code() != radius.AccountingResponse && !(v.HasMessageAuthenticator() && reply[20] == byte(radius.MessageAuthenticator)) {
		r.t.Fatal("Message-Authenticator is not first in the reply")
	}
	return &v
}

// silent feeds one packet that must get no reply, and returns when the core is idle.
func (r *rig) silent(from netip.AddrPort, listener int, pkt []byte) {
	r.t.Helper()
	if replies := r.net.Feed(listener, udptest.Packet{From: from, Data: pkt}); len(replies) > 0 {
		r.t.Fatalf("a reply of %d octets", len(replies[0].Data))
	}
	r.idle()
	if late := r.net.Late(); len(late) > 0 {
		r.t.Fatalf("a late reply of %d octets", len(late[0].Data))
	}
}

// idle waits until everything submitted before is done, and answered: the second event
// is of a later group than the first, whose answers leave at its end.
func (r *rig) idle() {
	r.t.Helper()
	for range 2 {
		ev := &reauthorizeEvent{finished: make(chan struct{})}
		if err := r.e.core.submitWait(context.Background(), ev); err != nil {
			r.t.Fatal(err)
		}
		<-ev.finished
	}
}

func (r *rig) drops(nas string, why dropReason) uint64 { return r.e.counters.of(nas).drops[why].Load() }

func (r *rig) session(id string) *sessions.Session {
	r.t.Helper()
	s := r.e.session(id)
	if s == nil {
		r.t.Fatalf("there is no session %s", id)
	}
	return s
}

// redirect is the ticket in the url-redirect of an Access-Accept.
func (r *rig) redirect(v *radius.View) (url, ticket string) {
	r.t.Helper()
	u, ok := v.AVPair("url-redirect")
	if !ok {
		r.t.Fatal("no url-redirect")
	}
	_, ticket, _ = strings.Cut(string(u), "ticket=")
	return string(u), ticket
}

func (r *rig) spki() []byte {
	r.t.Helper()
	spki, err := report.ParseKey(report.MarshalKey(&r.deadKey.PublicKey))
	if err != nil {
		r.t.Fatal(err)
	}
	return spki
}

var peer = netip.MustParseAddrPort("127.0.0.1:50000")

func (r *rig) claim(id, ticket string) (*report.Claimed, error) {
	return r.e.Posture().Claim(context.Background(), peer, &report.Claim{
		V: 1, SessionID: id, Ticket: ticket, Agent: report.Agent{Name: "agent", Version: "1"}, System: report.System{OS: "linux"},
	}, r.spki(), nil)
}

func (r *rig) report(id string, seq uint64, nonce, state string) (*report.Verdict, error) {
	doc := &report.Report{V: 1, SessionID: id, Seq: seq, Nonce: nonce, Trigger: report.TriggerInitial,
		System: report.System{OS: "linux", Hostname: "host"}, Facts: report.Facts{USB: &report.USB{}}}
	if state != "" {
		doc.Facts.USB.Devices = []report.USBDevice{{Port: "2-1", Ifaces: []string{"08/06/50"}, State: state}}
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := r.e.Posture().Report(context.Background(), peer, doc, r.spki(), raw)
	if err != nil {
		return nil, err
	}
	v := &report.Verdict{}
	if err := json.Unmarshal(answer, v); err != nil {
		r.t.Fatal(err)
	}
	return v, nil
}

// rows are the details of the live log's rows.
func (r *rig) rows() (out []*record.Decision) {
	out, _, _ = r.e.livelog.Since(0, 0)
	return out
}
