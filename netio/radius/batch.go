package radius

import (
	"crypto/subtle"
	"encoding/binary"

	"sallyport/netio/radius/internal/lanes"
)

// Batch does for many packets at once what Verify, RevealPassword and SealReply of Key
// do for one, with the same results: the MD5s of different packets run side by side
// (package lanes). Work is queued, Run does it, then the results can be asked for by
// the numbers that queueing gave, until Reset.
//
//	first   Request Authenticators, password masks, inner HMACs, replies without HMAC
//	outer   HMAC over the inner sums: Message-Authenticators, compared or written
//	last    Response Authenticators over replies that now hold theirs
//
// The zero value is ready. A Batch is used by one goroutine at a time, keeps its
// memory, and then allocates nothing. The octets of packets given to it are left alone
// until Run has returned; Views and Builders are free at once. Every octet it copied,
// secrets and passwords among them, is wiped by Reset.
type Batch struct {
	arena []byte // padded messages and revealed passwords; zeros beyond its length

	first, outer, last []lanes.Job
	inner              []int32 // outer[i] hashes the sum of first[inner[i]]

	checks    []check
	passwords []password
	seals     []seal
	done      struct{ checks, passwords, seals int } // by an earlier Run
}

const noJob = -1

// check is one packet to verify.
type check struct {
	pkt           []byte
	mac           int   // offset of Message-Authenticator's value
	authenticator int32 // in first, or noJob
	outer         int32 // in outer, or noJob
	why           Why   // until Run: a reason to drop it, if anything is to be computed
	absent        Why   // WhyNoMessageAuthenticator where that is required, or Sound
}

// password is one User-Password value, in the arena: hidden before Run, plain after it.
type password struct {
	at, octets int   // no octets: the value was refused, or not yet revealed
	hidden     int   // octets to reveal by Run
	mask       int32 // in first: the mask of the first 16 octets, the others follow
}

// seal is one reply to finish.
type seal struct {
	key   *keyState
	pkt   []byte
	mac   int   // offset of Message-Authenticator's value
	at    int   // of the copy in the arena
	outer int32 // in outer, or noJob
	sum   int32 // in last, or in first when there is no outer
}

// Reset forgets what was queued and its results, and wipes the copies.
func (b *Batch) Reset() {
	b.forgetJobs()
	clear(b.arena)
	clear(b.checks)
	clear(b.seals)
	b.arena, b.checks, b.passwords, b.seals = b.arena[:0], b.checks[:0], b.passwords[:0], b.seals[:0]
	b.done.checks, b.done.passwords, b.done.seals = 0, 0, 0
}

// forgetJobs wipes the states, which were made from secrets.
func (b *Batch) forgetJobs() {
	clear(b.first)
	clear(b.outer)
	clear(b.last)
	b.first, b.outer, b.last, b.inner = b.first[:0], b.outer[:0], b.last[:0], b.inner[:0]
}

// Verify queues Key.VerifyRequest of v and returns its number for Why.
func (b *Batch) Verify(k *Key, v *View) int {
	c := next(&b.checks)
	c.pkt, c.mac, c.authenticator, c.outer = v.pkt, v.mac, noJob, noJob
	a := v.Authenticator()
	if v.Code().digested() {
		a = zeros
		c.authenticator = b.authenticator(k.state(), v.pkt, &a)
		c.why = WhyBadAuthenticator
	}
	switch {
	case v.mac != 0:
		_, c.outer = b.messageAuthenticator(k.state(), v.pkt, &a, v.mac, 0)
		c.why = WhyBadMessageAuthenticator
	case v.Code() == StatusServer || v.Has(EAPMessage):
		c.absent = WhyNoMessageAuthenticator
	}
	if c.why == Sound {
		c.why = c.absent
	}
	return len(b.checks) - 1
}

// Why is the result of the check with number i. Before Run it is never Sound when there
// is something to compute.
func (b *Batch) Why(i int) Why { return b.checks[i].why }

// Reveal queues Key.RevealPassword of hidden, with the authenticator a of its request,
// and returns its number for Password.
func (b *Batch) Reveal(k *Key, hidden []byte, a Authenticator) int {
	p := next(&b.passwords)
	if n := len(hidden); n > 0 && n%16 == 0 && n <= PasswordMax {
		p.hidden, p.mask = n, int32(len(b.first))
		s := k.state()
		for seed, rest := a[:], hidden; len(rest) > 0; seed, rest = rest[:16], rest[16:] {
			at, m := b.take(blocksFor(len(s.secret) + 16))
			copy(m, s.secret)
			copy(m[len(s.secret):], seed)
			b.queue(&b.first, &lanes.Start, at, len(s.secret)+16, 0)
		}
		var m []byte
		p.at, m = b.take(64 * ((n + 63) / 64))
		copy(m, hidden)
	}
	return len(b.passwords) - 1
}

// Password appends the password with number i to dst, without the zeros that pad it.
// False when its value was refused, as by Key.RevealPassword, or before Run.
func (b *Batch) Password(i int, dst []byte) ([]byte, bool) {
	p := b.passwords[i]
	if p.octets == 0 {
		return dst, false
	}
	plain := b.arena[p.at:][:p.octets]
	for len(plain) > 0 && plain[len(plain)-1] == 0 {
		plain = plain[:len(plain)-1]
	}
	return append(dst, plain...), true
}

// Seal queues Key.SealReply of r. It returns the buffer given to Begin with the packet
// appended, which is finished when Run has returned, or the first error of the Builder
// and nothing.
func (b *Batch) Seal(k *Key, r *Builder, request Authenticator) ([]byte, error) {
	pkt, err := r.finish()
	if err != nil {
		return nil, err
	}
	s := next(&b.seals)
	s.key, s.pkt, s.mac, s.outer = k.state(), pkt, r.mac, noJob
	if r.mac == 0 {
		s.sum = b.authenticator(s.key, pkt, &request)
	} else {
		s.at, s.outer = b.messageAuthenticator(s.key, pkt, &request, r.mac, len(s.key.secret))
	}
	return r.buf, nil
}

// Run does everything that was queued since the Run before.
func (b *Batch) Run() {
	lanes.Run(b.arena, b.first)
	for i, j := range b.inner {
		putSum(b.arena[b.outer[i].At:], &b.first[j].State)
	}
	lanes.Run(b.arena, b.outer)
	b.settleChecks()
	b.settlePasswords()
	b.settleSeals()
	b.forgetJobs()
	b.done.checks, b.done.passwords, b.done.seals = len(b.checks), len(b.passwords), len(b.seals)
}

func (b *Batch) settleChecks() {
	for i := b.done.checks; i < len(b.checks); i++ {
		c := &b.checks[i]
		c.why = c.absent
		if c.outer != noJob && !isSum(c.pkt[c.mac:], &b.outer[c.outer].State) {
			c.why = WhyBadMessageAuthenticator
		}
		if c.authenticator != noJob && !isSum(c.pkt[4:], &b.first[c.authenticator].State) {
			c.why = WhyBadAuthenticator
		}
	}
}

func (b *Batch) settlePasswords() {
	for i := b.done.passwords; i < len(b.passwords); i++ {
		p := &b.passwords[i]
		plain := b.arena[p.at:][:p.hidden]
		for n := 0; n < len(plain); n += 16 {
			chunk := plain[n : n+16]
			for v, word := range b.first[int(p.mask)+n/16].State {
				at := chunk[4*v:]
				binary.LittleEndian.PutUint32(at, binary.LittleEndian.Uint32(at)^word)
			}
		}
		p.octets = p.hidden
	}
}

func (b *Batch) settleSeals() {
	for i := b.done.seals; i < len(b.seals); i++ {
		s := &b.seals[i]
		if s.outer == noJob {
			putSum(s.pkt[4:], &b.first[s.sum].State)
			continue
		}
		state := &b.outer[s.outer].State
		putSum(s.pkt[s.mac:], state)
		n, m := len(s.pkt)+len(s.key.secret), b.arena[s.at:]
		putSum(m[s.mac:], state)
		clear(m[len(s.pkt):blocksFor(len(s.pkt))]) // the padding of the inner hash
		copy(m[len(s.pkt):], s.key.secret)
		s.sum = b.queue(&b.last, &lanes.Start, s.at, n, 0)
	}
	lanes.Run(b.arena, b.last)
	for i := b.done.seals; i < len(b.seals); i++ {
		if s := &b.seals[i]; s.outer != noJob {
			putSum(s.pkt[4:], &b.last[s.sum].State)
		}
	}
}

// authenticator queues what keyState.authenticator computes, and returns its number in
// first.
func (b *Batch) authenticator(k *keyState, pkt []byte, a *Authenticator) int32 {
	n := len(pkt) + len(k.secret)
	at, m := b.take(blocksFor(n))
	copy(m, pkt)
	copy(m[4:], a[:])
	copy(m[len(pkt):], k.secret)
	return b.queue(&b.first, &lanes.Start, at, n, 0)
}

// messageAuthenticator queues what keyState.messageAuthenticator computes, and returns
// where its copy of the packet lies, with room behind it, and its number in outer.
func (b *Batch) messageAuthenticator(k *keyState, pkt []byte, a *Authenticator, mac, room int) (int, int32) {
	outerAt, _ := b.take(64)
	b.inner = append(b.inner, int32(len(b.first)))
	outer := b.queue(&b.outer, &k.outer, outerAt, 16, 64)
	at, m := b.take(blocksFor(len(pkt) + room))
	copy(m, pkt)
	copy(m[4:], a[:])
	clear(m[mac : mac+16])
	b.queue(&b.first, &k.inner, at, len(pkt), 64)
	return at, outer
}

// blocksFor is the octets of the blocks that hold a message of n octets, the bit after
// it and its length (RFC 1321 section 3.1, 3.2).
func blocksFor(n int) int { return (n + 9 + 63) &^ 63 }

// queue pads the message of n octets at offset at, which before octets came before, and
// appends it to jobs.
func (b *Batch) queue(jobs *[]lanes.Job, state *[4]uint32, at, n, before int) int32 {
	size := blocksFor(n)
	m := b.arena[at : at+size]
	m[n] = 0x80
	binary.LittleEndian.PutUint64(m[size-8:], uint64(before+n)<<3)
	j := next(jobs)
	j.State, j.At, j.Blocks = *state, uint32(at), uint32(size/64)
	return int32(len(*jobs) - 1)
}

// take lends n octets of zeros at the end of the arena, until the next take. An arena
// that is given up is wiped.
func (b *Batch) take(n int) (at int, octets []byte) {
	at = len(b.arena)
	if at+n > cap(b.arena) {
		next := make([]byte, at, max(2*cap(b.arena), at+n, 4096))
		copy(next, b.arena)
		clear(b.arena)
		b.arena = next
	}
	b.arena = b.arena[:at+n]
	return at, b.arena[at:]
}

// next appends a zero T, to be filled where it lies: append would make one elsewhere and
// copy it, and then the copy waits for stores of other widths, longer than all else here.
// An array that is given up is wiped.
func next[T any](all *[]T) *T {
	n := len(*all)
	if n == cap(*all) {
		grown := make([]T, n, max(64, 2*n))
		copy(grown, *all)
		clear(*all)
		*all = grown
	}
	*all = (*all)[:n+1]
	last := &(*all)[n]
	*last = *new(T)
	return last
}

func putSum(dst []byte, state *[4]uint32) {
	_ = dst[15]
	binary.LittleEndian.PutUint32(dst, state[0])
	binary.LittleEndian.PutUint32(dst[4:], state[1])
	binary.LittleEndian.PutUint32(dst[8:], state[2])
	binary.LittleEndian.PutUint32(dst[12:], state[3])
}

// isSum compares in constant time.
func isSum(octets []byte, state *[4]uint32) bool {
	_ = octets[15]
	differ := binary.LittleEndian.Uint32(octets) ^ state[0]
	differ |= binary.LittleEndian.Uint32(octets[4:]) ^ state[1]
	differ |= binary.LittleEndian.Uint32(octets[8:]) ^ state[2]
	differ |= binary.LittleEndian.Uint32(octets[12:]) ^ state[3]
	return subtle.ConstantTimeEq(int32(differ), 0) == 1
}
