package collect

import (
	"bytes"
	"context"
	"encoding/hex"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// addressesMax bounds what a claim carries of a machine with many interfaces.
const addressesMax = 16

// Addresses are the MAC and IP addresses of the interfaces that are up, loopback and
// link-local left out, each list sorted and without doubles.
func Addresses() (macs, ips []string, err error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, nil, err
	}
	for _, i := range ifaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		if len(i.HardwareAddr) == 6 && !bytes.Equal(i.HardwareAddr, make([]byte, 6)) {
			macs = append(macs, i.HardwareAddr.String())
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went down meanwhile
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
				ips = append(ips, n.IP.String())
			}
		}
	}
	return distinct(macs), distinct(ips), nil
}

func distinct(list []string) []string {
	slices.Sort(list)
	list = slices.Compact(list)
	return list[:min(len(list), addressesMax)]
}

// Gateways are the IPv4 default gateways in proc/net/route below root, in the order of
// the file; none where there is no such file.
func Gateways(root string) []netip.Addr {
	text, err := readLimited(filepath.Join(root, "proc/net/route"), procMax)
	if err != nil {
		return nil
	}
	return parseRoutes(string(text))
}

// Flags in proc/net/route (route(8)).
const (
	routeUp      = 1
	routeGateway = 2
)

// parseRoutes: Iface Destination Gateway Flags ...; addresses are hexadecimal in host
// byte order, which is little-endian wherever this agent is built for.
func parseRoutes(text string) []netip.Addr {
	var gateways []netip.Addr
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		raw, err := hex.DecodeString(f[2])
		flags, errFlags := hex.DecodeString(f[3])
		if err != nil || errFlags != nil || len(raw) != 4 || len(flags) != 2 {
			continue
		}
		if want := byte(routeUp | routeGateway); flags[1]&want != want {
			continue
		}
		slices.Reverse(raw)
		a, _ := netip.AddrFromSlice(raw)
		if !slices.Contains(gateways, a) {
			gateways = append(gateways, a)
		}
	}
	return gateways
}

// addressPoll is how often systems without change messages are asked.
const addressPoll = 10 * time.Second

// pollNetwork compares the addresses with what they were.
func pollNetwork(ctx context.Context) <-chan struct{} {
	changed := newSignal()
	go func() {
		ticker := time.NewTicker(addressPoll)
		defer ticker.Stop()
		macs, ips, _ := Addresses()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			m, i, err := Addresses()
			if err == nil && !(slices.Equal(m, macs) && slices.Equal(i, ips)) {
				macs, ips = m, i
				changed.raise()
			}
		}
	}()
	return changed
}
