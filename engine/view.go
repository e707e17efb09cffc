package engine

import (
	"context"
	"runtime"
	"strings"
	"time"

	"sallyport/engine/posture"
	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/netio/radius/dictionary"
	"sallyport/netio/report"
	"sallyport/sessions"
	"sallyport/sessions/store"
)

// SessionView is a session as operators see it: no key, no nonce, no ticket.
type SessionView struct {
	SessionID        string          `json:"session_id"`
	AuditSessionID   string          `json:"audit_session_id,omitempty"`
	State            string          `json:"state"` // live, ended
	Identity         string          `json:"identity"`
	Groups           []string        `json:"groups,omitempty"`
	Method           string          `json:"method,omitempty"`
	Authenticated    bool            `json:"authenticated"`
	EndpointID       string          `json:"endpoint_id"`
	MACs             []string        `json:"macs,omitempty"`
	OS               string          `json:"os,omitempty"`
	NetworkDevice    string          `json:"network_device"`
	NASAddress       string          `json:"nas_address,omitempty"`
	DevicePort       string          `json:"device_port,omitempty"`
	CallingStationID string          `json:"calling_station_id,omitempty"`
	CalledStationID  string          `json:"called_station_id,omitempty"`
	TunnelGroup      string          `json:"tunnel_group,omitempty"`
	AcctSessionID    string          `json:"acct_session_id,omitempty"`
	IPAddress        string          `json:"ip_address,omitempty"`
	IPv6Address      string          `json:"ipv6_address,omitempty"`
	Posture          PostureView     `json:"posture"`
	Authorization    GrantView       `json:"authorization"`
	Change           *ChangeView     `json:"change,omitempty"`
	LastChange       *SettledView    `json:"last_change,omitempty"`
	Accounting       *AccountingView `json:"accounting,omitempty"`
	Epoch            uint64          `json:"epoch"`
	Version          uint64          `json:"version"`
	Started          time.Time       `json:"started"`
	LastSeen         time.Time       `json:"last_seen"`
	Ended            *time.Time      `json:"ended,omitempty"`
	EndCause         string          `json:"end_cause,omitempty"`
	Hostname         string          `json:"hostname,omitempty"`
	Domain           string          `json:"domain,omitempty"`
	OSVersion        string          `json:"os_version,omitempty"`
	Next             []posture.Clock `json:"next,omitempty"`     // of one session shown alone: what happens when, by itself
	Timeline         []TimelineView  `json:"timeline,omitempty"` // of one session shown alone; the last, as next is the last but one
}

// TimelineView is one step of a change of authorization on its way to the NAS and back.
type TimelineView struct {
	At         time.Time `json:"at"`
	Serial     uint64    `json:"change"`
	What       string    `json:"what"`
	Attributes []string  `json:"attributes,omitempty"`
}

// timeline is what the ledger knows of a session. Tickets are left out: whoever reads it
// must not be able to report for the session.
func (e *Engine) timeline(id sessions.ID) (out []TimelineView) {
	for _, one := range e.ledger.Timeline(id) {
		v := TimelineView{At: one.At.UTC(), Serial: one.Serial, What: one.Line}
		if one.Attributes != "" {
			v.Attributes = strings.Split(strings.TrimSpace(hideTicket(one.Attributes)), "\n")
		}
		out = append(out, v)
	}
	return out
}

// PostureView is the posture of a session.
type PostureView struct {
	Status     string     `json:"status"`
	Judged     string     `json:"judged,omitempty"` // what the last report came to, where access does not follow it
	InGrace    bool       `json:"in_grace,omitempty"`
	Continued  bool       `json:"continued,omitempty"` // a reassessment found it failing, and lets it be
	Logoff     bool       `json:"logoff,omitempty"`    // it is to be disconnected
	Since      *time.Time `json:"since,omitempty"`
	Assurance  string     `json:"assurance"`
	Device     string     `json:"device,omitempty"` // by its key: what revoked lists
	Agent      string     `json:"agent,omitempty"`
	AgentKind  string     `json:"agent_kind,omitempty"`
	ReportAt   *time.Time `json:"report_at,omitempty"`
	ValidUntil *time.Time `json:"valid_until,omitempty"` // the first of the clocks
	sessions.Clocks
	Failed     []string   `json:"failed,omitempty"`
	Facts      *FactsView `json:"facts,omitempty"`
	DecisionID string     `json:"decision_id,omitempty"`
}

// FactsView is what the last report said, in a word each, as rules read it.
type FactsView struct {
	Storage     string `json:"usb_storage,omitempty"`
	Firewall    string `json:"firewall,omitempty"`
	AntiMalware string `json:"antimalware,omitempty"`
	Encryption  string `json:"encryption,omitempty"`
	Updates     string `json:"updates,omitempty"`
}

func viewPosture(p *sessions.Posture) PostureView {
	v := PostureView{
		Status: p.Status.String(), Since: moment(p.Since), InGrace: p.InGrace(), Continued: p.Continued, Logoff: p.Logoff,
		Assurance: p.Binding.Assurance.String(), Agent: p.Agent, AgentKind: p.AgentKind,
		ReportAt: moment(p.ReportAt), ValidUntil: moment(p.ValidUntil), Clocks: p.Clocks,
		Failed: p.Failed, DecisionID: p.DecisionID,
	}
	if len(p.Binding.Key) > 0 {
		v.Device = report.DeviceName(p.Binding.Key)
	}
	if p.Judged != p.Status {
		v.Judged = p.Judged.String()
	}
	if p.Facts != (sessions.Facts{}) {
		f := FactsView(p.Facts)
		v.Facts = &f
	}
	return v
}

// viewWhole is the view of one session with what happens to it next, and what was sent
// about it and answered.
func (e *Engine) viewWhole(s *sessions.Session) SessionView {
	v := ViewSession(s)
	v.Next = step.Clocks(s, e.clock.Now(), &e.snapshot().Rules)
	v.Timeline = e.timeline(s.ID)
	return v
}

// GrantView is what the NAS holds.
type GrantView struct {
	Profile string `json:"profile"`
	Rule    string `json:"rule"`
	Text    string `json:"text,omitempty"`
	Doubt   bool   `json:"doubt,omitempty"` // a change got no answer: the NAS may hold another one
}

// ChangeView is a CoA under way.
type ChangeView struct {
	Kind    string    `json:"kind"`
	Profile string    `json:"profile"`
	Reason  string    `json:"reason"`
	Made    time.Time `json:"made"`
	Epoch   uint64    `json:"epoch"`
}

// SettledView is how the last CoA ended.
type SettledView struct {
	Kind    string `json:"kind"`
	Profile string `json:"profile"`
	Outcome string `json:"outcome"`
	Cause   string `json:"error_cause,omitempty"`
	// Confirmation is what the NAS showed after its ACK: "confirmed", or "acknowledged, not
	// confirmed" when it showed nothing in time; empty while that is open.
	Confirmation string    `json:"confirmation,omitempty"`
	Attempts     uint32    `json:"attempts"`
	At           time.Time `json:"at"`
}

// AccountingView is the running total.
type AccountingView struct {
	Started     *time.Time `json:"started,omitempty"`
	Stopped     *time.Time `json:"stopped,omitempty"`
	SessionTime uint32     `json:"session_time"`
	InOctets    uint64     `json:"in_octets"`
	OutOctets   uint64     `json:"out_octets"`
	InPackets   uint64     `json:"in_packets"`
	OutPackets  uint64     `json:"out_packets"`
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// ViewSession makes the view of one session.
func ViewSession(s *sessions.Session) SessionView {
	v := SessionView{
		SessionID: string(s.ID), AuditSessionID: s.AuditSessionID, State: "live", Identity: s.UserName,
		Groups: s.Groups, Method: s.Method, Authenticated: s.Authenticated, EndpointID: s.EndpointID(),
		MACs: s.MACs, OS: s.OS, NetworkDevice: s.NAS, NASAddress: record.Address(s.NASAddress),
		DevicePort: s.NASPortID, CallingStationID: s.CallingStationID, CalledStationID: s.CalledStationID,
		TunnelGroup: s.TunnelGroup, AcctSessionID: s.AcctSessionID,
		IPAddress: record.Address(s.FramedIP), IPv6Address: record.Address(s.FramedIPv6),
		Posture:       viewPosture(&s.Posture),
		Authorization: GrantView{s.Grant.Profile, s.Grant.Rule, s.Grant.Text, s.Doubt},
		Epoch:         s.Epoch, Version: s.Version, Started: s.Started.UTC(), LastSeen: s.LastSeen.UTC(),
		Ended: moment(s.Ended), EndCause: s.EndCause, Hostname: s.Hostname, Domain: s.Domain, OSVersion: s.OSVersion,
	}
	if !s.Live() {
		v.State = "ended"
	}
	if c := s.Change; c != nil {
		v.Change = &ChangeView{c.Kind, c.Grant.Profile, c.Reason, c.Made.UTC(), c.Epoch}
	}
	if c := s.Settled; c.Serial != 0 {
		v.LastChange = &SettledView{Kind: c.Kind, Profile: c.Profile, Outcome: c.Outcome, Cause: causeText(c.Cause), Attempts: c.Attempts, At: c.At.UTC()}
		if c.Outcome == step.OutcomeConfirmed || c.Outcome == step.OutcomeUnconfirmed {
			v.LastChange.Outcome, v.LastChange.Confirmation = step.OutcomeACK, c.Outcome
		}
	}
	if a := s.Accounting; a != (sessions.Accounting{}) {
		v.Accounting = &AccountingView{moment(a.Started), moment(a.Stopped), a.SessionTime, a.InOctets, a.OutOctets, a.InPackets, a.OutPackets}
	}
	return v
}

func causeText(cause uint32) string {
	if cause == 0 {
		return ""
	}
	return dictionary.ErrorCause(cause)
}

// Counters are those above the live log.
type Counters struct {
	MisconfiguredSupplicants int    `json:"misconfigured_supplicants"`
	MisconfiguredNAS         int    `json:"misconfigured_network_devices"`
	RADIUSDrops              uint64 `json:"radius_drops"`
	StoppedResponding        int    `json:"client_stopped_responding"`
	RepeatCounter            uint64 `json:"repeat_counter"`
}

// lately is how far back the counters of misbehaviour look.
const lately = 5 * time.Minute

// Counters reads the live log's counters. Client Stopped Responding are the sessions
// that were redirected and whose agent has not reported in time, or fell silent.
func (e *Engine) Counters() Counters {
	now := e.clock.Now()
	c := Counters{
		MisconfiguredSupplicants: e.suppress.misconfigured(now),
		MisconfiguredNAS:         e.counters.misconfiguredSince(now.Add(-lately)),
		RADIUSDrops:              e.counters.totalDrops(),
		RepeatCounter:            e.suppress.repeats(now),
	}
	for s := range e.table.All() {
		if s.Live() && s.Authenticated && stopped(&s.Posture) {
			c.StoppedResponding++
		}
	}
	return c
}

// stopped says whether an agent is missing: a clock is stopped when it runs out.
func stopped(p *sessions.Posture) bool {
	if p.Status == sessions.Pending {
		return p.PendingBy.IsZero()
	}
	return !p.ReportAt.IsZero() && p.ReportBy.IsZero() && p.LeaseUntil.IsZero()
}

// Status is the appliance at a glance.
type Status struct {
	Appliance  string         `json:"appliance"`
	Version    string         `json:"version"`
	Revision   string         `json:"config_revision"`
	Started    time.Time      `json:"started"`
	Uptime     float64        `json:"uptime"`
	Live       int            `json:"sessions_live"`
	Ended      int            `json:"sessions_ended"`
	OpenCoA    int            `json:"coa_open"`
	Posture    map[string]int `json:"posture"`
	Counters   Counters       `json:"counters"`
	Journal    string         `json:"journal"` // ok, or what is wrong
	Strangers  []Stranger     `json:"unknown_sources,omitempty"`
	Goroutines int            `json:"goroutines"`
	HeapBytes  uint64         `json:"heap_bytes"`
	Recording  *RecordingView `json:"recording,omitempty"`
	Shadow     *ShadowView    `json:"shadow,omitempty"` // without its groups
}

// Status makes a snapshot of the appliance.
func (e *Engine) Status() Status {
	c, snap, now := e.census(), e.snapshot(), e.clock.Now()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	s := Status{
		Appliance: snap.Config.Appliance.Name.Value, Version: e.opts.Version, Revision: snap.Revision,
		Started: e.started.UTC(), Uptime: now.Sub(e.started).Seconds(), Live: c.live, Ended: c.ended,
		OpenCoA: c.changing, Posture: map[string]int{}, Counters: e.Counters(), Journal: "ok",
		Strangers: e.strangers.list(), Goroutines: runtime.NumGoroutine(), HeapBytes: mem.HeapAlloc,
	}
	for i, n := range c.byPosture {
		s.Posture[sessions.PostureStatus(i).String()] = n
	}
	s.Recording, s.Shadow = e.beside.Load().recording(), e.beside.Load().tried()
	if s.Shadow != nil {
		s.Shadow.Groups = nil
	}
	if text := e.troubleText.Load(); text != nil {
		s.Journal = *text
	}
	return s
}

// Reports calls f for the posture records since t, newest first, until it returns false.
func (e *Engine) Reports(ctx context.Context, since time.Time, f func(*record.Posture) bool) error {
	var fault error
	err := e.journal.Reports(ctx, func(r store.Report) bool {
		p, err := record.ReadPosture(r.JSON)
		if err != nil {
			fault = err
			return false
		}
		if p.LoggedAt.Before(since) {
			return false
		}
		return f(p)
	})
	if err == nil {
		err = fault
	}
	return err
}
