package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/engine/step"
)

// TestHowANASIsToldIsItsOwn: the address that its changes leave from, and what follows
// silence, are keys of each NAS. Another source needs a restart.
func TestHowANASIsToldIsItsOwn(t *testing.T) {
	for _, c := range []struct{ fallback, outcome, ended string }{
		{"alarm", step.OutcomeSilence, ""},
		{"disconnect", step.OutcomeFellBack, "disconnected: the NAS said nothing to the change to FullAccess"},
	} {
		nas, port := script(t)
		r := newRig(t, port)
		r.close()
		r.edit("timeout: 100ms, retries: 1}", "timeout: 100ms, retries: 1, source: 127.0.0.7, fallback: "+c.fallback+"}")
		r.open()
		nas.Silent(2).ACK()
		nonce := r.bound(audit)
		if _, err := r.report(audit, 1, nonce, ""); err != nil {
			t.Fatal(err)
		}
		await(t, "the end of the change", func() bool { return r.session(audit).Settled.Outcome != "" })
		if s := r.session(audit); s.Settled.Outcome != c.outcome || s.EndCause != c.ended {
			t.Errorf("fallback %s: %+v, %q", c.fallback, s.Settled, s.EndCause)
		}
		for _, heard := range nas.Await(2) {
			if heard.From.Addr().String() != "127.0.0.7" {
				t.Errorf("told from %s", heard.From)
			}
		}
		r.edit("source: 127.0.0.7", "source: 127.0.0.8")
		if err := r.e.Reload(); !errors.Is(err, ErrRestart) || !strings.Contains(err.Error(), "nas.coa.source") {
			t.Errorf("another source: %v", err)
		}
	}
}

// TestLimitsOfThePortalAreKeys: the portal has them, and other ones need a restart.
func TestLimitsOfThePortalAreKeys(t *testing.T) {
	r := newRig(t, 1700)
	r.close()
	r.edit("authorization:\n", "portal: {limits: {connections-per-address: 2}}\nauthorization:\n")
	r.open()
	s, err := r.e.Serve()
	if err != nil {
		t.Fatal(err)
	}
	at := strings.TrimPrefix(s.Bound().Portal, "https://")
	for n := range 3 {
		conn, err := tls.Dial("tcp", at, &tls.Config{InsecureSkipVerify: true})
		if (err != nil) != (n == 2) {
			t.Errorf("connection %d: %v", n+1, err)
		}
		if err == nil {
			defer conn.Close()
		}
	}
	r.edit("connections-per-address: 2", "connections-per-address: 3")
	if err := r.e.Reload(); !errors.Is(err, ErrRestart) || !strings.Contains(err.Error(), "portal.limits") {
		t.Errorf("another limit: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
	r.net.Close()
	r.e = nil
}
