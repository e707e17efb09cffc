package usbtest

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sallyport/coa/coatest"
	"sallyport/engine"
	"sallyport/engine/record"
	"sallyport/engine/stage"
	"sallyport/netio/console"
)

// hostInside is what QEMU's user network calls this machine's loopback.
const hostInside = "10.0.2.2"

const mac = "00:50:56:aa:bb:cc"

// appliance is the real program, the NAS beside it, and what both said.
type appliance struct {
	t     *testing.T
	bound engine.Bound
	asa   *coatest.ASA

	mu    sync.Mutex // guards what follows
	steps []coatest.Step
	rows  []seenRow
}

// seenRow is a row of the live log.
type seenRow struct{ record.Decision }

func newAppliance(t *testing.T) *appliance {
	t.Helper()
	a := &appliance{t: t}
	program := filepath.Join(t.TempDir(), "sallyport")
	build(t, "build", "-o", program, "sallyport/cmd/sallyport")
	serving, asa, err := stage.OpenWithASA(t.Context(), stage.Options{Program: program, Name: hostInside, Block: true}, func(s coatest.Step) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.steps = append(a.steps, s)
	})
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the appliance said:\n%s", tail(serving.Said(), 30))
		}
		must(t, serving.Close())
	})
	t.Cleanup(asa.Close)
	a.bound, a.asa = serving.Bound, asa
	a.follow()
	return a
}

func (a *appliance) follow() {
	ctx, stop := context.WithCancel(context.Background())
	var reading sync.WaitGroup
	a.t.Cleanup(func() { stop(); reading.Wait() })
	reading.Go(func() {
		console.NewClient(a.bound.Control).Get(ctx, "/api/v1/livelog/stream", url.Values{"limit": {"1000"}}, func(line json.RawMessage) error {
			var row seenRow
			if err := json.Unmarshal(line, &row); err != nil {
				return err
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			a.rows = append(a.rows, row)
			return nil
		})
	})
}

// login opens the session of the machine in QEMU.
func (a *appliance) login() *coatest.ASASession {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := a.asa.Login(ctx, stage.User, stage.Password, coatest.Endpoint{PublicIP: netip.MustParseAddr("10.62.145.44"), MAC: mac, Platform: "linux-64", Type: "machine in QEMU"})
	must(a.t, err)
	return s
}

// agentArguments are for an agent inside that knows the NAS, and whom to trust.
func (a *appliance) agentArguments(m *machine, s *coatest.ASASession) []string {
	a.t.Helper()
	certificate, err := os.ReadFile(a.bound.Certificate)
	must(a.t, err)
	m.do("write", "/etc/appliance.pem", string(certificate))
	_, port, err := net.SplitHostPort(a.asa.RedirectAddr().String())
	must(a.t, err)
	return []string{"run", "--verbose", "--state", "/state", "--discovery-host", net.JoinHostPort(hostInside, port),
		"--ca", "/etc/appliance.pem", "--mac", mac, "--ip", s.TunnelIP().String()}
}

// step finds the first of the NAS's steps since a moment that is wanted.
func (a *appliance) step(since time.Time, wanted func(*coatest.Step) bool) (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.steps {
		if s := &a.steps[i]; !s.At.Before(since) && wanted(s) {
			return s.At, true
		}
	}
	return time.Time{}, false
}

// judged finds the first report since a moment that was judged so: when it arrived.
func (a *appliance) judged(since time.Time, status string) (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.rows {
		r := &a.rows[i]
		at := r.Time.Add(-time.Duration(r.ElapsedSeconds * float64(time.Second)))
		if r.Kind == record.KindPosture && r.PostureStatus == status && r.Details == record.PostureMessage && !at.Before(since) {
			return at, true
		}
	}
	return time.Time{}, false
}

// coaOf wants a CoA packet; restricting: one that redirects, else one that opens.
func coaOf(d coatest.Direction, packet string) func(*coatest.Step) bool {
	return func(s *coatest.Step) bool { return s.Direction == d && s.Packet == packet }
}
