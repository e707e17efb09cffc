package core

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport/netio/report"
)

var rewrite = flag.Bool("rewrite", false, "write golden files instead of comparing")

// TestScripts runs testdata/*.txt. A line that begins with "> " is something that
// happens; the lines below it are what the agent wants done. The clock begins at
// 12:00:00 and moves only by lines such as "> +5s", which stop at every deadline.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
			got := s.play(string(text))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("%s:\n%s", file, firstDifference(got, string(text)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d:\ngot  %s\nwant %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("got %d lines, want %d", len(g), len(w))
}

type script struct {
	t    *testing.T
	a    *Agent
	now  time.Time
	cfg  Config
	last []byte
	out  strings.Builder
}

// play runs the lines that begin with "> " and keeps comments and empty lines.
func (s *script) play(text string) string {
	s.cfg = Config{Agent: report.Agent{Name: "sallyport-agent"}, System: report.System{OS: "linux"}, BootID: "boot", Seed: 1}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		command, isCommand := strings.CutPrefix(line, "> ")
		switch {
		case isCommand:
			fmt.Fprintln(&s.out, line)
			s.command(command)
		case line == "" || line[0] == '#':
			fmt.Fprintln(&s.out, line)
		}
	}
	return s.out.String()
}

var word = regexp.MustCompile(`[^\s"]*"[^"]*"|\S+`)

// args splits a command into its verb, plain words and key=value pairs.
type args struct {
	verb  string
	words []string
	kv    map[string]string
}

func parse(line string) args {
	a := args{kv: map[string]string{}}
	for i, w := range word.FindAllString(line, -1) {
		key, value, ok := strings.Cut(w, "=")
		switch {
		case i == 0:
			a.verb = w
		case ok && !strings.Contains(key, "-"): // 2-1=active is a device
			a.kv[key] = strings.Trim(value, `"`)
		default:
			a.words = append(a.words, w)
		}
	}
	return a
}

func (a args) num(key string) uint64 {
	n, _ := strconv.ParseUint(a.kv[key], 10, 64)
	return n
}

func (a args) word(i int) string {
	if i < len(a.words) {
		return strings.Trim(a.words[i], `"`)
	}
	return ""
}

func (s *script) command(line string) {
	a := parse(line)
	if s.a == nil && a.verb != "config" {
		s.a = New(s.cfg)
	}
	switch {
	case a.verb == "config":
		s.cfg.Heartbeat, _ = time.ParseDuration(a.kv["heartbeat"])
		s.cfg.Session = a.kv["session"]
		s.cfg.Once, s.cfg.Holding = a.kv["once"] != "", a.kv["holding"] != ""
	case a.verb[0] == '+':
		s.advance(a.verb[1:])
	case a.verb == "settled":
		fmt.Fprintf(&s.out, "  %v\n", s.a.Settled())
	case a.verb == "view":
		s.view()
	default:
		s.step(s.event(a))
	}
}

func (s *script) advance(by string) {
	d, err := time.ParseDuration(by)
	if err != nil {
		s.t.Fatal(err)
	}
	end := s.now.Add(d)
	for next := s.a.Next(); !next.IsZero() && !next.After(end); next = s.a.Next() {
		if next.After(s.now) {
			s.now = next
		}
		s.step(Tick{})
	}
	s.now = end
}

func (s *script) step(ev Event) {
	effects := s.a.Step(s.now, ev)
	for _, e := range effects {
		fmt.Fprintf(&s.out, "  %s %s\n", s.now.Format("15:04:05.000"), s.describe(e))
	}
}

func (s *script) describe(e Effect) string {
	switch e := e.(type) {
	case Search:
		return fmt.Sprintf("search gen=%d", e.Gen)
	case Claim:
		return fmt.Sprintf("claim gen=%d %s session=%q ticket=%q", e.Gen, e.Appliance, e.SessionID, e.Ticket)
	case FetchPolicy:
		return "fetch policy " + e.ETag
	case Collect:
		return "collect"
	case Survey:
		return "survey by " + e.Policy.ETag
	case Send:
		return s.describeSend(e)
	case Poll:
		return fmt.Sprintf("poll session=%s after=%d", e.SessionID, e.After)
	case Run:
		if e.Reflex {
			return fmt.Sprintf("run %s %s by reflex", e.Action.ID, e.Action.Verb)
		}
		return fmt.Sprintf("run %s %s", e.Action.ID, e.Action.Verb)
	case Unblock:
		return "unblock: " + e.Why
	case Show:
		return fmt.Sprintf("show %q", e.Text)
	case Abandon:
		return fmt.Sprintf("abandon links before gen=%d", e.Gen)
	}
	return fmt.Sprintf("%T", e)
}

func (s *script) describeSend(e Send) string {
	if bytes.Equal(e.Body, s.last) {
		return fmt.Sprintf("send #%d, the same octets", e.Seq)
	}
	s.last = e.Body
	r, err := report.DecodeReport(e.Body)
	if err != nil {
		s.t.Fatalf("a report that the appliance would refuse: %v", err)
	}
	text := fmt.Sprintf("send #%d %s session=%s nonce=%s etag=%s", r.Seq, r.Trigger, r.SessionID, r.Nonce, r.PolicyETag)
	if r.Facts.USB == nil {
		text += " usb not collected"
	} else {
		for _, d := range r.Facts.USB.Devices {
			text += " " + d.Port + "=" + d.State
		}
		if r.Facts.USB.Error != "" {
			text += fmt.Sprintf(" error=%q", r.Facts.USB.Error)
		}
	}
	if r.Facts.Services != nil {
		for _, x := range r.Facts.Services.Items {
			text += " " + x.Name + ":" + x.State
		}
	}
	for _, x := range r.Actions {
		text += fmt.Sprintf(" [%s %s %s]", x.ID, x.Result, x.Error)
	}
	return text
}

func (s *script) event(a args) Event {
	gen := s.a.gen
	if a.kv["gen"] != "" {
		gen = a.num("gen")
	}
	var seq uint64
	if s.a.sending != nil {
		seq = s.a.sending.seq
	}
	if a.kv["seq"] != "" {
		seq = a.num("seq")
	}
	switch a.verb {
	case "start":
		return Started{}
	case "net":
		return NetworkChanged{}
	case "resumed":
		return Resumed{}
	case "devices":
		return DevicesChanged{}
	case "facts":
		return facts(a)
	case "found":
		return Found{Gen: gen, Appliance: a.word(0), SessionID: a.kv["session"], Ticket: a.kv["ticket"]}
	case "notfound":
		return NotFound{Gen: gen, Err: a.word(0)}
	case "claimed":
		return Claimed{Gen: gen, Claimed: report.Claimed{SessionID: a.kv["session"], Status: a.kv["status"], Nonce: a.kv["nonce"],
			Seq: a.num("seq"), PolicyETag: a.kv["etag"], Assurance: "ticket", Epoch: a.num("epoch")}}
	case "policy":
		p := report.Policy{ETag: a.word(0), HeartbeatS: int(a.num("heartbeat"))}
		if a.kv["collect"] != "" {
			p.Collect = strings.Split(a.kv["collect"], ",")
		}
		if id := a.kv["block"]; id != "" {
			p.Requirements = []report.Requirement{{Name: "USB_Block", Enforcement: "mandatory",
				Remediation: &report.Action{ID: id, Verb: report.VerbUSBBlock, Mode: "automatic", Requirement: "USB_Block"}}}
		}
		return PolicyFetched{Gen: gen, Policy: p}
	case "struck":
		return Struck{Action: report.Action{ID: a.word(1), Verb: report.VerbUSBBlock},
			Device: report.USBDevice{Port: a.word(0), Ifaces: []string{"08/06/50"}, State: report.USBActive}}
	case "surveyed":
		f := report.Facts{Services: &report.Services{}}
		for _, w := range a.words[1:] {
			name, state, _ := strings.Cut(w, ":")
			f.Services.Items = append(f.Services.Items, report.Service{Name: name, State: state})
		}
		return Surveyed{ETag: a.word(0), Facts: f}
	case "verdict":
		return Judged{Gen: gen, Seq: seq, Verdict: verdict(a)}
	case "fail":
		return failure(a, gen, seq)
	case "events":
		return Heard{Gen: gen, Events: events(a)}
	case "ended":
		return ActionEnded{Result: report.ActionResult{ID: a.word(0), Result: a.word(1), Error: a.kv["err"]}}
	case "unblocked":
		return Unblocked{Err: a.kv["err"]}
	}
	s.t.Fatalf("no such command: %s", a.verb)
	return nil
}

func facts(a args) Event {
	usb := &report.USB{Devices: []report.USBDevice{}, Error: a.kv["error"]}
	for _, w := range a.words {
		port, state, _ := strings.Cut(w, "=")
		usb.Devices = append(usb.Devices, report.USBDevice{Port: port, Ifaces: []string{"08/06/50"}, State: state})
	}
	return Facts{report.Facts{USB: usb}}
}

func verdict(a args) report.Verdict {
	v := report.Verdict{Status: a.kv["status"], Nonce: a.kv["nonce"], Epoch: a.num("epoch"), NextS: int(a.num("next")),
		PolicyETag: a.kv["etag"], Message: a.kv["msg"], DecisionID: "D" + a.kv["epoch"]}
	if x := a.kv["action"]; x != "" {
		f := strings.Split(x, ":")
		v.Actions = append(v.Actions, report.Action{ID: f[0], Verb: f[1], Mode: f[2], Requirement: "USB_Block", Message: a.kv["say"],
			IntervalS: int(a.num("interval")), Retries: int(a.num("retries")), Target: a.kv["target"]})
	}
	return v
}

func failure(a args, gen, seq uint64) Event {
	f := Failed{Gen: gen, Doing: a.word(0), Seq: seq, Err: a.kv["err"]}
	if a.kv["code"] != "" {
		f.Problem = &report.Problem{Status: 400, Code: a.kv["code"], Nonce: a.kv["nonce"], Retry: int(a.num("retry"))}
		f.Err = f.Problem.Error()
	}
	return f
}

// events reads "after=3 1:recheck 2:status:Compliant:4".
func events(a args) report.Events {
	e := report.Events{V: 1, After: a.num("after")}
	for _, w := range a.words {
		f := strings.Split(w, ":")
		n, _ := strconv.ParseUint(f[0], 10, 64)
		one := report.Event{Seq: n, Kind: f[1], Message: a.kv["msg"], ETag: a.kv["etag"]}
		if len(f) > 3 {
			one.Status = f[2]
			one.Epoch, _ = strconv.ParseUint(f[3], 10, 64)
		}
		e.Events = append(e.Events, one)
	}
	return e
}

func (s *script) view() {
	v := s.a.View()
	v.USB = nil
	b, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(&s.out, "  %s\n", b)
}
