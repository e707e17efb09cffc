package collect

import (
	"context"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// poked is a device without hardware; writing "change" to its uevent file makes the
// kernel send a message about it and nothing else.
const poked = "/sys/class/mem/null/uevent"

// TestRealUevents reads the running kernel's own message.
func TestRealUevents(t *testing.T) {
	f, err := openUevents()
	if err != nil {
		t.Skipf("no uevent socket here: %v", err)
	}
	defer f.Close()
	if err := os.WriteFile(poked, []byte("change"), 0); err != nil {
		t.Skipf("the kernel cannot be asked for an event: %v", err)
	}
	must(t, f.SetReadDeadline(time.Now().Add(5*time.Second)))
	buf := make([]byte, ueventMax+1)
	for {
		ev, err := readUevent(f, buf)
		must(t, err)
		if ev.DevPath == "/devices/virtual/mem/null" {
			if ev.Action != "change" || ev.Subsystem != "mem" || ev.Seq == 0 || ev.Concerns() {
				t.Fatalf("%+v", ev)
			}
			return
		}
	}
}

// TestForgedUevents: what another process sends to the group is passed over.
func TestForgedUevents(t *testing.T) {
	f, err := openUevents()
	if err != nil {
		t.Skipf("no uevent socket here: %v", err)
	}
	defer f.Close()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	must(t, err)
	defer unix.Close(fd)
	forged := octets(t, vectors(t)[0])
	if err := unix.Sendto(fd, forged, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		t.Skipf("this process may not send to the group, so it cannot forge: %v", err)
	}
	must(t, f.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	if ev, err := readUevent(f, make([]byte, ueventMax+1)); err == nil && ev.Seq == 1401 {
		t.Fatalf("a forged message was believed: %+v", ev)
	}
}

func TestWatchStops(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	if _, err := WatchUSB(ctx, "/", quiet, func(string, bool) {}); err != nil {
		t.Skipf("no uevent socket here: %v", err)
	}
	if _, err := WatchNetwork(ctx, quiet); err != nil {
		t.Fatal(err)
	}
	stop()
}
