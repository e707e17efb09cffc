package engine

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"sallyport/coa"
	"sallyport/coa/recipe"
	"sallyport/engine/step"
	"sallyport/sessions"
)

// An Access-Accept and the CoA-Request that takes back what it grants are datagrams of two
// sockets, and the network may hand them over in the wrong order. The NAS then acknowledges
// the change and is opened by the Accept that comes after it, and nobody would know.
//
// So who was answered less than overtakeMax before a change was made is told once more,
// when that Accept has arrived or never will. That is rare: NASes ask seldom.
const overtakeMax = time.Second

// answers knows when the sessions were last answered, about: sessions that fall into one
// slot share it, which costs a push that would not have been needed. Loops write, the core
// reads.
type answers struct {
	seed  maphash.Seed
	begun time.Time
	slots [1 << 16]atomic.Uint32 // in answersUnit since begun, plus 1
}

const answersUnit = time.Second / 16

// newAnswers goes by the clock on the wall, as the moments in the records do.
func newAnswers(now time.Time) *answers {
	return &answers{seed: maphash.MakeSeed(), begun: now.Round(0)}
}

func (a *answers) slot(id sessions.ID) *atomic.Uint32 {
	return &a.slots[maphash.String(a.seed, string(id))%uint64(len(a.slots))]
}

func (a *answers) units(now time.Time) uint32 { return uint32(now.Sub(a.begun)/answersUnit) + 1 }

// note: the session is given an Access-Accept.
func (a *answers) note(now time.Time, id sessions.ID) { a.slot(id).Store(a.units(now)) }

// recent says whether the session may have been answered so shortly before a moment that
// the answer was still on its way.
func (a *answers) recent(id sessions.ID, moment time.Time) bool {
	at := a.slot(id).Load()
	return at != 0 && a.units(moment)-at+1 <= uint32(overtakeMax/answersUnit)+2
}

// doubt is a change that was acknowledged, and perhaps undone by an older answer.
type doubt struct {
	id     sessions.ID
	serial uint64
	due    time.Time
}

// doubtful notes a push that was acknowledged while an older answer may be on its way.
func (c *core) doubtful(now time.Time, s *sessions.Session, in *settlement) {
	if in.Outcome == coa.ACK && in.Did == recipe.Push && c.e.answers.recent(s.ID, s.Change.Made) {
		c.doubts = append(c.doubts, doubt{id: keep(s.ID), serial: s.Change.Serial, due: now.Add(overtakeMax)})
	}
}

// certain has the pushes repeated that are old enough.
func (c *core) certain(now time.Time, out []event) []event {
	left := c.doubts[:0]
	for _, d := range c.doubts {
		if now.Before(d.due) {
			left = append(left, d)
		} else {
			out = append(out, &onceMoreEvent{doubt: d})
		}
	}
	c.doubts = left
	return out
}

// onceMoreEvent tells a NAS again what it acknowledged.
type onceMoreEvent struct{ doubt doubt }

func (ev *onceMoreEvent) step(c *core, now time.Time) {
	if s := c.get(ev.doubt.id); s != nil {
		c.put(s, step.OnceMore(now, s, ev.doubt.serial))
	}
}

func (ev *onceMoreEvent) done(c *core, err error) {
	if err != nil {
		c.doubts = append(c.doubts, ev.doubt)
	}
}
