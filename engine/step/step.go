// Package step says what one event does to one session. Nothing here reads a clock,
// a socket, a disk or a random source: time and chance come in as values, a new record
// goes out. The appliance, the policy tests and explain run this very code.
//
//	Login       an identity was proved        -> grant, or a reason to reject
//	Accounting  the NAS tells what happens    -> totals, addresses, the end
//	Claim       an agent binds its key        -> who may report
//	Report      facts arrived                 -> assessment, epoch, change of grant
//	Settle      a CoA was answered, or not    -> what the NAS now holds
//	Expire      time passed                   -> agent lost, purge, alarms
//
// Every function takes the record as it is and returns another; the one given is never
// changed. Where nothing changes the very same pointer comes back.
package step

import (
	"strings"
	"time"

	"sallyport/engine/authz"
	"sallyport/engine/expr"
	"sallyport/engine/posture"
	"sallyport/sessions"
)

// Rules is the compiled policy and the times that go with it: one snapshot of the
// configuration.
type Rules struct {
	Revision string
	Authz    *authz.Policy
	Posture  *posture.Policy
	NASGroup func(nas string) string

	Heartbeat              time.Duration
	PendingAlarm           time.Duration
	TicketLifetime         time.Duration
	PurgeWithoutStop       time.Duration
	PurgeWithoutAccounting time.Duration
	KeepEnded              time.Duration
	InterimMax             time.Duration // without an interim record, where some came before, a session has ended; 0: never
	IdleMax                time.Duration // a session of which nothing was heard for so long is disconnected; 0: never
	SessionMax             time.Duration // a session that lasts so long is disconnected; 0: never
}

// copyOf returns a record that may be changed, stamped with now.
func copyOf(s *sessions.Session, now time.Time) *sessions.Session {
	next := &sessions.Session{}
	copyInto(next, s, now)
	return next
}

func copyInto(next, s *sessions.Session, now time.Time) {
	*next = *s
	next.Version++
	next.Changed = now
}

// Input is what the policies read of a session.
func Input(s *sessions.Session, now time.Time, r *Rules) authz.Input {
	return input(s, now, r, ^expr.Vars(0))
}

// input is Input for policies that read no other variables than those: text that has to
// be made, of addresses, is made for who reads it.
func input(s *sessions.Session, now time.Time, r *Rules, reads expr.Vars) authz.Input {
	framed, nasIP := "", ""
	if reads.Has(expr.FramedIP) {
		framed = addressText(s)
	}
	if reads.Has(expr.NASIP) && s.NASIP.IsValid() {
		nasIP = s.NASIP.String()
	}
	group := ""
	if r.NASGroup != nil {
		group = r.NASGroup(s.NAS)
	}
	mac := ""
	if len(s.MACs) > 0 {
		mac = s.MACs[0]
	}
	return authz.Input{
		Authenticated:    s.Authenticated,
		Posture:          s.Posture.Status,
		User:             s.UserName,
		Groups:           s.Groups,
		NAS:              s.NAS,
		NASGroup:         group,
		Method:           s.Method,
		Assurance:        s.Posture.Binding.Assurance,
		CallingStationID: s.CallingStationID,
		CalledStationID:  s.CalledStationID,
		TunnelGroup:      s.TunnelGroup,
		NASPortType:      portTypeName(s.NASPortType),
		ServiceType:      serviceTypeName(s.ServiceType),
		FramedIP:         framed,
		NASIP:            nasIP,
		NASIdentifier:    s.NASIdentifier,
		NASPortID:        s.NASPortID,
		Failed:           s.Posture.Failed,
		InGrace:          s.Posture.InGrace(),
		OS:               s.OS,
		OSVersion:        s.OSVersion,
		Hostname:         s.Hostname,
		Domain:           s.Domain,
		MAC:              mac,
		Agent:            s.Posture.Agent,
		AgentKind:        s.Posture.AgentKind,
		Facts:            expr.Facts(s.Posture.Facts),
		Time:             now,
	}
}

// grantOf is what a NAS holds once it has profile p.
func grantOf(d *authz.Decision) sessions.Grant {
	return sessions.Grant{Profile: d.Profile.Name, Rule: d.Rule, Digest: d.Profile.Digest, Text: d.Profile.Text}
}

// intended is what the NAS holds, or will once the change under way is acknowledged.
func intended(s *sessions.Session) sessions.Grant {
	if s.Change != nil {
		return s.Change.Grant
	}
	return s.Grant
}

// authorize decides again for a session whose circumstances changed, and notes a
// change when, and only when, the profile is another than the one intended. next is
// changed in place; it is the caller's own.
func authorize(now time.Time, next *sessions.Session, r *Rules, reason string) authz.Decision {
	in := Input(next, now, r)
	d := r.Authz.Decide(&in)
	if !next.Live() || !next.Authenticated {
		return d
	}
	grant := grantOf(&d)
	if grant.Profile == intended(next).Profile && grant.Digest == intended(next).Digest && (next.Change != nil || !next.Doubt) {
		return d
	}
	kind := sessions.ChangePush
	if d.Profile.Reject {
		kind = sessions.ChangeDisconnect
	}
	setChange(now, next, kind, grant, reason)
	if d.Profile.Redirect != nil {
		newTicket(now, next)
	}
	return d
}

// setChange replaces whatever change was under way: older news loses.
func setChange(now time.Time, next *sessions.Session, kind string, grant sessions.Grant, reason string) {
	next.Changes++
	next.Change = &sessions.Change{
		Kind: kind, Epoch: next.Epoch, Serial: next.Changes, Made: now, Reason: reason, Grant: grant,
	}
}

// newTicket makes the tickets given out before worthless.
func newTicket(now time.Time, next *sessions.Session) {
	next.Posture.Binding.TicketSerial++
	next.Posture.Binding.TicketMade = now
}

// Reauthorize decides again after the policy changed.
func Reauthorize(now time.Time, old *sessions.Session, r *Rules) *sessions.Session {
	if !old.Live() || !old.Authenticated {
		return old
	}
	next := copyOf(old, now)
	authorize(now, next, r, policyRevision+r.Revision)
	if next.Change == old.Change {
		return old
	}
	return next
}

// Reasons of changes that others look at.
const (
	askedBy        = "asked for by "
	policyRevision = "policy revision "
	notTaken       = "the NAS did not take the last change"
)

// ByOperator says whether a person asked for the change, ByPolicy whether it is one of
// many that another configuration made.
func ByOperator(c *sessions.Change) bool { return strings.HasPrefix(c.Reason, askedBy) }

// ByPolicy: see ByOperator.
func ByPolicy(c *sessions.Change) bool { return strings.HasPrefix(c.Reason, policyRevision) }

// Again says whether the change repeats one that the NAS did not take. When a NAS comes
// back there may be very many of them.
func Again(c *sessions.Change) bool { return c.Reason == notTaken }

// Operator notes a change that a person asked for. A reauthentication tells the NAS what
// the rules say now, which is not what it holds where the last change failed.
func Operator(now time.Time, old *sessions.Session, kind, who string, r *Rules) *sessions.Session {
	next := copyOf(old, now)
	grant := intended(old)
	if old.Authenticated {
		in := Input(next, now, r)
		d := r.Authz.Decide(&in)
		grant = grantOf(&d)
		if d.Profile.Reject {
			kind = sessions.ChangeDisconnect
		}
		if d.Profile.Redirect != nil && grant.Profile != intended(old).Profile {
			newTicket(now, next)
		}
	}
	setChange(now, next, kind, grant, askedBy+who)
	return next
}
