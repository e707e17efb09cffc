package store

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"sallyport/sessions"
)

// A record is a sequence of numbered fields in the protobuf wire format: a reader
// skips the numbers it does not know, so that a field can be added without a new
// format. Zero values are not written. Times are nanoseconds since 1970, UTC.
//
// The table below is the only list of fields; encode and decode both walk it.
type field struct {
	number protowire.Number
	encode func(b []byte, n protowire.Number, s *sessions.Session) []byte
	decode func(s *sessions.Session, v value) error
}

// value is one decoded field: a number or octets.
type value struct {
	number uint64
	octets []byte
}

var errKind = errors.New("field of another kind")

// sessionFields are numbered for ever: a number is never used again for another meaning.
var sessionFields = []field{
	text(1, func(s *sessions.Session) *string { return (*string)(&s.ID) }),
	text(2, func(s *sessions.Session) *string { return &s.AuditSessionID }),
	flag(3, func(s *sessions.Session) *bool { return &s.Minted }),
	u64(4, func(s *sessions.Session) *uint64 { return &s.Version }),
	u64(5, func(s *sessions.Session) *uint64 { return &s.Epoch }),
	text(6, func(s *sessions.Session) *string { return &s.NAS }),
	addr(7, func(s *sessions.Session) *netip.Addr { return &s.NASAddress }),
	addr(8, func(s *sessions.Session) *netip.Addr { return &s.Server }),
	addr(9, func(s *sessions.Session) *netip.Addr { return &s.NASIP }),
	text(10, func(s *sessions.Session) *string { return &s.NASIdentifier }),
	u32(11, func(s *sessions.Session) *uint32 { return &s.NASPort }),
	text(12, func(s *sessions.Session) *string { return &s.NASPortID }),
	u32(13, func(s *sessions.Session) *uint32 { return &s.NASPortType }),
	text(14, func(s *sessions.Session) *string { return &s.AcctSessionID }),
	text(15, func(s *sessions.Session) *string { return &s.CallingStationID }),
	text(16, func(s *sessions.Session) *string { return &s.CalledStationID }),
	text(17, func(s *sessions.Session) *string { return &s.TunnelGroup }),
	text(18, func(s *sessions.Session) *string { return &s.UserName }),
	texts(19, func(s *sessions.Session) *[]string { return &s.Groups }),
	text(20, func(s *sessions.Session) *string { return &s.Method }),
	flag(21, func(s *sessions.Session) *bool { return &s.Authenticated }),
	addr(22, func(s *sessions.Session) *netip.Addr { return &s.FramedIP }),
	addr(23, func(s *sessions.Session) *netip.Addr { return &s.FramedIPv6 }),
	texts(24, func(s *sessions.Session) *[]string { return &s.MACs }),
	text(25, func(s *sessions.Session) *string { return &s.OS }),
	flag(26, func(s *sessions.Session) *bool { return &s.CoAPush }),
	moment(27, func(s *sessions.Session) *time.Time { return &s.Started }),
	moment(28, func(s *sessions.Session) *time.Time { return &s.Changed }),
	moment(29, func(s *sessions.Session) *time.Time { return &s.LastSeen }),
	moment(30, func(s *sessions.Session) *time.Time { return &s.Ended }),
	text(31, func(s *sessions.Session) *string { return &s.EndCause }),
	u32(32, func(s *sessions.Session) *uint32 { return &s.ServiceType }),

	moment(40, func(s *sessions.Session) *time.Time { return &s.Accounting.Started }),
	moment(41, func(s *sessions.Session) *time.Time { return &s.Accounting.Stopped }),
	moment(42, func(s *sessions.Session) *time.Time { return &s.Accounting.LastEvent }),
	u32(43, func(s *sessions.Session) *uint32 { return &s.Accounting.SessionTime }),
	u64(44, func(s *sessions.Session) *uint64 { return &s.Accounting.InOctets }),
	u64(45, func(s *sessions.Session) *uint64 { return &s.Accounting.OutOctets }),
	u64(46, func(s *sessions.Session) *uint64 { return &s.Accounting.InPackets }),
	u64(47, func(s *sessions.Session) *uint64 { return &s.Accounting.OutPackets }),
	u32(48, func(s *sessions.Session) *uint32 { return &s.Accounting.Cause }),

	small(60, func(s *sessions.Session) *sessions.PostureStatus { return &s.Posture.Status }),
	moment(61, func(s *sessions.Session) *time.Time { return &s.Posture.Since }),
	moment(62, func(s *sessions.Session) *time.Time { return &s.Posture.ReportAt }),
	moment(63, func(s *sessions.Session) *time.Time { return &s.Posture.ValidUntil }),
	text(64, func(s *sessions.Session) *string { return &s.Posture.DecisionID }),
	texts(65, func(s *sessions.Session) *[]string { return &s.Posture.Failed }),
	text(66, func(s *sessions.Session) *string { return &s.Posture.Agent }),
	small(67, func(s *sessions.Session) *sessions.Assurance { return &s.Posture.Binding.Assurance }),
	octets(68, func(s *sessions.Session) *[]byte { return &s.Posture.Binding.Key }),
	text(69, func(s *sessions.Session) *string { return &s.Posture.Binding.Nonce }),
	u64(70, func(s *sessions.Session) *uint64 { return &s.Posture.Binding.Seq }),
	octets(71, func(s *sessions.Session) *[]byte { return &s.Posture.Binding.ReportHash }),
	octets(72, func(s *sessions.Session) *[]byte { return &s.Posture.Binding.Answer }),
	u32(73, func(s *sessions.Session) *uint32 { return &s.Posture.Binding.TicketSerial }),
	moment(74, func(s *sessions.Session) *time.Time { return &s.Posture.Binding.TicketMade }),
	u32(75, func(s *sessions.Session) *uint32 { return &s.Posture.Binding.TicketUsed }),
	text(76, func(s *sessions.Session) *string { return &s.Posture.Message }),

	text(90, func(s *sessions.Session) *string { return &s.Grant.Profile }),
	text(91, func(s *sessions.Session) *string { return &s.Grant.Rule }),
	u64(92, func(s *sessions.Session) *uint64 { return &s.Grant.Digest }),
	text(93, func(s *sessions.Session) *string { return &s.Grant.Text }),

	u64(100, func(s *sessions.Session) *uint64 { return &s.Changes }),
	{101, encodeChange, decodeChange},

	u64(110, func(s *sessions.Session) *uint64 { return &s.Settled.Serial }),
	text(111, func(s *sessions.Session) *string { return &s.Settled.Kind }),
	text(112, func(s *sessions.Session) *string { return &s.Settled.Profile }),
	moment(113, func(s *sessions.Session) *time.Time { return &s.Settled.At }),
	text(114, func(s *sessions.Session) *string { return &s.Settled.Outcome }),
	u32(115, func(s *sessions.Session) *uint32 { return &s.Settled.Cause }),
	u32(116, func(s *sessions.Session) *uint32 { return &s.Settled.Attempts }),
}

// changeFields are numbered within field 101; they reach the Change of the session.
var changeFields = []field{
	text(1, func(s *sessions.Session) *string { return &s.Change.Kind }),
	u64(2, func(s *sessions.Session) *uint64 { return &s.Change.Epoch }),
	u64(3, func(s *sessions.Session) *uint64 { return &s.Change.Serial }),
	moment(4, func(s *sessions.Session) *time.Time { return &s.Change.Made }),
	text(5, func(s *sessions.Session) *string { return &s.Change.Reason }),
	text(6, func(s *sessions.Session) *string { return &s.Change.Grant.Profile }),
	text(7, func(s *sessions.Session) *string { return &s.Change.Grant.Rule }),
	u64(8, func(s *sessions.Session) *uint64 { return &s.Change.Grant.Digest }),
	text(9, func(s *sessions.Session) *string { return &s.Change.Grant.Text }),
}

func encodeChange(b []byte, n protowire.Number, s *sessions.Session) []byte {
	if s.Change == nil {
		return b
	}
	inner := encodeFields(nil, changeFields, s)
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), inner)
}

func decodeChange(s *sessions.Session, v value) error {
	s.Change = &sessions.Change{}
	return decodeFields(v.octets, changeFields, s)
}

func encodeFields(b []byte, fields []field, s *sessions.Session) []byte {
	for _, f := range fields {
		b = f.encode(b, f.number, s)
	}
	return b
}

// AppendSession appends the record of s to b.
func AppendSession(b []byte, s *sessions.Session) []byte {
	return encodeFields(b, sessionFields, s)
}

// DecodeSession reads a record. It keeps nothing of b.
func DecodeSession(b []byte) (*sessions.Session, error) {
	s := &sessions.Session{}
	if err := decodeFields(b, sessionFields, s); err != nil {
		return nil, err
	}
	if s.ID == "" {
		return nil, errors.New("session record without an audit-session-id")
	}
	return s, nil
}

func decodeFields(b []byte, fields []field, s *sessions.Session) error {
	next := 0
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("session record: %w", protowire.ParseError(n))
		}
		b = b[n:]
		var v value
		switch kind {
		case protowire.VarintType:
			v.number, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			v.octets, n = protowire.ConsumeBytes(b)
			if n >= 0 && v.octets == nil {
				v.octets = []byte{}
			}
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return fmt.Errorf("session record, field %d: %w", number, protowire.ParseError(n))
		}
		b = b[n:]
		// Fields stand in the order of the table, so the search goes on where it was.
		f, at := find(fields, number, next)
		if f == nil {
			continue
		}
		next = at
		if err := f.decode(s, v); err != nil {
			return fmt.Errorf("session record, field %d: %w", number, err)
		}
	}
	return nil
}

func find(fields []field, number protowire.Number, from int) (*field, int) {
	for i := range fields {
		at := (from + i) % len(fields)
		if fields[at].number == number {
			return &fields[at], at
		}
	}
	return nil, from
}
