// Package console shows operators what the appliance does, and is the door through
// which the command line talks to it. It decides nothing: rows come from a Source and
// verbs go to an Operator, both of the engine's making.
//
//	                                 TCP, loopback only    Unix socket, mode 0660
//	GET  /  /sessions  /reports/...  pages                 -
//	GET  /api/v1/status              yes                   yes
//	GET  /api/v1/counters            yes                   yes
//	GET  /api/v1/sessions[/ID]       yes                   yes
//	GET  /api/v1/livelog[/stream]    yes                   yes
//	GET  /api/v1/livelog/folded/ID   yes                   yes
//	GET  /api/v1/shadow              yes                   yes
//	GET  /api/v1/reports/KIND        yes                   yes
//	POST /api/v1/coa/VERB/NAME       -                     yes
//	POST /api/v1/explain             -                     yes
//	POST /api/v1/reload              -                     yes
//
// A list is JSON lines: one object a line, keys in snake_case, times RFC 3339 in UTC,
// durations in seconds. A refusal is a report.Problem. What the pages need of a row
// they find by its JSON key (rows.go); a key that is missing shows as nothing.
//
// Nothing on TCP changes anything, since a browser is there and with it every page that
// its user visits; the Host header is checked against DNS rebinding.
package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"sallyport/ops/clock"
)

// Limits of the console.
const (
	readHeaderTimeout = 5 * time.Second // a header is one packet; slower is an attack
	idleTimeout       = 2 * time.Minute
	headerBytesMax    = 16 << 10
	bodyBytesMax      = 256 << 10 // of a verb: facts to explain, the size of a report
	writeTimeout      = 10 * time.Second
	streamsMax        = 64 // readers that follow at the same time; each costs a goroutine and a timer
	filterMax         = 256
	rowsMax           = 10_000 // of the live log in one answer; the ring holds about so many
	pageRowsMax       = 500    // of a table in a page; a browser lays out more only slowly
)

// Row is anything that encoding/json makes an object of.
type Row = any

// Source is where the console reads. Its methods may be called at any time from any
// goroutine. An error that is a *report.Problem reaches the reader as it is. They
// return what emit returned as soon as it is not nil: the reader went away.
type Source interface {
	// Status is the appliance at a glance.
	Status() Row
	// Counters are those above the live log. The console asks at most every two seconds.
	Counters() Row
	// Sessions emits the sessions that f matches, at most limit of them, 0 for all.
	Sessions(ctx context.Context, f *Filter, limit int, emit func(Row) error) error
	// Session is one session by its audit-session-id.
	Session(id string) (Row, bool)
	// LiveLog emits rows with a number above after that f matches, oldest first, at most
	// the newest limit of them. With follow it then waits for further rows until ctx ends.
	// Rows that were overwritten before they could be read are told by a Missed row.
	LiveLog(ctx context.Context, after uint64, limit int, follow bool, f *Filter, emit func(number uint64, row Row) error) error
	// Folded emits the rows that those with this fold_id stand for, oldest first, as far
	// as they are kept.
	Folded(ctx context.Context, id string, emit func(Row) error) error
	// Shadow is what a configuration that is tried beside the one in force found.
	Shadow() (Row, bool)
	// Report emits the lines of a posture report, newest first.
	Report(ctx context.Context, q ReportQuery, emit func(Row) error) error
}

// Operator does what operators ask for on the control socket. Caller tells who asks.
type Operator interface {
	// Reauthenticate and Disconnect act on a session and return how it went.
	Reauthenticate(ctx context.Context, sessionID string) (Row, error)
	Disconnect(ctx context.Context, sessionID string) (Row, error)
	// TestNAS rehearses a change of authorization with a NAS and emits each step.
	TestNAS(ctx context.Context, nas string, emit func(Row) error) error
	// Reload brings the configuration into force, or says what that would change.
	Reload(ctx context.Context, request json.RawMessage) (Row, error)
	// Explain says which rule applies to a session or to facts, and why.
	Explain(ctx context.Context, request json.RawMessage) (Row, error)
}

// Missed is the row that stands for rows a reader was too slow for.
type Missed struct {
	Missed uint64 `json:"missed"`
}

// Kinds of posture report.
const (
	ReportCondition = "condition"
	ReportEndpoint  = "endpoint"
	ReportDetail    = "detail"
)

// ReportQuery says which lines of a posture report are wanted.
type ReportQuery struct {
	Kind       string    // ReportCondition, ReportEndpoint, ReportDetail
	Since      time.Time // zero: from the beginning
	DecisionID string    // only the report of this decision
	Limit      int       // 0: all
	Filter     Filter
}

// Config says what to open.
type Config struct {
	Appliance string // its name, shown on every page
	Address   string // of the pages: a loopback address and port; empty for none
	Socket    string // path of the control socket; empty for none
	Source    Source
	Operator  Operator // nil: the control socket only reads
	Clock     clock.Clock
	Logger    *slog.Logger
}

// Server is an open console.
type Server struct {
	config  Config
	tcp     net.Listener
	unix    net.Listener
	servers []*http.Server
	end     context.CancelFunc // ends those that follow
	failed  chan error
	running sync.WaitGroup
}

// Open listens. An address that is not loopback is refused: the pages show who is on
// the network to anyone who asks, so reach them through a tunnel.
func Open(c Config) (_ *Server, err error) {
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, end := context.WithCancel(context.Background())
	s := &Server{config: c, end: end, failed: make(chan error, 2)}
	defer func() {
		if err != nil {
			s.discard()
		}
	}()
	h, err := newHandler(c)
	if err != nil {
		return nil, err
	}
	if c.Address != "" {
		if err := loopbackOnly(c.Address); err != nil {
			return nil, err
		}
		if s.tcp, err = net.Listen("tcp", c.Address); err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
	}
	if c.Socket != "" {
		if s.unix, err = listenControl(c.Socket); err != nil {
			return nil, err
		}
	}
	if s.tcp != nil {
		s.serve(ctx, s.tcp, h.pages())
	}
	if s.unix != nil {
		s.serve(ctx, s.unix, h.control())
	}
	return s, nil
}

func (s *Server) serve(ctx context.Context, l net.Listener, h http.Handler) {
	hs := &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytesMax,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: withCaller,
		ErrorLog:    slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelDebug),
	}
	s.servers = append(s.servers, hs)
	s.running.Go(func() {
		if err := hs.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("console: %w", err)
		}
	})
}

// Addr is the address of the pages, empty when there are none.
func (s *Server) Addr() string {
	if s.tcp == nil {
		return ""
	}
	return s.tcp.Addr().String()
}

// Failed yields an error when a listener ended by itself. It is closed by Close.
func (s *Server) Failed() <-chan error { return s.failed }

// Close ends those that follow, lets the other requests finish until ctx ends, and
// removes the socket.
func (s *Server) Close(ctx context.Context) error {
	s.end()
	var err error
	for _, hs := range s.servers {
		if e := hs.Shutdown(ctx); e != nil {
			err = errors.Join(err, e, hs.Close())
		}
	}
	s.running.Wait()
	if s.unix != nil {
		err = errors.Join(err, removeSocket(s.config.Socket))
		s.unix = nil
		close(s.failed)
	} else if len(s.servers) > 0 {
		close(s.failed)
	}
	s.servers = nil
	return err
}

// discard closes what a failed Open opened.
func (s *Server) discard() {
	s.end()
	if s.tcp != nil {
		s.tcp.Close()
	}
	if s.unix != nil {
		s.unix.Close()
		removeSocket(s.config.Socket)
	}
}

func removeSocket(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("console: %w", err)
	}
	return nil
}

// loopbackOnly refuses an address that others can reach.
func loopbackOnly(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("console: address %q: want ADDRESS:PORT", address)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return fmt.Errorf("console: address %q is not loopback; the console has no login, use 127.0.0.1 or [::1] and reach it through a tunnel", address)
	}
	return nil
}
