package collect

import (
	"fmt"
	"net"
	"slices"
	"testing"
)

const routeHead = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"

func TestParseRoutes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"none", routeHead, "[]"},
		{"one", routeHead + "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n", "[192.168.1.1]"},
		{"two, one twice", routeHead + "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n" +
			"tun0\t00000000\t0100000A\t0003\t0\t0\t50\t00000000\t0\t0\t0\n" +
			"wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n", "[192.168.1.1 10.0.0.1]"},
		{"not default", routeHead + "eth0\t0000A8C0\t0101A8C0\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n", "[]"},
		{"half of everything (0.0.0.0/1)", routeHead + "tun0\t00000000\t0100000A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n", "[]"},
		{"no gateway", routeHead + "tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n", "[]"},
		{"down", routeHead + "eth0\t00000000\t0101A8C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n", "[]"},
		{"not hexadecimal", routeHead + "eth0\t00000000\tgateway0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", "[]"},
		{"cut", routeHead + "eth0\t00000000\t0101A8C0", "[]"},
	} {
		if got := fmt.Sprint(parseRoutes(c.text)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestGateways(t *testing.T) {
	tree := newTree(t)
	if got := Gateways(tree.Root()); len(got) != 0 {
		t.Errorf("without a route: %v", got)
	}
	must(t, tree.Route("eth0", [4]byte{10, 1, 2, 3}))
	if got := fmt.Sprint(Gateways(tree.Root())); got != "[10.1.2.3]" {
		t.Error(got)
	}
}

func TestAddressesAreSortedAndUsable(t *testing.T) {
	macs, ips, err := Addresses()
	must(t, err)
	if !slices.IsSorted(macs) || !slices.IsSorted(ips) {
		t.Errorf("%v %v", macs, ips)
	}
	for _, ip := range ips {
		if a := net.ParseIP(ip); a == nil || a.IsLoopback() || a.IsLinkLocalUnicast() {
			t.Errorf("address %s identifies nothing", ip)
		}
	}
}

func TestParseOSRelease(t *testing.T) {
	name, version := parseOSRelease("PRETTY_NAME=\"Debian GNU/Linux 12\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nBROKEN\n")
	if name != "Debian GNU/Linux" || version != "12" {
		t.Errorf("%q %q", name, version)
	}
}
