// Package udp moves datagrams: batches in, batches out, and it decides nothing.
//
// One loop per core, each a goroutine locked to its thread, each with its own socket
// for every listener (SO_REUSEPORT; the kernel spreads source addresses over the
// loops and keeps each on one of them). gnet's poller says which socket is readable:
//
//	recvmmsg -> [64]Datagram -> Handler.ServeBatch -> one sendmmsg
//	                              |
//	                              '- Datagram.Late() -> any goroutine, any time
//	                                 Late.Send -> Outbox of the loop -> sendmmsg
//
// Who owns what: Data and Reply belong to the loop and are lent for the length of
// ServeBatch; a Late is a value and may be kept. Nothing is allocated per datagram.
// A reply leaves from the address and port that the request came to (RFC 2865
// section 3 matches replies by them), through IP_PKTINFO and IPV6_PKTINFO.
//
// Other systems get the same contract from net.UDPConn, one datagram a batch; there a
// listener on every address replies from the address that the system prefers.
package udp

import (
	"log/slog"
	"net/netip"
	"runtime"
)

// Limits of the package. Sizes are octets.
const (
	// DatagramMax is the longest RADIUS packet over UDP (RFC 2865 section 3). Of a
	// longer datagram the first DatagramMax octets are handed out, marked Truncated.
	DatagramMax = 4096
	// ReplyMax is the longest reply, for the same reason.
	ReplyMax = 4096
	// BatchMax bounds the datagrams of one system call. Measured: 16, 64 and 256 do
	// not differ; above 64 the garbage collector waits noticeably for the call.
	BatchMax = 64
	// LoopsMax bounds the loops; a box with more cores has other bottlenecks.
	LoopsMax = 256
	// ListenersMax bounds the listeners; the reference uses four ports.
	ListenersMax = 32
	// RecvBufferDefault is asked for per socket: 4 MiB hold some 5,000 datagrams in
	// kernel accounting, a 30 ms stall at 160,000 a second.
	RecvBufferDefault = 4 << 20
	// LateQueueDefault is the number of late replies that may wait per loop: half a
	// MiB, enough for the largest group commit and a full worker pool.
	LateQueueDefault = 1024
)

// A batch of late replies never exceeds the queue that they wait in.
const _ = uint(LateQueueDefault - BatchMax)

// Listener is an address to receive on.
type Listener struct {
	// Address is ":port" for every address of both families, or "address:port" with a
	// literal address: "0.0.0.0" is IPv4 alone, "[::]" is IPv6 alone. Port 0 takes a
	// free one, see Server.Addrs.
	Address string
	// Role comes back in every Datagram that arrived here.
	Role int
}

// Config says what to open. Zero values take the defaults.
type Config struct {
	Listeners  []Listener
	Loops      int  // default GOMAXPROCS
	Batch      int  // datagrams per system call, at most BatchMax, which is the default
	RecvBuffer int  // SO_RCVBUF asked for per socket, default RecvBufferDefault
	LateQueue  int  // late replies waiting per loop, default LateQueueDefault; a power of two
	Portable   bool // net.UDPConn even where the reactor exists
	Logger     *slog.Logger
}

// Datagram is one datagram received. Data, Reply and the Datagram itself are lent for
// the length of ServeBatch.
type Datagram struct {
	Data []byte // at most DatagramMax octets; may be empty
	// From is who sent it, To our address and port that it was sent to. IPv4 addresses
	// are never in IPv4-mapped form, and no address has a zone.
	From, To  netip.AddrPort
	Role      int  // of the listener
	Listed    int  // index of the listener in Config.Listeners
	Truncated bool // the datagram was longer than DatagramMax
	// Reply has length 0 and room for ReplyMax octets: append the reply to it. Left
	// empty, nothing is sent.
	Reply []byte

	late Late
	slot int // in the receive vector
}

// Handler takes the batches. ServeBatch is called from loop number loop only, one call
// at a time per loop; different loops call at once. It must not block. A batch has at
// least one datagram, all of one listener.
//
// A panic in ServeBatch is counted and logged, and the datagrams of that batch are
// offered again one by one, so that only the one that is at fault goes unanswered;
// the handler sees the others twice, as it would see retransmissions.
type Handler interface {
	ServeBatch(loop int, batch []Datagram)
}

// NewDatagram makes a datagram as a loop would, for doubles such as udptest. Its late
// replies go to out.
func NewDatagram(out *Outbox, listener Listener, listed int, from, to netip.AddrPort, data []byte) Datagram {
	d := Datagram{Data: data, From: from, To: to, Role: listener.Role, Listed: listed, Reply: make([]byte, 0, ReplyMax)}
	if len(data) > DatagramMax {
		d.Data, d.Truncated = data[:DatagramMax], true
	}
	d.late = Late{out: out, socket: int32(listed), from: from, to: to}
	return d
}

// Late returns the way back to the sender of d, to be kept for as long as it takes.
func (d *Datagram) Late() Late { return d.late }

// withDefaults fills in what was left zero and bounds what was not.
func (c Config) withDefaults() Config {
	if c.Loops <= 0 {
		c.Loops = runtime.GOMAXPROCS(0)
	}
	c.Loops = min(c.Loops, LoopsMax)
	if c.Batch <= 0 || c.Batch > BatchMax {
		c.Batch = BatchMax
	}
	if c.RecvBuffer <= 0 {
		c.RecvBuffer = RecvBufferDefault
	}
	if c.LateQueue <= 0 {
		c.LateQueue = LateQueueDefault
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
