package step

import (
	"time"

	"sallyport/engine/authz"
	"sallyport/engine/posture"
	"sallyport/sessions"
)

// LoginInput is one request whose sender was authenticated.
type LoginInput struct {
	Attributes
	Groups []string
	Method string // pap, mab, authorize-only
}

// Login decides what an authenticated endpoint may do. The record returned is nil when
// the profile rejects: a login that failed makes no session and changes none.
//
// The answer itself carries the grant, so a change under way to the same grant has lost
// its point. One to another grant may still reach the NAS after the answer: then the
// grant of the answer is sent as a change of its own, and has the last word.
func Login(now time.Time, old *sessions.Session, in *LoginInput, r *Rules) (*sessions.Session, authz.Decision) {
	next := loginRecord(now, old, in)
	if next.Posture.Status == sessions.Unknown {
		setStatus(now, next, firstStatus(now, next, r))
	}
	policyInput := Input(next, now, r)
	d := r.Authz.Decide(&policyInput)
	if d.Profile.Reject {
		return nil, d
	}
	next.Grant = grantOf(&d)
	supersede(now, old, next)
	if d.Profile.Redirect != nil && !sameRedirect(old, next) {
		newTicket(now, next)
	}
	if next.Posture.Status == sessions.Pending && r.PendingAlarm > 0 {
		next.Posture.ValidUntil = now.Add(r.PendingAlarm)
	}
	return next, d
}

// sameRedirect says whether the redirect that a login gives is on its way already, with a
// ticket that nobody redeemed: whichever reaches the NAS last, that ticket has to count.
func sameRedirect(old, next *sessions.Session) bool {
	if old == nil || old.Change == nil || !old.Started.Equal(next.Started) || old.UserName != next.UserName {
		return false
	}
	b, grant := &old.Posture.Binding, &old.Change.Grant
	return grant.Profile == next.Grant.Profile && grant.Digest == next.Grant.Digest && b.TicketUsed < b.TicketSerial
}

// stillFlying is how long a change that was given up here may be on its way: a request
// is retransmitted for 30 s at most (MRD of RFC 5080 section 2.2.1).
const stillFlying = 30 * time.Second

func supersede(now time.Time, old, next *sessions.Session) {
	next.Change = nil
	if old == nil {
		return
	}
	var profile string
	var digest uint64
	switch given := &old.Settled; {
	case old.Change != nil:
		profile, digest = old.Change.Grant.Profile, old.Change.Grant.Digest
		next.Settled = sessions.Settled{
			Serial: old.Change.Serial, Kind: old.Change.Kind, Profile: profile, At: now, Outcome: outcomeCancelled,
		}
	case given.Outcome == outcomeCancelled && now.Sub(given.At) < stillFlying:
		profile, digest = given.Profile, next.Grant.Digest
	default:
		return
	}
	if profile != next.Grant.Profile || digest != next.Grant.Digest {
		setChange(now, next, sessions.ChangePush, next.Grant, "a login overtook the change to "+profile)
	}
}

func loginRecord(now time.Time, old *sessions.Session, in *LoginInput) *sessions.Session {
	var next *sessions.Session
	switch {
	case old == nil || !old.Live():
		next = fresh(now, &in.Attributes, old)
	case old.Authenticated && old.UserName != in.UserName:
		// Somebody else on the same session: what the first one's agent said is void.
		next = fresh(now, &in.Attributes, old)
	default:
		next = copyOf(old, now)
	}
	in.apply(now, next)
	next.UserName = in.UserName
	next.Groups = in.Groups
	next.Method = in.Method
	next.Authenticated = true
	return next
}

// firstStatus is the posture status of an endpoint that nobody has judged: Pending when
// a requirement may be for it, else what the policy says of endpoints without one.
func firstStatus(now time.Time, s *sessions.Session, r *Rules) sessions.PostureStatus {
	in := postureInput(now, s, r)
	if r.Posture.Applies(&in) {
		return sessions.Pending
	}
	return r.Posture.DefaultStatus()
}

func postureInput(now time.Time, s *sessions.Session, r *Rules) posture.Input {
	return posture.Input{Session: Input(s, now, r)}
}
