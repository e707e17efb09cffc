package replay

import (
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"sallyport/engine/posture"
	"sallyport/engine/step"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// World is what a configuration makes of events: sessions, and the clock that they bring.
// Every change of authorization is acknowledged at once: what a NAS refuses is no matter
// of policy. It is not for concurrent use.
type World struct {
	rules    *step.Rules
	sessions map[sessions.ID]*sessions.Session
	refused  map[sessions.ID]Outcome // of logins that made no session
	owned    map[owner][]sessions.ID
	due      dueHeap
	reports  uint64
}

// owner is by whom an earlier session is found, for the lease.
type owner struct{ mac, user string }

// NewWorld is a world without sessions.
func NewWorld(rules *step.Rules) *World {
	return &World{rules: rules, sessions: map[sessions.ID]*sessions.Session{}, refused: map[sessions.ID]Outcome{}, owned: map[owner][]sessions.ID{}}
}

// Step lets time pass to the event, and the event happen. It returns where each session
// stands that either changed.
func (w *World) Step(e *Event) map[sessions.ID]Outcome {
	changed := w.pass(e.At)
	switch e.Kind {
	case KindLogin:
		w.login(e)
	case KindAccounting:
		w.accounting(e)
	case KindReport:
		w.report(e)
	}
	changed[e.Session] = w.Outcome(e.Session)
	return changed
}

// Outcome is where a session stands; the zero Outcome when there is none.
func (w *World) Outcome(id sessions.ID) Outcome {
	if o, ok := w.refused[id]; ok {
		return o
	}
	if s := w.sessions[id]; s != nil {
		return OutcomeOf(s)
	}
	return Outcome{}
}

// Sessions is how many there are.
func (w *World) Sessions() int { return len(w.sessions) }

// pass does what is due up to now, in the order of time and then of names.
func (w *World) pass(now time.Time) map[sessions.ID]Outcome {
	changed := map[sessions.ID]Outcome{}
	for len(w.due) > 0 && !w.due[0].at.After(now) {
		d := heap.Pop(&w.due).(due)
		s := w.sessions[d.id]
		if s == nil || s.Version != d.version {
			continue // something happened since
		}
		next, _ := step.Expire(d.at, s, w.rules)
		if next == s {
			continue
		}
		w.put(d.at, d.id, s, next)
		changed[d.id] = w.Outcome(d.id)
	}
	return changed
}

func (w *World) login(e *Event) {
	in := step.LoginInput{Attributes: e.Attributes.step(e.Session), Groups: e.Groups, Method: e.Method}
	old := w.sessions[e.Session]
	by := owner{(&sessions.Session{MACs: in.MACs, CallingStationID: in.CallingStationID}).MAC(), in.UserName}
	in.Last = w.lease(e, by)
	next, d := step.Login(e.At, old, &in, w.rules)
	if next == nil {
		w.refused[e.Session] = Refused(&d)
		return
	}
	delete(w.refused, e.Session)
	if by.mac != "" && !slices.Contains(w.owned[by], e.Session) {
		w.owned[by] = append(w.owned[by], e.Session)
	}
	w.put(e.At, e.Session, old, next)
}

// lease is what the newest earlier session of the endpoint and user tells. When none of
// them is in the recording it is what the appliance knew.
func (w *World) lease(e *Event, by owner) (last posture.Last) {
	earlier := w.owned[by]
	for _, id := range earlier {
		if s := w.sessions[id]; s != nil {
			if one := step.Last(s); one.At.After(last.At) {
				last = one
			}
		}
	}
	if len(earlier) == 0 && !e.HealthyAt.IsZero() {
		return posture.Last{Status: sessions.Compliant, At: e.HealthyAt}
	}
	return last
}

func (w *World) accounting(e *Event) {
	in := step.AccountingInput{Attributes: e.Attributes.step(e.Session), Kind: e.Accounting.Kind, At: e.Accounting.At, Cause: e.Accounting.Cause, NASUpdate: e.Accounting.NASUpdate}
	old := w.sessions[e.Session]
	next, _ := step.Accounting(e.At, old, &in)
	w.put(e.At, e.Session, old, next)
}

func (w *World) report(e *Event) {
	old := w.sessions[e.Session]
	if old == nil || !old.Live() {
		return
	}
	bound := *old
	b := &bound.Posture.Binding
	if len(b.Key) == 0 {
		b.Key, b.Seq = []byte("replay"), 0
	}
	b.Assurance, _ = sessions.ParseAssurance(e.Report.Assurance)
	w.reports++
	hash := sha256.Sum256(binary.BigEndian.AppendUint64(nil, w.reports))
	judged := step.Report(e.At, &bound, &step.ReportInput{
		Report: &report.Report{
			V: report.Version, Seq: b.Seq + 1, Nonce: b.Nonce, Trigger: e.Report.Trigger, Agent: e.Report.Agent, System: e.Report.System, Facts: e.Report.Facts,
		},
		Hash: hash[:], Key: b.Key, Nonce: b.Nonce, DecisionID: "replay",
	}, w.rules)
	if judged.Problem == nil {
		w.put(e.At, e.Session, old, judged.Session)
	}
}

// put takes the next version of a session, and acknowledges its change.
func (w *World) put(now time.Time, id sessions.ID, old, next *sessions.Session) {
	if next == nil {
		delete(w.sessions, id)
		return
	}
	if c := next.Change; c != nil && (old == nil || old.Changes != next.Changes) {
		if c.Kind == sessions.ChangeDisconnect { // the session is over, and what ended it is where it stands
			w.refused[id] = OutcomeOf(next)
		}
		next = step.Settle(now, next, &step.Settled{Serial: c.Serial, Outcome: step.OutcomeACK, Attempts: 1})
	}
	w.sessions[id] = next
	if at := step.Deadline(next, w.rules); !at.IsZero() {
		heap.Push(&w.due, due{at, id, next.Version})
	}
}

// due is when to look at a session again, as long as it has the version.
type due struct {
	at      time.Time
	id      sessions.ID
	version uint64
}

type dueHeap []due

// Len, Less, Swap, Push and Pop are those of container/heap.
func (h dueHeap) Len() int { return len(h) }

// Less orders by time, then by name: the same recording always runs the same way.
func (h dueHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return strings.Compare(string(h[i].id), string(h[j].id)) < 0
}

// Swap changes places.
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push adds one.
func (h *dueHeap) Push(x any) { *h = append(*h, x.(due)) }

// Pop takes the last one.
func (h *dueHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
