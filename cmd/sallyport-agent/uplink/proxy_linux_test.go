package uplink_test

import (
	"crypto/sha256"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sallyport/cmd/sallyport-agent/uplink"
	"sallyport/cmd/sallyport-agent/uplink/uplinktest"
)

const (
	inside    = "SALLYPORT_TEST_INSIDE"
	farAway   = "192.0.2.10" // not of loopback, which no program asks a proxy for
	proxyAddr = "127.0.0.1:3128"
)

// TestNoProxyIsAsked: the way to the appliance is the network that is being judged, whatever
// proxy the environment names. In a network of its own, whose only other address is no
// loopback address.
func TestNoProxyIsAsked(t *testing.T) {
	if os.Getenv(inside) != "" {
		besideAProxy(t)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("not root, which a network namespace needs")
	}
	child := exec.Command(os.Args[0], "-test.run=^TestNoProxyIsAsked$", "-test.v")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	child.Env = append(os.Environ(), inside+"=1", "HTTPS_PROXY=http://"+proxyAddr, "HTTP_PROXY=http://"+proxyAddr, "ALL_PROXY=http://"+proxyAddr, "NO_PROXY=")
	out, err := child.CombinedOutput()
	switch {
	case strings.Contains(string(out), "--- PASS: TestNoProxyIsAsked"):
	case strings.Contains(string(out), "no such network"), err != nil && len(out) == 0:
		t.Skipf("no network namespace can be made here: %v %s", err, out)
	default:
		t.Errorf("%v\n%s", err, out)
	}
}

func besideAProxy(t *testing.T) {
	for _, args := range [][]string{{"link", "set", "lo", "up"}, {"addr", "add", farAway + "/32", "dev", "lo"}} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("no such network: %v %s", err, out)
		}
	}
	l, err := net.Listen("tcp", proxyAddr)
	must(t, err)
	defer l.Close()
	var asked atomic.Int32
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			conn.Close()
		}
	}()
	a := uplinktest.NewAt(t, farAway+":0")
	other := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	if _, err := other.Get(a.Base()); err == nil || asked.Load() == 0 {
		t.Fatalf("a program that takes the proxy of its environment does not ask it: %v", err)
	}
	asked.Store(0)
	cfg := config(t, a)
	cfg.Trust = uplink.Trust{Pins: []uplink.Pin{sha256.Sum256(a.Certificate().Raw)}, Now: time.Now}
	cfg.DiscoveryHosts = []string{uplinktest.NAS(t, uplinktest.Redirect(a.AddSession("S1", "T1")))}
	found, err := client(t, cfg).Discover(ctx)
	if err != nil || found.Appliance != a.Base() || asked.Load() > 0 {
		t.Errorf("%+v %v, the proxy was asked %d times", found, err, asked.Load())
	}
}
