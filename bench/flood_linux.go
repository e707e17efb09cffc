package bench

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// begin opens the source ports of a flood; it goes on beside the load until it is taken
// away. The kernel cuts what one call sends into datagrams (UDP_SEGMENT): no other way
// gets ten times what a server can do out of one core.
func (w *wire) begin(f *flood, target netip.AddrPort) error {
	w.flood, w.floor = f, len(w.sockets)
	for _, p := range f.ports {
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
