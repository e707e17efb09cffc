package record

import (
	"context"
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Ring holds the newest decisions, encoded, in memory that is used again:
//
//	arena  | row 9 | row 10 | row 7 | row 8 |   rowRoom octets each, written in order
//
// Rows come by the hundred thousand a second and are read by people, so adding one is
// cheap, a few hundred octets behind the last ones, and allocates nothing; reading one
// decodes it. A row that is longer than its room has memory of its own.
type Ring struct {
	rows  uint64
	next  atomic.Uint64 // number of the next row; the first row is 1
	mu    sync.Mutex    // guards the arena, sizes, long, wake
	arena []byte
	sizes []int32
	long  map[uint64][]byte // rows that did not fit, by their place
	wake  chan struct{}
	armed atomic.Bool // somebody waits on wake: many rows cost one wake-up
}

// rowRoom holds nearly every row; eight cache lines.
const rowRoom = 512

// readAtOnce bounds the rows copied while writers wait.
const readAtOnce = 64

// NewRing makes a ring of n rows, at least one.
func NewRing(n int) *Ring {
	n = max(n, 1)
	r := &Ring{rows: uint64(n), arena: make([]byte, n*rowRoom), sizes: make([]int32, n), long: map[uint64][]byte{}, wake: make(chan struct{})}
	r.next.Store(1)
	return r
}

// Add makes a copy of d the newest row. It keeps nothing of d: the caller may use it, and
// the octets that its strings lie in, for the next row.
func (r *Ring) Add(d *Decision) {
	r.mu.Lock()
	place := r.next.Load() % r.rows
	room := r.room(place)
	r.settle(place, AppendRow(room[:0], d), room)
	r.mu.Unlock()
	r.tell()
}

// AddRow is Add of a row that AppendRow made before.
func (r *Ring) AddRow(row []byte) {
	r.mu.Lock()
	place := r.next.Load() % r.rows
	room := r.room(place)
	r.settle(place, append(room[:0], row...), room)
	r.mu.Unlock()
	r.tell()
}

func (r *Ring) room(place uint64) []byte {
	return r.arena[place*rowRoom : place*rowRoom : (place+1)*rowRoom]
}

// settle makes row, which was appended to room, the newest. The lock is held.
func (r *Ring) settle(place uint64, row, room []byte) {
	if r.sizes[place] > rowRoom {
		delete(r.long, place)
	}
	if len(row) > cap(room) {
		r.long[place] = row // append has left the arena
	}
	r.sizes[place] = int32(len(row))
	r.next.Add(1)
}

func (r *Ring) tell() {
	if r.armed.Load() && r.armed.Swap(false) {
		r.mu.Lock()
		close(r.wake)
		r.wake = make(chan struct{})
		r.mu.Unlock()
	}
}

// Since returns up to limit rows with a number above after, oldest first; limit <= 0:
// all there are. upTo is what the next call asks for, missed how many of the rows up to
// there are gone.
func (r *Ring) Since(after uint64, limit int) (rows []*Decision, upTo, missed uint64) {
	end := r.next.Load()
	n := after + 1
	var raw []byte
	for n < end && (limit <= 0 || len(rows) < limit) {
		most := readAtOnce
		if limit > 0 {
			most = min(most, limit-len(rows))
		}
		var first uint64
		raw, first = r.copyOut(raw[:0], n, end, most)
		if first == 0 {
			break // all of them are gone by now
		}
		n = first
		for b := raw; len(b) > 0; n++ {
			size := binary.LittleEndian.Uint32(b)
			rows = append(rows, decodeRow(b[4:4+size], n))
			b = b[4+size:]
		}
	}
	upTo = max(n-1, after)
	return rows, upTo, upTo - after - uint64(len(rows))
}

// copyOut appends up to most rows of those numbered from to end, each behind its size,
// and says which is the first: the oldest that is still there. 0: there is none.
func (r *Ring) copyOut(dst []byte, from, end uint64, most int) ([]byte, uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	newest := r.next.Load() - 1
	if newest >= r.rows {
		from = max(from, newest-r.rows+1)
	}
	if from >= end {
		return dst, 0
	}
	for n := from; n < end && n < from+uint64(most); n++ {
		place := n % r.rows
		row := r.arena[place*rowRoom:][:min(int(r.sizes[place]), rowRoom)]
		if r.sizes[place] > rowRoom {
			row = r.long[place]
		}
		dst = append(binary.LittleEndian.AppendUint32(dst, uint32(len(row))), row...)
	}
	return dst, from
}

// Last is the number of the newest row, 0 when there is none.
func (r *Ring) Last() uint64 { return r.next.Load() - 1 }

// Wait returns when there may be a row above after, or ctx ends.
func (r *Ring) Wait(ctx context.Context, after uint64) error {
	for {
		r.mu.Lock()
		wake := r.wake
		r.armed.Store(true)
		r.mu.Unlock()
		if r.Last() > after {
			return nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// AppendRow appends d as the ring keeps it: time, numbers and address in fixed places,
// then each text behind its length. The number of the row is not part of it.
func AppendRow(dst []byte, d *Decision) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, uint64(d.Time.UnixNano()))
	dst = le.AppendUint64(dst, max(d.RepeatCount, 1))
	dst = le.AppendUint64(dst, d.Epoch)
	dst = le.AppendUint64(dst, uint64(d.Elapsed))
	for _, t := range d.texts() {
		n := min(len(*t), math.MaxUint16)
		if n < 0xff {
			dst = append(dst, byte(n))
		} else {
			dst = le.AppendUint16(append(dst, 0xff), uint16(n))
		}
		dst = append(dst, (*t)[:n]...)
	}
	return dst
}

// decodeRow is the row that AppendRow made.
func decodeRow(b []byte, number uint64) *Decision {
	le := binary.LittleEndian
	d := &Decision{Number: number, Time: time.Unix(0, int64(le.Uint64(b))).UTC(), RepeatCount: le.Uint64(b[8:]),
		Epoch: le.Uint64(b[16:]), Elapsed: time.Duration(le.Uint64(b[24:]))}
	d.ElapsedSeconds = d.Elapsed.Seconds()
	text := string(b[32:])
	for _, t := range d.texts() {
		n, head := int(text[0]), 1
		if n == 0xff {
			n, head = int(text[1])|int(text[2])<<8, 3
		}
		*t, text = text[head:head+n], text[head+n:]
	}
	return d
}
