package sessions

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"
)

// A record is what the journal keeps of a session, and the very octets that the table
// holds in memory:
//
//	1 octet    version of the encoding, 1
//	8 octets   what is there and some flags, a bit each (below), little endian
//	...        id, version, epoch, then each part that its bit announces, in that order
//
// Numbers are unsigned varints. A text is packed as text.go says; a wide or narrow one
// may be a word of the dictionary. An address is 4 or 16 octets by its bit. A time is a
// varint whose two lowest bits say what the rest is: 0 nanoseconds and 1 seconds since
// the base (zig-zag), 2 nothing, 8 octets of nanoseconds since 1970 follow. The base is
// the time that a time mostly stands near to, as far as it is there, and in the end
// 2020:
//
//	ValidUntil -> ReportAt -> Since -> Started        LastEvent -> LastSeen -> Changed -> Started
//	Settled.At -> Since                               all others -> Started
const recordVersion = 1

// The bits of a record, in the order of the parts. Those marked flag have no part.
const (
	bitAuditSame  = 1 << iota // flag: the NAS spells the id as it is
	bitAuditUpper             // flag: the NAS spells the id in upper case
	bitAudit                  // text
	bitMinted                 // flag
	bitAuthenticated
	bitCoAPush
	bitNAS         // narrow text
	bitNASAddress4 // address
	bitNASAddress6
	bitServer4
	bitServer6
	bitNASIPSame // flag: as NASAddress
	bitNASIP4
	bitNASIP6
	bitNASIdentifier // narrow
	bitNASPort       // number
	bitNASPortID     // wide text
	bitNASPortType
	bitServiceType
	bitAcctSessionID  // text
	bitStationIsMAC   // flag: Calling-Station-Id is the first MAC, AA-BB-CC-DD-EE-FF
	bitCallingStation // text
	bitCalledStation  // wide
	bitTunnelGroup    // wide
	bitUserName       // text
	bitGroups         // number, narrow texts
	bitMethod         // narrow
	bitFramedIP4
	bitFramedIP6
	bitFramedIPv64
	bitFramedIPv66
	bitMACs // number, texts
	bitOS   // wide
	bitStarted
	bitChanged
	bitLastSeen
	bitEnded
	bitEndCause // wide
	bitAcctStarted
	bitAcctStopped
	bitAcctLast
	bitTotals // five numbers: seconds, octets in, out, packets in, out
	bitAcctCause
	bitPosture // octet: status, assurance << 4
	bitSince
	bitReportAt
	bitValidUntil
	bitDecision   // text
	bitFailed     // number, wide texts
	bitMessage    // wide
	bitAgent      // wide
	bitKey        // number of octets and they; 0: a P-256 key, 64 octets of its point
	bitNonce      // text
	bitSeq        // number
	bitReportHash // number, octets
	bitAnswer     // number+1, octets; 0: number of a form in the dictionary
	bitTicketSerial
	bitTicketMade
	bitTicketUsed
	bitGrant   // number+1 of a grant in the dictionary; 0: digest, three narrow texts
	bitChanges // number
	bitChange  // narrow kind, epoch, serial, time, wide reason, grant
	bitSettled // serial, narrow kind, profile, outcome, time or 2 and zeros, cause, attempts
	bitMore    // number: the bits below; then what they announce
)

// epoch2020 makes times short until they are far from it.
var epoch2020 = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()

// noTime stands for the zero time where a time has no bit of its own.
const noTime = math.MinInt64

// p256 begins the SubjectPublicKeyInfo of every uncompressed P-256 key (RFC 5480).
var p256 = []byte{0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
	0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04}

const p256Point = 64

// encoder appends one record.
type encoder struct {
	b       []byte
	bits    uint64
	dict    *Dictionary
	started int64
	since   int64
}

// AppendRecord appends the record of s to b, and to the dictionary what records will
// share. Times are kept from 1678 to 2262, to the nanosecond and in UTC. Writer only.
func AppendRecord(b []byte, s *Session, dict *Dictionary) []byte {
	e := encoder{b: append(b, recordVersion, 0, 0, 0, 0, 0, 0, 0, 0), dict: dict}
	at := len(b) + 1
	e.b = appendText(e.b, string(s.ID))
	e.number(s.Version)
	e.number(s.Epoch)
	e.nas(s)
	e.endpoint(s)
	e.times(s)
	e.posture(&s.Posture, s)
	if s.Grant != (Grant{}) {
		e.bits |= bitGrant
		e.grant(&s.Grant)
	}
	e.numberIf(bitChanges, s.Changes)
	if c := s.Change; c != nil {
		e.bits |= bitChange
		e.change(c)
	}
	if s.Settled != (Settled{}) {
		e.bits |= bitSettled
		e.settled(&s.Settled)
	}
	if more := moreOf(s); more != 0 {
		e.bits |= bitMore
		e.more(s, more)
	}
	binary.LittleEndian.PutUint64(e.b[at:], e.bits)
	return e.b
}

func (e *encoder) number(v uint64) {
	if v < 0x80 {
		e.b = append(e.b, byte(v))
		return
	}
	e.b = binary.AppendUvarint(e.b, v)
}

func (e *encoder) numberIf(bit uint64, v uint64) {
	if v != 0 {
		e.bits |= bit
		e.number(v)
	}
}

func (e *encoder) flag(bit uint64, v bool) {
	if v {
		e.bits |= bit
	}
}

func (e *encoder) textIf(bit uint64, s string) {
	if s != "" {
		e.bits |= bit
		e.b = appendText(e.b, s)
	}
}

func (e *encoder) narrowIf(bit uint64, s string) {
	if s != "" {
		e.bits |= bit
		e.narrow(s)
	}
}

func (e *encoder) narrow(s string) {
	if n, ok := e.dict.text(s); ok {
		e.number(uint64(n)<<3 | formWord)
		return
	}
	e.b = appendText(e.b, s)
}

func (e *encoder) wideIf(bit uint64, s string) {
	if s != "" {
		e.bits |= bit
		e.wide(s)
	}
}

func (e *encoder) wide(s string) {
	if n, ok := e.dict.wideText(s); ok {
		e.number(uint64(n)<<3 | formWord)
		return
	}
	e.b = appendText(e.b, s)
}

func (e *encoder) address(bit4, bit6 uint64, a netip.Addr) {
	switch {
	case a.Is4():
		e.bits |= bit4
		o := a.As4()
		e.b = append(e.b, o[:]...)
	case a.Is6():
		e.bits |= bit6
		o := a.As16()
		e.b = append(e.b, o[:]...)
	}
}

// nanos is t since 1970 in the range that int64 has.
func nanos(t time.Time) int64 {
	const secondsMax = math.MaxInt64/1000000000 - 1
	switch sec := t.Unix(); {
	case sec < -secondsMax:
		return -secondsMax * 1e9
	case sec > secondsMax:
		return secondsMax * 1e9
	}
	return t.UnixNano()
}

// timeIf returns the base for what stands near to t: t, or without it the base of t.
func (e *encoder) timeIf(bit uint64, t time.Time, base int64) int64 {
	if t.IsZero() {
		return base
	}
	e.bits |= bit
	ns := nanos(t)
	e.time(ns, base)
	return ns
}

// timeFar bounds what is written as a distance, so that nothing overflows.
const timeFar = 1 << 60

func (e *encoder) time(ns, base int64) {
	d := ns - base
	if ns > timeFar*2 || ns < -timeFar*2 || d > timeFar || d < -timeFar {
		e.b = binary.LittleEndian.AppendUint64(append(e.b, 2), uint64(ns))
		return
	}
	unit := uint64(0)
	if d%1e9 == 0 {
		d, unit = d/1e9, 1
	}
	e.number((uint64(d)<<1^uint64(d>>63))<<2 | unit)
}

func (e *encoder) nas(s *Session) {
	switch audit := s.AuditSessionID; {
	case audit == "":
	case audit == string(s.ID):
		e.bits |= bitAuditSame
	case isUpper(audit, string(s.ID)):
		e.bits |= bitAuditUpper
	default:
		e.bits |= bitAudit
		e.b = appendText(e.b, audit)
	}
	e.flag(bitMinted, s.Minted)
	e.flag(bitAuthenticated, s.Authenticated)
	e.flag(bitCoAPush, s.CoAPush)
	e.narrowIf(bitNAS, s.NAS)
	e.address(bitNASAddress4, bitNASAddress6, s.NASAddress)
	e.address(bitServer4, bitServer6, s.Server)
	if s.NASIP == s.NASAddress && s.NASIP.IsValid() {
		e.bits |= bitNASIPSame
	} else {
		e.address(bitNASIP4, bitNASIP6, s.NASIP)
	}
	e.narrowIf(bitNASIdentifier, s.NASIdentifier)
	e.numberIf(bitNASPort, uint64(s.NASPort))
	e.wideIf(bitNASPortID, s.NASPortID)
	e.numberIf(bitNASPortType, uint64(s.NASPortType))
	e.numberIf(bitServiceType, uint64(s.ServiceType))
	e.textIf(bitAcctSessionID, s.AcctSessionID)
}

// isUpper says whether upper is low in upper case, ASCII.
func isUpper(upper, low string) bool {
	if len(upper) != len(low) {
		return false
	}
	for i := 0; i < len(low); i++ {
		c := low[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if upper[i] != c {
			return false
		}
	}
	return true
}

func (e *encoder) endpoint(s *Session) {
	if len(s.MACs) > 0 && isStationOf(s.CallingStationID, s.MACs[0]) {
		e.bits |= bitStationIsMAC
	} else {
		e.textIf(bitCallingStation, s.CallingStationID)
	}
	e.wideIf(bitCalledStation, s.CalledStationID)
	e.wideIf(bitTunnelGroup, s.TunnelGroup)
	e.textIf(bitUserName, s.UserName)
	if len(s.Groups) > 0 {
		e.bits |= bitGroups
		e.number(uint64(len(s.Groups)))
		for _, g := range s.Groups {
			e.narrow(g)
		}
	}
	e.narrowIf(bitMethod, s.Method)
	e.address(bitFramedIP4, bitFramedIP6, s.FramedIP)
	e.address(bitFramedIPv64, bitFramedIPv66, s.FramedIPv6)
	if len(s.MACs) > 0 {
		e.bits |= bitMACs
		e.number(uint64(len(s.MACs)))
		for _, m := range s.MACs {
			e.b = appendText(e.b, m)
		}
	}
	e.wideIf(bitOS, s.OS)
}

// isStationOf says whether station is AA-BB-CC-DD-EE-FF and mac the same in
// aa:bb:cc:dd:ee:ff.
func isStationOf(station, mac string) bool {
	if len(station) != 17 || len(mac) != 17 {
		return false
	}
	for i := 0; i < 17; i++ {
		a, b := station[i], mac[i]
		if i%3 == 2 {
			if a != '-' || b != ':' {
				return false
			}
			continue
		}
		va, vb := hexValue[a], hexValue[b]
		if va&hexUpper == 0 || vb&hexLower == 0 || va&15 != vb&15 {
			return false
		}
	}
	return true
}

func (e *encoder) times(s *Session) {
	e.started = e.timeIf(bitStarted, s.Started, epoch2020)
	changed := e.timeIf(bitChanged, s.Changed, e.started)
	seen := e.timeIf(bitLastSeen, s.LastSeen, changed)
	e.timeIf(bitEnded, s.Ended, e.started)
	e.wideIf(bitEndCause, s.EndCause)
	a := &s.Accounting
	e.timeIf(bitAcctStarted, a.Started, e.started)
	e.timeIf(bitAcctStopped, a.Stopped, e.started)
	e.timeIf(bitAcctLast, a.LastEvent, seen)
	if uint64(a.SessionTime)|a.InOctets|a.OutOctets|a.InPackets|a.OutPackets != 0 {
		e.bits |= bitTotals
		e.number(uint64(a.SessionTime))
		e.number(a.InOctets)
		e.number(a.OutOctets)
		e.number(a.InPackets)
		e.number(a.OutPackets)
	}
	e.numberIf(bitAcctCause, uint64(a.Cause))
}

func (e *encoder) posture(p *Posture, s *Session) {
	if p.Status != 0 || p.Binding.Assurance != 0 {
		e.bits |= bitPosture
		e.b = append(e.b, byte(p.Status)&15|byte(p.Binding.Assurance)<<4)
	}
	e.since = e.timeIf(bitSince, p.Since, e.started)
	reported := e.timeIf(bitReportAt, p.ReportAt, e.since)
	e.timeIf(bitValidUntil, p.ValidUntil, reported)
	e.textIf(bitDecision, p.DecisionID)
	if len(p.Failed) > 0 {
		e.bits |= bitFailed
		e.number(uint64(len(p.Failed)))
		for _, f := range p.Failed {
			e.wide(f)
		}
	}
	e.wideIf(bitMessage, p.Message)
	e.wideIf(bitAgent, p.Agent)
	e.binding(&p.Binding, s)
}

func (e *encoder) binding(b *Binding, s *Session) {
	if len(b.Key) > 0 {
		e.bits |= bitKey
		if len(b.Key) == len(p256)+p256Point && string(b.Key[:len(p256)]) == string(p256) {
			e.b = append(append(e.b, 0), b.Key[len(p256):]...)
		} else {
			e.octets(b.Key, 0)
		}
	}
	e.textIf(bitNonce, b.Nonce)
	e.numberIf(bitSeq, b.Seq)
	if len(b.ReportHash) > 0 {
		e.bits |= bitReportHash
		e.octets(b.ReportHash, 0)
	}
	if len(b.Answer) > 0 {
		e.bits |= bitAnswer
		if n, ok := e.dict.answer(s); ok {
			e.b = append(e.b, 0)
			e.number(uint64(n))
		} else {
			e.octets(b.Answer, 1)
		}
	}
	e.numberIf(bitTicketSerial, uint64(b.TicketSerial))
	e.timeIf(bitTicketMade, b.TicketMade, e.started)
	e.numberIf(bitTicketUsed, uint64(b.TicketUsed))
}

func (e *encoder) octets(b []byte, more int) {
	e.number(uint64(len(b) + more))
	e.b = append(e.b, b...)
}

func (e *encoder) grant(g *Grant) {
	if n, ok := e.dict.grant(g); ok {
		e.number(uint64(n) + 1)
		return
	}
	e.b = binary.LittleEndian.AppendUint64(append(e.b, 0), g.Digest)
	e.narrow(g.Profile)
	e.narrow(g.Rule)
	e.narrow(g.Text)
}

func (e *encoder) change(c *Change) {
	e.narrow(c.Kind)
	e.number(c.Epoch)
	e.number(c.Serial)
	e.momentOrNone(c.Made, e.started)
	e.wide(c.Reason)
	e.grant(&c.Grant)
}

func (e *encoder) settled(s *Settled) {
	e.number(s.Serial)
	e.narrow(s.Kind)
	e.narrow(s.Profile)
	e.narrow(s.Outcome)
	e.momentOrNone(s.At, e.since)
	e.number(uint64(s.Cause))
	e.number(uint64(s.Attempts))
}

func (e *encoder) momentOrNone(t time.Time, base int64) {
	ns := int64(noTime)
	if !t.IsZero() {
		ns = nanos(t)
	}
	e.time(ns, base)
}

// RecordID is the id of a record, spelled into dst; false when it is none.
func RecordID(dst, record []byte) ([]byte, bool) {
	if len(record) < 9 || record[0] != recordVersion {
		return dst, false
	}
	r := reader{b: record, at: 9}
	return r.appendText(dst)
}
