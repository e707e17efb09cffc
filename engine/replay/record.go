// Package replay runs what an appliance was once told through a configuration again, by
// the very functions that the appliance runs (engine/step), and says what would have been
// decided otherwise.
//
// A recording is lines of JSON, each one event with its outcome:
//
//	{"v":1,"revision":"1311adccf9de","at":"..."}                          the first line
//	{"at":"...","kind":"login","session_id":"...","attributes":{...},
//	 "groups":[...],"method":"pap","healthy_at":"...","outcome":{"rule":"...","profile":"...","posture":"..."}}
//	{"at":"...","kind":"accounting","session_id":"...","accounting":{...}}
//	{"at":"...","kind":"report","session_id":"...","report":{"facts":{...}},"outcome":{...}}
//	{"at":"...","kind":"configuration","revision":"..."}                  another one came into force
//
// What proves who somebody is, is not in it: no password, no nonce, no ticket, no key.
// Who is on the network is.
//
// Recorder writes, at the rim; everything else is a function of its arguments.
package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"sallyport/engine/step"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// Version is that of the recording.
const Version = 1

// Kinds of event.
const (
	KindLogin      = "login"
	KindAccounting = "accounting"
	KindReport     = "report"

	KindConfiguration = "configuration" // no session: the configuration with Revision is in force from here on
)

// Header is the first line of a recording.
type Header struct {
	V        int       `json:"v"`
	Revision string    `json:"revision"` // of the configuration in force
	At       time.Time `json:"at"`
}

// Event is one line after it.
type Event struct {
	At         time.Time   `json:"at"`
	Kind       string      `json:"kind"`
	Session    sessions.ID `json:"session_id,omitempty"`
	Attributes *Attributes `json:"attributes,omitempty"` // of a login, an accounting record
	Groups     []string    `json:"groups,omitempty"`
	Method     string      `json:"method,omitempty"`
	HealthyAt  time.Time   `json:"healthy_at,omitzero"` // of a login: the report of an earlier session that a lease rested on
	Accounting *Accounting `json:"accounting,omitempty"`
	Report     *Report     `json:"report,omitempty"`
	Outcome    *Outcome    `json:"outcome,omitempty"` // what was decided; nil: nothing was
	Revision   string      `json:"revision,omitempty"`
}

// Attributes is what a packet told of a session.
type Attributes struct {
	NAS              string     `json:"nas,omitempty"`
	NASAddress       netip.Addr `json:"nas_address,omitzero"`
	NASIP            netip.Addr `json:"nas_ip,omitzero"`
	NASIdentifier    string     `json:"nas_identifier,omitempty"`
	NASPort          uint32     `json:"nas_port,omitempty"`
	NASPortID        string     `json:"nas_port_id,omitempty"`
	NASPortType      uint32     `json:"nas_port_type,omitempty"`
	ServiceType      uint32     `json:"service_type,omitempty"`
	AcctSessionID    string     `json:"acct_session_id,omitempty"`
	CallingStationID string     `json:"calling_station_id,omitempty"`
	CalledStationID  string     `json:"called_station_id,omitempty"`
	TunnelGroup      string     `json:"tunnel_group,omitempty"`
	UserName         string     `json:"user_name,omitempty"`
	FramedIP         netip.Addr `json:"framed_ip,omitzero"`
	FramedIPv6       netip.Addr `json:"framed_ipv6,omitzero"`
	MACs             []string   `json:"macs,omitempty"`
	OS               string     `json:"os,omitempty"`
}

// Accounting is what of an accounting record changes what is decided.
type Accounting struct {
	Kind      uint32    `json:"kind"`
	At        time.Time `json:"at"`
	Cause     uint32    `json:"cause,omitempty"`
	NASUpdate bool      `json:"nas_update,omitempty"`
}

// Report is a posture report without what binds it.
type Report struct {
	Trigger   string        `json:"trigger"`
	Assurance string        `json:"assurance"`
	Agent     report.Agent  `json:"agent"`
	System    report.System `json:"system"`
	Facts     report.Facts  `json:"facts"`
}

// Outcome is where a session stands after an event.
type Outcome struct {
	Rule    string `json:"rule"`
	Profile string `json:"profile"`
	Posture string `json:"posture"`
}

// Login is the event of a login that was authenticated. Like all events made here it
// shares no text with what it was made of: that may lie in memory that is used again.
func Login(at time.Time, in *step.LoginInput, out Outcome) *Event {
	return &Event{At: at.UTC(), Kind: KindLogin, Session: keepID(in.ID), Attributes: attributesOf(&in.Attributes),
		Groups: keepAll(in.Groups), Method: strings.Clone(in.Method), HealthyAt: in.Last.At.UTC(), Outcome: out.keep()}
}

// AccountingRecord is the event of an accounting record.
func AccountingRecord(at time.Time, in *step.AccountingInput) *Event {
	return &Event{At: at.UTC(), Kind: KindAccounting, Session: keepID(in.ID), Attributes: attributesOf(&in.Attributes),
		Accounting: &Accounting{Kind: in.Kind, At: in.At, Cause: in.Cause, NASUpdate: in.NASUpdate}}
}

// Ended is the event of a session whose NAS said that all of its sessions are over. It is
// told as the Stop that the NAS did not send.
func Ended(at time.Time, s *sessions.Session) *Event {
	return &Event{At: at.UTC(), Kind: KindAccounting, Session: keepID(s.ID),
		Attributes: &Attributes{NAS: strings.Clone(s.NAS), NASAddress: s.NASAddress, AcctSessionID: strings.Clone(s.AcctSessionID)},
		Accounting: &Accounting{Kind: step.AcctStop, At: s.Ended}}
}

// Configuration is the event of a reload.
func Configuration(at time.Time, revision string) *Event {
	return &Event{At: at.UTC(), Kind: KindConfiguration, Revision: revision}
}

// PostureReport is the event of a report that was judged for s, as it is afterwards.
func PostureReport(at time.Time, s *sessions.Session, r *report.Report, out Outcome) *Event {
	return &Event{At: at.UTC(), Kind: KindReport, Session: keepID(s.ID), Outcome: out.keep(), Report: &Report{
		Trigger: r.Trigger, Assurance: s.Posture.Binding.Assurance.String(), Agent: r.Agent, System: r.System, Facts: r.Facts,
	}}
}

// OutcomeOf is where a session stands: what its NAS holds, or is being told.
func OutcomeOf(s *sessions.Session) Outcome {
	g := s.Grant
	if s.Change != nil {
		g = s.Change.Grant
	}
	return Outcome{Rule: g.Rule, Profile: g.Profile, Posture: s.Posture.Status.String()}
}

// keep is o with text of its own; nil when nothing was decided.
func (o Outcome) keep() *Outcome {
	if o == (Outcome{}) {
		return nil
	}
	return &Outcome{Rule: strings.Clone(o.Rule), Profile: strings.Clone(o.Profile), Posture: strings.Clone(o.Posture)}
}

func keepID(id sessions.ID) sessions.ID { return sessions.ID(strings.Clone(string(id))) }

func keepAll(list []string) (out []string) {
	for _, s := range list {
		out = append(out, strings.Clone(s))
	}
	return out
}

func attributesOf(a *step.Attributes) *Attributes {
	return &Attributes{
		NAS: strings.Clone(a.NAS), NASAddress: a.NASAddress, NASIP: a.NASIP, NASIdentifier: strings.Clone(a.NASIdentifier),
		NASPort: a.NASPort, NASPortID: strings.Clone(a.NASPortID), NASPortType: a.NASPortType, ServiceType: a.ServiceType,
		AcctSessionID: strings.Clone(a.AcctSessionID), CallingStationID: strings.Clone(a.CallingStationID),
		CalledStationID: strings.Clone(a.CalledStationID), TunnelGroup: strings.Clone(a.TunnelGroup), UserName: strings.Clone(a.UserName),
		FramedIP: a.FramedIP, FramedIPv6: a.FramedIPv6, MACs: keepAll(a.MACs), OS: strings.Clone(a.OS),
	}
}

func (a *Attributes) step(id sessions.ID) step.Attributes {
	return step.Attributes{
		ID: id, AuditSessionID: string(id),
		NAS: a.NAS, NASAddress: a.NASAddress, NASIP: a.NASIP, NASIdentifier: a.NASIdentifier, NASPort: a.NASPort, NASPortID: a.NASPortID,
		NASPortType: a.NASPortType, ServiceType: a.ServiceType, AcctSessionID: a.AcctSessionID, CallingStationID: a.CallingStationID,
		CalledStationID: a.CalledStationID, TunnelGroup: a.TunnelGroup, UserName: a.UserName, FramedIP: a.FramedIP, FramedIPv6: a.FramedIPv6,
		MACs: a.MACs, OS: a.OS,
	}
}

// lineMax bounds a line: a report has 256 KiB at most.
const lineMax = 1 << 20

// Read walks a recording; its header comes as an event of KindConfiguration. A last line that was cut, as by a full disk or a crash, ends it
// without an error; anything else that is not an event is one, with its line.
func Read(in io.Reader, each func(*Event) error) (Header, error) {
	var h Header
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), lineMax)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if n == 1 {
			if err := json.Unmarshal(line, &h); err != nil || h.V != Version {
				return h, fmt.Errorf("line 1: this is not a recording of version %d", Version)
			}
			if err := each(Configuration(h.At, h.Revision)); err != nil {
				return h, err
			}
			continue
		}
		e := &Event{}
		if err := json.Unmarshal(line, e); err != nil {
			if !lines.Scan() && lines.Err() == nil && line[len(line)-1] != '}' {
				return h, nil
			}
			return h, fmt.Errorf("line %d: %w", n, err)
		}
		if err := e.sound(); err != nil {
			return h, fmt.Errorf("line %d: %w", n, err)
		}
		if err := each(e); err != nil {
			return h, err
		}
	}
	return h, lines.Err()
}

// sound wants an event to have what its kind needs.
func (e *Event) sound() error {
	switch {
	case e.At.IsZero() || e.Session == "" && e.Kind != KindConfiguration:
		return errors.New("an event without a session or a time")
	case e.Kind == KindConfiguration && e.Revision != "":
		return nil
	case e.Kind == KindLogin && e.Attributes != nil, e.Kind == KindAccounting && e.Attributes != nil && e.Accounting != nil, e.Kind == KindReport && e.Report != nil:
		return nil
	}
	return fmt.Errorf("an event of kind %q without its content", e.Kind)
}
