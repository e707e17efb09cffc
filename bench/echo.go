package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"sallyport/netio/udp"
)

// echoer answers every datagram with its own octets, cut or filled up to the length of
// the replies that it stands for: the reactor with nothing behind it.
type echoer struct{ octets int }

// ServeBatch copies each datagram into its reply.
func (e echoer) ServeBatch(_ int, batch []udp.Datagram) {
	for i := range batch {
		b := &batch[i]
		b.Reply = append(b.Reply, b.Data[:min(len(b.Data), e.octets)]...)
		b.Reply = b.Reply[:e.octets] // what lies beyond is of replies before
	}
}

// ServeEcho runs the echoing reactor on loopback until ctx ends, with replies of so many
// octets. Its address is the first line that it writes.
func ServeEcho(ctx context.Context, out io.Writer, octets int) error {
	if octets < 1 || octets > udp.ReplyMax {
		return fmt.Errorf("replies of %d octets: there are 1 to %d", octets, udp.ReplyMax)
	}
	s, err := udp.Open(udp.Config{Listeners: []udp.Listener{{Address: "127.0.0.1:0"}}}, echoer{octets})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, s.Addrs()[0])
	select {
	case <-ctx.Done():
	case err = <-s.Failed():
	}
	return errors.Join(err, s.Close(context.Background()))
}

// Echo starts this program's echo command on a CPU (-1: any).
func Echo(ctx context.Context, cpu, octets int) (*Server, error) {
	return ownServer(ctx, "echo", cpu, "echo", fmt.Sprint("--octets=", octets))
}

// saidWhere takes the address that a server of this program has written.
func (s *Server) saidWhere() bool {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	line, _, whole := strings.Cut(string(text), "\n")
	if err != nil || !whole {
		return false
	}
	s.Auth, err = netip.ParseAddrPort(line)
	return err == nil
}
