package engine

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"sallyport/coa"
	"sallyport/coa/recipe"
	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/netio/report"
	"sallyport/netio/udp"
	"sallyport/ops/clock"
	"sallyport/ops/config"
	"sallyport/sessions"
	"sallyport/sessions/store"
)

// stage is the appliance on a clock that the test moves and a disk that the test pulls, one
// goroutine for all of it: nothing here waits for anything.
type stage struct {
	*rig
	clock *clock.Manual
	disk  *vfs.MemFS
	out   *udp.Outbox
	nas   *deafNAS
	nonce string
	seq   uint64
	row   uint64 // rows up to this one were looked at
	told  int    // changes that were looked at
}

// deafNAS takes changes and answers when the test says so.
type deafNAS struct{ changes []coa.Change }

func (n *deafNAS) Submit(c coa.Change) error {
	n.changes = append(n.changes, c)
	return nil
}
func (n *deafNAS) Cancel(sessions.ID, uint64)  {}
func (n *deafNAS) Confirmed(coa.Confirmed)     {}
func (n *deafNAS) Stats() coa.Stats            { return coa.Stats{} }
func (n *deafNAS) Close(context.Context) error { return nil }

// stageConfig has every clock; AGENT and RULES are the test's.
const stageConfig = `
appliance: {name: 127.0.0.1, state: state}
listen: {authentication: ["127.0.0.1:0"], accounting: ["127.0.0.1:0"], portal: "127.0.0.1:0", console: "127.0.0.1:0", metrics: "127.0.0.1:0"}
sessions: {keep-ended: 1h, purge-without-stop: 20h, purge-without-accounting: 20h}
nas: [{name: asa, address: 127.0.0.1, secret: {file: secret}, recipe: cisco-asa}]
identity: {stores: [{name: internal, users-file: users.yaml}]}
posture:
  agent: {heartbeat: 10m, report-valid: VALID, pending-alarm: 5m, remediation-timer: 4m, AGENT}
  conditions: {USB_Check: {usb: {mass-storage: absent}}}
  remediations: {USB_Block: {usb: block, mode: automatic, message: "Remove the USB disk; it has been blocked."}}
  requirements: {USB_Block: {conditions: [USB_Check], remediation: USB_Block}}
  policy: [{rule: USB check, grace: GRACE, requirements: [{name: USB_Block}]}]
  reassessment: [REASSESS]
authorization:
  profiles:
    Full:     {filter-id: full}
    Watched:  {filter-id: watched}
    Redirect: {redirect: {portal: client-provisioning, acl: ACL_WEBAUTH_REDIRECT}}
  rules:
RULES
    - {rule: Grace,  when: 'session.in_grace', profile: Watched}
    - {rule: Full,   when: 'session.posture == "Compliant"', profile: Full}
    - {rule: Others, when: 'session.authenticated', profile: Redirect}
  default: DenyAccess
`

func newStage(t *testing.T, words ...string) *stage {
	t.Helper()
	s := &stage{rig: newRig(t, 1700), clock: clock.NewManual(simEpoch), disk: vfs.NewCrashableMem(), out: udp.NewOutbox(64, func() {})}
	s.rig.close() // only its files and keys are wanted
	(&simDisk{mem: s.disk}).settled(filepath.Join(s.dir, "state", "journal"))
	words = append(words, "AGENT", "lost: noncompliant", "VALID", "30m", "GRACE", "0s", "REASSESS", "", "RULES\n", "")
	s.write("stage.yaml", strings.NewReplacer(words...).Replace(stageConfig))
	s.start()
	t.Cleanup(s.end)
	return s
}

func (s *stage) start() {
	s.t.Helper()
	s.boot()
	s.run()
}

// boot is start up to the first group of events.
func (s *stage) boot() {
	s.t.Helper()
	s.nas = &deafNAS{}
	e, err := assemble(Options{
		Config: filepath.Join(s.dir, "stage.yaml"), Clock: s.clock, small: true, Store: store.Options{FS: s.disk},
		Logger: func(config.Log) *slog.Logger { return slog.New(slog.DiscardHandler) },
		push:   func(coa.Config) (pusher, error) { return s.nas, nil },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.e, s.row, s.told = e, 0, 0
	e.resume()
	e.snapshot().Users.Verify("cisco", []byte("cisco"))
	e.memory.Wait()
}

func (s *stage) end() {
	if s.e == nil {
		return
	}
	e := s.e
	s.e = nil
	_ = e.pool.Close(context.Background())
	e.end()
	e.memory.Close()
	e.memo.Close()
	_ = e.journal.Close()
}

// crash loses what is not synced, and starts again on what is left.
func (s *stage) crash() {
	s.t.Helper()
	s.crashed()
	s.run()
}

// crashed is crash up to the first group of events.
func (s *stage) crashed() {
	s.t.Helper()
	left := s.disk.CrashClone(vfs.CrashCloneCfg{})
	s.end()
	s.disk = left
	s.boot()
}

// run lets the appliance do what there is to do at this moment.
func (s *stage) run() {
	for again := true; again; again = s.e.core.events.len() > 0 {
		for range 4 { // what is due for several reasons is looked at in several ticks
			s.e.core.nextTick = time.Time{}
			s.e.core.group(s.e.core.fill(nil))
		}
		s.out.Drain(func(udp.Late, []byte) {})
	}
}

func (s *stage) pass(d time.Duration) {
	s.clock.Advance(d)
	s.run()
}

func (s *stage) do(ev event) {
	s.t.Helper()
	if !s.e.core.push(ev) {
		s.t.Fatal("the queue is full")
	}
	s.run()
}

// login is a person on an endpoint whose MAC the NAS tells.
func (s *stage) login(id string) *sessions.Session {
	s.t.Helper()
	d := udp.NewDatagram(s.out, udp.Listener{Role: RoleAuthentication}, 0, asaAddr, netip.MustParseAddrPort("192.0.2.1:1812"), s.pap("cisco", "cisco", id))
	s.e.ServeBatch(0, []udp.Datagram{d})
	s.run()
	s.nonce, s.seq = "", 0
	return s.session(id)
}

// reports claims the session when nobody did, and reports: facts as JSON.
func (s *stage) reports(id, trigger, facts string, more ...func(*report.Report)) *report.Verdict {
	s.t.Helper()
	x := s.session(id)
	if s.nonce == "" {
		c := &report.Claim{V: 1, SessionID: id, Ticket: s.e.tickets.ticket(x), Agent: report.Agent{Name: "agent", Version: "1"}}
		ev := &claimEvent{claim: c, peer: netip.MustParseAddr("10.1.2.3"), key: s.spki(), finished: make(chan struct{})}
		if s.do(ev); ev.problem != nil {
			s.t.Fatal(ev.problem)
		}
		s.nonce, s.seq = ev.claimed.Nonce, ev.claimed.Seq
	}
	s.seq++
	doc := &report.Report{V: 1, SessionID: id, Seq: s.seq, Nonce: s.nonce, Trigger: trigger,
		Agent: report.Agent{Name: "agent", Version: "1", Kind: "agent"}, System: report.System{OS: "linux", Hostname: "host"}}
	if err := json.Unmarshal([]byte(facts), &doc.Facts); err != nil {
		s.t.Fatal(err)
	}
	for _, f := range more {
		f(doc)
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		s.t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	ev := &reportEvent{in: step.ReportInput{Report: doc, Hash: sum[:], Key: s.spki()}, raw: raw, received: s.clock.Now(), finished: make(chan struct{})}
	if s.do(ev); ev.judged.Problem != nil {
		s.t.Fatal(ev.judged.Problem)
	}
	v := &report.Verdict{}
	if err := json.Unmarshal(ev.judged.Answer, v); err != nil {
		s.t.Fatal(err)
	}
	s.nonce = v.Nonce
	return v
}

// The facts of an endpoint with and without a stick.
const (
	healthy = `{"usb": {"devices": []}}`
	stuck   = `{"usb": {"devices": [{"port": "2-1", "ifaces": ["08/06/50"], "state": "active"}]}}`
)

// settle has the NAS answer the newest change.
func (s *stage) settle(outcome coa.Outcome) {
	s.t.Helper()
	if len(s.nas.changes) == 0 {
		s.t.Fatal("no change was sent")
	}
	c := s.nas.changes[len(s.nas.changes)-1]
	did := recipe.Push
	if c.Kind == recipe.Disconnect {
		did = recipe.Disconnect
	}
	s.do(&settleEvent{in: settlement{Settlement: coa.Settlement{Session: c.Session, Serial: c.Serial, NAS: "asa", Outcome: outcome, Did: did}}})
}

// sent are the changes since the last look: kind and profile of each.
func (s *stage) sent() string {
	var out []string
	for _, c := range s.nas.changes[s.told:] {
		x := s.session(string(c.Session))
		profile := "?"
		if x.Change != nil && x.Change.Serial == c.Serial {
			profile = x.Change.Grant.Profile
		}
		out = append(out, c.Kind.String()+" "+profile)
	}
	s.told = len(s.nas.changes)
	return strings.Join(out, ", ")
}

// shown are the details of the rows since the last look that are about what time did.
func (s *stage) shown() string {
	var out []string
	for _, d := range s.rows() {
		if d.Number > s.row && d.Reason != "" && (d.Kind == record.KindAlarm || d.Kind == record.KindSession || d.Kind == record.KindPosture && d.Status == record.Session) {
			out = append(out, d.Details)
		}
		s.row = max(s.row, d.Number)
	}
	return strings.Join(out, ", ")
}

// stands is the status, and when the session's posture changes by itself, after the beginning.
func (s *stage) stands(id string) string {
	p := s.session(id).Posture
	out := p.Status.String()
	if p.InGrace() {
		out += " in grace"
	}
	if p.ValidUntil.IsZero() {
		return out + " until never"
	}
	return out + " until " + p.ValidUntil.Sub(simEpoch).Round(time.Minute).String()
}

// play does one step of a story.
func (s *stage) play(what string) string {
	s.t.Helper()
	var minute int
	if _, err := fmt.Sscan(what, &minute); err != nil {
		s.t.Fatal(err)
	}
	_, act, _ := strings.Cut(what, " ")
	if d := simEpoch.Add(time.Duration(minute) * time.Minute).Sub(s.clock.Now()); d > 0 {
		s.pass(d)
	}
	switch act {
	case "login":
		s.login(audit)
	case "clean":
		s.reports(audit, report.TriggerPeriodic, healthy)
	case "stick":
		s.reports(audit, report.TriggerPeriodic, stuck)
	case "event":
		s.reports(audit, report.TriggerEvent, stuck)
	case "ack":
		s.settle(coa.ACK)
	case "silent":
		s.settle(coa.Silent)
	}
	if !s.session(audit).Live() {
		return "ended; ; "
	}
	return s.stands(audit) + "; " + s.sent() + "; " + s.shown()
}

// endEvent is the end of a session.
type endEvent struct{ id sessions.ID }

func (ev *endEvent) step(c *core, now time.Time) {
	s := c.get(ev.id)
	c.put(s, step.End(now, now, s, "a test"))
}
func (ev *endEvent) done(*core, error) {}
