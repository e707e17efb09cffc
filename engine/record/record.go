// Package record keeps what the appliance decided and why: one Decision a row, the
// same id in the live log, the posture report, the session and the answer to the agent.
//
//	writers (loops, core) -> Ring, a fixed number of rows, newest wins
//	readers (console, command line) -> Since, Wait; what they missed is counted
//
// The ring is memory only. Posture reports, which auditors ask for, are kept in the
// journal (see Report).
package record

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"time"
)

// Kind says what a row of the live log is about.
type Kind string

// The kinds. KindSession rows tell what became of a session, as the blue rows do in
// the field's other live logs; the others are decisions.
const (
	KindAuth    Kind = "authentication"
	KindDACL    Kind = "acl-download"
	KindAcct    Kind = "accounting"
	KindPosture Kind = "posture"
	KindCoA     Kind = "coa"
	KindSession Kind = "session"
	KindAlarm   Kind = "alarm"
	KindSystem  Kind = "system"
)

// Status of a row.
const (
	Passed  = "pass"
	Failed  = "fail"
	Session = "session" // neither: the session as it now is
)

// Decision is one row.
type Decision struct {
	Number               uint64        `json:"number"` // position in the log
	ID                   string        `json:"decision_id"`
	Time                 time.Time     `json:"time"`
	Kind                 Kind          `json:"kind"`
	Status               string        `json:"status"`
	Details              string        `json:"details"` // what happened, in words
	Reason               string        `json:"reason,omitempty"`
	RepeatCount          uint64        `json:"repeat_count"`
	FoldID               string        `json:"fold_id,omitempty"` // of repeated failures: what the rows are opened by
	Identity             string        `json:"identity"`
	EndpointID           string        `json:"endpoint_id"`
	EndpointProfile      string        `json:"endpoint_profile,omitempty"`
	AuthenticationPolicy string        `json:"authentication_policy,omitempty"`
	AuthorizationPolicy  string        `json:"authorization_policy,omitempty"` // the rule
	RulePosition         string        `json:"rule_position,omitempty"`        // file:line
	AuthorizationProfile string        `json:"authorization_profile,omitempty"`
	IPAddress            string        `json:"ip_address,omitempty"`
	NetworkDevice        string        `json:"network_device,omitempty"`
	DevicePort           string        `json:"device_port,omitempty"`
	IdentityGroup        string        `json:"identity_group,omitempty"`
	PostureStatus        string        `json:"posture_status,omitempty"`
	Server               string        `json:"server"`
	SessionID            string        `json:"session_id,omitempty"`
	Epoch                uint64        `json:"epoch,omitempty"`
	Revision             string        `json:"config_revision,omitempty"`
	Elapsed              time.Duration `json:"-"`
	ElapsedSeconds       float64       `json:"elapsed,omitempty"`
	Sent                 string        `json:"sent,omitempty"`     // of a CoA: the request, attribute by attribute
	Answered             string        `json:"answered,omitempty"` // and the NAS's answer
}

// texts are the places of the text that rows are made of.
func (d *Decision) texts() [23]*string {
	return [23]*string{
		&d.ID, (*string)(&d.Kind), &d.Status, &d.Details, &d.Reason, &d.Identity, &d.EndpointID,
		&d.EndpointProfile, &d.AuthenticationPolicy, &d.AuthorizationPolicy, &d.RulePosition,
		&d.AuthorizationProfile, &d.IPAddress, &d.NetworkDevice, &d.DevicePort, &d.IdentityGroup,
		&d.PostureStatus, &d.Server, &d.SessionID, &d.Revision, &d.Sent, &d.Answered, &d.FoldID,
	}
}

// AppendID appends a decision id, made of the time and a number that is unique for the
// run: 25 octets that sort as the decisions were made.
func AppendID(dst []byte, at time.Time, run uint32, n uint64) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(at.UnixMilli())<<16|uint64(run&0xffff))
	dst = append(hex.AppendEncode(dst, b[:]), '-')
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return hex.AppendEncode(dst, b[:4])
}

// NewID is AppendID as a string.
func NewID(at time.Time, run uint32, n uint64) string { return string(AppendID(nil, at, run, n)) }

// Address is the text of a, empty when there is none.
func Address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
