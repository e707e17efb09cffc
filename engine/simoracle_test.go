package engine

import (
	"slices"
	"time"

	"sallyport/engine/step"
	"sallyport/sessions"
)

// simOracle looks at the appliance and compares it with what the NASes and agents of the
// simulation know. Each rule has a name, which a failure begins with.
//
//	accounting   nothing acknowledged is lost, nothing is counted twice
//	end          a session whose end was acknowledged stays ended; nobody ends another's
//	invented     every session was begun by somebody
//	epoch        never goes back
//	verdict      what an agent was told is in the record
//	posture      Compliant rests on a report that said so
//	pending      no session is Pending without a timer, and nothing is overdue
//	access       a NAS gives no more than the newest verdict once it acknowledged that
//	index        every index finds what a walk of the table finds
type simOracle struct {
	w      *simWorld
	epochs map[sessions.ID]uint64
	looks  int
}

func (o *simOracle) begin(w *simWorld) { o.w, o.epochs = w, map[sessions.ID]uint64{} }

// simIndexEvery is how many looks there are to one at the indexes.
const simIndexEvery = 16

// look is called whenever the appliance has done what there was to do.
func (o *simOracle) look() {
	w := o.w
	o.looks++
	byID := map[sessions.ID]*simSession{}
	for _, x := range w.all { // the last that has an id counts
		if x.id != "" {
			byID[x.id] = x
		}
	}
	live := map[acctKey]sessions.ID{}
	for id := range o.epochs { // a session that is forgotten, and told of again, begins anew
		if w.e.table.Get(id) == nil {
			delete(o.epochs, id)
		}
	}
	for s := range w.e.table.All() {
		if s.Epoch < o.epochs[s.ID] {
			w.failf("epoch: %s went back from %d to %d", s.ID, o.epochs[s.ID], s.Epoch)
		}
		o.epochs[s.ID] = s.Epoch
		if !s.Live() {
			continue
		}
		o.lookLive(s, byID[s.ID])
		key := acctKey{s.NASAddress, s.AcctSessionID}
		if other, twice := live[key]; twice && !w.leapt && s.AcctSessionID != "" && !o.renumbered(s.ID, other) {
			w.failf("invented: %s and %s are both the session %s of %s", s.ID, other, s.AcctSessionID, s.NAS)
		}
		live[key] = s.ID
	}
	for _, x := range w.all {
		o.lookAcknowledged(x)
	}
	if o.looks%simIndexEvery == 0 {
		o.lookIndexes()
	}
}

// renumbered says whether two sessions have the same number for a good reason: the NAS
// started again in between and did not say so, or not yet.
func (o *simOracle) renumbered(a, b sessions.ID) bool {
	boots := map[sessions.ID]int{}
	for _, x := range o.w.all {
		if x.id == a || x.id == b {
			boots[x.id] = x.boot
		}
	}
	return len(boots) == 2 && boots[a] != boots[b]
}

// lookLive judges a session that lives for the appliance.
func (o *simOracle) lookLive(s *sessions.Session, x *simSession) {
	w := o.w
	rules := &w.e.snapshot().Rules
	now := w.appNow()
	at := step.Deadline(s, rules)
	// What is due for two reasons is looked at in two ticks. What was to be tried again in a
	// second, the disk being in trouble, waits until the clock that was set back is there.
	late := at.Before(now.Add(-time.Second)) && s.Changed.Before(now.Add(-time.Second)) && w.now.Sub(w.jumped) > time.Second && w.now.Sub(w.wasSetBack) > w.setBackBy+time.Second && w.now.Sub(w.mended) > 3*time.Second
	if at.IsZero() || late && !w.stuck() {
		w.failf("pending: %s is overdue since %s at %s: %+v", s.ID, at, now, s)
	}
	p := &s.Posture
	// What changed later than now was by a clock that was set back since: its alarm is over.
	alarmed := s.Changed.After(now) || now.Sub(p.Since) >= rules.PendingAlarm-time.Minute
	if p.Status == sessions.Pending && p.ValidUntil.IsZero() && !alarmed && now.After(p.Since) && w.skew == 0 {
		w.failf("pending: %s has no timer: %+v", s.ID, s)
	}
	if p.Status == sessions.Pending && p.PendingBy.IsZero() && now.After(p.Since) && !alarmed && w.skew == 0 || !p.ValidUntil.Equal(p.First()) {
		w.failf("pending: the clocks of %s do not agree: %+v", s.ID, p)
	}
	if x == nil {
		if o.begun(s) {
			return
		}
		w.failf("invented: nobody began %s: %+v", s.ID, s)
	}
	if x.nas.addr != s.NASAddress {
		w.failf("invented: %s is of %s and is said to be of %s", s.ID, x.nas.addr, s.NASAddress)
	}
	if p.Status == sessions.Compliant && !slices.Contains(x.facts, true) && !o.lets(p, x) {
		w.failf("posture: %s is Compliant, its reports were %v: %+v", s.ID, x.facts, p)
	}
	if p.Status == sessions.NonCompliant && len(x.facts) == 1 && x.facts[0] && len(p.Failed) > 0 && p.Failed[0] != "agent lost" && p.Failed[0] != "reassessment unanswered" {
		w.failf("posture: %s is NonCompliant by %v, its last report was healthy", s.ID, p.Failed)
	}
	o.lookAccess(s, x)
}

// lets says whether there is a reason to believe an endpoint none of whose reports said that
// it is healthy: the lease of an earlier session, grace, or a reassessment that only looks.
func (o *simOracle) lets(p *sessions.Posture, x *simSession) bool {
	w := o.w
	if !w.lenient {
		return false
	}
	if len(x.facts) == 0 {
		return !p.LeaseUntil.IsZero() && slices.ContainsFunc(w.all, func(y *simSession) bool {
			return y != x && y.endpoint == x.endpoint && !y.healthy.IsZero() && (w.leapt || !w.wasSetBack.IsZero() || !p.LeaseUntil.After(y.healthy.Add(simLease+time.Second)))
		})
	}
	if p.Continued {
		return true
	}
	return p.InGrace() && !p.GraceUntil.IsZero() && (w.leapt || !w.wasSetBack.IsZero() || !p.GraceUntil.After(w.appNow().Add(simGrace)))
}

// stuck says that nothing can be written, so that nothing that is due can be done.
func (w *simWorld) stuck() bool { return w.e.troubleText.Load() != nil }

// begun finds a session that the appliance numbered itself and the NAS does not know the
// name of: by the NAS's own number, or a login whose answer has not arrived.
func (o *simOracle) begun(s *sessions.Session) bool {
	return s.Minted && slices.ContainsFunc(o.w.all, func(x *simSession) bool {
		return x.nas.addr == s.NASAddress && (x.acct == s.AcctSessionID || x.id == "" && s.AcctSessionID == "" && !x.metered)
	})
}

// lookAccess compares what the NAS lets through with what the appliance holds it to.
func (o *simOracle) lookAccess(s *sessions.Session, x *simSession) {
	w := o.w
	settled := slices.Contains([]string{"", step.OutcomeACK, step.OutcomeConfirmed, step.OutcomeUnconfirmed, step.OutcomeCancelled}, s.Settled.Outcome)
	doubted := slices.ContainsFunc(w.e.core.doubts, func(d doubt) bool { return d.id == s.ID }) // and told again soon
	if !s.Authenticated || s.Change != nil || !settled || doubted || x.left || x.flying > 0 || x.asking != nil || x.askAgain {
		return
	}
	if other := w.e.table.ByAcctSessionID(s.NASAddress, x.acct); other != nil && other.ID != s.ID && other.Live() {
		return // the Start that tells whose the number is now is on its way
	}
	if most := simRank(s.Grant.Profile); x.access > most {
		w.failf("access: %s lets %s through as %d, the appliance says %s (%s, %+v)", x.nas.name, x, x.access, s.Grant.Profile, s.Posture.Status, s.Settled)
	}
	in := step.Input(s, w.appNow(), &w.e.snapshot().Rules)
	if d := w.e.snapshot().Authz.Decide(&in); simRank(s.Grant.Profile) > simRank(d.Profile.Name) && w.authorized == w.e.snapshot().Revision && !w.stuck() {
		w.failf("access: %s has %s, the rules say %s (%s)", s.ID, s.Grant.Profile, d.Profile.Name, s.Posture.Status)
	}
}

func simRank(profile string) simAccess {
	switch profile {
	case "FullAccess", "Wide":
		return simWide
	case "Posture_Redirect", "Narrow":
		return simNarrow
	}
	return simNone
}

// record finds what the appliance has of a session of a NAS.
func (o *simOracle) record(x *simSession) *sessions.Session {
	if x.id != "" {
		return o.w.e.table.Get(x.id)
	}
	var newest *sessions.Session
	for s := range o.w.e.table.All() {
		if s.NASAddress == x.nas.addr && s.AcctSessionID == x.acct && (newest == nil || s.Started.After(newest.Started)) {
			newest = s
		}
	}
	return newest
}

// lookAcknowledged looks for what was acknowledged of a session.
func (o *simOracle) lookAcknowledged(x *simSession) {
	w := o.w
	if x.ackAt.IsZero() || x.forgotten || x.raced || o.reused(x) || x.metered && w.leapt {
		return
	}
	s := o.record(x)
	if s == nil {
		if w.appNow().Sub(x.ackAt) < simKeepEnded-time.Minute-w.leaps-w.backs {
			w.failf("accounting: %s was acknowledged %s ago and is not there", x, w.appNow().Sub(x.ackAt))
		}
		x.forgotten = true
		return
	}
	most := uint64(0)
	for _, r := range x.records {
		most = max(most, r.octets)
	}
	if got := s.Accounting.InOctets; got < x.ackOctets || got > most {
		w.failf("accounting: %s has %d octets, acknowledged %d, sent %d: %+v", x, got, x.ackOctets, most, s)
	}
	if x.endAcked && s.Live() && !w.setBack(x) {
		w.failf("end: the end of %s was acknowledged, and it lives: %+v", x, s)
	}
	if !x.left && !s.Live() && !w.setBack(x) && !o.mayEnd(x, s) {
		w.failf("end: %s goes on, and the appliance ended it: %s", x, s.EndCause)
	}
	v := &x.verdict
	if s.Epoch < v.epoch {
		w.failf("verdict: %s was told of epoch %d, the record has %d", x, v.epoch, s.Epoch)
	}
	if b := &s.Posture.Binding; v.key != "" && s.Live() && (string(b.Key) != v.key || b.Seq < v.seq) {
		w.failf("verdict: %s was told of report %d, the record has %d: %+v", x, v.seq, b.Seq, s)
	}
}

// setBack says that the clock was set back since a session began. What a record without its
// name, an Accounting-On say, was before or after cannot be told then: the session may live
// until the purge, or end early.
func (w *simWorld) setBack(x *simSession) bool { return w.wasSetBack.After(x.began) }

// reused says that a later session of the NAS has the same number, and so the record.
func (o *simOracle) reused(x *simSession) bool {
	return x.metered && slices.ContainsFunc(o.w.all, func(y *simSession) bool {
		return y.nas == x.nas && y.acct == x.acct && y.boot > x.boot
	})
}

// mayEnd says whether there is a reason why a session that goes on at its NAS has ended
// for the appliance: silence for long, or an answer of the NAS that is on its way.
func (o *simOracle) mayEnd(x *simSession, s *sessions.Session) bool {
	return x.flying > 0 || o.w.appNow().Sub(x.ackAt) > simPurge-time.Minute
}

func (o *simOracle) lookIndexes() {
	w, t := o.w, o.w.e.table
	n := sessions.Counts{}
	for s := range t.All() {
		if s.Live() {
			n.Live++
		} else {
			n.Ended++
		}
		if s.Change != nil {
			n.Changing++
		}
		has := func(all []*sessions.Session) bool {
			return slices.ContainsFunc(all, func(x *sessions.Session) bool { return x.ID == s.ID })
		}
		if s.AcctSessionID != "" {
			if f := t.ByAcctSessionID(s.NASAddress, s.AcctSessionID); f == nil || f.AcctSessionID != s.AcctSessionID || f.NASAddress != s.NASAddress {
				w.failf("index: Acct-Session-Id %s of %s: %+v", s.AcctSessionID, s.ID, f)
			}
		}
		if !s.Live() {
			continue
		}
		if s.FramedIP.IsValid() && !has(t.ByAddress(s.FramedIP)) || s.CallingStationID != "" && !has(t.ByStation(s.CallingStationID)) ||
			s.UserName != "" && !has(t.ByUser(s.UserName)) || len(s.MACs) > 0 && !has(t.ByStation(s.MACs[0])) {
			w.failf("index: %s is not found by address, station or user", s.ID)
		}
		ofNAS := false
		for id := range t.OfNAS(s.NASAddress) {
			ofNAS = ofNAS || id == s.ID
		}
		if !ofNAS && s.Live() {
			w.failf("index: %s is not among the sessions of its NAS", s.ID)
		}
	}
	if c := t.Counts(); c.Live != n.Live || c.Ended != n.Ended || c.Changing != n.Changing {
		w.failf("index: the counts are %+v, the table has %+v", c, n)
	}
}

// final is what must hold when all faults are over and everybody has had time.
func (o *simOracle) final() {
	w := o.w
	if w.e == nil {
		w.failf("end: the appliance is still down")
	}
	o.lookIndexes()
	for _, x := range w.all {
		for _, r := range x.records {
			if !r.acked && x.boot == x.nas.boots && w.now.Sub(r.at) > 2*time.Minute {
				w.failf("accounting: a record of %s was never acknowledged", x)
			}
		}
		s := o.record(x)
		if x.left || s == nil || !s.Live() || x.metered {
			continue
		}
		in := step.Input(s, w.appNow(), &w.e.snapshot().Rules)
		if d := w.e.snapshot().Authz.Decide(&in); x.access != simRank(d.Profile.Name) {
			w.failf("access: in the end %s lets %s through as %d, the rules say %s (%s, %+v, %+v)", x.nas.name, x, x.access, d.Profile.Name, s.Posture.Status, s.Change, s.Settled)
		}
		if a := x.endpoint.agent; a != nil && a.s == x && a.bound && !s.Posture.Continued && (s.Posture.Status == sessions.Compliant) == x.endpoint.stick {
			w.failf("posture: in the end %s is %s, stick: %v", x, s.Posture.Status, x.endpoint.stick)
		}
	}
}
