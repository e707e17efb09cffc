package portal

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/ops/clock"
)

// Config is what a portal is made of.
type Config struct {
	Address string   // host:port to listen on; port 0 takes a free one
	Name    string   // of the appliance: host name or address, for discovery, pages and the own certificate
	Names   []string // more names for the own certificate, such as portal.name

	StateDir         string // the own pair is in <StateDir>/tls, the agents' authority in <StateDir>/authority
	Certificate, Key string // PEM files of the operator, read and never written; both empty: the own pair

	AgentsDirectory string                      // files to hand out; empty: none
	Agents          func(os string) []AgentFile // what to offer for an OS; nil: what the names of the files tell

	// Looping is told when a person is redirected again and again: from which address, for
	// which session (empty: none that is proved), the cause by a short name and what to do
	// about it in English. Told once in five minutes for each; it must not wait. nil: nobody.
	Looping func(peer netip.Addr, sessionID, cause, advice string)
	// Refused is told, in the same way, of what is refused before Posture could hear of it;
	// sessionID is one that exists here, or empty. An address and reason are told of once in
	// five minutes, and a flood from many addresses once a second.
	Refused func(peer netip.Addr, sessionID, reason, advice string)
	// Resolve looks up a host name; nil: the system's resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	Limits Limits
	Clock  clock.Clock  // nil: the machine's
	Logger *slog.Logger // nil: the default one
}

// Server is a portal. Make it with New, let it answer with Start, end it with Close.
type Server struct {
	// set once
	cfg     Config
	posture Posture
	log     *slog.Logger
	pair    *pair

	authority *authority // nil: no state directory

	listener *listener
	http     *http.Server
	agents   *agents
	failed   chan error
	draining context.Context // ends when polls must be answered
	drain    context.CancelFunc
	stopping sync.Once
	closeErr error
	wg       sync.WaitGroup
	waiting  sync.WaitGroup // parked polls
	bodyWait time.Duration  // bodyTimeout; tests are less patient
	pollWait time.Duration  // pollTimeout

	reloading sync.Mutex // one reload at a time

	// limiters guard themselves
	requests  *limiter[netip.Addr]
	claims    *limiter[netip.Addr]
	forged    *limiter[forger]
	reports   *limiter[string]
	loops     loops
	teller    *teller
	distrust  moments // alerts about our certificate
	polls     polls
	downloads chan struct{}

	// atomics
	started     atomic.Bool
	certificate atomic.Pointer[loaded]
	count       counters
}

// loaded is the certificate in use, and the stamp of the files it was read from.
type loaded struct {
	cert  *tls.Certificate
	stamp string
	vouch string // of the agents' authority
}

// New reads or makes the certificate and opens the socket; connections wait until Start.
func New(cfg Config, p Posture) (*Server, error) {
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Resolve == nil {
		cfg.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	cfg.Limits = cfg.Limits.withDefaults()
	switch {
	case p == nil:
		return nil, errors.New("portal: no posture interface")
	case cfg.Name == "":
		return nil, errors.New("portal: the appliance has no name")
	case (cfg.Certificate == "") != (cfg.Key == ""):
		return nil, errors.New("portal: certificate and key come together: give both, or neither for a self-signed pair")
	case cfg.Certificate == "" && cfg.StateDir == "":
		return nil, errors.New("portal: neither a certificate nor a state directory to make one in")
	}
	tcp, err := net.Listen("tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	s := &Server{cfg: cfg, posture: p, log: cfg.Logger, failed: make(chan error, 1), bodyWait: bodyTimeout, pollWait: pollTimeout}
	s.draining, s.drain = context.WithCancel(context.Background())
	s.requests = newLimiter[netip.Addr](cfg.Limits.RequestsBurst, cfg.Limits.RequestsPer)
	s.claims = newLimiter[netip.Addr](claimBurst, claimRate)
	s.forged = newLimiter[forger](forgedBurst, forgedRate)
	s.reports = newLimiter[string](reportBurst, reportRate)
	s.downloads = make(chan struct{}, cfg.Limits.DownloadsAtOnce)
	s.agents = &agents{dir: cfg.AgentsDirectory, offers: cfg.Agents, refuse: s.count.refuse, log: s.log}
	s.listener = newListener(tcp, s.tlsConfig(), cfg.Limits, &s.count, s.log)
	s.teller = newTeller(s.tellRefused)
	s.listener.told = func(from netip.Addr, w why) { s.teller.refused(from, "", w, s.cfg.Clock.Now()) }
	s.listener.distrusted = func(from netip.Addr) { s.distrust.note(from, s.cfg.Clock.Now()) }
	s.http = s.httpServer()
	s.pair = newPair(&s.cfg, s.Addr())
	if cfg.StateDir != "" {
		if s.authority, err = openAuthority(cfg.StateDir, cfg.Name, cfg.Clock.Now()); err != nil {
			return nil, errors.Join(err, s.listener.Close())
		}
	}
	if err := s.ReloadCertificate(); err != nil {
		return nil, errors.Join(err, s.listener.Close())
	}
	return s, nil
}

func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// One request at a time on a connection: then the limits on connections are
		// limits on requests, and a long poll holds up nothing else of its agent.
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.certificate.Load().cert, nil
		},
	}
}

func (s *Server) httpServer() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytesMax,
		Protocols:         protocols,
		ConnState:         s.connState,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, inner(c))
		},
	}
}

type connKey struct{}

// inner is our connection below TLS.
func inner(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		if own, ok := t.NetConn().(*conn); ok {
			return own
		}
	}
	return nil
}

// connState counts requests that net/http refused before any handler saw them: slow,
// oversized or malformed headers.
func (s *Server) connState(c net.Conn, state http.ConnState) {
	own := inner(c)
	if own == nil {
		return
	}
	switch state {
	case http.StateActive:
		own.used.Store(true)
		own.begun.Store(true)
	case http.StateClosed:
		switch {
		case own.begun.Load():
			s.count.refuse(whyHeader)
			s.listener.told(own.from, whyHeader)
		case !own.used.Load() && s.draining.Err() == nil:
			s.count.refuse(whyNoRequest) // browsers open some in advance, and so this is told to nobody
		}
	}
}

// Addr is the address that the portal listens on, with the port it got.
func (s *Server) Addr() netip.AddrPort {
	return s.listener.Addr().(*net.TCPAddr).AddrPort()
}

// CertificatePath is the file of the certificate in use: the operator's, or the own one.
func (s *Server) CertificatePath() string { return s.pair.certificate }

// Start answers connections from now on, and returns at once.
func (s *Server) Start() {
	if s.started.Swap(true) {
		return
	}
	s.listener.wg.Add(1)
	go s.listener.run()
	s.wg.Add(2)
	go func() {
		defer s.wg.Done()
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) && s.draining.Err() == nil {
			s.failed <- fmt.Errorf("portal: %w", err)
		}
	}()
	go s.watchCertificate()
}

// Failed yields an error when the portal ended by itself.
func (s *Server) Failed() <-chan error { return s.failed }

// watchCertificate renews the own pair in time, and takes up files that were replaced.
func (s *Server) watchCertificate() {
	defer s.wg.Done()
	tick := time.NewTicker(certificateEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.draining.Done():
			return
		case <-tick.C:
			if err := s.ReloadCertificate(); err != nil {
				s.log.Error("portal: the certificate in use stays", "error", err)
			}
		}
	}
}

// ReloadCertificate reads the certificate files again, after renewing the own pair when
// it is about to expire. New handshakes use what it read; on an error the certificate in
// use stays.
func (s *Server) ReloadCertificate() error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	stamp, now := s.pair.stamp(), s.cfg.Clock.Now()
	if in := s.certificate.Load(); in != nil && in.stamp == stamp && (!s.pair.own || !ours(in.cert.Leaf) || s.pair.fits(in.cert.Leaf, now)) {
		return nil
	}
	cert, renewed, err := s.pair.load(now)
	if err != nil {
		return err
	}
	if renewed {
		stamp = s.pair.stamp()
		s.log.Info("portal: new self-signed certificate", "file", s.pair.certificate, "names", s.pair.names, "until", cert.Leaf.NotAfter)
	}
	if info, err := os.Stat(s.pair.key); err == nil && !s.pair.own && info.Mode().Perm()&0o004 != 0 {
		s.log.Warn("portal: everybody may read the key", "file", s.pair.key, "mode", info.Mode().Perm())
	}
	vouch, err := s.vouch(cert.Leaf)
	if err != nil {
		return err
	}
	s.certificate.Store(&loaded{cert, stamp, vouch})
	return nil
}

// Close stops accepting, answers the polls that wait, lets requests in flight end, and
// closes everything; what is not done when ctx ends is cut. Later calls return the same.
func (s *Server) Close(ctx context.Context) error {
	s.stopping.Do(func() {
		s.drain()
		err := s.listener.Close()
		s.listener.closeUnused()
		if s.started.Load() {
			if shut := s.http.Shutdown(ctx); shut != nil {
				err = errors.Join(err, fmt.Errorf("portal: requests were cut: %w", shut), s.http.Close())
			}
			s.listener.wg.Wait()
			s.wg.Wait()
			s.endPolls(ctx)
		}
		s.closeErr = err
	})
	return s.closeErr
}

// noDeadline lets a connection be read for as long as it likes.
var noDeadline time.Time

// deadline is for sockets, which know only the machine's clock.
func deadline(in time.Duration) time.Time { return clock.System{}.Now().Add(in) }
