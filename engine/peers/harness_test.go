package peers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"sallyport/engine"
	"sallyport/engine/record"
	"sallyport/netio/console"
	"sallyport/netio/report"
	"sallyport/ops/config"
)

const (
	sharedSecret = "a-shared-secret-of-32-octets-0001"
	patience     = 20 * time.Second // for anything that is awaited; a loaded machine needs some of it
	look         = 5 * time.Millisecond
	longEntries  = 300 // of an ACL: more than one packet has room for
)

// configText has one NAS, whose CoA secret may be another than that of its requests.
const configText = `
appliance: {name: 127.0.0.1, state: state}
listen: {authentication: ["127.0.0.1:0"], accounting: ["127.0.0.1:0"], portal: "127.0.0.1:0", console: "127.0.0.1:0", metrics: "127.0.0.1:0"}
nas:
  - {name: asa, address: 127.0.0.1, secret: {file: secret}, recipe: cisco-asa, coa: {port: COAPORT, timeout: 500ms, retries: 2, secret: {file: coasecret}}}
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
  rules:
    - {rule: Long_List,                when: 'session.user == "long"', profile: Long}
    - {rule: Compliant_Devices_Access, when: 'session.authenticated && session.posture == "Compliant"', profile: FullAccess}
    - {rule: Posture_Unknown,          when: 'session.posture != "Compliant"', profile: Posture_Redirect}
  default: DenyAccess
`

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls a condition that others make true.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(look) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// appliance is an engine that serves on loopback until the test ends.
type appliance struct {
	t       *testing.T
	e       *engine.Engine
	bound   engine.Bound
	console *console.Client
}

// options are what differs between tests. Zero values: a CoA port where nobody listens,
// the same secret for CoA.
type options struct {
	coaPort   uint16
	coaSecret string
}

// newAppliance starts an appliance. Every test here asks it with radclient, and is
// skipped where that is missing.
func newAppliance(t *testing.T, o options) *appliance {
	t.Helper()
	if _, err := exec.LookPath("radclient"); err != nil {
		t.Skip("radclient is not installed; Debian package freeradius-utils has it")
	}
	if o.coaPort == 0 {
		o.coaPort = quietPort(t)
	}
	if o.coaSecret == "" {
		o.coaSecret = sharedSecret
	}
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte("cisco"), bcrypt.MinCost)
	must(t, err)
	lines := make([]string, longEntries)
	for i := range lines {
		lines[i] = strconv.Quote(aclEntry(i))
	}
	for name, text := range map[string]string{
		"sallyport.yaml": strings.NewReplacer("COAPORT", fmt.Sprint(o.coaPort), "LONGLINES", strings.Join(lines, ", ")).Replace(configText),
		"secret":         sharedSecret + "\n",
		"coasecret":      o.coaSecret + "\n",
		"endpoints.yaml": "00:0c:29:c9:d9:99: {groups: [printers], os: macos}\n",
		"users.yaml":     fmt.Sprintf("cisco: {password: %q, groups: [employees]}\nlong: {password: %q}\n", hash, hash),
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	e, err := engine.Open(engine.Options{Config: filepath.Join(dir, "sallyport.yaml"), Logger: func(config.Log) *slog.Logger { return log }})
	must(t, err)
	s, err := e.Serve()
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return &appliance{t: t, e: e, bound: s.Bound(), console: console.NewClient(s.Bound().Control)}
}

// quietPort is a port of loopback that is held until the test ends and never answers.
func quietPort(t *testing.T) uint16 {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

func (a *appliance) auth() netip.AddrPort { return a.bound.Authentication[0] }
func (a *appliance) acct() netip.AddrPort { return a.bound.Accounting[0] }

// rows asks the control socket, as the command line does.
func rows[T any](a *appliance, path string) (all []T) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(a.t, a.console.Get(ctx, path, url.Values{}, func(raw json.RawMessage) error {
		var row T
		all = append(all, row)
		return json.Unmarshal(raw, &all[len(all)-1])
	}))
	return all
}

func (a *appliance) session(id string) engine.SessionView {
	a.t.Helper()
	all := rows[engine.SessionView](a, "/api/v1/sessions/"+id)
	if len(all) != 1 {
		a.t.Fatalf("%d sessions %s", len(all), id)
	}
	return all[0]
}

// settled waits until a change of the session has ended and returns its row.
func (a *appliance) settled(id string) (row record.Decision) {
	a.t.Helper()
	eventually(a.t, "the change of session "+id+" ends", func() bool {
		for _, d := range rows[record.Decision](a, "/api/v1/livelog") {
			if d.Kind == record.KindCoA && d.SessionID == id && (d.Status == record.Passed || d.Status == record.Failed) {
				row = d
				return true
			}
		}
		return false
	})
	return row
}

// aclEntry is entry i of the long ACL, from 0.
func aclEntry(i int) string {
	return fmt.Sprintf("permit tcp any host 10.%d.%d.1 eq 443", i/250, i%250)
}

// agent is an endpoint with a key that reports for one session.
type agent struct {
	a     *appliance
	spki  []byte
	id    string
	nonce string
	seq   uint64
}

// claim binds a new key to the session of a redirect URL.
func (a *appliance) claim(redirect string) *agent {
	a.t.Helper()
	u, err := url.Parse(redirect)
	must(a.t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	spki, err := report.ParseKey(report.MarshalKey(&key.PublicKey))
	must(a.t, err)
	g := &agent{a: a, spki: spki, id: u.Query().Get("sessionId")}
	got, err := a.e.Posture().Claim(context.Background(), agentAt, &report.Claim{V: 1, SessionID: g.id, Ticket: u.Query().Get("ticket"),
		Agent: report.Agent{Name: "agent", Version: "1"}, System: report.System{OS: "linux"}}, spki, nil)
	must(a.t, err)
	g.nonce = got.Nonce
	return g
}

var agentAt = netip.MustParseAddrPort("127.0.0.1:50000")

// report says what USB sticks there are, by their state, and returns the status.
func (g *agent) report(states ...string) string {
	g.a.t.Helper()
	g.seq++
	doc := &report.Report{V: 1, SessionID: g.id, Seq: g.seq, Nonce: g.nonce, Trigger: report.TriggerInitial,
		System: report.System{OS: "linux", Hostname: "host"}, Facts: report.Facts{USB: &report.USB{}}}
	for _, state := range states {
		doc.Facts.USB.Devices = append(doc.Facts.USB.Devices, report.USBDevice{Port: "2-1", Ifaces: []string{"08/06/50"}, State: state})
	}
	raw, err := json.Marshal(doc)
	must(g.a.t, err)
	answer, err := g.a.e.Posture().Report(context.Background(), agentAt, doc, g.spki, raw)
	must(g.a.t, err)
	var v report.Verdict
	must(g.a.t, json.Unmarshal(answer, &v))
	g.nonce = v.Nonce
	return v.Status
}
