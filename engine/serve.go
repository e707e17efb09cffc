package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sallyport/engine/policy"
	"sallyport/netio/console"
	"sallyport/netio/portal"
	"sallyport/netio/udp"
	"sallyport/ops/config"
)

// lateQueue is room for the replies of several groups: what finds none is lost, and the
// NAS has to ask again.
const lateQueue = 4096

const _ = uint(lateQueue - 4*groupMax)

// Server is an engine with its sockets open.
type Server struct {
	e       *Engine
	radius  *udp.Server
	portal  *portal.Server
	console *console.Server
	metrics *http.Server
	bound   Bound
	fault   chan error
}

// Bound are the addresses that Serve got: ports that were 0 are filled in.
type Bound struct {
	Authentication []netip.AddrPort `json:"authentication"`
	Accounting     []netip.AddrPort `json:"accounting"`
	Portal         string           `json:"portal"`
	Console        string           `json:"console,omitempty"`
	Metrics        string           `json:"metrics,omitempty"`
	Control        string           `json:"control"`
	Certificate    string           `json:"certificate"`
}

// Serve opens every listening socket of the configuration, or none.
func (e *Engine) Serve() (_ *Server, err error) {
	s := &Server{e: e, fault: make(chan error, 4)}
	defer func() {
		if err != nil {
			s.closeAll(context.Background())
		}
	}()
	c := e.snapshot().Config
	// The portal first: redirect URLs carry its port.
	if err := s.openPortal(c); err != nil {
		return nil, err
	}
	if err := s.openConsole(c); err != nil {
		return nil, err
	}
	if err := s.openMetrics(c.Listen.Metrics); err != nil {
		return nil, err
	}
	if err := s.openRADIUS(c); err != nil {
		return nil, err
	}
	return s, nil
}

// Bound returns the addresses in use.
func (s *Server) Bound() Bound { return s.bound }

// Failed yields an error when a listener ended by itself: the process should end.
func (s *Server) Failed() <-chan error { return s.fault }

func (s *Server) openRADIUS(c *config.Config) error {
	conf := udp.Config{Logger: s.e.log, LateQueue: lateQueue}
	for _, a := range c.Listen.Authentication {
		conf.Listeners = append(conf.Listeners, udp.Listener{Address: a.Value, Role: RoleAuthentication})
	}
	for _, a := range c.Listen.Accounting {
		conf.Listeners = append(conf.Listeners, udp.Listener{Address: a.Value, Role: RoleAccounting})
	}
	var err error
	if s.radius, err = udp.Open(conf, s.e); err != nil {
		return err
	}
	addrs := s.radius.Addrs()
	n := len(c.Listen.Authentication)
	s.bound.Authentication, s.bound.Accounting = addrs[:n], addrs[n:]
	go s.watch(s.radius.Failed())
	return nil
}

func (s *Server) openPortal(c *config.Config) error {
	names := []string{c.Appliance.Name.Value}
	if c.Portal.Name.Value != "" {
		names = append(names, c.Portal.Name.Value)
	}
	var err error
	s.portal, err = portal.New(portal.Config{
		Address: c.Listen.Portal.Value, Name: c.Appliance.Name.Value, Names: names,
		StateDir: c.Appliance.State.Value, Certificate: c.Portal.Certificate.Value, Key: c.Portal.Key.Value,
		AgentsDirectory: c.Provisioning.AgentsDirectory.Value, Clock: s.e.clock, Logger: s.e.log,
		Limits: portalLimits(&c.Portal.Limits), Looping: s.e.Posture().looping, Refused: s.e.Posture().refusedAtDoor,
	}, s.e.Posture())
	if err != nil {
		return err
	}
	host := policy.PortalHost(c, strconv.Itoa(int(s.portal.Addr().Port())))
	s.e.portalAt.Store(&host)
	s.bound.Portal, s.bound.Certificate = "https://"+host, s.portal.CertificatePath()
	s.portal.Start()
	go s.watch(s.portal.Failed())
	return nil
}

func portalLimits(c *config.PortalLimits) portal.Limits {
	return portal.Limits{Connections: c.Connections, ConnectionsPer: c.ConnectionsPerAddress, Handshakes: c.Handshakes,
		RequestsPer: c.RequestsPerAddress, RequestsBurst: c.RequestBurst, DownloadsAtOnce: c.Downloads}
}

func (s *Server) openConsole(c *config.Config) error {
	s.bound.Control = controlSocket(c)
	var err error
	s.console, err = console.Open(console.Config{
		Appliance: c.Appliance.Name.Value, Address: c.Listen.Console.Value, Socket: s.bound.Control,
		Source: source{s.e}, Operator: operator{s.e, s.ReloadCertificate}, Clock: s.e.clock, Logger: s.e.log,
	})
	if err != nil {
		return err
	}
	if a := s.console.Addr(); a != "" {
		s.bound.Console = "http://" + a
	}
	go s.watch(s.console.Failed())
	return nil
}

// watch passes on that a listener ended by itself.
func (s *Server) watch(failed <-chan error) {
	if err, ok := <-failed; ok && err != nil {
		s.fault <- err
	}
}

// ReloadCertificate reads the portal's certificate again.
func (s *Server) ReloadCertificate() error { return s.portal.ReloadCertificate() }

func (s *Server) openMetrics(a config.Address) error {
	if a.Value == "" {
		return nil
	}
	l, err := net.Listen("tcp", a.Value)
	if err != nil {
		return fmt.Errorf("listen.metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry(), promhttp.HandlerOpts{}))
	var handler http.Handler = mux
	if at, err := netip.ParseAddrPort(l.Addr().String()); err == nil && at.Addr().IsLoopback() {
		profiles(mux)
		handler = onlyLocal(mux)
	}
	s.metrics = &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	s.bound.Metrics = l.Addr().String()
	go s.serveHTTP("metrics", func() error { return s.metrics.Serve(l) })
	return nil
}

// profiles lets whoever is on the machine see where time and memory go. Not for the
// network: a profile costs time, and a dump shows names.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

// onlyLocal refuses a name that is not the machine's own: a page in somebody's browser
// that had its name point here (DNS rebinding).
func onlyLocal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip, err := netip.ParseAddr(host); (err != nil || !ip.IsLoopback()) && !strings.EqualFold(host, "localhost") {
			http.Error(w, "this listener answers to localhost only", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) serveHTTP(what string, serve func() error) {
	if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		s.fault <- fmt.Errorf("%s: %w", what, err)
	}
}

// controlSocket is where the command line talks to the running appliance.
func controlSocket(c *config.Config) string {
	return filepath.Join(c.Appliance.State.Value, "control.sock")
}

// Stop drains: sockets stop reading, what is in flight is finished, the journal is
// settled. It returns when all is done or ctx ends.
func (s *Server) Stop(ctx context.Context) error {
	s.radius.StopReading()
	s.closePortal(ctx)
	err := s.e.Drain(ctx)
	return errors.Join(err, s.closeRest(ctx))
}

// closePortal lets requests finish for half the time there is. Who takes longer, a slow
// line or somebody who means it, is cut, and that is no fault of the stop: the other half
// is for the NASes and the journal.
func (s *Server) closePortal(ctx context.Context) {
	if at, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(at)/2)
		defer cancel()
	}
	if err := s.portal.Close(ctx); err != nil {
		s.e.log.Warn("the portal was closed", "error", err)
	}
}

func (s *Server) closeAll(ctx context.Context) error {
	var err error
	if s.portal != nil {
		err = s.portal.Close(ctx)
	}
	return errors.Join(err, s.closeRest(ctx))
}

// closeRest closes all but the portal.
func (s *Server) closeRest(ctx context.Context) error {
	var err error
	if s.radius != nil {
		err = errors.Join(err, s.radius.Close(ctx))
	}
	if s.console != nil {
		err = errors.Join(err, s.console.Close(ctx))
	}
	if s.metrics != nil {
		err = errors.Join(err, s.metrics.Shutdown(ctx))
	}
	return err
}
