package portal

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"sallyport/netio/report"
)

// cause is why a person is sent here again and again.
type cause uint8

const (
	causeNone        cause = iota
	causeName              // the page was opened by a name that the certificate does not carry
	causeStale             // the redirect carries no ticket that is good here
	causePassed            // all is well, and the NAS still redirects
	causeRedirectACL       // the page's own looks are caught by the NAS and come back as redirects
	causeTrust             // programs at this address refuse the certificate
	causeDNS               // the name in the redirect URL does not resolve
	causeUnheard           // no agent was heard of
	causes                 // the number of them
)

var causeNames = [causes]string{"", "certificate-name", "stale-session", "authorization", "redirect-acl", "certificate-trust", "dns", "unheard"}

// loops recognises who is redirected again and again. A visitor is a session, or an
// address when the redirect proves no session.
type loops struct {
	mu    sync.Mutex
	known map[string]visits
}

// visits are the last redirects of one visitor.
type visits struct {
	hits   [loopHitsMax + 1]time.Time // newest first
	looked time.Time                  // the last time that a page looked again by itself
	told   time.Time                  // when the loop was told of last
	cause  cause                      // what was told
}

// arrived notes a redirect and says whether there were more than loopHitsMax within
// loopWindow. A page that looks again by itself is noted as such, and is no redirect.
func (l *loops) arrived(visitor string, at time.Time, redirected bool) (visits, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, known := l.known[visitor]
	if l.known == nil || !known && len(l.known) >= loopSessionsMax {
		l.known = map[string]visits{} // a hint may come late
	}
	if redirected {
		copy(v.hits[1:], v.hits[:loopHitsMax])
		v.hits[0] = at
	} else {
		v.looked = at
	}
	l.known[visitor] = v
	oldest := v.hits[loopHitsMax]
	return v, !oldest.IsZero() && (at.Sub(oldest) <= loopWindow || v.paced() && at.Sub(v.hits[0]) <= loopWindow)
}

// tell says whether a loop is news, and notes that it was told.
func (l *loops) tell(visitor string, at time.Time, c cause) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.known[visitor]
	if v.cause == c && at.Sub(v.told) < loopToldEvery {
		return false
	}
	v.cause, v.told = c, at
	l.known[visitor] = v
	return true
}

// paced is true when the redirects came as the page looks again, and no such look arrived:
// the NAS has caught each and made a redirect of it.
func (v *visits) paced() bool {
	for i := range loopHitsMax {
		gap := v.hits[i].Sub(v.hits[i+1])
		if gap < refreshEvery*time.Second-loopPaceSlack || gap > refreshEvery*time.Second+loopPaceSlack {
			return false
		}
	}
	return v.looked.Before(v.hits[loopHitsMax])
}

// moments remembers when something happened last at an address.
type moments struct {
	mu sync.Mutex
	at map[netip.Addr]time.Time
}

func (m *moments) note(from netip.Addr, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at == nil || len(m.at) >= loopSessionsMax {
		m.at = map[netip.Addr]time.Time{}
	}
	m.at[from] = at
}

func (m *moments) since(from netip.Addr, t time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at[from].After(t)
}

// refusesCertificate says whether a handshake ended by an alert about our certificate (RFC
// 8446 section 6.2). The standard library gives the peer's alerts only as text.
func refusesCertificate(err error) bool {
	var remote *net.OpError
	return errors.As(err, &remote) && remote.Op == "remote error" &&
		(strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), "unknown certificate authority"))
}

// looping finds out whether the person of this request is in a loop, tells of it, and
// returns what the page says.
func (s *Server) looping(r *request, t *words, id string, v View) string {
	q := r.URL.Query()
	_, looked := q[queryRefresh]
	visitor := oneSpelling(id)
	if visitor == "" {
		if q.Get(report.QuerySessionID) == "" {
			return "" // whoever opens the page by hand may do so as often as he likes
		}
		visitor = "address " + origin(r.peer.Addr()).String()
	}
	seen, loop := s.loops.arrived(visitor, r.at, !looked)
	if !loop {
		return ""
	}
	c := s.loopCause(r, id, v, &seen)
	if c == causeNone {
		return ""
	}
	if s.loops.tell(visitor, r.at, c) {
		s.count.loops[c].Add(1)
		s.log.Warn("portal: redirected again and again", "session", id, "peer", r.peer.Addr(), "cause", causeNames[c])
		if s.cfg.Looping != nil {
			s.cfg.Looping(r.peer.Addr(), id, causeNames[c], strings.TrimPrefix(english.Loops[c], english.ForAdministrator))
		}
	}
	return t.Loops[c]
}

// loopCause says why somebody is most likely sent here again and again. A bound session
// that is not yet in order is no loop: a person who browses comes here.
func (s *Server) loopCause(r *request, id string, v View, seen *visits) cause {
	host := r.Host
	if u, err := url.Parse("https://" + host); err == nil {
		host = u.Hostname()
	}
	switch {
	case s.certificate.Load().cert.Leaf.VerifyHostname(host) != nil:
		return causeName
	case id == "":
		return causeStale
	case v.Status == statusCompliant || v.Status == statusNotApplicable:
		return causePassed
	case seen.paced():
		return causeRedirectACL
	case v.Bound:
		return causeNone
	case s.distrust.since(origin(r.peer.Addr()), r.at.Add(-loopTrustWindow)):
		return causeTrust
	case s.unresolved(r.Context(), host):
		return causeDNS
	}
	return causeUnheard
}

// unresolved says whether the name does not resolve where the appliance is. The host is a
// name of our certificate, so that nobody makes us ask for others.
func (s *Server) unresolved(ctx context.Context, host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	_, err := s.cfg.Resolve(ctx, host)
	var no *net.DNSError
	return errors.As(err, &no) && no.IsNotFound
}
