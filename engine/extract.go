package engine

import (
	"bytes"
	"encoding/binary"
	"net/netip"
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

// macLen is the length of a MAC in canonical form: aa:bb:cc:dd:ee:ff.
const macLen = 17

// classPrefix begins our own Class attribute: "SP:" and the audit-session-id. It is
// how a NAS without audit-session-id tells accounting records apart (RFC 2865 section 5.25).
const classPrefix = "SP:"

// clean is the text of an attribute: valid UTF-8, nothing that moves a cursor or turns
// the writing round, no blanks at the ends. What a NAS sends ends up in tables, logs and
// pages. Plain text, which nearly all is, stays where it lies.
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
		return alias(bytes.Trim(b, " "))
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

// attributes reads into a what the packet tells of its session, and how it came to us, in
// one walk: of an attribute that is there twice the first counts. It does not resolve the
// session: see core.resolve.
func (q *request) attributes(a *step.Attributes) {
	*a = step.Attributes{NAS: q.nas.Name, NASAddress: q.late.From().Addr(), Server: q.late.To().Addr(), MACs: q.macs[:0]}
	for t, value := range q.view.Attrs() {
		switch t {
		case radius.VendorSpecific:
			q.vendor(value, a)
		case radius.UserName:
			first(&a.UserName, value)
		case radius.NASIdentifier:
			first(&a.NASIdentifier, value)
		case radius.NASPortID:
			first(&a.NASPortID, value)
		case radius.AcctSessionID:
			first(&a.AcctSessionID, value)
		case radius.CallingStationID:
			first(&a.CallingStationID, value)
		case radius.CalledStationID:
			first(&a.CalledStationID, value)
		case radius.NASPort:
			firstNumber(&a.NASPort, value)
		case radius.NASPortType:
			firstNumber(&a.NASPortType, value)
		case radius.ServiceType:
			firstNumber(&a.ServiceType, value)
		case radius.NASIPAddress:
			a.NASIP = netip4(value, a.NASIP)
		case radius.NASIPv6Address:
			if len(value) == 16 && !a.NASIP.IsValid() {
				a.NASIP = netip.AddrFrom16([16]byte(value))
			}
		case radius.FramedIPAddress:
			a.FramedIP = netip4(value, a.FramedIP)
		case radius.FramedIPv6Address:
			if len(value) == 16 && !a.FramedIPv6.IsValid() {
				a.FramedIPv6 = netip.AddrFrom16([16]byte(value))
			}
		}
	}
	if len(a.MACs) == 0 {
		if mac, ok := q.mac(a.CallingStationID); ok {
			a.MACs = append(a.MACs, mac)
		}
	}
	if a.ID == "" {
		a.ID = q.classID()
	}
}

// vendor reads one Vendor-Specific.
func (q *request) vendor(value []byte, a *step.Attributes) {
	for vt, value := range radius.VendorAttributes(value) {
		switch {
		case vt.Vendor == radius.VendorCisco && vt.Type == radius.CiscoAVPair:
			q.pair(value, a)
		case vt.Vendor == radius.VendorASA && vt.Type == radius.ASATunnelGroupName:
			first(&a.TunnelGroup, value)
		}
	}
}

func firstNumber(at *uint32, value []byte) {
	if *at == 0 && len(value) == 4 {
		*at = binary.BigEndian.Uint32(value)
	}
}

// netip4 is the value as an IPv4 address, unless there is one already.
func netip4(value []byte, have netip.Addr) netip.Addr {
	if len(value) != 4 || have.Is4() {
		return have
	}
	return netip.AddrFrom4([4]byte(value))
}

func first(at *string, value []byte) {
	if *at == "" {
		*at = clean(value)
	}
}

// pair reads one Cisco-AVPair.
func (q *request) pair(pair []byte, a *step.Attributes) {
	name, value, _ := bytes.Cut(pair, []byte{'='})
	switch string(name) {
	case "audit-session-id":
		sent := clean(value)
		if id, ok := q.id(sent); ok {
			a.ID, a.AuditSessionID = id, sent
		}
	case "coa-push":
		a.CoAPush = string(value) == "true"
	case "mdm-tlv":
		key, val, _ := bytes.Cut(value, []byte{'='})
		q.mdm(key, clean(val), a)
	}
}

// mdm takes the endpoint's own description, which the VPN client hands to the NAS. It
// is the client's claim: good for naming the endpoint, no proof of anything.
func (q *request) mdm(key []byte, value string, a *step.Attributes) {
	switch string(key) {
	case "device-platform":
		a.OS = platform(value)
	case "device-mac", "device-public-mac":
		mac, ok := q.mac(value)
		if !ok {
			return
		}
		at := slices.Index(a.MACs, mac)
		switch {
		case string(key) == "device-public-mac":
			// The interface that carries the tunnel names the endpoint: it comes first.
			if at < 0 && len(a.MACs) == macsMax {
				at = macsMax - 1
			}
			if at >= 0 {
				a.MACs = slices.Delete(a.MACs, at, at+1)
			}
			a.MACs = slices.Insert(a.MACs, 0, mac)
		case at < 0 && len(a.MACs) < macsMax:
			a.MACs = append(a.MACs, mac)
		}
	}
}

// platforms are the words that clients begin with, and ours.
var platforms = [...]struct{ begins, os string }{{"win", "windows"}, {"mac", "macos"}, {"linux", "linux"}}

func platform(value string) string {
	for _, p := range platforms {
		if len(value) >= len(p.begins) && strings.EqualFold(value[:len(p.begins)], p.begins) {
			return p.os
		}
	}
	return strings.ToLower(value)
}

// mac is the canonical form of a MAC in any usual spelling, made in the request's own
// memory; false for anything else.
func (q *request) mac(s string) (string, bool) {
	from := len(q.text)
	q.text = sessions.AppendCanonicalStation(q.text, octets(s))
	if !isMAC(q.text[from:]) {
		q.text = q.text[:from]
		return "", false
	}
	return alias(q.text[from:]), true
}

// isMAC knows the canonical form.
func isMAC(b []byte) bool {
	if len(b) != macLen {
		return false
	}
	for i, c := range b {
		if i%3 == 2 {
			if c != ':' {
				return false
			}
		} else if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// id is the canonical form of an audit-session-id, in the request's own memory.
func (q *request) id(s string) (sessions.ID, bool) {
	from := len(q.text)
	var ok bool
	if q.text, ok = sessions.AppendCanonicalID(q.text, octets(s)); !ok {
		q.text = q.text[:from]
		return "", false
	}
	return sessions.ID(alias(q.text[from:])), true
}

// classID finds our own among the Class attributes; other servers' may stand beside it.
func (q *request) classID() sessions.ID {
	for class := range q.view.All(radius.Class) {
		if rest, ok := bytes.CutPrefix(class, []byte(classPrefix)); ok {
			if id, ok := q.id(alias(rest)); ok {
				return id
			}
		}
	}
	return ""
}
