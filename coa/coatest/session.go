package coatest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"sallyport/netio/radius"
)

// ErrEnded says that a session ended before what was waited for.
var ErrEnded = errors.New("coatest: the session has ended")

// ASASession is one tunnel.
type ASASession struct {
	asa      *ASA
	user     string
	endpoint Endpoint
	auditID  string
	acctID   string
	port     uint32
	tunnelIP netip.Addr
	began    time.Time

	authenticatorFirst bool

	turn sync.Mutex // held while access or end is being changed; before mu

	mu      sync.Mutex // guards what follows
	access  Access
	pushes  int           // CoA-Requests that were taken
	serial  int           // of the newest push; an older download is late news
	ended   string        // why, empty while it lives
	changed chan struct{} // closed and made anew with each change
	history []string
}

// newSession mints what names a session: audit-session-id is the NAS's address, the
// NAS-Port and the second of the login, in lower-case hexadecimal digits.
func (a *ASA) newSession(user string, e Endpoint) *ASASession {
	a.mu.Lock()
	n := a.counter
	a.counter++
	a.mu.Unlock()
	now, port := a.clock.Now(), firstPort+n*portStep
	tunnel := a.config.Pool
	for range n {
		tunnel = tunnel.Next()
	}
	ip := a.config.NASIP.As4()
	return &ASASession{asa: a, user: user, endpoint: e, port: port, tunnelIP: tunnel, began: now,
		auditID: fmt.Sprintf("%x%08x%08x", ip[:], port, uint32(now.Unix())),
		acctID:  fmt.Sprintf("%08X", firstAcctSession+n), changed: make(chan struct{})}
}

// start puts the session in force.
func (s *ASASession) start(access Access) {
	s.asa.mu.Lock()
	s.asa.sessions[s.auditID] = s
	s.asa.mu.Unlock()
	s.apply(0, access, "login")
}

// apply makes access the one in force, all of it at once, unless a newer push came. The
// step is told first, so that whoever waits for the change finds it told.
func (s *ASASession) apply(serial int, access Access, by string) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	late := s.ended != "" || serial < s.serial
	if len(access.Class) == 0 {
		access.Class = s.access.Class // accounting goes on under the name it had
	}
	s.mu.Unlock()
	if late {
		return
	}
	s.asa.inside(s.auditID, "%s: access is now %s", by, access)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access = access
	s.history = append(s.history, access.String())
	s.wake()
}

// wake tells all who wait. REQUIRES: mu.
func (s *ASASession) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// end takes the session away; false when it was gone already.
func (s *ASASession) end(why string) bool {
	s.turn.Lock()
	defer s.turn.Unlock()
	if _, ended := s.Ended(); ended {
		return false
	}
	s.asa.mu.Lock()
	delete(s.asa.sessions, s.auditID)
	s.asa.mu.Unlock()
	s.asa.inside(s.auditID, "session ended: %s", why)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = why
	s.wake()
	return true
}

// User is the user's name.
func (s *ASASession) User() string { return s.user }

// AuditSessionID is the id as the ASA spells it.
func (s *ASASession) AuditSessionID() string { return s.auditID }

// AcctSessionID is the ASA's own number of the session.
func (s *ASASession) AcctSessionID() string { return s.acctID }

// TunnelIP is the endpoint's address inside the tunnel.
func (s *ASASession) TunnelIP() netip.Addr { return s.tunnelIP }

// MessageAuthenticatorFirst says whether the Access-Accept had it as its first attribute.
func (s *ASASession) MessageAuthenticatorFirst() bool { return s.authenticatorFirst }

// Authorization is what is in force now.
func (s *ASASession) Authorization() Access {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.access.clone()
}

// Access is the access in force now, in words: "redirect ACL to URL", "dACL NAME (2
// entries)", "full"; "ended: why" when there is no session any more.
func (s *ASASession) Access() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != "" {
		return "ended: " + s.ended
	}
	return s.access.String()
}

// History is every access that was ever in force, in words, the oldest first.
func (s *ASASession) History() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.history...)
}

// Pushes counts the CoA-Requests that were acknowledged, duplicates and lies left out.
func (s *ASASession) Pushes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pushes
}

// Ended says why the session is over; false while it lives.
func (s *ASASession) Ended() (why string, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended, s.ended != ""
}

// Changed is closed with the next change of the session.
func (s *ASASession) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// WaitFor waits until the access in force is as wanted. It fails with ctx's error, which
// says what is in force, or with ErrEnded.
func (s *ASASession) WaitFor(ctx context.Context, wanted func(Access) bool) error {
	for {
		s.mu.Lock()
		access, ended, changed := s.access.clone(), s.ended, s.changed
		s.mu.Unlock()
		if ended != "" {
			return fmt.Errorf("%w: %s", ErrEnded, ended)
		}
		if wanted(access) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("access is still %s: %w", access, context.Cause(ctx))
		}
	}
}

// WaitEnd waits until the session is over and says why.
func (s *ASASession) WaitEnd(ctx context.Context) (string, error) {
	for {
		s.mu.Lock()
		ended, changed := s.ended, s.changed
		s.mu.Unlock()
		if ended != "" {
			return ended, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// Logout ends the session as its user would and sends the Stop of accounting, whose
// fate is the error.
func (s *ASASession) Logout(ctx context.Context) error {
	if !s.end("logout") {
		return ErrEnded
	}
	return s.account(ctx, acctStop, radius.AcctTerminateCauseUserRequest)
}

// Interim sends an Interim-Update.
func (s *ASASession) Interim(ctx context.Context) error {
	if _, ended := s.Ended(); ended {
		return ErrEnded
	}
	return s.account(ctx, acctInterim, 0)
}

// matches says whether the session is the one that the request names: each name that it
// gives must be the session's (RFC 5176 section 3).
func (s *ASASession) matches(v *radius.View) bool {
	text := func(t radius.Type, have string) bool {
		value, given := v.Get(t)
		return !given || string(value) == have
	}
	audit, byAudit := v.AVPair("audit-session-id")
	port, _ := v.U32(radius.NASPort)
	framed, _ := v.Addr(radius.FramedIPAddress)
	return (!byAudit || strings.EqualFold(string(audit), s.auditID)) &&
		text(radius.CallingStationID, s.endpoint.PublicIP.String()) &&
		text(radius.AcctSessionID, s.acctID) &&
		text(radius.UserName, s.user) &&
		(!v.Has(radius.NASPort) || port == s.port) &&
		(!v.Has(radius.FramedIPAddress) || framed == s.tunnelIP)
}
