package engine

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"sallyport/engine/step"
	"sallyport/netio/radius"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// textMax bounds what is kept of one attribute's text; an attribute has 253 octets.
const textMax = 253

// macsMax bounds the MACs kept of one endpoint. A laptop has about five.
const macsMax = 16

// classPrefix begins our own Class attribute: "SP:" and the audit-session-id. It is
// how a NAS without audit-session-id tells accounting records apart (RFC 2865 section 5.25).
const classPrefix = "SP:"

// clean copies text out of a packet: valid UTF-8, nothing that moves a cursor or
// turns the writing round, no blanks at the ends. What a NAS sends ends up in tables, logs and pages.
func clean(b []byte) string {
	b = b[:min(len(b), textMax)]
	plain := true
	for _, c := range b {
		if c < 0x20 || c >= 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return string(bytes.Trim(b, " "))
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if report.Deceiving(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(string(b), "?")))
}

func text(v *radius.View, t radius.Type) string {
	b, _ := v.Get(t)
	return clean(b)
}

func number(v *radius.View, t radius.Type) uint32 {
	n, _ := v.U32(t)
	return n
}

// attributes copies what a request tells of its session. It does not resolve the
// session: see core.resolve.
func attributes(v *radius.View) step.Attributes {
	a := step.Attributes{
		NASIdentifier:    text(v, radius.NASIdentifier),
		NASPort:          number(v, radius.NASPort),
		NASPortID:        text(v, radius.NASPortID),
		NASPortType:      number(v, radius.NASPortType),
		ServiceType:      number(v, radius.ServiceType),
		AcctSessionID:    text(v, radius.AcctSessionID),
		CallingStationID: text(v, radius.CallingStationID),
		CalledStationID:  text(v, radius.CalledStationID),
		UserName:         text(v, radius.UserName),
	}
	for _, t := range []radius.Type{radius.NASIPv6Address, radius.NASIPAddress} {
		if ip, ok := v.Addr(t); ok {
			a.NASIP = ip
		}
	}
	if ip, ok := v.Addr(radius.FramedIPAddress); ok && ip.Is4() {
		a.FramedIP = ip
	}
	if ip, ok := v.Addr(radius.FramedIPv6Address); ok && ip.Is6() {
		a.FramedIPv6 = ip
	}
	if group, ok := v.Vendor(radius.VendorASA, radius.ASATunnelGroupName); ok {
		a.TunnelGroup = clean(group)
	}
	ciscoPairs(v, &a)
	if len(a.MACs) == 0 && isMAC(a.CallingStationID) {
		a.MACs = []string{sessions.CanonicalStation(a.CallingStationID)}
	}
	if a.ID == "" {
		a.ID = classID(v)
	}
	return a
}

func ciscoPairs(v *radius.View, a *step.Attributes) {
	for name, value := range v.AVPairs() {
		switch string(name) {
		case "audit-session-id":
			if id, ok := sessions.CanonicalID(clean(value)); ok {
				a.ID, a.AuditSessionID = id, clean(value)
			}
		case "coa-push":
			a.CoAPush = string(value) == "true"
		case "mdm-tlv":
			key, val, _ := bytes.Cut(value, []byte{'='})
			mdm(string(key), clean(val), a)
		}
	}
}

// mdm takes the endpoint's own description, which the VPN client hands to the NAS. It
// is the client's claim: good for naming the endpoint, no proof of anything.
func mdm(key, value string, a *step.Attributes) {
	switch key {
	case "device-platform":
		a.OS = platform(value)
	case "device-mac", "device-public-mac":
		if !isMAC(value) {
			return
		}
		mac := sessions.CanonicalStation(value)
		at := slices.Index(a.MACs, mac)
		switch {
		case key == "device-public-mac":
			// The interface that carries the tunnel names the endpoint: it comes first.
			if at >= 0 {
				a.MACs = slices.Delete(a.MACs, at, at+1)
			}
			a.MACs = slices.Insert(a.MACs, 0, mac)
		case at < 0 && len(a.MACs) < macsMax:
			a.MACs = append(a.MACs, mac)
		}
	}
}

func platform(value string) string {
	value = strings.ToLower(value)
	switch {
	case strings.HasPrefix(value, "win"):
		return "windows"
	case strings.HasPrefix(value, "mac"):
		return "macos"
	case strings.HasPrefix(value, "linux"):
		return "linux"
	}
	return value
}

func isMAC(s string) bool {
	return len(sessions.CanonicalStation(s)) == 17 && strings.Count(sessions.CanonicalStation(s), ":") == 5
}

// classID finds our own among the Class attributes; other servers' may stand beside it.
func classID(v *radius.View) sessions.ID {
	for class := range v.All(radius.Class) {
		if rest, ok := bytes.CutPrefix(class, []byte(classPrefix)); ok {
			if id, ok := sessions.CanonicalID(string(rest)); ok {
				return id
			}
		}
	}
	return ""
}
