package coa

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sallyport/coa/recipe"
	"sallyport/sessions"
)

// Ledger keeps what happened to the changes of sessions, each transmission and each
// answer with its octets, in memory of a fixed size: the oldest makes room for the
// newest. Give its Note to Config.Event. It may be used by many goroutines.
//
//	ring     records one after the other; none is cut in two at the end
//	record   length, the place of the session's previous record, the event
//	newest   session -> its last record
type Ledger struct {
	mu     sync.Mutex // guards the following
	ring   []byte
	first  int64 // place of the oldest record; places count from the start and never go back
	end    int64 // of the newest
	newest map[sessions.ID]int64
	record []byte // one on its way in
}

// Entry is one line of a session's timeline.
type Entry struct {
	At         time.Time
	Serial     uint64 // of the change
	Line       string // what happened, in words
	Local      netip.AddrPort
	Remote     netip.AddrPort
	Attributes string // of the packet, one a line; "" where there was none
}

// LedgerLeast is the smallest Ledger, in octets: it holds some of the largest packets.
const LedgerLeast = 1 << 16

// NewLedger makes a Ledger of so many octets, LedgerLeast at least. A push that is
// acknowledged takes about 700.
func NewLedger(octets int) *Ledger {
	return &Ledger{ring: make([]byte, max(octets, LedgerLeast)), newest: map[sessions.ID]int64{}}
}

// none is the place before a session's first record.
const none = int64(-1)

// recordHead is the length and the previous place; a length of 0 sends the reader to the
// start of the ring.
const recordHead = 4 + 8

// Note takes an event of a session. Drops, which belong to none, are not kept.
func (l *Ledger) Note(e *Event) {
	if e.Session == "" || len(e.Session) > sessions.IDMax {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before, ok := l.newest[e.Session]
	if !ok {
		before = none
	}
	l.record = binary.BigEndian.AppendUint64(append(l.record[:0], 0, 0, 0, 0), uint64(before))
	l.record = appendEvent(l.record, e)
	binary.BigEndian.PutUint32(l.record, uint32(len(l.record)))
	l.newest[e.Session] = l.put(l.record)
}

// put makes room and writes a record; it returns its place.
func (l *Ledger) put(record []byte) int64 {
	size := int64(len(l.ring))
	if left := size - l.end%size; left < int64(len(record)) {
		l.makeRoom(left)
		if left >= 4 {
			binary.BigEndian.PutUint32(l.ring[l.end%size:], 0)
		}
		l.end += left
	}
	l.makeRoom(int64(len(record)))
	at := l.end
	copy(l.ring[at%size:], record)
	l.end += int64(len(record))
	return at
}

// makeRoom forgets the oldest records until n octets are free.
func (l *Ledger) makeRoom(n int64) {
	size := int64(len(l.ring))
	for l.first < l.end && size-(l.end-l.first) < n {
		at := l.first % size
		length := int64(0)
		if size-at >= 4 {
			length = int64(binary.BigEndian.Uint32(l.ring[at:]))
		}
		if length == 0 {
			l.first += size - at
			continue
		}
		id := sessions.ID(eventSession(l.ring[at+recordHead : at+length]))
		if l.newest[id] == l.first {
			delete(l.newest, id)
		}
		l.first += length
	}
}

// Timeline is what is kept of a session, oldest first; nil when nothing is.
func (l *Ledger) Timeline(id sessions.ID) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := int64(len(l.ring))
	place, ok := l.newest[id]
	var entries []Entry
	for ok && place != none && place >= l.first {
		at := place % size
		length := int64(binary.BigEndian.Uint32(l.ring[at:]))
		place = int64(binary.BigEndian.Uint64(l.ring[at+4:]))
		e := readEvent(l.ring[at+recordHead : at+length])
		entries = append(entries, Entry{At: e.At, Serial: e.Serial, Line: e.String(), Local: e.Local, Remote: e.Remote, Attributes: e.Words()})
	}
	slices.Reverse(entries)
	return entries
}

// appendEvent writes an event; readEvent reads it. Times are nanoseconds since 1970.
func appendEvent(b []byte, e *Event) []byte {
	b = appendText(b, string(e.Session))
	b = append(b, byte(e.Kind), byte(e.Outcome), byte(e.Did), truth(e.All))
	b = appendNumbers(b, uint64(e.At.UnixNano()), e.Serial, uint64(e.Attempt), uint64(e.Cause), uint64(e.Pause))
	b = appendAddress(appendAddress(appendText(b, e.NAS), e.Local), e.Remote)
	why := ""
	if e.Err != nil {
		why = e.Err.Error()
	}
	b = appendText(b, why)
	if e.Kind == EventConfirmation {
		c := &e.Confirmation
		b = append(b, byte(c.Kind), byte(c.State), byte(c.Expects), byte(c.Sign))
		b = appendNumbers(b, uint64(c.Acked.UnixNano()), uint64(c.Within), c.Epoch)
	}
	return append(b, e.Packet...)
}

func eventSession(b []byte) []byte { return b[2 : 2+binary.BigEndian.Uint16(b)] }

func readEvent(b []byte) *Event {
	r := reader{b}
	e := &Event{Session: sessions.ID(r.text())}
	kinds := r.octets(4)
	e.Kind, e.Outcome, e.Did, e.All = EventKind(kinds[0]), Outcome(kinds[1]), recipe.Kind(kinds[2]), kinds[3] == 1
	e.At = time.Unix(0, int64(r.number())).UTC()
	e.Serial, e.Attempt, e.Cause, e.Pause = r.number(), int(r.number()), uint32(r.number()), time.Duration(r.number())
	e.NAS, e.Local, e.Remote = r.text(), r.address(), r.address()
	if why := r.text(); why != "" {
		e.Err = errors.New(why)
	}
	if e.Kind == EventConfirmation {
		kinds := r.octets(4)
		e.Confirmation = Confirmation{Session: e.Session, Serial: e.Serial, NAS: e.NAS, At: e.At, Kind: recipe.Kind(kinds[0]),
			State: ConfirmationState(kinds[1]), Expects: recipe.Sign(kinds[2]), Sign: recipe.Sign(kinds[3])}
		e.Confirmation.Acked = time.Unix(0, int64(r.number())).UTC()
		e.Confirmation.Within, e.Confirmation.Epoch = time.Duration(r.number()), r.number()
	}
	e.Packet = r.left
	return e
}

func truth(is bool) byte {
	if is {
		return 1
	}
	return 0
}

// textMax bounds what an error may say.
const textMax = 1 << 10

func appendText(b []byte, text string) []byte {
	text = text[:min(len(text), textMax)]
	return append(binary.BigEndian.AppendUint16(b, uint16(len(text))), text...)
}

func appendNumbers(b []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

func appendAddress(b []byte, a netip.AddrPort) []byte {
	octets := a.Addr().As16()
	b = append(b, truth(a.IsValid()), truth(a.Addr().Is4()))
	return binary.BigEndian.AppendUint16(append(b, octets[:]...), a.Port())
}

// reader takes apart what the functions above wrote.
type reader struct{ left []byte }

func (r *reader) octets(n int) (b []byte) {
	b, r.left = r.left[:n], r.left[n:]
	return b
}

func (r *reader) number() uint64 { return binary.BigEndian.Uint64(r.octets(8)) }

func (r *reader) text() string { return string(r.octets(int(binary.BigEndian.Uint16(r.octets(2))))) }

func (r *reader) address() netip.AddrPort {
	kinds, octets, port := r.octets(2), [16]byte(r.octets(16)), binary.BigEndian.Uint16(r.octets(2))
	if kinds[0] == 0 {
		return netip.AddrPort{}
	}
	addr := netip.AddrFrom16(octets)
	if kinds[1] == 1 {
		addr = addr.Unmap()
	}
	return netip.AddrPortFrom(addr, port)
}
