package bench

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"text/template"
)

//go:embed freeradius.conf
var freeradiusConfig string

// Tuning is one way to run FreeRADIUS.
type Tuning struct {
	Name         string
	Single       bool // -s: one process, no threads
	CleanupDelay int  // seconds that a reply is kept
	MaxRequests  int
}

// The two ways that results are compared with: as Debian ships it, and the fastest one
// found on one core.
var (
	FreeRADIUSDefault = Tuning{Name: "freeradius default threads", CleanupDelay: 5, MaxRequests: 16384}
	FreeRADIUSTuned   = Tuning{Name: "freeradius -s tuned", Single: true, CleanupDelay: 0, MaxRequests: 131072}
)

// FreeRADIUS starts Debian's FreeRADIUS on a CPU (-1: any), with so many users in its
// files module, whose replies have a redirect as ours do, and a detail file for
// accounting. Its log is off and it keeps nothing else: as little work as it can do.
func FreeRADIUS(ctx context.Context, how Tuning, cpu, users int) (_ *Server, err error) {
	program, err := freeradiusProgram()
	if err != nil {
		return nil, err
	}
	s, err := newServer(how.Name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.abandon())
		}
	}()
	if s.Auth, err = freePort(); err != nil {
		return nil, err
	}
	if s.Acct, err = freePort(); err != nil {
		return nil, err
	}
	if err := s.writeFreeRADIUS(how, users); err != nil {
		return nil, err
	}
	mode := "-f"
	if how.Single {
		mode = "-s"
	}
	if err := s.launch(cpu, program, mode, "-d", s.dir); err != nil {
		return nil, err
	}
	return s, s.answers(ctx)
}

func freeradiusProgram() (string, error) {
	for _, name := range []string{"freeradius", "/usr/sbin/freeradius"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("freeradius is not installed; the Debian package freeradius has it")
}

func (s *Server) writeFreeRADIUS(how Tuning, users int) error {
	t, err := template.New("radiusd.conf").Parse(freeradiusConfig)
	if err != nil {
		return err
	}
	libraries := "/usr/lib/freeradius"
	if found, err := filepath.Glob("/usr/lib/*/freeradius"); err == nil && len(found) > 0 {
		libraries = found[0]
	}
	var conf, list bytes.Buffer
	err = t.Execute(&conf, map[string]any{
		"Dir": s.dir, "Libraries": libraries, "Secret": Secret, "Auth": s.Auth.Port(), "Acct": s.Acct.Port(),
		"CleanupDelay": how.CleanupDelay, "MaxRequests": how.MaxRequests,
	})
	if err != nil {
		return err
	}
	for n := range users {
		fmt.Fprintf(&list, "%s Cleartext-Password := %q\n", UserName(n), Password)
		fmt.Fprintf(&list, "\tClass = 0x%x,\n\tCisco-AVPair = %q,\n\tCisco-AVPair += %q\n\n", redirectClass, redirectPairs[0], redirectPairs[1])
	}
	return errors.Join(s.write("radiusd.conf", conf.String()), s.write("users", list.String()),
		s.write("dictionary", "$INCLUDE /usr/share/freeradius/dictionary\n"))
}

// freePort is a port of loopback that nobody has now.
func freePort() (netip.AddrPort, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer conn.Close()
	at := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
}
