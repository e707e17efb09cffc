package store

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"sallyport/sessions"
)

// Format 1 had a row for each session: s/<audit-session-id>, and as its value numbered
// fields in the protobuf wire format. Zero values were not written, unknown numbers were
// passed over. Times are nanoseconds since 1970, zig-zag.
const prefixSession = "s/"

// value is one decoded field: a number or octets.
type value struct {
	number uint64
	octets []byte
}

var errKind = errors.New("field of another kind")

// row is what the fields of a row are read into; change is there when field 101 is.
type row struct {
	session      sessions.Session
	change       sessions.Change
	at, changeAt map[protowire.Number]any // where a field belongs
}

// read reads a row. The session is valid until the next one.
func (r *row) read(b []byte) (*sessions.Session, error) {
	r.session, r.change = sessions.Session{}, sessions.Change{}
	if err := readFields(b, r.field); err != nil {
		return nil, err
	}
	if r.session.ID == "" {
		return nil, errors.New("session record without an audit-session-id")
	}
	r.session.Posture.Imply()
	return &r.session, nil
}

func readFields(b []byte, set func(protowire.Number, value) error) error {
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
		if err := set(number, v); err != nil {
			return fmt.Errorf("session record, field %d: %w", number, err)
		}
	}
	return nil
}

// newRow ties the numbers, which are for ever, to their places.
func newRow() *row {
	r := &row{}
	s, c := &r.session, &r.change
	p, b, a := &s.Posture, &s.Posture.Binding, &s.Accounting
	r.at = map[protowire.Number]any{
		1: (*string)(&s.ID), 2: &s.AuditSessionID, 3: &s.Minted, 4: &s.Version, 5: &s.Epoch, 6: &s.NAS, 7: &s.NASAddress,
		8: &s.Server, 9: &s.NASIP, 10: &s.NASIdentifier, 11: &s.NASPort, 12: &s.NASPortID, 13: &s.NASPortType,
		14: &s.AcctSessionID, 15: &s.CallingStationID, 16: &s.CalledStationID, 17: &s.TunnelGroup, 18: &s.UserName,
		19: &s.Groups, 20: &s.Method, 21: &s.Authenticated, 22: &s.FramedIP, 23: &s.FramedIPv6, 24: &s.MACs, 25: &s.OS,
		26: &s.CoAPush, 27: &s.Started, 28: &s.Changed, 29: &s.LastSeen, 30: &s.Ended, 31: &s.EndCause, 32: &s.ServiceType,
		40: &a.Started, 41: &a.Stopped, 42: &a.LastEvent, 43: &a.SessionTime,
		44: &a.InOctets, 45: &a.OutOctets, 46: &a.InPackets, 47: &a.OutPackets, 48: &a.Cause,
		60: &p.Status, 61: &p.Since, 62: &p.ReportAt, 63: &p.ValidUntil, 64: &p.DecisionID, 65: &p.Failed, 66: &p.Agent,
		67: &b.Assurance, 68: &b.Key, 69: &b.Nonce, 70: &b.Seq, 71: &b.ReportHash, 72: &b.Answer,
		73: &b.TicketSerial, 74: &b.TicketMade, 75: &b.TicketUsed, 76: &p.Message,
		90: &s.Grant.Profile, 91: &s.Grant.Rule, 92: &s.Grant.Digest, 93: &s.Grant.Text, 100: &s.Changes,
		110: &s.Settled.Serial, 111: &s.Settled.Kind, 112: &s.Settled.Profile, 113: &s.Settled.At, 114: &s.Settled.Outcome,
		115: &s.Settled.Cause, 116: &s.Settled.Attempts,
	}
	r.changeAt = map[protowire.Number]any{
		1: &c.Kind, 2: &c.Epoch, 3: &c.Serial, 4: &c.Made, 5: &c.Reason,
		6: &c.Grant.Profile, 7: &c.Grant.Rule, 8: &c.Grant.Digest, 9: &c.Grant.Text,
	}
	return r
}

func (r *row) field(n protowire.Number, v value) error {
	if n != 101 {
		return put(r.at[n], v)
	}
	r.session.Change = &r.change
	return readFields(v.octets, func(n protowire.Number, v value) error { return put(r.changeAt[n], v) })
}

// put writes a field to where it belongs; nil is a number that nothing is known of.
func put(at any, v value) error {
	octets := false
	switch at.(type) {
	case nil:
		return nil
	case *string, *[]string, *[]byte, *netip.Addr:
		octets = true
	}
	if octets != (v.octets != nil) {
		return errKind
	}
	switch at := at.(type) {
	case *[]string:
		*at = append(*at, string(v.octets))
	case *sessions.PostureStatus:
		*at = sessions.PostureStatus(v.number)
	case *sessions.Assurance:
		*at = sessions.Assurance(v.number)
	case *string:
		*at = string(v.octets)
	case *[]byte:
		*at = append([]byte(nil), v.octets...)
	case *netip.Addr:
		a, ok := netip.AddrFromSlice(v.octets)
		if !ok {
			return errKind
		}
		*at = a
	case *bool:
		*at = v.number != 0
	case *uint32:
		*at = uint32(v.number)
	case *uint64:
		*at = v.number
	case *time.Time:
		*at = time.Unix(0, protowire.DecodeZigZag(v.number)).UTC()
	}
	return nil
}
