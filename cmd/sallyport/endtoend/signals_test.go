package endtoend

import (
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/coa/coatest"
	"sallyport/engine"
	"sallyport/engine/record"
)

// drainTime is drain of configText.
const drainTime = 5 * time.Second

func (a *appliance) status() engine.Status {
	a.t.Helper()
	return rowsOf[engine.Status](a, "/api/v1/status", nil)[0]
}

// says waits for a line of the log, after the octets that were there before.
func (a *appliance) says(from int, expression string) string {
	a.t.Helper()
	line := regexp.MustCompile("(?m)^.*" + expression + ".*$")
	var found string
	eventually(a.t, "the log says "+expression, func() bool {
		found = line.FindString(a.log()[from:])
		return found != ""
	})
	return found
}

// refuses starts a second program with arguments, which has to end by itself, and
// returns its exit code and what it said.
func (a *appliance) refuses(config string) (code int, said string) {
	a.t.Helper()
	c := start(a.t, a.path("refused.log"), "sallyport", "serve", "--config", config, "--addrs-file", a.path("refused.json"))
	code = c.exit(a.t)
	return code, a.read("refused.log")
}

// TestSignalHangUp: a file that is torn or gone changes nothing and is named, and the
// next sound one is in force. (Faults in what can be read: see TestReload.)
func TestSignalHangUp(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	n := newNAS(t, "127.0.0.1")
	before, sound := a.status(), a.read("sallyport.yaml")
	for _, c := range []struct {
		name, want string
		spoil      func()
	}{
		{"torn", `sallyport\.yaml:1`, func() { a.write("sallyport.yaml", "nas: [") }},
		{"gone", "no such file", func() { must(t, os.Remove(a.path("sallyport.yaml"))) }},
		{"another state", `needs a restart.*appliance\.state`, func() { a.write("sallyport.yaml", strings.Replace(sound, "state: state", "state: elsewhere", 1)) }},
	} {
		from := len(a.log())
		c.spoil()
		a.signal(t, syscall.SIGHUP)
		line := a.says(from, "reload refused, the old configuration stays in force.*"+c.want)
		if now := a.status(); !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "revision="+before.Revision) || now.Revision != before.Revision {
			t.Errorf("%s: revision %s, it was %s: %s", c.name, now.Revision, before.Revision, line)
		}
		rows := rowsOf[record.Decision](a, "/api/v1/livelog", url.Values{"limit": {"1000"}})
		if d := rows[len(rows)-1]; d.Kind != record.KindSystem || d.Status != record.Failed || d.Reason == "" {
			t.Errorf("%s: the live log says %+v", c.name, d)
		}
	}
	n.redirected(a, auditID)

	from := len(a.log())
	a.write("sallyport.yaml", sound+"# more\n")
	a.signal(t, syscall.SIGHUP)
	a.says(from, "configuration reloaded.*from="+before.Revision)
	if now := a.status(); now.Revision == before.Revision || now.Live != 1 || !now.Started.Equal(before.Started) {
		t.Errorf("%+v after %+v", now, before)
	}
	a.terminated(drainTime)
}

// terminated ends the appliance by SIGTERM, which it has to do well and in time.
func (a *appliance) terminated(within time.Duration) {
	a.t.Helper()
	from, begun := len(a.log()), time.Now()
	a.signal(a.t, syscall.SIGTERM)
	if code := a.exit(a.t); code != 0 {
		a.t.Errorf("SIGTERM: exit code %d", code)
	}
	if took := time.Since(begun); took > within {
		a.t.Errorf("SIGTERM: the end took %s, drain is %s", took, within)
	}
	for _, want := range []string{"msg=stopping signal=terminated", "msg=stopped "} {
		if !strings.Contains(a.log()[from:], want) {
			a.t.Errorf("the log does not say %s", want)
		}
	}
}

// TestSignalTerm: with a change that no NAS answers and an agent that waits, the end
// still comes in time, and the change goes out at the next start.
func TestSignalTerm(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.pin()
	s.asa.SetAnswer(coatest.ASASilent(1 << 30))
	s.runAgent()
	s.judged("Compliant", 0)
	eventually(t, "a change is under way", func() bool { return s.view().Change != nil })
	s.terminated(drainTime)
	if s.session.Pushes() != 0 {
		t.Fatal("the silent ASA took a change")
	}
	s.asa.SetAnswer(nil)
	s.start()
	must(t, s.session.WaitFor(s.ctx, coatest.Access.Full))
	if got := s.session.Pushes(); got != 1 {
		t.Errorf("the change was applied %d times", got)
	}
}

// TestPortInUse: who cannot listen says where, and leaves nothing locked behind him.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	a := prepare(t, `portal: "127.0.0.1:0"`, `portal: "`+taken.Addr().String()+`"`)
	code, said := a.refuses(a.path("sallyport.yaml"))
	if code != 1 || !strings.Contains(said, taken.Addr().String()) || !strings.Contains(said, "address already in use") || !strings.Contains(said, "portal") {
		t.Errorf("exit code %d: %s", code, said)
	}
	must(t, taken.Close())
	a.start()
	a.terminated(drainTime)
}

// TestUnreadableConfiguration: serve ends as check does, with 2 for what cannot be read
// and 1 for what is read and has faults.
func TestUnreadableConfiguration(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	a.write("torn.yaml", "appliance: {name: [")
	a.write("unknown.yaml", a.read("sallyport.yaml")+"\nnonsense: 1\n")
	for _, c := range []struct {
		file string
		code int
		want string
	}{
		{"absent.yaml", 2, "absent.yaml"},
		{"secret/sallyport.yaml", 2, "secret/sallyport.yaml"}, // below a file
		{"", 2, "directory"},
		{"torn.yaml", 1, "torn.yaml:1"},
		{"unknown.yaml", 1, "nonsense"},
	} {
		code, said := a.refuses(a.path(c.file))
		if code != c.code || !strings.Contains(said, c.want) {
			t.Errorf("%q: exit code %d, want %d: %s", c.file, code, c.code, said)
		}
		must(t, os.Remove(a.path("refused.log")))
	}
	if _, _, code := a.run("check"); code != 0 {
		t.Errorf("the sound one: exit code %d", code)
	}
}
