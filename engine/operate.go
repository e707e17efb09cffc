package engine

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"time"

	"sallyport/engine/record"
	"sallyport/netio/console"
	"sallyport/sessions"
)

// source shows the engine to the console.
type source struct{ e *Engine }

// Status is the appliance at a glance.
func (s source) Status() console.Row { return s.e.Status() }

// Counters are those above the live log.
func (s source) Counters() console.Row { return s.e.Counters() }

// Sessions emits the sessions that f matches. Ended ones are shown when asked for.
func (s source) Sessions(ctx context.Context, f *console.Filter, limit int, emit func(console.Row) error) error {
	n := 0
	for x := range s.e.table.All() {
		v := ViewSession(x)
		if f.Status == "" && v.State != "live" || !f.Match(sessionFields(&v)) {
			continue
		}
		if err := errors.Join(ctx.Err(), emit(v)); err != nil {
			return err
		}
		if n++; n == limit {
			return nil
		}
	}
	return nil
}

func sessionFields(v *SessionView) *console.Fields {
	return &console.Fields{
		SessionID: v.SessionID, Identity: v.Identity, EndpointID: v.EndpointID, IPAddress: v.IPAddress,
		NetworkDevice: v.NetworkDevice, PostureStatus: v.Posture.Status, Status: v.State,
		AuthorizationPolicy: v.Authorization.Rule, AuthorizationProfile: v.Authorization.Profile,
	}
}

// Session is one session by its audit-session-id.
func (s source) Session(id string) (console.Row, bool) {
	x := s.e.session(id)
	if x == nil {
		return nil, false
	}
	return s.e.viewWhole(x), true
}

// LiveLog emits rows, and with follow goes on as decisions are made.
func (s source) LiveLog(ctx context.Context, after uint64, limit int, follow bool, f *console.Filter, emit func(uint64, console.Row) error) error {
	rows, upTo, missed := s.e.livelog.Since(after, 0)
	rows = newest(rows, limit, f)
	for {
		if missed > 0 && after > 0 {
			if err := emit(upTo, console.Missed{Missed: missed}); err != nil {
				return err
			}
		}
		for _, d := range rows {
			if err := emit(d.Number, d); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		after = upTo
		if err := s.e.livelog.Wait(ctx, after); err != nil {
			return nil
		}
		rows, upTo, missed = s.e.livelog.Since(after, 0)
		rows = newest(rows, 0, f)
	}
}

// Folded emits the rows that repeated failures were folded into one from.
func (s source) Folded(_ context.Context, id string, emit func(console.Row) error) error {
	rows := s.e.suppress.open(id)
	if len(rows) == 0 {
		return problem(404, "unknown-fold", "no repeated failures are kept under this fold_id (records.folded)")
	}
	for _, d := range rows {
		if err := emit(d); err != nil {
			return err
		}
	}
	return nil
}

// Shadow is what the shadow configuration found.
func (s source) Shadow() (console.Row, bool) {
	v := s.e.beside.Load().tried()
	return v, v != nil
}

// newest keeps the rows that f matches, at most the last limit of them.
func newest(rows []*record.Decision, limit int, f *console.Filter) []*record.Decision {
	kept := rows
	if !f.Empty() {
		kept = nil
		for _, d := range rows {
			if f.Match(decisionFields(d)) {
				kept = append(kept, d)
			}
		}
	}
	if limit > 0 && len(kept) > limit {
		kept = kept[len(kept)-limit:]
	}
	return kept
}

func decisionFields(d *record.Decision) *console.Fields {
	return &console.Fields{
		SessionID: d.SessionID, Identity: d.Identity, EndpointID: d.EndpointID, IPAddress: d.IPAddress,
		NetworkDevice: d.NetworkDevice, PostureStatus: d.PostureStatus, Status: d.Status, Kind: string(d.Kind),
		AuthorizationPolicy: d.AuthorizationPolicy, AuthorizationProfile: d.AuthorizationProfile,
	}
}

// Report emits the lines of one of the three posture reports, newest first.
func (s source) Report(ctx context.Context, q console.ReportQuery, emit func(console.Row) error) error {
	n := 0
	var fault error
	show := func(row console.Row) bool {
		fault = emit(row)
		n++
		return fault == nil && (q.Limit <= 0 || n < q.Limit)
	}
	err := s.e.Reports(ctx, q.Since, func(p *record.Posture) bool {
		if q.DecisionID != "" && p.DecisionID != q.DecisionID || !q.Filter.Match(postureFields(p)) {
			return true
		}
		switch q.Kind {
		case console.ReportCondition:
			for _, row := range p.ByCondition() {
				if !show(row) {
					return false
				}
			}
			return true
		case console.ReportEndpoint:
			return show(p.ByEndpoint())
		}
		return show(p)
	})
	return errors.Join(err, fault)
}

func postureFields(p *record.Posture) *console.Fields {
	return &console.Fields{
		SessionID: p.SessionID, Identity: p.Identity, EndpointID: p.EndpointID, IPAddress: p.IPAddress,
		NetworkDevice: p.NetworkDevice, PostureStatus: p.Status, Status: p.Status,
		AuthorizationPolicy: p.Rule, AuthorizationProfile: p.Profile,
	}
}

// operator does what people ask for on the control socket.
type operator struct {
	e           *Engine
	certificate func() error // reads the portal's certificate again
}

// Reauthenticate makes the NAS ask again.
func (o operator) Reauthenticate(ctx context.Context, id string) (console.Row, error) {
	return o.change(ctx, id, sessions.ChangeReauth)
}

// Disconnect ends a session.
func (o operator) Disconnect(ctx context.Context, id string) (console.Row, error) {
	return o.change(ctx, id, sessions.ChangeDisconnect)
}

// Reload brings the configuration file into force, or says what that would change.
func (o operator) Reload(_ context.Context, request json.RawMessage) (console.Row, error) {
	var q ReloadOptions
	if err := json.Unmarshal(request, &q); err != nil {
		return nil, problem(400, "malformed", err.Error())
	}
	out, err := o.e.ReloadWith(q)
	if err != nil {
		return nil, problem(409, "reload-refused", err.Error())
	}
	if out.Applied {
		if err := o.certificate(); err != nil {
			out.Warnings = append(out.Warnings, "the portal keeps its old certificate: "+err.Error())
		}
	}
	return out, nil
}

// settleWait bounds how long an operator waits for the NAS: all retransmissions.
const settleWait = 40 * time.Second

func (o operator) change(ctx context.Context, id, kind string) (console.Row, error) {
	s := o.e.session(id)
	if s == nil {
		return nil, errUnknown
	}
	ev := &operatorEvent{id: s.ID, kind: kind, who: "operator", finished: make(chan struct{})}
	if err := o.e.ask(ctx, ev, ev.finished); err != nil {
		return nil, err
	}
	if ev.fault != nil {
		return nil, ev.fault
	}
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	return o.e.awaitSettled(ctx, ev.next.ID, ev.next.Change.Serial)
}

// awaitSettled follows the live log until the change of a session has ended.
func (e *Engine) awaitSettled(ctx context.Context, id sessions.ID, serial uint64) (console.Row, error) {
	for {
		last := e.livelog.Last()
		s := e.table.Get(id)
		if s == nil {
			return nil, errUnknown
		}
		if s.Settled.Serial >= serial {
			return ViewSession(s), nil
		}
		if err := e.livelog.Wait(ctx, last); err != nil {
			return ViewSession(s), nil
		}
	}
}

// Revision names the configuration in force.
func (e *Engine) Revision() string { return e.snapshot().Revision }

// DrainTime is how long a stop may take.
func (e *Engine) DrainTime() time.Duration { return e.snapshot().Config.Drain }

// portalHost is host and port of redirect URLs.
func (e *Engine) portalHost() string {
	if p := e.portalAt.Load(); p != nil {
		return *p
	}
	return e.snapshot().Config.Appliance.Name.Value
}

func poolWorkers() int { return max(2, runtime.GOMAXPROCS(0)) }
