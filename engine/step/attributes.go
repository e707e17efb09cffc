package step

import (
	"net/netip"
	"slices"
	"time"

	"sallyport/sessions"
)

// Attributes is what a packet tells of a session, copied out of it. Empty fields were
// not in the packet and leave the record as it is.
type Attributes struct {
	ID               sessions.ID // canonical; empty: the NAS sent none
	AuditSessionID   string      // as sent
	Minted           bool        // ID is ours
	NAS              string      // name in the configuration
	NASAddress       netip.Addr
	Server           netip.Addr
	NASIP            netip.Addr
	NASIdentifier    string
	NASPort          uint32
	NASPortID        string
	NASPortType      uint32
	ServiceType      uint32
	AcctSessionID    string
	CallingStationID string
	CalledStationID  string
	TunnelGroup      string
	UserName         string
	FramedIP         netip.Addr
	FramedIPv6       netip.Addr
	MACs             []string
	OS               string
	CoAPush          bool
}

func setText(at *string, v string) {
	if v != "" {
		*at = v
	}
}

func setNumber(at *uint32, v uint32) {
	if v != 0 {
		*at = v
	}
}

func setAddr(at *netip.Addr, v netip.Addr) {
	if v.IsValid() && !v.IsUnspecified() {
		*at = v
	}
}

// apply writes what the packet tells into next.
func (a *Attributes) apply(now time.Time, next *sessions.Session) {
	next.LastSeen = now
	setText(&next.AuditSessionID, a.AuditSessionID)
	setText(&next.NAS, a.NAS)
	setAddr(&next.NASAddress, a.NASAddress)
	setAddr(&next.Server, a.Server)
	setAddr(&next.NASIP, a.NASIP)
	setText(&next.NASIdentifier, a.NASIdentifier)
	setNumber(&next.NASPort, a.NASPort)
	setText(&next.NASPortID, a.NASPortID)
	setNumber(&next.NASPortType, a.NASPortType)
	setNumber(&next.ServiceType, a.ServiceType)
	setText(&next.AcctSessionID, a.AcctSessionID)
	setText(&next.CallingStationID, a.CallingStationID)
	setText(&next.CalledStationID, a.CalledStationID)
	setText(&next.TunnelGroup, a.TunnelGroup)
	setAddr(&next.FramedIP, a.FramedIP)
	setAddr(&next.FramedIPv6, a.FramedIPv6)
	setText(&next.OS, a.OS)
	if len(a.MACs) > 0 && !slices.Equal(a.MACs, next.MACs) {
		next.MACs = a.MACs
	}
	next.CoAPush = next.CoAPush || a.CoAPush
}

// fill writes what the packet tells and nobody knew: it is of before what is known.
func (a *Attributes) fill(next *sessions.Session) {
	ifNew(&next.AuditSessionID, a.AuditSessionID)
	ifNew(&next.NASIP, a.NASIP)
	ifNew(&next.NASIdentifier, a.NASIdentifier)
	ifNew(&next.NASPort, a.NASPort)
	ifNew(&next.NASPortID, a.NASPortID)
	ifNew(&next.NASPortType, a.NASPortType)
	ifNew(&next.ServiceType, a.ServiceType)
	ifNew(&next.AcctSessionID, a.AcctSessionID)
	ifNew(&next.CallingStationID, a.CallingStationID)
	ifNew(&next.CalledStationID, a.CalledStationID)
	ifNew(&next.TunnelGroup, a.TunnelGroup)
	ifNew(&next.OS, a.OS)
	if !a.FramedIP.IsUnspecified() {
		ifNew(&next.FramedIP, a.FramedIP)
	}
	if !a.FramedIPv6.IsUnspecified() {
		ifNew(&next.FramedIPv6, a.FramedIPv6)
	}
	if len(next.MACs) == 0 {
		next.MACs = a.MACs
	}
}

func ifNew[T comparable](at *T, v T) {
	if zero := *new(T); *at == zero {
		*at = v
	}
}

// freshInto makes next a session that begins now. An id that was used before goes on
// counting its versions, epochs and changes, so that late news of the earlier life is
// recognised.
func freshInto(next *sessions.Session, now time.Time, a *Attributes, before *sessions.Session) {
	*next = sessions.Session{ID: a.ID, AuditSessionID: a.AuditSessionID, Minted: a.Minted, Started: now, Changed: now}
	if before != nil {
		next.Version = before.Version
		next.Epoch = before.Epoch + 1
		next.Changes = before.Changes
		next.Posture.Binding.TicketSerial = before.Posture.Binding.TicketSerial
		next.Posture.Binding.TicketUsed = before.Posture.Binding.TicketUsed
	}
	next.Version++
}

// Names that policies use for the numbers of RFC 2865 sections 5.41 and 5.6. A port type
// of 0, a modem's, is not told from none at all.
var portTypes = map[uint32]string{5: "Virtual", 15: "Ethernet", 19: "Wireless-802.11"}

var serviceTypes = map[uint32]string{
	1: "Login", 2: "Framed", 5: "Outbound", 6: "Administrative", 8: "Authenticate-Only",
	10: "Call-Check", 17: "Authorize-Only",
}

func portTypeName(n uint32) string    { return portTypes[n] }
func serviceTypeName(n uint32) string { return serviceTypes[n] }

func addressText(s *sessions.Session) string {
	switch {
	case s.FramedIP.IsValid():
		return s.FramedIP.String()
	case s.FramedIPv6.IsValid():
		return s.FramedIPv6.String()
	}
	return ""
}
