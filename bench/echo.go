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

// echoer sends every datagram back: the reactor with nothing behind it.
type echoer struct{}

// ServeBatch copies each datagram into its reply.
func (echoer) ServeBatch(_ int, batch []udp.Datagram) {
	for i := range batch {
		batch[i].Reply = append(batch[i].Reply, batch[i].Data...)
	}
}

// ServeEcho runs the echoing reactor on loopback until ctx ends. Its address is the
// first line that it writes.
func ServeEcho(ctx context.Context, out io.Writer) error {
	s, err := udp.Open(udp.Config{Listeners: []udp.Listener{{Address: "127.0.0.1:0"}}}, echoer{})
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
func Echo(ctx context.Context, cpu int) (_ *Server, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s, err := newServer("echo")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.abandon())
		}
	}()
	if err := s.launch(cpu, self, "echo"); err != nil {
		return nil, err
	}
	err = s.await(ctx, "it listened", func() bool {
		text, err := os.ReadFile(filepath.Join(s.dir, "log"))
		line, _, whole := strings.Cut(string(text), "\n")
		if err != nil || !whole {
			return false
		}
		s.Auth, err = netip.ParseAddrPort(line)
		return err == nil
	})
	return s, err
}
