package coatest

import (
	"net/netip"
	"strings"

	"sallyport/netio/radius"
)

// Endpoint is the machine that opens a tunnel, as its client tells the ASA about it.
// Empty values are not told.
type Endpoint struct {
	PublicIP        netip.Addr // zero: 10.62.145.44
	MAC             string     // of the interface that carries the tunnel, with "-" or ":"
	MACs            []string   // of every interface, that one too if it is to be told; nil: MAC alone
	Platform        string     // win, mac-intel, linux-64, apple-ios …
	PlatformVersion string     // sent with the blank that clients put behind it
	Type            string     // maker and model, may hold commas
	UserAgent       string     // AnyConnect Windows 4.10.04065
	UID             string     // 64 hexadecimal digits
	ComputerName    string
}

func (e *Endpoint) defaults() {
	if !e.PublicIP.IsValid() {
		e.PublicIP = netip.AddrFrom4([4]byte{10, 62, 145, 44})
	}
	e.MAC = dashed(e.MAC)
	if e.MACs == nil && e.MAC != "" {
		e.MACs = []string{e.MAC}
	}
	for i, mac := range e.MACs {
		e.MACs[i] = dashed(mac)
	}
}

// dashed is the form in which clients tell a MAC.
func dashed(mac string) string { return strings.ReplaceAll(strings.ToLower(mac), ":", "-") }

// append writes the mdm-tlv pairs: one for each MAC, free text for the rest.
func (e *Endpoint) append(b *radius.Builder) {
	tlv := func(key, value, behind string) {
		if value != "" {
			b.AVPair("mdm-tlv", key, "=", value, behind)
		}
	}
	tlv("device-platform", e.Platform, "")
	for _, mac := range e.MACs {
		tlv("device-mac", mac, "")
	}
	tlv("device-type", e.Type, "")
	tlv("device-platform-version", e.PlatformVersion, " ")
	tlv("device-public-mac", e.MAC, "")
	tlv("ac-user-agent", e.UserAgent, "")
	tlv("device-uid", e.UID, "")
	tlv("computer-name", e.ComputerName, "")
}
