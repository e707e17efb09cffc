package sessions

import "time"

// The bits of what came later. Without moreClocks one clock at most runs, which is
// ValidUntil: PendingBy while Pending, ReportBy else. With it those run that are there.
// Clocks stand by their distance from ValidUntil.
const (
	moreAgentKind = 1 << iota // narrow
	moreOSVersion             // wide
	moreHostname              // text
	moreDomain                // wide
	moreStorage               // narrow, as the other facts
	moreFirewall
	moreAntiMalware
	moreEncryption
	moreUpdates
	moreJudged    // octet; without it Judged is Status
	moreContinued // flag
	moreLogoff    // flag
	moreLeased    // flag
	moreClocks    // flag
	morePendingBy // time, as the other clocks
	moreLeaseUntil
	moreGraceUntil
	moreRemedyBy
	moreReassessAt
	moreAnswerBy
	moreReportBy
	moreDoubt // flag
)

// moreOf is what of s stands in the second set of bits.
func moreOf(s *Session) (bits uint64) {
	p := &s.Posture
	for i, text := range [...]string{
		p.AgentKind, s.OSVersion, s.Hostname, s.Domain,
		p.Facts.Storage, p.Facts.Firewall, p.Facts.AntiMalware, p.Facts.Encryption, p.Facts.Updates,
	} {
		if text != "" {
			bits |= moreAgentKind << i
		}
	}
	if p.Judged != p.Status {
		bits |= moreJudged
	}
	if p.Continued {
		bits |= moreContinued
	}
	if p.Logoff {
		bits |= moreLogoff
	}
	if p.Leased {
		bits |= moreLeased
	}
	if s.Doubt {
		bits |= moreDoubt
	}
	if !p.plain() {
		bits |= moreClocks
		for i, at := range p.All() {
			if !at.IsZero() {
				bits |= morePendingBy << i
			}
		}
	}
	return bits
}

// plain says whether the clocks are those that are implied.
func (p *Posture) plain() bool {
	c := &p.Clocks
	if !(c.LeaseUntil.IsZero() && c.GraceUntil.IsZero() && c.RemedyBy.IsZero() && c.ReassessAt.IsZero() && c.AnswerBy.IsZero()) {
		return false
	}
	if p.Status == Pending {
		return c.ReportBy.IsZero() && c.PendingBy.Equal(p.ValidUntil)
	}
	return c.PendingBy.IsZero() && c.ReportBy.Equal(p.ValidUntil)
}

// Imply makes Judged and the clocks those of a posture of which only Status and ValidUntil
// are told: what records of before there were others mean by it, and what most sessions
// have.
func (p *Posture) Imply() {
	p.Judged, p.Clocks = p.Status, Clocks{}
	if p.Status == Pending {
		p.PendingBy = p.ValidUntil
	} else {
		p.ReportBy = p.ValidUntil
	}
}

// more appends the bits and what they announce.
func (e *encoder) more(s *Session, bits uint64) {
	p := &s.Posture
	e.number(bits)
	if bits&moreAgentKind != 0 {
		e.narrow(p.AgentKind)
	}
	if bits&moreOSVersion != 0 {
		e.wide(s.OSVersion)
	}
	if bits&moreHostname != 0 {
		e.b = appendText(e.b, s.Hostname)
	}
	if bits&moreDomain != 0 {
		e.wide(s.Domain)
	}
	for i, word := range p.Facts.words() {
		if bits&(moreStorage<<i) != 0 {
			e.narrow(*word)
		}
	}
	if bits&moreJudged != 0 {
		e.b = append(e.b, byte(p.Judged))
	}
	if bits&moreClocks != 0 {
		base := e.validUntil(p)
		for _, at := range p.All() {
			if !at.IsZero() {
				e.time(nanos(at), base)
			}
		}
	}
}

// validUntil is what the clocks stand near to.
func (e *encoder) validUntil(p *Posture) int64 {
	if p.ValidUntil.IsZero() {
		return e.since
	}
	return nanos(p.ValidUntil)
}

func (f *Facts) words() [5]*string {
	return [...]*string{&f.Storage, &f.Firewall, &f.AntiMalware, &f.Encryption, &f.Updates}
}

// more reads what came later. What is not there is as records of before mean it.
func (d *decoder) more(s *Session, there bool) {
	p := &s.Posture
	p.Imply()
	if !there {
		return
	}
	bits := d.uvarint()
	if bits >= moreDoubt<<1 {
		d.bad = true // of a later release
	}
	for i, text := range [...]*string{&p.AgentKind, &s.OSVersion, &s.Hostname, &s.Domain} {
		if bits&(moreAgentKind<<i) != 0 {
			*text = d.text()
		}
	}
	for i, word := range p.Facts.words() {
		if bits&(moreStorage<<i) != 0 {
			*word = d.text()
		}
	}
	if bits&moreJudged != 0 {
		p.Judged = PostureStatus(d.octet())
	}
	s.Doubt = bits&moreDoubt != 0
	p.Continued, p.Logoff, p.Leased = bits&moreContinued != 0, bits&moreLogoff != 0, bits&moreLeased != 0
	if bits&moreClocks != 0 {
		d.clocks(p, bits)
	}
}

func (d *decoder) clocks(p *Posture, bits uint64) {
	base := d.since
	if !p.ValidUntil.IsZero() {
		base = nanos(p.ValidUntil)
	}
	c := &p.Clocks
	*c = Clocks{}
	for i, at := range [...]*time.Time{&c.PendingBy, &c.LeaseUntil, &c.GraceUntil, &c.RemedyBy, &c.ReassessAt, &c.AnswerBy, &c.ReportBy} {
		if bits&(morePendingBy<<i) != 0 {
			*at = moment(d.nanos(base))
		}
	}
}
