package udp

import (
	"log/slog"
	"runtime/debug"

	"sallyport/ops/assert"
)

// guard is what both kinds of loop share: the handler behind a recover, and counters.
type guard struct {
	handler Handler
	loop    int
	log     *slog.Logger
	count   counters
}

// serve hands the batch to the handler. When the handler panics, the datagrams are
// offered once more one at a time, so that only the one at fault is lost.
func (g *guard) serve(batch []Datagram) {
	if g.attempt(batch) {
		return
	}
	for i := range batch {
		batch[i].Reply = batch[i].Reply[:0]
	}
	if len(batch) == 1 {
		return
	}
	for i := range batch {
		if !g.attempt(batch[i : i+1]) {
			batch[i].Reply = batch[i].Reply[:0]
		}
	}
}

func (g *guard) attempt(batch []Datagram) (ok bool) {
	defer func() {
		if ok {
			return
		}
		caught := recover()
		if n := g.count.panics.Add(1); n&(n-1) != 0 {
			return // told at 1, 2, 4, 8 ...: a flood of them must not fill the disk
		}
		g.log.Error("udp: panic while serving", "loop", g.loop, "datagrams", len(batch),
			"from", batch[0].From, "panic", caught, "stack", string(debug.Stack()))
	}()
	g.handler.ServeBatch(g.loop, batch)
	return true
}

// answerable says whether a reply to d can go anywhere but back to ourselves: port 0
// is nobody's (RFC 768), and our own address as the source is a forgery.
func answerable(d *Datagram) bool {
	return d.From.Port() != 0 && d.From != d.To
}

// poison overwrites what was lent, in builds with assertions: a handler that kept a
// slice of a packet shows itself.
func poison(b []byte) {
	if assert.Enabled {
		for i := range b {
			b[i] = 0xDB
		}
	}
}
