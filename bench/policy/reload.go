package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/engine"
	"sallyport/netio/radius"
	"sallyport/ops/config"
	"sallyport/ops/secret"
)

// running is an appliance with the site's configuration, on loopback.
type running struct {
	path, text string
	e          *engine.Engine
	s          *engine.Server
	key        *radius.Key
}

// variant is the site as it is the n-th time: what packets are answered is another each
// time, in two places.
func (r *running) variant(n int) error {
	letter := string(rune('A' + n%2))
	text := strings.NewReplacer("Login_A", "Login_"+letter, "Reply-Message: [A]", "Reply-Message: ["+letter+"]", "session-timeout: 10m", fmt.Sprintf("session-timeout: %dm", 10+n%2)).Replace(r.text)
	return os.WriteFile(r.path, []byte(text), 0o600)
}

// serve starts the appliance: the site, and a NAS on loopback whose logins it answers.
func serve(path string) (*running, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &running{path: path}
	r.text = strings.NewReplacer(
		"nas:\n", `listen: {authentication: ["127.0.0.1:0"], accounting: ["127.0.0.1:0"], portal: "127.0.0.1:0", console: "off", metrics: "off"}
identity: {mab: {accept: all}}
nas:
  - {name: local, address: 127.0.0.1, secret: {file: secret}, recipe: rfc5176, coa: {timeout: 100ms, retries: 0}}
`, "  profiles:\n", "  profiles:\n    Login_A: {session-timeout: 10m, attributes: {Reply-Message: [A]}}\n",
		"  rules:\n    - {rule: rule 0", "  rules:\n    - {rule: local, when: 'session.nas == \"local\"', profile: Login_A}\n    - {rule: rule 0").Replace(string(text))
	if err := r.variant(0); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(path), "secret"))
	if err != nil {
		return nil, err
	}
	if r.key, err = radius.NewKey(secret.New(bytes.TrimSpace(b))); err != nil {
		return nil, err
	}
	quiet := slog.New(slog.DiscardHandler)
	if r.e, err = engine.Open(engine.Options{Config: path, Logger: func(config.Log) *slog.Logger { return quiet }}); err != nil {
		return nil, err
	}
	if r.s, err = r.e.Serve(); err != nil {
		return nil, errors.Join(err, r.e.Drain(context.Background()))
	}
	return r, nil
}

func (r *running) stop() error {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return r.s.Stop(ctx)
}

// traffic are logins, one after the other, and what became of them.
type traffic struct {
	answered, lost, torn int
	fault                error
}

// flow sends logins until stop and looks at each answer.
func (r *running) flow(stop *atomic.Bool) (out traffic) {
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(r.s.Bound().Authentication[0]))
	if err != nil {
		return traffic{fault: err}
	}
	defer conn.Close()
	var room [4096]byte
	for n := 0; !stop.Load() && out.fault == nil; n++ {
		b := radius.Begin(nil, radius.AccessRequest, byte(n))
		mac := fmt.Sprintf("02-00-00-00-00-%02X", n%64)
		b.Text(radius.UserName, strings.ToLower(strings.ReplaceAll(mac, "-", "")))
		b.U32(radius.ServiceType, 10) // Call-Check: MAC authentication bypass
		b.Text(radius.CallingStationID, mac)
		b.U32(radius.NASPortType, 15)
		b.Addr(radius.NASIPAddress, netip.MustParseAddr("127.0.0.1"))
		b.AVPair("audit-session-id", fmt.Sprintf("7F000001%016X", n%64))
		packet, err := r.key.SealRequest(&b)
		if err == nil {
			_, err = conn.Write(packet)
		}
		if err == nil {
			err = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		}
		if err != nil {
			out.fault = err
			return out
		}
		switch length, err := conn.Read(room[:]); {
		case err != nil:
			out.lost++
		case whole(room[:length]):
			out.answered++
		default:
			out.torn++
		}
	}
	return out
}

// whole says whether an answer is by one configuration: its message and its timeout.
func whole(packet []byte) bool {
	var v radius.View
	if v.Decode(packet) != radius.Sound || v.Code() != radius.AccessAccept {
		return false
	}
	letter, _ := v.Get(radius.ReplyMessage)
	timeout, _ := v.Get(radius.SessionTimeout)
	want := map[string]uint32{"A": 600, "B": 660}[string(letter)]
	return want != 0 && bytes.Equal(timeout, binary.BigEndian.AppendUint32(nil, want))
}

// reloadTime brings the site into force again and again in an appliance that answers logins
// over loopback meanwhile. None may be lost, and none judged by two configurations.
func reloadTime(path string) (_ spans, err error) {
	r, err := serve(path)
	if err != nil {
		return nil, err
	}
	var stop atomic.Bool
	var seen traffic
	var sender sync.WaitGroup
	sender.Go(func() { seen = r.flow(&stop) })
	n := 0
	took := median(func() time.Duration {
		n++
		begin := wall.Now()
		if fault := r.variant(n); fault != nil {
			err = errors.Join(err, fault)
		}
		if fault := r.e.Reload(); fault != nil {
			err = errors.Join(err, fault)
		}
		return wall.Now().Sub(begin)
	})
	stop.Store(true)
	sender.Wait()
	err = errors.Join(err, seen.fault, r.stop())
	fmt.Printf("reload: %d reloads, %d logins answered meanwhile, %d lost, %d by half a policy\n", runs, seen.answered, seen.lost, seen.torn)
	if err == nil && (seen.answered == 0 || seen.lost+seen.torn > 0) {
		err = errors.New("logins were lost or torn")
	}
	return took, err
}
