package bench

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/engine"
	"sallyport/netio/radius"
	"sallyport/netio/udp"
	"sallyport/netio/udp/udptest"
	"sallyport/ops/config"
	"sallyport/ops/secret"
)

// BenchmarkEngine is the appliance without sockets under the scenarios' requests, 256
// outstanding as in them: what a CPU profile is taken of.
//
//	go test -run '^$' -bench Engine/auth -cpuprofile cpu.out ./bench && go tool pprof -top cpu.out
func BenchmarkEngine(b *testing.B) {
	for role, name := range []string{KindAuth, KindAccounting} {
		for _, beside := range []string{"", "recorded", "shadowed"} {
			b.Run(strings.TrimSuffix(name+"/"+beside, "/"), func(b *testing.B) { benchmarkEngine(b, role, scenario(name), beside) })
		}
	}
}

// lookOn is what has a recorder, or another configuration, look on.
var lookOn = map[string]string{
	"":         "",
	"recorded": "records: {recording: {file: recording.jsonl, megabytes: 100}}\n",
	"shadowed": "shadow: {file: shadow.yaml}\n",
}

func benchmarkEngine(b *testing.B, role int, s *Scenario, beside string) {
	dir := &Server{dir: b.TempDir()}
	if err := dir.writeAppliance(s); err != nil {
		b.Fatal(err)
	}
	for name, more := range map[string]string{"shadow.yaml": "", "sallyport.yaml": lookOn[beside]} {
		text, err := os.ReadFile(filepath.Join(dir.dir, "sallyport.yaml"))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir.dir, name), append(text, more...), 0o600)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	e, err := engine.Open(engine.Options{Config: filepath.Join(dir.dir, "sallyport.yaml"), Logger: func(config.Log) *slog.Logger { return quiet }})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := e.Drain(ctx); err != nil {
			b.Error(err)
		}
	}()
	net := udptest.New(e, udp.Listener{Role: engine.RoleAuthentication}, udp.Listener{Role: engine.RoleAccounting})
	defer net.Close()
	key, err := radius.NewKey(secret.New([]byte(Secret)))
	if err != nil {
		b.Fatal(err)
	}
	m := newMaker(s, key)
	number := uint64(0)
	round := func(n int) {
		packets := make([]udptest.Packet, n)
		for i := range packets {
			data, err := m.request(nil, 0, number, byte(number))
			if err != nil {
				b.Fatal(err)
			}
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(20000+number/identifiers%32))
			packets[i] = udptest.Packet{From: from, Data: data}
			number++
		}
		if direct := len(net.Feed(role, packets...)); direct < n {
			net.AwaitLate(b, n-direct)
		}
	}
	for range 20000 / 128 {
		round(128) // passwords are hashed, sessions made
	}
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= 256 {
		round(min(left, 256))
	}
}
