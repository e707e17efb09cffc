package sessions

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

var errRecord = errors.New("no session record")

// Decode reads a record into a Scratch. The session is valid until the next use of the
// Scratch, and while record is left alone: texts alias both and the dictionary.
func (x *Scratch) Decode(record []byte, dict *Dictionary) (*Session, error) {
	if len(record) < 9 {
		return nil, fmt.Errorf("%w: %d octets", errRecord, len(record))
	}
	if record[0] != recordVersion {
		return nil, fmt.Errorf("%w: version %d, this release reads %d", errRecord, record[0], recordVersion)
	}
	d := decoder{reader: reader{b: record, at: 1}, dict: dict, x: x}
	x.text, x.lists = x.text[:0], x.lists[:0]
	s := &x.session
	*s = Session{}
	bits := d.fixed64()
	s.ID = ID(d.text())
	s.Version = d.uvarint()
	s.Epoch = d.uvarint()
	d.nas(s, bits)
	d.endpoint(s, bits)
	d.times(s, bits)
	d.posture(&s.Posture, bits)
	d.binding(&s.Posture.Binding, bits, s)
	d.rest(s, bits)
	d.more(s, bits&bitMore != 0)
	if d.bad || s.ID == "" || d.at != len(record) {
		return nil, fmt.Errorf("%w: damaged at octet %d of %d", errRecord, d.at, len(record))
	}
	return s, nil
}

// decoder takes a record apart.
type decoder struct {
	reader
	dict    *Dictionary
	x       *Scratch
	started int64
	since   int64
}

func (d *decoder) text() string {
	head := d.uvarint()
	switch form := head & 7; form {
	case formPlain:
		return textOf(d.octets(head >> 3))
	case formWord:
		return d.word(head >> 3)
	case formHex, formHexUpper:
		return d.spell(form, head>>3)
	default:
		return d.spell(form, spelled[form])
	}
}

func (d *decoder) word(n uint64) string {
	p := d.dict.texts.at(n)
	if p == nil || *p == "" {
		d.bad = true
		return ""
	}
	return *p
}

func (d *decoder) spell(form, n uint64) string {
	octets := d.octets(n)
	if d.bad {
		return ""
	}
	begin := len(d.x.text)
	d.x.text = appendSpelled(d.x.text, form, octets)
	return textOf(d.x.text[begin:])
}

// texts reads a number of texts; there cannot be more than octets left.
func (d *decoder) texts() []string {
	n := d.uvarint()
	if n > uint64(len(d.b)-d.at) {
		d.bad = true
		return nil
	}
	begin := len(d.x.lists)
	for range n {
		d.x.lists = append(d.x.lists, d.text())
	}
	return d.x.lists[begin:len(d.x.lists):len(d.x.lists)]
}

func (d *decoder) addr4() netip.Addr {
	o := d.octets(4)
	if d.bad {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte(o))
}

func (d *decoder) addr6() netip.Addr {
	o := d.octets(16)
	if d.bad {
		return netip.Addr{}
	}
	return netip.AddrFrom16([16]byte(o))
}

func (d *decoder) nanos(base int64) int64 {
	v := d.uvarint()
	z := v >> 2
	n := int64(z>>1) ^ -int64(z&1)
	switch v & 3 {
	case 0:
		return base + n
	case 1:
		return base + n*1e9
	case 2:
		return int64(d.fixed64())
	}
	d.bad = true
	return 0
}

func moment(ns int64) time.Time {
	if ns == noTime {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

func (d *decoder) moment() time.Time { return moment(d.nanos(d.started)) }

// momentIf sets a time that its bit announces, and returns the base for what stands near
// to it.
func (d *decoder) momentIf(there bool, at *time.Time, base int64) int64 {
	if !there {
		return base
	}
	ns := d.nanos(base)
	*at = moment(ns)
	return ns
}

func (d *decoder) number32() uint32 {
	v := d.uvarint()
	if v > 1<<32-1 {
		d.bad = true
	}
	return uint32(v)
}

func (d *decoder) nas(s *Session, bits uint64) {
	switch {
	case bits&bitAuditSame != 0:
		s.AuditSessionID = string(s.ID)
	case bits&bitAuditUpper != 0:
		begin := len(d.x.text)
		for i := 0; i < len(s.ID); i++ {
			c := s.ID[i]
			if c >= 'a' && c <= 'z' {
				c -= 'a' - 'A'
			}
			d.x.text = append(d.x.text, c)
		}
		s.AuditSessionID = textOf(d.x.text[begin:])
	case bits&bitAudit != 0:
		s.AuditSessionID = d.text()
	}
	s.Minted, s.Authenticated, s.CoAPush = bits&bitMinted != 0, bits&bitAuthenticated != 0, bits&bitCoAPush != 0
	if bits&bitNAS != 0 {
		s.NAS = d.text()
	}
	s.NASAddress = d.address(bits, bitNASAddress4, bitNASAddress6)
	s.Server = d.address(bits, bitServer4, bitServer6)
	if bits&bitNASIPSame != 0 {
		s.NASIP = s.NASAddress
	} else {
		s.NASIP = d.address(bits, bitNASIP4, bitNASIP6)
	}
	if bits&bitNASIdentifier != 0 {
		s.NASIdentifier = d.text()
	}
	if bits&bitNASPort != 0 {
		s.NASPort = d.number32()
	}
	if bits&bitNASPortID != 0 {
		s.NASPortID = d.text()
	}
	if bits&bitNASPortType != 0 {
		s.NASPortType = d.number32()
	}
	if bits&bitServiceType != 0 {
		s.ServiceType = d.number32()
	}
	if bits&bitAcctSessionID != 0 {
		s.AcctSessionID = d.text()
	}
}

func (d *decoder) address(bits, bit4, bit6 uint64) netip.Addr {
	switch {
	case bits&bit4 != 0:
		return d.addr4()
	case bits&bit6 != 0:
		return d.addr6()
	}
	return netip.Addr{}
}

func (d *decoder) endpoint(s *Session, bits uint64) {
	if bits&bitCallingStation != 0 {
		s.CallingStationID = d.text()
	}
	if bits&bitCalledStation != 0 {
		s.CalledStationID = d.text()
	}
	if bits&bitTunnelGroup != 0 {
		s.TunnelGroup = d.text()
	}
	if bits&bitUserName != 0 {
		s.UserName = d.text()
	}
	if bits&bitGroups != 0 {
		s.Groups = d.texts()
	}
	if bits&bitMethod != 0 {
		s.Method = d.text()
	}
	s.FramedIP = d.address(bits, bitFramedIP4, bitFramedIP6)
	s.FramedIPv6 = d.address(bits, bitFramedIPv64, bitFramedIPv66)
	if bits&bitMACs != 0 {
		s.MACs = d.texts()
	}
	if bits&bitStationIsMAC != 0 {
		s.CallingStationID = d.stationOf(s.MACs)
	}
	if bits&bitOS != 0 {
		s.OS = d.text()
	}
}

// stationOf spells the first MAC as AA-BB-CC-DD-EE-FF.
func (d *decoder) stationOf(macs []string) string {
	if len(macs) == 0 || len(macs[0]) != 17 {
		d.bad = true
		return ""
	}
	begin, mac := len(d.x.text), macs[0]
	for i := 0; i < 17; i++ {
		c := mac[i]
		switch {
		case i%3 == 2:
			c = '-'
		case c >= 'a':
			c -= 'a' - 'A'
		}
		d.x.text = append(d.x.text, c)
	}
	return textOf(d.x.text[begin:])
}

func (d *decoder) times(s *Session, bits uint64) {
	d.started = d.momentIf(bits&bitStarted != 0, &s.Started, epoch2020)
	changed := d.momentIf(bits&bitChanged != 0, &s.Changed, d.started)
	seen := d.momentIf(bits&bitLastSeen != 0, &s.LastSeen, changed)
	if bits&bitEnded != 0 {
		s.Ended = d.moment()
	}
	if bits&bitEndCause != 0 {
		s.EndCause = d.text()
	}
	a := &s.Accounting
	if bits&bitAcctStarted != 0 {
		a.Started = d.moment()
	}
	if bits&bitAcctStopped != 0 {
		a.Stopped = d.moment()
	}
	d.momentIf(bits&bitAcctLast != 0, &a.LastEvent, seen)
	if bits&bitTotals != 0 {
		a.SessionTime = d.number32()
		a.InOctets, a.OutOctets = d.uvarint(), d.uvarint()
		a.InPackets, a.OutPackets = d.uvarint(), d.uvarint()
	}
	if bits&bitAcctCause != 0 {
		a.Cause = d.number32()
	}
}

func (d *decoder) posture(p *Posture, bits uint64) {
	if bits&bitPosture != 0 {
		c := d.octet()
		p.Status, p.Binding.Assurance = PostureStatus(c&15), Assurance(c>>4)
	}
	d.since = d.momentIf(bits&bitSince != 0, &p.Since, d.started)
	reported := d.momentIf(bits&bitReportAt != 0, &p.ReportAt, d.since)
	d.momentIf(bits&bitValidUntil != 0, &p.ValidUntil, reported)
	if bits&bitDecision != 0 {
		p.DecisionID = d.text()
	}
	if bits&bitFailed != 0 {
		p.Failed = d.texts()
	}
	if bits&bitMessage != 0 {
		p.Message = d.text()
	}
	if bits&bitAgent != 0 {
		p.Agent = d.text()
	}
}

func (d *decoder) binding(b *Binding, bits uint64, s *Session) {
	if bits&bitKey != 0 {
		if n := d.uvarint(); n > 0 {
			b.Key = d.octets(n)
		} else {
			begin := len(d.x.text)
			d.x.text = append(append(d.x.text, p256...), d.octets(p256Point)...)
			b.Key = d.x.text[begin:len(d.x.text):len(d.x.text)]
		}
	}
	if bits&bitNonce != 0 {
		b.Nonce = d.text()
	}
	if bits&bitSeq != 0 {
		b.Seq = d.uvarint()
	}
	if bits&bitReportHash != 0 {
		b.ReportHash = d.octets(d.uvarint())
	}
	if bits&bitAnswer != 0 {
		if n := d.uvarint(); n > 0 {
			b.Answer = d.octets(n - 1)
		} else if f := d.dict.answers.at(d.uvarint()); f == nil || f.text == "" {
			d.bad = true
		} else {
			begin := len(d.x.text)
			d.x.text = f.appendAnswer(d.x.text, s)
			b.Answer = d.x.text[begin:len(d.x.text):len(d.x.text)]
		}
	}
	if bits&bitTicketSerial != 0 {
		b.TicketSerial = d.number32()
	}
	if bits&bitTicketMade != 0 {
		b.TicketMade = d.moment()
	}
	if bits&bitTicketUsed != 0 {
		b.TicketUsed = d.number32()
	}
}

// rest is the grant and what changes it.
func (d *decoder) rest(s *Session, bits uint64) {
	if bits&bitGrant != 0 {
		d.grant(&s.Grant)
	}
	if bits&bitChanges != 0 {
		s.Changes = d.uvarint()
	}
	if bits&bitChange != 0 {
		c := &d.x.change
		c.Kind, c.Epoch, c.Serial = d.text(), d.uvarint(), d.uvarint()
		c.Made, c.Reason = d.moment(), d.text()
		d.grant(&c.Grant)
		s.Change = c
	}
	if bits&bitSettled != 0 {
		t := &s.Settled
		t.Serial, t.Kind, t.Profile, t.Outcome = d.uvarint(), d.text(), d.text(), d.text()
		t.At, t.Cause, t.Attempts = moment(d.nanos(d.since)), d.number32(), d.number32()
	}
}

func (d *decoder) grant(g *Grant) {
	if n := d.uvarint(); n > 0 {
		if p := d.dict.grants.at(n - 1); p != nil {
			*g = *p
			return
		}
		d.bad = true
		return
	}
	g.Digest = d.fixed64()
	g.Profile, g.Rule, g.Text = d.text(), d.text(), d.text()
}
