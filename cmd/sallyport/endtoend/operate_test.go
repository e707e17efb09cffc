package endtoend

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/engine"
	"sallyport/engine/record"
	"sallyport/netio/radius"
)

// system waits for a row about the appliance itself.
func (a *appliance) system(details string) *record.Decision {
	a.t.Helper()
	var row *record.Decision
	eventually(a.t, "the live log says "+details, func() bool {
		row = a.row(func(d *record.Decision) bool {
			return d.Kind == record.KindSystem && strings.HasPrefix(d.Details, details)
		})
		return row != nil
	})
	return row
}

// TestReload: a configuration with faults changes nothing and is told where people look; a
// sound one changes the next decision and what the sessions may do.
func TestReload(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	n := newNAS(t, "127.0.0.3")
	n.redirected(a, auditID)
	var status engine.Status
	status = ask[engine.Status](a, "status")[0]
	sound := a.read("sallyport.yaml")

	a.edit("profile: Posture_Redirect}", "profile: Posture_Redirct}")
	a.edit("default: DenyAccess", "defualt: DenyAccess")
	a.signal(t, syscall.SIGHUP)
	row := a.system("Reload refused")
	for _, want := range []string{"Posture_Redirct", "Posture_Redirect", "defualt", "default", "sallyport.yaml:"} {
		if !strings.Contains(row.Reason, want) || !strings.Contains(a.log(), want) {
			t.Errorf("%q is not in the live log and the log: %+v", want, row)
		}
	}
	if !strings.Contains(a.log(), "the old configuration stays in force") {
		t.Error("the log does not say that the old configuration stays")
	}
	if now := ask[engine.Status](a, "status")[0]; now.Revision != status.Revision {
		t.Errorf("revision %s, want still %s", now.Revision, status.Revision)
	}
	n.redirected(a, auditID[:23]+"4")

	a.write("sallyport.yaml", sound)
	a.edit("listen:\n", "listen: # more\n")
	a.edit(`metrics: "127.0.0.1:0"`, `metrics: "127.0.0.1:9"`)
	a.signal(t, syscall.SIGHUP)
	eventually(t, "what needs a restart is refused", func() bool {
		row := a.system("Reload refused")
		return strings.Contains(row.Reason, "restart") && strings.Contains(row.Reason, "listen")
	})

	a.write("sallyport.yaml", sound)
	a.edit(`when: 'session.posture != "Compliant"', profile: Posture_Redirect}`, `when: 'session.posture != "Compliant"', profile: FullAccess}`)
	a.signal(t, syscall.SIGHUP)
	row = a.system("Configuration reloaded")
	if now := ask[engine.Status](a, "status")[0]; now.Revision == status.Revision || row.Revision != now.Revision {
		t.Errorf("revision %s after %s, in the live log %s", now.Revision, status.Revision, row.Revision)
	}
	v := n.exchange(a.auth(), n.pap("cisco", "cisco", auditID[:23]+"5", nil))
	if _, redirected := v.AVPair("url-redirect"); redirected || v.Code() != radius.AccessAccept {
		t.Errorf("%s, redirected %v, by the new configuration", v.Code(), redirected)
	}
	eventually(t, "the session of before is authorized again", func() bool {
		s := a.session(auditID)
		return s.Change != nil && s.Change.Profile == "FullAccess" || s.LastChange != nil && s.LastChange.Profile == "FullAccess"
	})
}

// TestSignals: SIGUSR1 writes the status, SIGUSR2 goes on, SIGTERM drains and ends well.
func TestSignals(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	n := newNAS(t, "127.0.0.3")
	n.redirected(a, auditID)
	a.signal(t, syscall.SIGUSR1)
	eventually(t, "the status is in the log", func() bool { return strings.Contains(a.log(), "msg=status") })
	_, text, _ := strings.Cut(a.log(), "msg=status status=")
	text, _, _ = strings.Cut(text, "\n")
	var quoted string
	var status engine.Status
	if err := json.Unmarshal([]byte(text), &quoted); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if err := json.Unmarshal([]byte(quoted), &status); err != nil || status.Live != 1 || status.Journal != "ok" || status.Posture["Pending"] != 1 {
		t.Errorf("%v: %s", err, quoted)
	}
	a.signal(t, syscall.SIGUSR2)
	n.lives(a, a.auth())

	// One poll of an agent waits; it is answered and holds nobody up.
	d := a.device()
	d.bind(n.redirected(a, auditID[:23]+"4"))
	polled := make(chan int, 1)
	go func() { polled <- d.poll(0) }()
	eventually(t, "the poll waits", func() bool { return a.metric(`portal_open\{what="polls"\}`) == 1 })
	begun := time.Now()
	a.signal(t, syscall.SIGTERM)
	if code := a.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(begun); took > 6*time.Second {
		t.Errorf("the end took %s, drain is 5s", took)
	}
	if got := <-polled; got != http.StatusOK {
		t.Errorf("the poll that waited was answered with %d", got)
	}
	for _, want := range []string{"msg=stopping signal=terminated", "msg=stopped"} {
		if !strings.Contains(a.log(), want) {
			t.Errorf("%q is not in the log", want)
		}
	}
	a.start()
	if s := a.session(auditID); s.State != "live" {
		t.Errorf("%+v", s)
	}
}

// TestTwoAtOnce: a second appliance on the same state, or on a port that is taken, says so
// and ends with exit code 1; the first one goes on.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	refused := func(b *appliance, words ...string) {
		t.Helper()
		out, fault, code := b.run("serve")
		for _, want := range words {
			if !strings.Contains(fault, want) {
				t.Errorf("%q is not in what it said: %s%s", want, out, fault)
			}
		}
		if code != 1 || strings.Contains(fault, "goroutine ") {
			t.Errorf("exit code %d: %s", code, fault)
		}
	}
	refused(a, a.path("state"), "use")
	_, fault, code := a.program("inspect", a.path("state"))
	if code != 2 || !strings.Contains(fault, "stop the appliance first") {
		t.Errorf("inspect: exit code %d: %s", code, fault)
	}

	taken := strings.TrimPrefix(a.bound.Portal, "https://")
	refused(prepare(t, `portal: "127.0.0.1:0"`, `portal: "`+taken+`"`), "portal", taken, "in use")
	refused(prepare(t, `authentication: ["127.0.0.1:0"]`, `authentication: ["`+a.auth().String()+`"]`), a.auth().String(), "in use")
	metrics, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer metrics.Close()
	refused(prepare(t, `metrics: "127.0.0.1:0"`, `metrics: "`+metrics.Addr().String()+`"`), "listen.metrics", metrics.Addr().String())

	newNAS(t, "127.0.0.1").redirected(a, auditID)
	if _, err := os.Stat(a.bound.Control); err != nil {
		t.Errorf("the others took the control socket away: %v", err)
	}
	a.session(auditID)
}

// TestNotToBeStarted: a configuration with faults is refused with all of them.
func TestNotToBeStarted(t *testing.T) {
	t.Parallel()
	a := prepare(t, "secret: {file: secret}, recipe: cisco-ios", "secret: {file: absent}, recipe: cisco-ios", "default: DenyAccess", "defualt: DenyAccess")
	for _, command := range []string{"serve", "check"} {
		out, fault, code := a.run(command)
		said := out + fault
		if code != 1 || !strings.Contains(said, "absent") || !strings.Contains(said, "defualt") || !strings.Contains(said, "sallyport.yaml:") {
			t.Errorf("%s: exit code %d: %s", command, code, said)
		}
	}
}
