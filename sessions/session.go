// Package sessions knows who is on the network.
//
// A session is the service a NAS gives to one endpoint from start to end (RFC 5176
// section 2.3). Its key is the audit-session-id: the value the NAS sends in a
// Cisco-AVPair, or one that the appliance mints and the NAS carries back in Class.
// The key is guessable (address, counter, login second) and never proves anything.
//
//	record    Session, immutable once published; a change is a new record
//	table     shards of records; readers walk them without a lock, one goroutine writes
//	index     NAS + Acct-Session-Id, Calling-Station-Id, endpoint MAC, address, user
//	store     the journal below: nothing is visible here before it is durable there
package sessions

import (
	"net/netip"
	"time"
)

// ID is the audit-session-id in canonical form: lower case, since ASA writes it in
// lower case and IOS in upper case and both mean the same session.
type ID string

// IDMax is the longest audit-session-id accepted, in octets. Cisco's have 24; the
// redirect URL that carries the id has 234 octets in all.
const IDMax = 64

// PostureStatus is what the appliance holds of an endpoint's health.
type PostureStatus uint8

// The statuses. Unknown: nothing was asked or reported. Pending: the endpoint was sent
// to the portal and has not reported. NotApplicable: no requirement is for it.
const (
	Unknown PostureStatus = iota
	Pending
	Compliant
	NonCompliant
	NotApplicable
	postureStatuses // the number of them
)

var statusNames = [postureStatuses]string{"Unknown", "Pending", "Compliant", "NonCompliant", "NotApplicable"}

// String is the name operators know and policies use.
func (s PostureStatus) String() string {
	if s < postureStatuses {
		return statusNames[s]
	}
	return "Unknown"
}

// PostureStatusNames lists every status in order, for messages and type checks.
func PostureStatusNames() []string { return statusNames[:] }

// ParsePostureStatus reads a name that String made.
func ParsePostureStatus(name string) (PostureStatus, bool) {
	for i, n := range statusNames {
		if n == name {
			return PostureStatus(i), true
		}
	}
	return Unknown, false
}

// Assurance is how strongly a device key is bound to a session. The numbers stand in
// journals; Stronger knows the order.
type Assurance uint8

// The strengths: nothing bound; the connection's address and a claimed MAC agree with
// what the NAS said; the single-use ticket of the redirect was redeemed; it was redeemed
// from another address than the NAS says the endpoint has, which a translator between
// does, and somebody who hands his own ticket to another's agent; the key was certified in an
// earlier session of the same endpoint.
const (
	Unbound Assurance = iota
	AddressMAC
	Ticket
	TicketElsewhere
	Key
	assurances
)

var assuranceNames = [assurances]string{"none", "address-mac", "ticket", "ticket-elsewhere", "key"}

var assuranceRanks = [assurances]uint8{Unbound: 0, TicketElsewhere: 1, AddressMAC: 2, Ticket: 3, Key: 4}

// AssuranceNames lists every strength, for messages and type checks; the place of a name
// is its number.
func AssuranceNames() []string { return assuranceNames[:] }

// ParseAssurance reads a name that String made.
func ParseAssurance(name string) (Assurance, bool) {
	for i, n := range assuranceNames {
		if n == name {
			return Assurance(i), true
		}
	}
	return Unbound, false
}

// Stronger is the stronger of two.
func (a Assurance) Stronger(b Assurance) Assurance {
	if b < assurances && (a >= assurances || assuranceRanks[b] > assuranceRanks[a]) {
		return b
	}
	return a
}

// String is the name policies use.
func (a Assurance) String() string {
	if a < assurances {
		return assuranceNames[a]
	}
	return "none"
}

// Session is one session as of one moment. A published Session is never changed; a
// change copies it. Slices and strings in it are never written to either.
type Session struct {
	ID             ID
	AuditSessionID string // as the NAS spelled it, for the way back
	Minted         bool   // the appliance made the id; the NAS carries it in Class only
	Version        uint64 // counts changes of this record
	Epoch          uint64 // counts posture changes; older news loses

	NAS              string     // name in the configuration
	NASAddress       netip.Addr // where its packets come from
	Server           netip.Addr // our address that it talks to
	NASIP            netip.Addr // NAS-IP-Address or NAS-IPv6-Address as sent
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
	Groups           []string
	Method           string // pap, mab, authorize-only
	Authenticated    bool
	FramedIP         netip.Addr
	FramedIPv6       netip.Addr
	MACs             []string // endpoint's, as the NAS tells: aa:bb:cc:dd:ee:ff
	OS               string   // windows, linux, macos: from the NAS first, then from the agent
	OSVersion        string   // as the agent tells, as are the two below
	Hostname         string
	Domain           string
	CoAPush          bool // the NAS announced coa-push=true

	Started  time.Time // first seen
	Changed  time.Time // last change of this record
	LastSeen time.Time // last packet or report
	Ended    time.Time // zero while the session lives
	EndCause string

	Accounting Accounting
	Posture    Posture
	Grant      Grant
	Changes    uint64  // serial of the newest Change
	Change     *Change // the CoA that is under way, nil when none
	Settled    Settled // the last one that ended
	Doubt      bool    // a NAS that gave no answer may hold another grant than Grant
}

// Accounting is the running total of a session (RFC 2866, RFC 2869 section 5.1).
type Accounting struct {
	Started     time.Time // zero: no Start was seen
	Stopped     time.Time
	LastEvent   time.Time // event time of the newest record that was applied
	SessionTime uint32    // seconds
	InOctets    uint64    // gigawords included
	OutOctets   uint64
	InPackets   uint64
	OutPackets  uint64
	Cause       uint32 // Acct-Terminate-Cause
}

// Posture is what is known of the endpoint's health and who may report it.
type Posture struct {
	Status     PostureStatus // decides about access
	Judged     PostureStatus // what the last report came to; another than Status in grace
	Continued  bool          // a reassessment found it failing, and lets it be
	Logoff     bool          // the session is to end; a NAS that does not take the disconnect is told again
	Leased     bool          // of an ended session: a later one rests on its assessment now
	Since      time.Time     // of Status
	ReportAt   time.Time     // last report that was judged
	ValidUntil time.Time     // the first of the clocks; zero: none runs
	Clocks
	DecisionID string   // of the decision that set Status
	Failed     []string // failed conditions, for tables
	Message    string   // for the person at the endpoint, of the last report
	Agent      string   // name and version
	AgentKind  string   // agent, temporal; empty: not told
	Facts      Facts    // of the last report
	Binding    Binding
}

// InGrace says whether access is kept although the last report failed.
func (p *Posture) InGrace() bool { return p.Status == Compliant && p.Judged == NonCompliant }

// Clocks are the moments at which something happens to a session without any event from
// outside. A zero one does not run.
type Clocks struct {
	PendingBy  time.Time `json:"pending_by,omitzero"`  // no agent came
	LeaseUntil time.Time `json:"lease_until,omitzero"` // an earlier assessment is believed
	GraceUntil time.Time `json:"grace_until,omitzero"` // access is kept
	RemedyBy   time.Time `json:"remedy_by,omitzero"`   // time to become healthy
	ReassessAt time.Time `json:"reassess_at,omitzero"` // the agent is asked
	AnswerBy   time.Time `json:"answer_by,omitzero"`   // and answers
	ReportBy   time.Time `json:"report_by,omitzero"`   // the agent speaks
}

// All are the clocks in the order of their fields, which is the one in which those that
// run out at one moment are looked at.
func (c *Clocks) All() [7]time.Time {
	return [...]time.Time{c.PendingBy, c.LeaseUntil, c.GraceUntil, c.RemedyBy, c.ReassessAt, c.AnswerBy, c.ReportBy}
}

// First is the clock that runs out first; zero when none runs.
func (c *Clocks) First() (first time.Time) {
	for _, at := range c.All() {
		if first.IsZero() || !at.IsZero() && at.Before(first) {
			first = at
		}
	}
	return first
}

// Same says whether two sets of clocks run out at the same moments.
func (c *Clocks) Same(other *Clocks) bool {
	a, b := c.All(), other.All()
	for i := range a {
		if !a[i].Equal(b[i]) {
			return false
		}
	}
	return true
}

// Facts is what the last report said, in a word each out of few. Nobody told what is
// empty.
type Facts struct {
	Storage, Firewall, AntiMalware, Encryption, Updates string
}

// Binding says which device key may report for a session, and what it reported last.
type Binding struct {
	Assurance    Assurance
	Key          []byte // device public key, SubjectPublicKeyInfo
	Nonce        string // what the next report must carry
	Seq          uint64 // of the last report
	ReportHash   []byte // SHA-256 of its bytes: a retry gets the same answer
	Answer       []byte // that answer
	TicketSerial uint32 // counts the tickets given out; only the newest counts
	TicketMade   time.Time
	TicketUsed   uint32 // serial of the last ticket redeemed
}

// Grant is what the NAS was last told that the session may do.
type Grant struct {
	Profile string // name of the authorization profile; empty: nothing granted
	Rule    string
	Digest  uint64 // of the profile's content: an edited profile is another grant
	Text    string // the grant in words, for tables
}

// CoA intents.
const (
	ChangePush       = "push"
	ChangeReauth     = "reauthenticate"
	ChangeDisconnect = "disconnect"
)

// Change is a CoA that must still reach the NAS. It lives in the journal from before
// the first packet until it is settled.
type Change struct {
	Kind   string // ChangePush, ChangeReauth, ChangeDisconnect
	Epoch  uint64 // posture epoch it was made for
	Serial uint64 // counts changes of this session; an answer to an older one is late news
	Made   time.Time
	Reason string
	Grant  Grant // what the NAS holds once it acknowledges
}

// Settled is how the last Change of a session ended.
type Settled struct {
	Serial   uint64
	Kind     string
	Profile  string
	At       time.Time
	Outcome  string // ack, nak, silent, unsayable, cancelled
	Cause    uint32 // Error-Cause, 0 when there was none
	Attempts uint32
}

// Live says whether the session has not ended.
func (s *Session) Live() bool { return s.Ended.IsZero() }

// MAC is the endpoint's, empty when the NAS tells none.
func (s *Session) MAC() string {
	if len(s.MACs) > 0 {
		return s.MACs[0]
	}
	return MACStation(s.CallingStationID)
}

// Lends says whether a later session may rest on what the last report of this one came to.
func (s *Session) Lends() bool {
	p := &s.Posture
	return s.Authenticated && p.Status == Compliant && p.Judged == Compliant && !p.Leased && !p.ReportAt.IsZero()
}

// EndpointID is what operators call the endpoint by: its MAC when the NAS tells one,
// else its Calling-Station-Id.
func (s *Session) EndpointID() string {
	if len(s.MACs) > 0 {
		return s.MACs[0]
	}
	return s.CallingStationID
}
