package coatest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"sallyport/netio/radius"
	"sallyport/ops/clock"
	"sallyport/ops/secret"
)

// ASAConfig says what an ASA is. Name, Secret and AuthServer are needed.
type ASAConfig struct {
	Name       string
	Secret     secret.Shared
	AuthServer netip.AddrPort
	AcctServer netip.AddrPort // zero: no accounting
	CoAListen  string         // address:port; empty: a free port of 127.0.0.1
	// RedirectListen is where HTTP requests of endpoints arrive, as those that a redirect
	// ACL catches do on a real one; empty: a free port of 127.0.0.1.
	RedirectListen string
	NASIP          netip.Addr // NAS-IP-Address, IPv4; zero: the address that CoAListen has
	Source         netip.Addr // address to send from; zero: the system chooses
	TunnelGroup    string     // empty: RA
	Pool           netip.Addr // first tunnel address; zero: 172.16.31.10
	Retransmit     Retransmit // zero: RFC 5080's values

	MessageAuthenticator        bool // send it with a login, as newer releases do
	RequireMessageAuthenticator bool // drop replies to a login that have none
	WithoutAccounting           bool // as SetAccounting(false)

	Clock  clock.Clock                // nil: the system's
	Answer func(ASARequest) ASAAnswer // nil: as it should be
	Log    func(Step)                 // nil: nobody listens; called one step at a time
}

// Retransmit is how a request is sent again (RFC 5080 section 2.2.1). Zero fields take
// that section's defaults.
type Retransmit struct {
	Initial  time.Duration // IRT, 2 s
	Most     time.Duration // MRT, 16 s
	Count    int           // MRC, 5 transmissions
	Duration time.Duration // MRD, 30 s in all
}

// ASA is one emulated NAS. Its methods may be called by many goroutines.
type ASA struct {
	config ASAConfig
	key    *radius.Key
	clock  clock.Clock
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	coa    *net.UDPConn
	web    *http.Server
	webAt  netip.AddrPort
	wg     sync.WaitGroup

	logging sync.Mutex

	mu         sync.Mutex // guards what follows
	accounting bool
	answer     func(ASARequest) ASAAnswer
	sessions   map[string]*ASASession // live, by audit-session-id
	dacls      map[string][]string    // entries by full name, kept for good
	counter    uint32                 // sessions so far
	answered   map[slot]answered      // of CoA and Disconnect requests
	seen       map[slot]arrivals
}

// First values of counters, near those that were seen on real ones.
const (
	firstPort        = 0x1d000 // NAS-Port of the first session; they go up by portStep
	portStep         = 0x1000
	firstAcctSession = 0x63815aaf
)

// NewASA opens the sockets and starts to listen. The error says what the configuration
// lacks or which address cannot be had. Close it.
func NewASA(c ASAConfig) (*ASA, error) {
	key, err := radius.NewKey(c.Secret)
	if err != nil {
		return nil, fmt.Errorf("coatest: ASA %s: %w", c.Name, err)
	}
	if c.Name == "" || !c.AuthServer.IsValid() {
		return nil, errors.New("coatest: an ASA needs a name and an authentication server")
	}
	c.defaults()
	a := &ASA{config: c, key: key, clock: c.Clock, accounting: !c.WithoutAccounting, answer: c.Answer,
		sessions: map[string]*ASASession{}, dacls: map[string][]string{},
		answered: map[slot]answered{}, seen: map[slot]arrivals{}}
	listen, err := net.ResolveUDPAddr("udp", c.CoAListen)
	if err == nil {
		a.coa, err = net.ListenUDP("udp", listen)
	}
	if err != nil {
		return nil, fmt.Errorf("coatest: ASA %s: CoA listener: %w", c.Name, err)
	}
	web, err := net.Listen("tcp", c.RedirectListen)
	if err != nil {
		a.coa.Close()
		return nil, fmt.Errorf("coatest: ASA %s: redirect listener: %w", c.Name, err)
	}
	a.webAt = web.Addr().(*net.TCPAddr).AddrPort()
	if !c.NASIP.IsValid() {
		a.config.NASIP = a.CoAAddr().Addr()
	}
	if !a.config.NASIP.Is4() || a.config.NASIP.IsUnspecified() {
		a.coa.Close()
		web.Close()
		return nil, fmt.Errorf("coatest: ASA %s: NASIP %s is not an IPv4 address to be found at: set it", c.Name, a.config.NASIP)
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.web = &http.Server{Handler: http.HandlerFunc(a.redirect), ReadHeaderTimeout: 5 * time.Second}
	a.wg.Go(func() { a.web.Serve(web) })
	a.wg.Go(a.listen)
	return a, nil
}

func (c *ASAConfig) defaults() {
	text := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	text(&c.CoAListen, "127.0.0.1:0")
	text(&c.RedirectListen, "127.0.0.1:0")
	text(&c.TunnelGroup, "RA")
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if !c.Pool.IsValid() {
		c.Pool = netip.AddrFrom4([4]byte{172, 16, 31, 10})
	}
	c.NASIP = c.NASIP.Unmap()
	r := &c.Retransmit
	r.Initial = orDuration(r.Initial, 2*time.Second)
	r.Most = orDuration(r.Most, 16*time.Second)
	r.Duration = orDuration(r.Duration, 30*time.Second)
	if r.Count <= 0 {
		r.Count = 5
	}
}

func orDuration(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// Close stops listening and ends what is under way. Sessions are forgotten without a
// word, as by a power cut.
func (a *ASA) Close() {
	a.cancel()
	a.coa.Close()
	a.web.Close()
	a.wg.Wait()
}

// Name is the configured name.
func (a *ASA) Name() string { return a.config.Name }

// NASIP is what NAS-IP-Address says.
func (a *ASA) NASIP() netip.Addr { return a.config.NASIP }

// CoAAddr is where CoA and Disconnect requests are heard.
func (a *ASA) CoAAddr() netip.AddrPort {
	at := a.coa.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// RedirectAddr is where HTTP requests of endpoints are caught.
func (a *ASA) RedirectAddr() netip.AddrPort { return a.webAt }

// RedirectURL is http:// and RedirectAddr.
func (a *ASA) RedirectURL() string { return "http://" + a.webAt.String() + "/" }

// SetAccounting turns accounting on or off for what comes after.
func (a *ASA) SetAccounting(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accounting = on
}

// Accounting says whether accounting is sent.
func (a *ASA) Accounting() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.accounting && a.config.AcctServer.IsValid()
}

// SetAnswer changes how CoA and Disconnect requests are answered from now on; nil: as
// it should be.
func (a *ASA) SetAnswer(f func(ASARequest) ASAAnswer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = f
}

// Session finds a live session by its audit-session-id, whatever the case of its letters.
func (a *ASA) Session(auditSessionID string) (*ASASession, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.sessions[strings.ToLower(auditSessionID)]
	return s, ok
}

// live lists the live sessions, in no order.
func (a *ASA) live() []*ASASession {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]*ASASession, 0, len(a.sessions))
	for _, s := range a.sessions {
		all = append(all, s)
	}
	return all
}
