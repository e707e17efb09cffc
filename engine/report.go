package engine

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"sallyport/engine/posture"
	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/netio/portal"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// PostureAPI is the appliance as the portal sees it: the flow of a posture report,
// from top to bottom.
//
//	HTTPS -> limits, decode, signature (netio/portal)
//	  -> the core: assess -> epoch -> authorize again -> journal
//	  -> same profile? no CoA : CoA batch of the NAS -> settle
//	  -> verdict to the agent, posture report record, live log, all by one decision id
type PostureAPI struct{ e *Engine }

// Posture returns the interface for the portal.
func (e *Engine) Posture() *PostureAPI { return &PostureAPI{e} }

// Gateway tells what a page may show to whoever holds a ticket of the session. A ticket
// that was redeemed still opens the page; it binds nobody any more.
func (a *PostureAPI) Gateway(sessionID, ticket string) (portal.View, bool) {
	s := a.e.session(sessionID)
	if s == nil || !s.Live() || a.e.tickets.open(s, ticket) == 0 {
		return portal.View{}, false
	}
	status := s.Posture.Status
	if s.Posture.InGrace() {
		status = s.Posture.Judged // there is something to put right
	}
	return portal.View{
		Status: status.String(), Message: a.e.person(s), Failed: s.Posture.Failed,
		OS: s.OS, Bound: len(s.Posture.Binding.Key) > 0, Offer: a.offer(s),
	}, true
}

// offer is what provisioning gives the endpoint. A resource without a file of its own
// is the agent by its usual name, which the portal finds itself.
func (a *PostureAPI) offer(s *sessions.Session) []portal.AgentFile {
	snap := a.e.snapshot()
	in := step.Input(s, a.e.clock.Now(), &snap.Rules)
	r := snap.Offer(&in)
	if r == nil || r.File == "" {
		return nil
	}
	return []portal.AgentFile{{OS: r.OS, Arch: r.Arch, Name: r.File, Version: r.Version, SHA256: r.SHA256}}
}

// Update is what an agent that runs a version should be, by the rules of provisioning.
func (a *PostureAPI) Update(sessionID, version string) (*report.Build, error) {
	s := a.e.session(sessionID)
	if s == nil || !s.Live() {
		return nil, errUnknown
	}
	snap := a.e.snapshot()
	in := step.Input(s, a.e.clock.Now(), &snap.Rules)
	out := &report.Build{V: report.Version}
	if settings := snap.AgentSettings(&in); settings != nil {
		out.SettingsName, out.Settings = settings.Name, settings.Text
	}
	r, why := snap.AgentUpdate(&in, version)
	if r == nil {
		out.Reason = why
		return out, nil
	}
	out.Version, out.OS, out.Arch, out.File = r.Version, r.OS, r.Arch, r.FileName()
	out.SHA256, out.Signature = strings.ToLower(r.SHA256), r.Signature.Value
	return out, nil
}

func problem(status int, code, detail string) *report.Problem {
	return &report.Problem{Status: status, Code: code, Detail: detail}
}

var (
	errBusy    = problem(http.StatusServiceUnavailable, report.CodeBusy, "the appliance is busy")
	errStorage = problem(http.StatusServiceUnavailable, report.CodeStorage, "the appliance cannot keep this now")
	errUnknown = problem(http.StatusNotFound, report.CodeUnknownSession, "there is no such session")
)

// Key is the device key that is bound to a session. One that was revoked is none, so that the
// agent claims anew, and is told.
func (a *PostureAPI) Key(sessionID string) ([]byte, bool) {
	s := a.e.session(sessionID)
	if s == nil || len(s.Posture.Binding.Key) == 0 || a.e.snapshot().revoked[report.DeviceName(s.Posture.Binding.Key)] {
		return nil, false
	}
	return s.Posture.Binding.Key, true
}

// Proof is what a certificate for the bound key of a session may say of its endpoint.
func (a *PostureAPI) Proof(sessionID string, peer netip.AddrPort) (report.Proof, bool) {
	s := a.e.session(sessionID)
	if s == nil {
		return report.Proof{}, false
	}
	return step.Prove(s, peer.Addr())
}

// Policy returns a posture policy document by its ETag.
func (a *PostureAPI) Policy(etag string) ([]byte, bool) { return a.e.policyDocument(etag) }

// Events waits for news of a session.
func (a *PostureAPI) Events(ctx context.Context, sessionID string, after uint64) (*report.Events, error) {
	s := a.e.session(sessionID)
	if s == nil {
		return nil, errUnknown
	}
	if !s.Live() {
		return nil, problem(http.StatusGone, report.CodeSessionEnded, "the session ended: "+s.EndCause)
	}
	return a.e.hub.wait(ctx, s.ID, after, step.Asked(s)), nil
}

func (e *Engine) session(id string) *sessions.Session {
	key, ok := sessions.CanonicalID(id)
	if !ok {
		return nil
	}
	return e.table.Get(key)
}

// ask hands an event to the core and waits until it is done.
func (e *Engine) ask(ctx context.Context, ev event, done <-chan struct{}) error {
	if err := e.core.submitWait(ctx, ev); err != nil {
		return errBusy
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	case <-e.coreDone:
		select {
		case <-done: // it was the core's last work
			return nil
		default:
		}
	}
	return errBusy
}

// Claim binds a device key to a session.
func (a *PostureAPI) Claim(ctx context.Context, peer netip.AddrPort, c *report.Claim, spki []byte, d *report.Device) (*report.Claimed, error) {
	ev := &claimEvent{claim: c, peer: peer.Addr().Unmap(), key: spki, device: d, finished: make(chan struct{})}
	if err := a.e.ask(ctx, ev, ev.finished); err != nil {
		return nil, err
	}
	if ev.problem != nil {
		return nil, ev.problem
	}
	return ev.claimed, nil
}

type claimEvent struct {
	claim    *report.Claim
	peer     netip.Addr
	key      []byte
	device   *report.Device
	next     *sessions.Session
	claimed  *report.Claimed
	problem  *report.Problem
	finished chan struct{}
}

func (ev *claimEvent) step(c *core, now time.Time) {
	old := c.claimed(ev)
	if old == nil {
		ev.problem = errUnknown
		return
	}
	snap := c.e.snapshot()
	if snap.revoked[report.DeviceName(ev.key)] {
		ev.next = old // for the row
		ev.problem = problem(http.StatusForbidden, report.CodeRevoked, "this device was revoked by whoever runs the network")
		return
	}
	in := &step.ClaimInput{Claim: ev.claim, Peer: ev.peer, Key: ev.key, Device: ev.device, Nonce: c.nonce()}
	in.TicketSerial = c.e.tickets.open(old, ev.claim.Ticket)
	ev.next, ev.problem = step.Claim(now, old, in, &snap.Rules)
	if ev.problem != nil {
		return
	}
	c.put(old, ev.next)
	b := &ev.next.Posture.Binding
	ev.claimed = &report.Claimed{
		V: report.Version, SessionID: string(ev.next.ID), Assurance: b.Assurance.String(),
		Status: ev.next.Posture.Status.String(), Epoch: ev.next.Epoch, Nonce: b.Nonce, Seq: b.Seq,
		PolicyETag: snap.policyFor(ev.next, now), HeartbeatS: int(snap.Rules.Heartbeat / time.Second),
	}
}

// claimed finds the session that a claim is about: the one it names, or the only live
// one that has the endpoint's address and MAC.
func (c *core) claimed(ev *claimEvent) *sessions.Session {
	if ev.claim.SessionID != "" {
		id, ok := sessions.CanonicalID(ev.claim.SessionID)
		if !ok {
			return nil
		}
		return c.get(id)
	}
	var found *sessions.Session
	for _, s := range c.table.ByAddress(ev.peer) {
		s = c.get(s.ID)
		if s == nil || !s.Live() || !step.AddressAndMAC(s, ev.peer, ev.claim.MACs) {
			continue
		}
		if found != nil {
			return nil // two that fit: neither is proved
		}
		found = s
	}
	return found
}

func (ev *claimEvent) done(c *core, err error) {
	defer close(ev.finished)
	s := ev.next
	if ev.problem == nil && err != nil {
		ev.problem = errStorage
	}
	if s == nil {
		s = &sessions.Session{ID: sessions.ID(ev.claim.SessionID), FramedIP: ev.peer}
	}
	d := c.e.row(s, record.KindPosture, record.Passed, "Agent bound to the session")
	d.Reason = "by " + s.Posture.Binding.Assurance.String()
	if ev.problem != nil {
		d.Status, d.Details, d.Reason = record.Failed, "Agent refused", ev.problem.Error()+from(s, ev.peer)
		c.e.suppress.add(c.e.clock.Now(), d)
		return
	}
	c.e.livelog.Add(d)
}

// Report judges one posture report.
func (a *PostureAPI) Report(ctx context.Context, peer netip.AddrPort, r *report.Report, spki, raw []byte) ([]byte, error) {
	hash := sha256.Sum256(raw)
	ev := &reportEvent{
		in:       step.ReportInput{Report: r, Hash: hash[:], Key: spki},
		raw:      raw,
		peer:     peer.Addr().Unmap(),
		received: a.e.clock.Now(),
		finished: make(chan struct{}),
	}
	if err := a.e.ask(ctx, ev, ev.finished); err != nil {
		return nil, err
	}
	if ev.judged.Problem != nil {
		return nil, ev.judged.Problem
	}
	return ev.judged.Answer, nil
}

type reportEvent struct {
	in       step.ReportInput
	raw      []byte // the document, for explanations
	peer     netip.Addr
	received time.Time
	judged   step.Judged
	before   *sessions.Session
	record   *record.Posture
	finished chan struct{}
}

func (ev *reportEvent) step(c *core, now time.Time) {
	id, ok := sessions.CanonicalID(ev.in.Report.SessionID)
	if ok {
		ev.before = c.get(id)
	}
	if ev.before == nil {
		ev.judged.Problem = errUnknown
		return
	}
	ev.in.Nonce, ev.in.DecisionID = c.nonce(), c.decisionID(now)
	ev.judged = step.Report(now, ev.before, &ev.in, &c.e.snapshot().Rules)
	if ev.judged.Problem != nil || ev.judged.Again {
		return
	}
	c.put(ev.before, ev.judged.Session)
	c.e.snapshot().policyFor(ev.judged.Session, now) // the verdict names it
	ev.record = postureRecord(now, c.e.snapshot(), ev)
	c.appendReport(now, ev.record)
}

func (ev *reportEvent) done(c *core, err error) {
	defer close(ev.finished)
	if err != nil && ev.judged.Problem == nil {
		ev.judged.Problem = errStorage // for a retry too: what it repeats may be of this very group
	}
	if p := ev.judged.Problem; p != nil {
		s := ev.before
		if s == nil {
			s = &sessions.Session{FramedIP: ev.peer}
		}
		d := c.e.row(s, record.KindPosture, record.Failed, "Posture report refused")
		d.Reason = p.Error() + from(s, ev.peer)
		c.e.suppress.add(c.e.clock.Now(), d)
		return
	}
	if !ev.judged.Again {
		c.e.heard.keep(heardReport{id: ev.judged.Session.ID, decisionID: ev.in.DecisionID, raw: ev.raw})
		c.e.latency.report.observe(c.e.clock.Now().Sub(ev.received))
		c.e.livelog.Add(ev.row(c.e))
		c.e.beside.Load().report(c.published, ev.judged.Session, ev.in.Report)
	}
}

func (ev *reportEvent) row(e *Engine) *record.Decision {
	s := ev.judged.Session
	status := record.Passed
	if s.Posture.Status == sessions.NonCompliant {
		status = record.Failed
	}
	d := e.row(s, record.KindPosture, status, record.PostureMessage)
	d.ID, d.Elapsed = ev.in.DecisionID, e.clock.Now().Sub(ev.received)
	d.Reason = assessmentReason(&ev.judged.Assessment)
	if p := ev.judged.Decision.Profile; p != nil {
		d.AuthorizationPolicy, d.RulePosition = ev.judged.Decision.Rule, ev.judged.Decision.Pos.String()
		d.AuthorizationProfile = p.Name
	}
	return d
}

// postureRecord is what the three posture reports are made of.
func postureRecord(now time.Time, snap snapshot, ev *reportEvent) *record.Posture {
	s, r := ev.judged.Session, ev.in.Report
	p := &record.Posture{
		DecisionID: ev.in.DecisionID, LoggedAt: now.UTC(), Status: s.Posture.Status.String(),
		Identity: s.UserName, EndpointID: s.EndpointID(), IPAddress: record.Address(s.FramedIP),
		Location: snap.Rules.NASGroup(s.NAS), SessionID: string(s.ID), NetworkDevice: s.NAS,
		EndpointOS: osName(r.System), Agent: agentText(r.Agent), PRAAction: "N/A",
		Message: record.PostureMessage, Trigger: r.Trigger, UserAgreement: "NotEnabled",
		SystemName: r.System.Hostname, SystemDomain: r.System.Domain, SystemUser: r.System.User,
		Assurance: s.Posture.Binding.Assurance.String(), Epoch: s.Epoch, Revision: snap.Revision,
		Profile: ev.judged.Decision.Profile.Name, Rule: ev.judged.Decision.Rule,
	}
	if r.Trigger == report.TriggerEvent {
		p.Message = record.PostureEventMessage
	}
	in := posture.Input{Session: step.Input(s, now, &snap.Rules)}
	if again := snap.Posture.Reassessment(&in); again.Interval > 0 {
		p.PRAEnforced, p.PRAAction = true, again.Action
		p.PRAInterval, p.PRAGrace = int(again.Interval/time.Second), int(again.Grace/time.Second)
	}
	if p.Location == "" {
		p.Location = "All Locations"
	}
	if s.Change != nil && (ev.before.Change == nil || ev.before.Change.Serial != s.Change.Serial) {
		p.CoA = s.Change.Kind + " " + s.Change.Grant.Profile
	}
	for _, one := range ev.judged.Assessment.Rules {
		p.Policies = append(p.Policies, record.PosturePolicy{
			Policy: one.Rule, Name: one.Requirement, Enforcement: one.Enforcement, Status: one.Status,
			Passed: one.Passed, Failed: one.Failed, Skipped: one.Skipped, Reason: one.Reason,
		})
	}
	if r.Facts.USB != nil {
		p.USB = r.Facts.USB.Devices
	}
	return p
}

func osName(s report.System) string {
	name := s.OSName
	if name == "" {
		name = s.OS
	}
	if s.OSVersion != "" && s.OSName == "" {
		name += " " + s.OSVersion
	}
	if s.Arch != "" {
		name += " " + s.Arch
	}
	return name
}

// agentText is what the reports say of the agent, and of a build of it that was taken back.
func agentText(a report.Agent) string {
	text := a.Name + " " + a.Version
	if a.FailedBuild != "" {
		text += " (" + a.FailedBuild + ")"
	}
	return text
}

// assessmentReason is why an endpoint is not compliant, in words.
func assessmentReason(a *posture.Assessment) string {
	var reasons []string
	for _, r := range a.Rules {
		if r.Reason != "" {
			reasons = append(reasons, r.Requirement+": "+r.Reason)
		}
	}
	return strings.Join(reasons, "; ")
}
