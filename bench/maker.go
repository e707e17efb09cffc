package bench

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"

	"sallyport/netio/radius"
)

// Password is what every user of a scenario logs in with.
const Password = "a password of bench"

// UserName is the name of user n of a scenario.
func UserName(n int) string { return fmt.Sprintf("bench-%05d", n) }

// nasSource is where NAS n sends from.
func nasSource(n int) netip.Addr { return netip.AddrFrom4([4]byte{127, 77, 0, byte(n + 1)}) }

// sourceOf is where NAS n sends to a target from. On IPv6 there is one address only, and
// all NASes share it.
func sourceOf(target netip.Addr, n int) netip.Addr {
	if target.Is4() {
		return nasSource(n)
	}
	return netip.Addr{}
}

// nasAddress is what requests say of themselves; where they come from is loopback.
var nasAddress = netip.MustParseAddr("10.48.66.202")

// maker makes the packet of request number n. Names are made once; nothing is
// allocated for a packet.
type maker struct {
	kind     string
	key      *radius.Key
	sessions uint64
	nases    uint64
	base     uint64 // of the sessions' numbers
	fresh    bool
	failover bool
	users    []string
	password []byte
	audit    [24]byte
	acct     [32]byte
	station  [17]byte
}

func newMaker(s *Scenario, key *radius.Key) *maker {
	m := &maker{kind: s.Kind, key: key, sessions: uint64(s.Sessions), nases: uint64(s.NASes), fresh: s.Fresh, failover: s.Failover, password: []byte(Password)}
	for n := range s.Users {
		m.users = append(m.users, UserName(n))
	}
	return m
}

// request writes request number n of a NAS with an identifier into dst. The sessions of
// a NAS take turns, and session i is always one of the same user, so that consecutive
// requests concern as many sessions as there are.
func (m *maker) request(dst []byte, nas int, n uint64, identifier byte) ([]byte, error) {
	share := max(1, m.sessions/m.nases)
	session, pass := n%share*m.nases+uint64(nas), n/share
	if m.failover {
		session, pass = n%m.sessions, uint64(nas) // the same endpoint, wherever it is
	}
	session += m.base
	if m.kind == KindAccounting {
		return m.accounting(dst, session, pass, identifier)
	}
	if !m.fresh && !m.failover {
		pass = 0
	}
	return m.login(dst, session, pass, identifier)
}

// login is an Access-Request of one life of a session.
func (m *maker) login(dst []byte, session, life uint64, identifier byte) ([]byte, error) {
	b := radius.Begin(dst, radius.AccessRequest, identifier)
	b.Text(radius.UserName, m.users[session%uint64(len(m.users))])
	b.Password(m.key, m.password)
	m.common(&b, session, life)
	return m.key.SealRequest(&b)
}

// common is what a VPN gateway says of a session in either kind of request.
func (m *maker) common(b *radius.Builder, session, life uint64) {
	b.Addr(radius.NASIPAddress, nasAddress)
	b.U32(radius.NASPort, uint32(session))
	b.U32(radius.NASPortType, radius.NASPortTypeVirtual)
	b.Bytes(radius.CallingStationID, m.calling(session))
	b.AVPair("audit-session-id", string(m.auditSession(session, life)))
}

// accounting is a Start, an Interim-Update or a Stop. Neighbours are at different
// points of that round, so that at any moment a third of the requests is of each kind.
// With each Start the session gets ids of its own.
func (m *maker) accounting(dst []byte, session, pass uint64, identifier byte) ([]byte, error) {
	at := pass + session
	address := netip.AddrFrom4([4]byte{10, byte(session >> 16), byte(session >> 8), byte(session)})
	return m.record(dst, session, at/3, at%3, address, identifier)
}

// record is the accounting of one life of a session: 0 the Start, 1 an Interim-Update,
// 2 the Stop.
func (m *maker) record(dst []byte, session, life, point uint64, address netip.Addr, identifier byte) ([]byte, error) {
	b := radius.Begin(dst, radius.AccountingRequest, identifier)
	b.U32(radius.AcctStatusType, [...]uint32{
		radius.AcctStatusTypeStart, radius.AcctStatusTypeInterimUpdate, radius.AcctStatusTypeStop,
	}[point])
	b.Text(radius.UserName, m.users[session%uint64(len(m.users))])
	m.common(&b, session, life+1)
	id := strconv.AppendUint(m.acct[:0], life, 16)
	id = strconv.AppendUint(append(id, '-'), session, 16)
	b.Bytes(radius.AcctSessionID, id)
	b.Addr(radius.FramedIPAddress, address)
	b.U32(radius.AcctAuthentic, radius.AcctAuthenticRADIUS)
	if point > 0 {
		b.U32(radius.AcctSessionTime, uint32(point*300))
		b.U32(radius.AcctInputOctets, uint32(point*4000))
		b.U32(radius.AcctOutputOctets, uint32(point*90000))
		b.U32(radius.AcctInputPackets, uint32(point*40))
		b.U32(radius.AcctOutputPackets, uint32(point*70))
	}
	if point == 2 {
		b.U32(radius.AcctTerminateCause, radius.AcctTerminateCauseUserRequest)
	}
	return m.key.SealRequest(&b)
}

// auditSession is 24 hexadecimal digits, as Cisco's are: here the session, then which of
// its lives, of a fresh login its round.
func (m *maker) auditSession(session, life uint64) []byte {
	var b [12]byte
	b[0] = 0xbe
	for i := range 5 {
		b[1+i] = byte(session >> (8 * (4 - i)))
		b[6+i] = byte(life >> (8 * (4 - i)))
	}
	hex.Encode(m.audit[:], b[:])
	return m.audit[:]
}

// calling is the endpoint's MAC.
func (m *maker) calling(session uint64) []byte {
	const digits = "0123456789abcdef"
	out := m.station[:0]
	for i := range 6 {
		if i > 0 {
			out = append(out, ':')
		}
		o := byte(session >> (8 * (5 - i)))
		if i == 0 {
			o = 0x02 // locally administered
		}
		out = append(out, digits[o>>4], digits[o&15])
	}
	return out
}

// garbageKinds is how many kinds of malformed datagram there are.
const garbageKinds = 8

// garbage writes malformed datagram number n; sound is a request to spoil. None of them
// may be answered: RFC 2865 section 3, RFC 3579 section 3.2.
func garbage(dst, sound []byte, n uint64) []byte {
	dst = append(dst, sound...)
	switch n % garbageKinds {
	case 0: // shorter than its header
		return dst[:19]
	case 1: // no octet
		return dst[:0]
	case 2: // length beyond the datagram
		return dst[:len(dst)-1]
	case 3: // a code of no RFC
		dst[0] = 99
	case 4: // attribute of length 0
		dst[radius.HeaderLen+1] = 0
	case 5: // Message-Authenticator, or the digest over all, does not fit
		dst[len(dst)-1] ^= 0x55
	case 6: // attribute past the end
		dst[radius.HeaderLen+1] = 255
	case 7: // length field below the header's
		dst[2], dst[3] = 0, 5
	}
	return dst
}
