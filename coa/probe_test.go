package coa

import (
	"context"
	"net"
	"testing"
	"time"

	"sallyport/coa/coatest"
	"sallyport/coa/recipe"
)

// TestProbe: what an address says to one request, on real sockets.
func TestProbe(t *testing.T) {
	asa, _ := recipe.Lookup("cisco-asa")
	script := coatest.NewScript(t, "a shared secret of the probe")
	nas := &NAS{Name: "asa", Addr: script.Addr(), Key: script.Key(), Recipe: asa, Source: script.Addr().Addr()}
	want := func(sign Sign, within time.Duration) {
		t.Helper()
		if got, err := Probe(context.Background(), nas, nas.Addr.Port(), within); got != sign || err != nil {
			t.Errorf("%v %v, want %v", got, err, sign)
		}
	}
	script.NAK(503)
	want(Answered, 5*time.Second)
	script.WrongSecret()
	want(Unverified, 5*time.Second)
	script.Silent(1)
	want(Nothing, 50*time.Millisecond)
	held, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	nas.Addr = held.LocalAddr().(*net.UDPAddr).AddrPort()
	held.Close()
	want(Closed, 5*time.Second)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got, err := Probe(ctx, nas, nas.Addr.Port(), time.Minute); got != Nothing || err == nil {
		t.Errorf("of somebody who left: %v %v", got, err)
	}
}
