//go:build linux && !race

package sessions

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapWords maps n words of zeros, or returns nil.
func mapWords(n int, large bool) []uint64 {
	b, err := unix.Mmap(-1, 0, n*8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil
	}
	if large {
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	}
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// dropWords gives the pages below w back and leaves zeros.
func dropWords(w []uint64) {
	if len(w) > 0 && unix.Madvise(octetsOf(w), unix.MADV_DONTNEED) != nil {
		clear(w)
	}
}

// populateWords has the pages below w put in place (Linux 5.14); before that, and when
// there is no memory, each comes when it is written.
func populateWords(w []uint64) {
	if len(w) > 0 {
		_ = unix.Madvise(octetsOf(w), unix.MADV_POPULATE_WRITE)
	}
}

func unmapWords(w []uint64) { _ = unix.Munmap(octetsOf(w)) }
