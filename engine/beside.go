package engine

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"sallyport/engine/policy"
	"sallyport/engine/record"
	"sallyport/engine/replay"
	"sallyport/engine/step"
	"sallyport/netio/report"
	"sallyport/ops/config"
	"sallyport/sessions"
)

// beside is what looks on while the appliance decides, and changes nothing: a recorder of
// what it was told, and a configuration that is tried in the shadow of the one in force.
// Both get copies after a decision is published, and whatever they cannot keep up with is
// dropped and counted. Nil, as it is unless somebody asked for one: a packet pays for one
// look at a pointer.
type beside struct {
	recorder *replay.Recorder // nil: nothing is recorded
	file     config.Recording
	shadow   *shadow // nil: there is none
}

// login is a login that was answered, by a session or by a profile that rejects.
func (b *beside) login(now time.Time, ev *loginEvent) {
	switch {
	case b == nil || ev.decision.Profile == nil:
		return
	case b.recorder == nil:
	case ev.next == nil:
		b.recorder.Add(replay.Login(now, &ev.in, replay.Refused(&ev.decision)))
	default:
		b.recorder.Add(replay.Login(now, &ev.in, replay.OutcomeOf(ev.next)))
	}
	if b.shadow != nil && ev.next != nil {
		b.shadow.add(glance{at: now, session: keepSession(ev.next)})
	}
}

// accounting is a record that was acknowledged.
func (b *beside) accounting(now time.Time, ev *accountingEvent) {
	if b == nil || b.recorder == nil || ev.next == nil {
		return
	}
	if ev.replaced != nil {
		b.recorder.Add(replay.Ended(now, ev.replaced))
	}
	b.recorder.Add(replay.AccountingRecord(now, &ev.in))
}

// over are the sessions that ended because their NAS said that all of them have.
func (b *beside) over(now time.Time, ended []*sessions.Session) {
	if b == nil || b.recorder == nil {
		return
	}
	for _, s := range ended {
		b.recorder.Add(replay.Ended(now, s))
	}
}

// report is a posture report that was judged.
func (b *beside) report(now time.Time, s *sessions.Session, r *report.Report) {
	if b == nil {
		return
	}
	if b.recorder != nil {
		b.recorder.Add(replay.PostureReport(now, s, r, replay.OutcomeOf(s)))
	}
	if b.shadow != nil {
		b.shadow.add(glance{at: now, session: keepSession(s), report: r})
	}
}

// glance is one decision as the shadow gets to see it.
type glance struct {
	at      time.Time
	session *sessions.Session // as the decision left it
	report  *report.Report    // nil: it was a login
}

// shadowQueue bounds the decisions that wait for the shadow.
const shadowQueue = 4096

// shadow tries a configuration on what happens, on a goroutine of its own.
type shadow struct {
	e        *Engine
	tried    *replay.Shadow
	revision string
	queue    chan glance
	dropped  atomic.Uint64
	end      chan struct{}
	ended    chan struct{}
}

func (e *Engine) startShadow(rules *step.Rules) *shadow {
	s := &shadow{
		e: e, tried: replay.NewShadow(rules), revision: rules.Revision,
		queue: make(chan glance, shadowQueue), end: make(chan struct{}), ended: make(chan struct{}),
	}
	go s.run()
	return s
}

func (s *shadow) add(g glance) {
	select {
	case s.queue <- g:
	default:
		s.dropped.Add(1)
	}
}

func (s *shadow) run() {
	defer close(s.ended)
	for {
		select {
		case g := <-s.queue:
			s.look(g)
		case <-s.end:
			for len(s.queue) > 0 {
				s.look(<-s.queue)
			}
			return
		}
	}
}

func (s *shadow) look(g glance) {
	var d *replay.Difference
	if decided := replay.OutcomeOf(g.session); g.report == nil {
		d = s.tried.Login(g.at, g.session, decided)
	} else {
		d = s.tried.Report(g.at, g.session, g.report, decided)
	}
	if d == nil || d.Count&(d.Count-1) != 0 {
		return // the live log shows the first of a kind, the second, the fourth ...
	}
	row := s.e.row(g.session, record.KindSystem, record.Session, "The shadow configuration decides otherwise")
	row.Reason = fmt.Sprintf("%s -> %s, by revision %s", d.Before, d.After, s.revision)
	row.RepeatCount = uint64(d.Count)
	s.e.livelog.Add(row)
}

func (s *shadow) close() {
	close(s.end)
	<-s.ended
}

// lookOn makes beside what a configuration asks for. What was there and is still asked for
// goes on: a recording over reloads, while a shadow, whose file may have changed, begins
// anew. What cannot be had is an alarm and holds nothing up: it is not what the appliance is
// for.
func (e *Engine) lookOn(next snapshot) {
	old := e.beside.Load()
	now := &beside{file: next.Config.Records.Recording}
	if old != nil && old.recorder != nil && now.file.File.Value == old.file.File.Value && now.file.Megabytes == old.file.Megabytes {
		now.recorder = old.recorder
		now.recorder.Add(replay.Configuration(e.clock.Now(), next.Revision))
	} else if now.file.File.Value != "" {
		if old != nil && old.recorder != nil { // the two may share a file
			e.beside.Store(&beside{shadow: old.shadow})
			e.endRecording(old.recorder)
		}
		var err error
		if now.recorder, err = replay.NewRecorder(now.file.File.Value, int64(now.file.Megabytes)<<20, next.Revision, e.clock.Now()); err != nil {
			e.alarm("Nothing is recorded", "records.recording.file: "+err.Error())
		}
	}
	if file := next.Config.Shadow.File; file.Value != "" {
		tried, _, faults := policy.Load(file.Value)
		if err := faults.Err(); err != nil {
			e.alarm("There is no shadow configuration: it has faults", err.Error())
		} else {
			now.shadow = e.startShadow(&tried.Rules)
		}
	}
	if now.recorder == nil && now.shadow == nil {
		now = nil
	}
	e.beside.Store(now)
	old.close(e, now)
}

// close ends what the next one does not go on with.
func (b *beside) close(e *Engine, next *beside) {
	if b == nil {
		return
	}
	if b.recorder != nil && (next == nil || next.recorder != b.recorder) {
		e.endRecording(b.recorder)
	}
	if b.shadow != nil {
		b.shadow.close()
	}
}

func (e *Engine) endRecording(r *replay.Recorder) {
	if err := r.Close(); err != nil {
		e.log.Error("the recording is not whole", "error", err)
	}
}

// alarm is a fault of the appliance that people should see.
func (e *Engine) alarm(details, reason string) {
	e.log.Error(details, "reason", reason)
	e.livelog.Add(&record.Decision{
		Time: e.clock.Now().UTC(), Kind: record.KindAlarm, Status: record.Failed, Details: details, Reason: reason,
		Server: e.snapshot().Config.Appliance.Name.Value, Revision: e.snapshot().Revision,
	})
}

// RecordingView is the recording as operators see it.
type RecordingView struct {
	File    string `json:"file"`
	Events  uint64 `json:"events"`
	Dropped uint64 `json:"dropped"`
	Octets  int64  `json:"octets"` // of the newer half
	Fault   string `json:"fault,omitempty"`
}

func (b *beside) recording() *RecordingView {
	if b == nil || b.recorder == nil {
		return nil
	}
	v := &RecordingView{File: b.file.File.Value, Events: b.recorder.Added()}
	var fault error
	if v.Dropped, fault = b.recorder.Dropped(); fault != nil {
		v.Fault = fault.Error()
	}
	if info, err := os.Stat(v.File); err == nil {
		v.Octets = info.Size()
	}
	return v
}

// ShadowView is what a shadow configuration found since it was loaded.
type ShadowView struct {
	replay.Result
	Dropped uint64 `json:"dropped"` // decisions that it was too slow for
}

func (b *beside) tried() *ShadowView {
	if b == nil || b.shadow == nil {
		return nil
	}
	v := &ShadowView{Result: b.shadow.tried.Result(), Dropped: b.shadow.dropped.Load()}
	v.From = b.shadow.e.snapshot().Revision
	return v
}
