package sessions

import "net/netip"

// Scratch is room for one session that was read: Load and FindAcct fill it, and the
// session they return is valid until the next use of the same Scratch. The zero value
// is ready. One goroutine uses it at a time; keep one for each and use it again, which
// is what spares the allocations.
type Scratch struct {
	session Session
	change  Change
}

func (x *Scratch) fill(s *Session) *Session {
	if s == nil {
		return nil
	}
	x.session = *s
	if s.Change != nil {
		x.change = *s.Change
		x.session.Change = &x.change
	}
	return &x.session
}

// Load reads the session, live or ended, into a Scratch; nil when it is not known. Any
// goroutine. The writer may change what it gets and Put it.
func (t *Table) Load(id ID, into *Scratch) *Session { return into.fill(t.Get(id)) }

// FindAcct is ByAcctSessionID into a Scratch.
func (t *Table) FindAcct(nas netip.Addr, acctSessionID string, into *Scratch) *Session {
	return into.fill(t.ByAcctSessionID(nas, acctSessionID))
}

// PutRecord publishes s, whose encoding is record. Writer only. Nothing of s or record
// is kept: both may be used again.
func (t *Table) PutRecord(s *Session, record []byte) {
	next := *s
	if s.Change != nil {
		change := *s.Change
		next.Change = &change
	}
	t.Put(&next)
}
