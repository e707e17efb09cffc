package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"sallyport/engine/step"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// simVerdict is what an agent was told last.
type simVerdict struct {
	epoch  uint64
	seq    uint64
	key    string
	status string
}

// simAgent is the agent on an endpoint, for one session.
type simAgent struct {
	p       *simEndpoint
	s       *simSession
	key     []byte
	bound   bool
	seq     uint64
	nonce   string
	busy    bool // a claim or a report is under way
	again   bool // what it saw changed meanwhile
	silent  bool
	trigger string // of the next report; empty: it was time for one
	tickets string // the ticket that was tried last
}

// simHeartbeat is how often an agent reports; the configuration says as much.
const simHeartbeat = time.Minute

// redirected is what the endpoint sees of a narrow grant: the page with the ticket, or,
// where there is no redirect, nothing but the appliance's address.
func (p *simEndpoint) redirected(s *simSession) {
	w := p.w
	if p.agent == nil || p.agent.s != s {
		p.agent = &simAgent{p: p, s: s, key: []byte(fmt.Sprintf("key-%d-%s-%d", p.n, s.acct, s.boot))}
		w.after(simHeartbeat, p.agent.beat)
	}
	a := p.agent
	w.after(time.Duration(500+s.rng.IntN(3000))*time.Millisecond, a.claim)
}

func (a *simAgent) alive() bool { return a.p.agent == a && a.s.live() && !a.silent }

// beat reports from time to time.
func (a *simAgent) beat() {
	if a.p.agent != a || !a.s.live() {
		return
	}
	if a.bound {
		a.report()
	} else {
		a.claim()
	}
	every := simHeartbeat
	if a.p.w.now.Sub(a.s.began) > time.Hour {
		every = simLongBeat
	}
	a.p.w.after(every, a.beat)
}

// simLongBeat is the heartbeat of long quiet times, in which every minute would be dear.
const simLongBeat = 3*time.Minute - 10*time.Second

// claim binds the agent's key to the session.
func (a *simAgent) claim() {
	s, w := a.s, a.p.w
	if !a.alive() || a.busy {
		return
	}
	c := &report.Claim{V: 1, SessionID: string(s.id), Ticket: s.ticket, MACs: []string{s.mac}, Agent: report.Agent{Name: "agent", Version: "1"}}
	if s.ticket == "" || s.ticket == a.tickets && a.bound {
		c.Ticket = ""
	}
	a.tickets = s.ticket
	ev := &claimEvent{claim: c, peer: s.ip, key: a.key, finished: make(chan struct{})}
	a.busy = true
	w.ask(&simAsk{ev: ev, done: ev.finished, answered: func() { a.claimed(ev) }, lost: func() { a.busy = false; a.claim() }})
}

func (a *simAgent) claimed(ev *claimEvent) {
	w := a.p.w
	a.busy = false
	if ev.problem != nil {
		w.tracef("%s: claim refused: %s", a.s, ev.problem.Code)
		if ev.problem.Code == report.CodeStorage {
			w.after(5*time.Second, a.claim)
		}
		return
	}
	w.tracef("%s: claimed by %s", a.s, ev.claimed.Assurance)
	if a.s.id == "" {
		a.s.id = sessions.ID(ev.claimed.SessionID)
	}
	a.s.ackAt = w.appNow()
	a.bound, a.nonce, a.seq = true, ev.claimed.Nonce, ev.claimed.Seq
	a.s.verdict.key = string(a.key)
	a.report()
}

// report tells what is plugged in.
func (a *simAgent) report() {
	if a.busy {
		a.again = true
		return
	}
	if !a.alive() || !a.bound {
		return
	}
	a.seq++
	doc := &report.Report{V: 1, SessionID: string(a.s.id), Seq: a.seq, Nonce: a.nonce, Trigger: cmp.Or(a.trigger, report.TriggerPeriodic), Facts: report.Facts{USB: &report.USB{}}}
	if a.p.stick {
		doc.Facts.USB.Devices = []report.USBDevice{{Port: "2-1", Ifaces: []string{"08/06/50"}, State: report.USBActive}}
	}
	a.trigger = ""
	raw, err := json.Marshal(doc)
	if err != nil {
		a.p.w.failf("%v", err)
	}
	a.send(doc, raw, !a.p.stick)
}

// send sends a report, the same again when no answer comes.
func (a *simAgent) send(doc *report.Report, raw []byte, healthy bool) {
	w := a.p.w
	if !a.alive() {
		a.busy = false
		return
	}
	a.busy, a.again = true, false
	sum := sha256.Sum256(raw)
	ev := &reportEvent{in: step.ReportInput{Report: doc, Hash: sum[:], Key: a.key}, peer: a.s.ip, received: w.appNow(), finished: make(chan struct{})}
	a.s.facts = append(a.s.facts, healthy)
	a.s.saw(healthy)
	w.ask(&simAsk{ev: ev, done: ev.finished,
		at: func() {
			if ev.judged.Problem == nil && !ev.judged.Again {
				a.s.facts = []bool{healthy}
				a.s.saw(healthy)
			}
		},
		answered: func() { a.told(ev, doc, raw, healthy) },
		lost:     func() { a.send(doc, raw, healthy) }})
}

// told takes the answer to a report.
func (a *simAgent) told(ev *reportEvent, doc *report.Report, raw []byte, healthy bool) {
	w := a.p.w
	a.busy = false
	if p := ev.judged.Problem; p != nil {
		w.tracef("%s: report %d refused: %s", a.s, doc.Seq, p.Code)
		switch p.Code {
		case report.CodeStorage:
			w.after(5*time.Second, func() { a.send(doc, raw, healthy) })
		case report.CodeStaleNonce:
			a.nonce = p.Nonce
			a.report()
		case report.CodeReplay, report.CodeNotBound:
			a.bound = false
			w.after(time.Second, a.claim)
		}
		return
	}
	var v report.Verdict
	if err := json.Unmarshal(ev.judged.Answer, &v); err != nil {
		w.failf("the verdict: %v", err)
	}
	w.tracef("%s: report %d: %s, epoch %d", a.s, doc.Seq, v.Status, v.Epoch)
	if v.Epoch < a.s.verdict.epoch {
		w.failf("%s: the agent was told of epoch %d after %d", a.s, v.Epoch, a.s.verdict.epoch)
	}
	a.nonce = v.Nonce
	a.s.ackAt = w.appNow()
	a.s.verdict = simVerdict{epoch: v.Epoch, seq: doc.Seq, key: string(a.key), status: v.Status}
	if a.again || healthy == a.p.stick {
		a.report()
	}
}

// plug puts a stick in, or pulls it.
func (p *simEndpoint) plug(in bool) {
	if p.stick == in {
		return
	}
	p.stick = in
	p.w.tracef("e%d: stick %v", p.n, in)
	if p.agent != nil {
		p.agent.trigger = report.TriggerEvent
		p.agent.report()
	}
}

// saw notes when a healthy report was sent or judged last: a lease rests on nothing later.
func (s *simSession) saw(healthy bool) {
	if healthy {
		s.healthy = s.nas.w.appNow()
	}
}
