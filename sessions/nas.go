package sessions

import (
	"iter"
	"net/netip"
)

// nasLists are the live sessions of each NAS. There are as many NASes as devices in the
// network, and their lists run through word 5 of the entries.
type nasLists struct {
	numbers map[netip.Addr]uint32 // from 1
	addrs   []netip.Addr
	heads   []uint32
	cursors []*nasCursor
}

// nasCursor is a walk that is under way.
type nasCursor struct{ next uint32 }

func (l *nasLists) first(nas netip.Addr) uint32 {
	if number, ok := l.numbers[nas.Unmap()]; ok {
		return l.heads[number-1]
	}
	return 0
}

func (l *nasLists) leave(c *nasCursor) {
	for i := range l.cursors {
		if l.cursors[i] == c {
			l.cursors = append(l.cursors[:i], l.cursors[i+1:]...)
			return
		}
	}
}

// The NAS that an entry is listed with stands in the flags of word 4, above the others.
// At nasMax addresses the sessions of further ones are in no list.
const (
	nasShift = 11
	nasMax   = 1<<(32-nasShift) - 1
)

// set lists entry n with the NAS of s, if it lives, and returns the NAS's number.
func (l *nasLists) set(t *Table, n uint32, e *entry, s *Session) uint32 {
	had, want := uint32(e[4])>>nasShift, uint32(0)
	if s.Live() && s.NASAddress.IsValid() {
		want = l.number(s.NASAddress.Unmap(), had)
	}
	if had == want {
		return had
	}
	l.drop(t, n, e)
	if want != 0 {
		head := &l.heads[want-1]
		e[5] = halves(*head, isHead|want)
		if *head != 0 {
			next := t.entries.at(*head)
			next[5] = halves(high(next[5]), n)
		}
		*head = n
	}
	return want
}

// number is that of the NAS; guess is what it mostly is.
func (l *nasLists) number(nas netip.Addr, guess uint32) uint32 {
	if guess != 0 && l.addrs[guess-1] == nas {
		return guess
	}
	n, ok := l.numbers[nas]
	if !ok && len(l.addrs) < nasMax {
		l.addrs, l.heads = append(l.addrs, nas), append(l.heads, 0)
		n = uint32(len(l.addrs))
		l.numbers[nas] = n
	}
	return n
}

// drop takes entry n out of its list. Walks that would have gone on with it go on behind.
func (l *nasLists) drop(t *Table, n uint32, e *entry) {
	number := uint32(e[4]) >> nasShift
	if number == 0 {
		return
	}
	next, before := high(e[5]), low(e[5])
	for _, c := range l.cursors {
		if c.next == n {
			c.next = next
		}
	}
	if before&isHead != 0 {
		l.heads[number-1] = next
	} else {
		b := t.entries.at(before)
		b[5] = halves(next, low(b[5]))
	}
	if next != 0 {
		x := t.entries.at(next)
		x[5] = halves(high(x[5]), before)
	}
	e[5] = 0
	e[4] &^= nasMax << nasShift
}

// OfNAS walks the live sessions of the NAS at an address. Writer only; the walk may be
// left and taken up again (iter.Pull), and sessions may change or go between its steps:
// each that was there from its begin to its end comes up once.
func (t *Table) OfNAS(nas netip.Addr) iter.Seq[ID] {
	return func(yield func(ID) bool) {
		c := &nasCursor{next: t.nas.first(nas)}
		t.nas.cursors = append(t.nas.cursors, c)
		defer t.nas.leave(c)
		for c.next != 0 {
			n := c.next
			c.next = high(t.entries.at(n)[5])
			if id := t.idOf(n); id != "" && !yield(id) {
				return
			}
		}
	}
}
