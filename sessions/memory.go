package sessions

import (
	"runtime"
	"unsafe"
)

// memory hands out pointer-free words that the garbage collector never looks at: on
// Unix mapped outside of its heap, which also keeps them from counting towards the next
// collection. Words stay readable for ever: what is given back may still be read by
// somebody who holds it, sees zeros or another's words, and finds out by a counter that
// it has to begin again. The writer's alone.
type memory struct {
	regions *regions
	large   bool               // in large pages, if the machine has them
	rest    []uint64           // of the newest region
	free    map[int][][]uint64 // given back, by length
	ahead   bool               // the region after the newest is made while that is used
	next    chan []uint64      // where it will be; nil: it was not begun
}

// Sizes in words. Below mappedMin the Go heap does as well: it is pointer-free there too.
const (
	pageWords   = 4096 / 8
	mappedMin   = 4 * pageWords
	regionWords = 32 << 20 / 8
)

// regions are the mappings; they live as long as the table.
type regions struct{ all [][]uint64 }

// newMemory makes memory that is unmapped when owner is gone. Large pages are for what
// only grows: they spare most of the waiting when records are met in no order.
func newMemory[T any](owner *T, large bool) *memory {
	m := &memory{regions: &regions{}, large: large, free: map[int][][]uint64{}}
	runtime.AddCleanup(owner, func(r *regions) {
		for _, one := range r.all {
			unmapWords(one)
		}
	}, m.regions)
	return m
}

// get returns n words that are zero.
func (m *memory) get(n int) []uint64 {
	if n < mappedMin {
		return make([]uint64, n)
	}
	size := (n + pageWords - 1) / pageWords * pageWords
	if list := m.free[size]; len(list) > 0 {
		m.free[size] = list[:len(list)-1]
		return list[len(list)-1][:n] // zeros, see put
	}
	if size > len(m.rest) {
		fresh := m.region(size)
		if fresh == nil {
			return make([]uint64, n)
		}
		m.regions.all = append(m.regions.all, fresh)
		m.rest = fresh
	}
	got := m.rest[:size:size]
	m.rest = m.rest[size:]
	if m.ahead && m.next == nil && len(m.rest) < regionWords/2 {
		m.begin()
	}
	return got[:n]
}

// region is a new mapping for so many words at least, or nil.
func (m *memory) region(size int) []uint64 {
	if m.next != nil && size <= regionWords {
		fresh := <-m.next
		m.next = nil
		return fresh
	}
	return mapWords(max(size, regionWords), m.large)
}

// begin makes the next region on a goroutine of its own, with its pages in place: a page
// that a virtual machine meets for the first time may cost more than the records in it.
func (m *memory) begin() {
	next, large := make(chan []uint64, 1), m.large
	m.next = next
	go func() {
		fresh := mapWords(regionWords, large)
		populateWords(fresh)
		next <- fresh
	}()
}

// stay ends what ahead began, and gives back what was made and not used.
func (m *memory) stay() {
	dropWords(m.rest)
	if m.ahead = false; m.next != nil {
		if fresh := <-m.next; fresh != nil {
			unmapWords(fresh)
		}
		m.next = nil
	}
}

// put gives words of get back. Their pages return to the machine.
func (m *memory) put(w []uint64) {
	if !m.regions.hold(w) {
		return // the garbage collector has it
	}
	w = w[:(len(w)+pageWords-1)/pageWords*pageWords]
	dropWords(w)
	m.free[len(w)] = append(m.free[len(w)], w)
}

// hold says whether w was cut from one of the mappings.
func (r *regions) hold(w []uint64) bool {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(w)))
	for _, one := range r.all {
		begin := uintptr(unsafe.Pointer(unsafe.SliceData(one)))
		if at >= begin && at < begin+uintptr(len(one))*8 {
			return true
		}
	}
	return false
}

// octetsOf is the same memory by octets, in the order of the machine.
func octetsOf(w []uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(w))), len(w)*8)
}

// entriesOf is the same memory as a chunk of entries.
func entriesOf(w []uint64) *[1 << entryShift]entry {
	return (*[1 << entryShift]entry)(unsafe.Pointer(unsafe.SliceData(w[:entryWords<<entryShift])))
}
