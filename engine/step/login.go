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
	Method string       // pap, mab, authorize-only
	Last   posture.Last // of the same endpoint and user, from an earlier session
	Again  bool         // it was answered before: the NAS may go by that answer and not by this
}

// Login decides what an authenticated endpoint may do. The record returned is nil when
// the profile rejects: a login that failed makes no session and changes none.
//
// The answer itself carries the grant, so a change under way to the same grant has lost
// its point, unless the request was answered before. One to another grant may still reach
// the NAS after the answer: then the grant of the answer is sent as a change of its own, and
// has the last word.
func Login(now time.Time, old *sessions.Session, in *LoginInput, r *Rules) (*sessions.Session, authz.Decision) {
	return LoginInto(&sessions.Session{}, now, old, in, r)
}

// LoginInto is Login that makes the new record in next, which is the caller's, and
// allocates nothing. A login that changes nothing worth keeping gives old back.
func LoginInto(next *sessions.Session, now time.Time, old *sessions.Session, in *LoginInput, r *Rules) (*sessions.Session, authz.Decision) {
	loginRecord(next, now, old, in)
	begin(next, now, in, r)
	policyInput := input(next, now, r, r.Authz.Reads())
	d := r.Authz.Decide(&policyInput)
	if d.Profile.Reject {
		return nil, d
	}
	next.Grant, next.Doubt = grantOf(&d), false
	supersede(now, old, next, in.Again)
	goesOn := old != nil && old.Started.Equal(next.Started)
	if d.Profile.Redirect != nil && !(goesOn && sameRedirect(now, old, next, r)) {
		newTicket(now, next)
	}
	if goesOn && next.LastSeen.Sub(old.LastSeen) < seenTrails && same(old, next) {
		return old, d
	}
	return next, d
}

// seenTrails is how far LastSeen may be behind. It decides about purges after hours and
// days; a minute of it is not worth a write to the disk.
const seenTrails = time.Minute

// sameRedirect says whether the ticket that was given out last still stands for the
// redirect that a login gives, and nobody has redeemed it. It is either on its way in a
// change, and whichever reaches the NAS last, that ticket has to count; or the NAS was
// told before and asks again.
func sameRedirect(now time.Time, old, next *sessions.Session, r *Rules) bool {
	b := &old.Posture.Binding
	if b.TicketUsed >= b.TicketSerial || old.UserName != next.UserName {
		return false
	}
	if old.Change == nil && now.Sub(b.TicketMade) > r.TicketLifetime/2 {
		return false
	}
	held := intended(old)
	return held.Profile == next.Grant.Profile && held.Digest == next.Grant.Digest
}

// stillFlying is how long a change that was given up here may be on its way: a request
// is retransmitted for 30 s at most (MRD of RFC 5080 section 2.2.1).
const stillFlying = 30 * time.Second

func supersede(now time.Time, old, next *sessions.Session, again bool) {
	if c := next.Change; again && c != nil && c.Grant.Profile == next.Grant.Profile && c.Grant.Digest == next.Grant.Digest {
		return
	}
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
			Serial: old.Change.Serial, Kind: old.Change.Kind, Profile: profile, At: now, Outcome: OutcomeCancelled,
		}
	case given.Outcome == OutcomeCancelled && now.Sub(given.At) < stillFlying:
		profile, digest = given.Profile, next.Grant.Digest
	default:
		return
	}
	if profile != next.Grant.Profile || digest != next.Grant.Digest {
		setChange(now, next, sessions.ChangePush, next.Grant, "a login overtook the change to "+profile)
	}
}

// Unanswered says whether a login that names no session may be the one that began s, sent
// again since no answer came: nobody has spoken of s yet.
func Unanswered(s *sessions.Session, in *LoginInput) bool {
	return s.Live() && s.Minted && s.Authenticated && s.Accounting.LastEvent.IsZero() &&
		s.CallingStationID == in.CallingStationID && s.UserName == in.UserName
}

func loginRecord(next *sessions.Session, now time.Time, old *sessions.Session, in *LoginInput) {
	switch {
	case old == nil || !old.Live():
		freshInto(next, now, &in.Attributes, old)
	case old.Authenticated && old.UserName != in.UserName:
		// Somebody else on the same session: what the first one's agent said is void.
		freshInto(next, now, &in.Attributes, old)
	default:
		copyInto(next, old, now)
	}
	in.apply(now, next)
	next.UserName = in.UserName
	next.Groups = in.Groups
	next.Method = in.Method
	next.Authenticated = true
}

// begin is the beginning of the course: Pending when a requirement may be for the
// endpoint, unless a lease says better; else what the policy says of endpoints without
// one. Who logs in again while Pending is waited for again.
func begin(next *sessions.Session, now time.Time, in *LoginInput, r *Rules) {
	p := &next.Posture
	switch {
	case p.Status == sessions.Unknown:
		input := postureInput(now, next, r)
		c := r.Posture.Begin(now, &input, in.Last)
		follow(next, &c)
		if !p.LeaseUntil.IsZero() {
			p.ReportAt = in.Last.At
		}
	case p.Status == sessions.Pending && p.PendingBy.IsZero() && r.PendingAlarm > 0:
		p.PendingBy = now.Add(r.PendingAlarm)
		p.ValidUntil = p.First()
	}
}

func postureInput(now time.Time, s *sessions.Session, r *Rules) posture.Input {
	return posture.Input{Session: Input(s, now, r)}
}
