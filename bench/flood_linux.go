package bench

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// carry has a flood go on beside the load, or ends it with nil. Its source ports are
// opened once and serve the next flood too. The kernel cuts what one call sends into
// datagrams (UDP_SEGMENT): no other way gets ten times what a server can do out of one
// core.
func (w *wire) carry(f *flood, target netip.AddrPort) error {
	if w.floor == 0 {
		w.floor = len(w.sockets)
	}
	w.flood = f
	if f == nil {
		return nil
	}
	for _, p := range f.ports[min(len(f.ports), len(w.sockets)-w.floor):] {
		if err := w.open(target, sourceOf(target.Addr(), p.nas)); err != nil {
			return fmt.Errorf("flood: %w", err)
		}
		if err := unix.SetsockoptInt(w.sockets[len(w.sockets)-1], unix.SOL_UDP, unix.UDP_SEGMENT, f.size); err != nil {
			return fmt.Errorf("flood: UDP_SEGMENT (Linux 4.18 or later is needed): %w", err)
		}
	}
	return nil
}

// rush sends what of the flood is due, a little at a time: replies are to be read too.
func (w *wire) rush(now int64) {
	const calls = 8
	for range calls {
		at, octets := w.flood.next(now)
		if octets == nil {
			return
		}
		if _, err := unix.Write(w.sockets[w.floor+at], octets); err != nil {
			w.flood.refused++ // as a loss; nothing of it is sent again
		}
	}
}
