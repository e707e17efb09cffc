package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"sallyport/netio/report"
	"sallyport/ops/clock"
)

// summaryAge is how old counters and status may be that a page shows: reading them
// walks every session, and every viewer asks.
const summaryAge = 2 * time.Second

// handler answers both doors.
type handler struct {
	appliance string
	source    Source
	operator  Operator
	clock     clock.Clock
	log       *slog.Logger
	views     *views
	streams   chan struct{} // one place for each reader that follows

	mu       sync.Mutex // guards the following
	taken    time.Time
	status   statusRow
	counters countersRow
}

func newHandler(c Config) (*handler, error) {
	if c.Source == nil {
		return nil, errors.New("console: no source to read from")
	}
	v, err := newViews()
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	return &handler{appliance: c.Appliance, source: c.Source, operator: c.Operator, clock: c.Clock, log: c.Logger,
		views: v, streams: make(chan struct{}, streamsMax)}, nil
}

// answer is a handler that may refuse; what it returns is told as a Problem.
type answer func(w http.ResponseWriter, r *http.Request) error

// api are the routes of both doors.
func (h *handler) api(mux *http.ServeMux) {
	for pattern, a := range map[string]answer{
		"GET /api/v1/status":         h.getStatus,
		"GET /api/v1/counters":       h.getCounters,
		"GET /api/v1/sessions":       h.getSessions,
		"GET /api/v1/sessions/{id}":  h.getSession,
		"GET /api/v1/livelog":        h.getLiveLog,
		"GET /api/v1/livelog/stream": h.getStream,
		"GET /api/v1/reports/{kind}": h.getReport,
		"GET /api/v1/shadow":         h.getShadow,

		"GET /api/v1/livelog/folded/{id}": h.getFolded,
		"/api/":                           noSuchThing,
	} {
		mux.Handle(pattern, h.problems(a))
	}
}

// control is the door of the command line.
func (h *handler) control() http.Handler {
	mux := http.NewServeMux()
	h.api(mux)
	for pattern, a := range map[string]answer{
		"POST /api/v1/coa/reauth/{id}":     h.postReauth,
		"POST /api/v1/coa/disconnect/{id}": h.postDisconnect,
		"POST /api/v1/coa/test/{nas}":      h.postTest,
		"POST /api/v1/explain":             h.postExplain,
		"POST /api/v1/reload":              h.postReload,
		"/":                                noSuchThing,
	} {
		mux.Handle(pattern, h.problems(a))
	}
	return mux
}

// pages is the door of browsers.
func (h *handler) pages() http.Handler {
	mux := http.NewServeMux()
	h.api(mux)
	h.pageRoutes(mux)
	return guarded(mux)
}

// guarded lets nothing through that changes something or came under a foreign name,
// and tells the browser to load nothing from elsewhere.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
			"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		switch {
		case !localName(r.Host):
			writeProblem(w, &report.Problem{Status: http.StatusMisdirectedRequest, Code: "host",
				Detail: "the console answers to localhost and loopback addresses only"})
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			writeProblem(w, &report.Problem{Status: http.StatusMethodNotAllowed, Code: "read-only",
				Detail: "the console changes nothing; use the sallyport command, which talks to the control socket"})
		case r.Header.Get("Sec-Fetch-Site") == "cross-site" && strings.HasPrefix(r.URL.Path, "/api/"):
			writeProblem(w, &report.Problem{Status: http.StatusForbidden, Code: "cross-site", Detail: "asked for by a page of another site"})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// localName says whether a Host header names this machine. A page of another site whose
// name was made to resolve to 127.0.0.1 sends that name.
func localName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// problems tells the error of an answer, unless the answer has begun already: then it
// ends early, which a reader of JSON lines sees.
func (h *handler) problems(a answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := &begunWriter{ResponseWriter: w}
		err := a(begun, r)
		if err == nil || r.Context().Err() != nil {
			return
		}
		var p *report.Problem
		if !errors.As(err, &p) {
			h.log.Error("console: request failed", "path", r.URL.Path, "error", err)
			p = &report.Problem{Status: http.StatusInternalServerError, Code: "internal", Detail: err.Error()}
		}
		if begun.begun {
			panic(http.ErrAbortHandler) // the one way to cut an answer short visibly
		}
		writeProblem(w, p)
	})
}

// begunWriter knows whether anything was written.
type begunWriter struct {
	http.ResponseWriter
	begun bool
}

func (b *begunWriter) WriteHeader(status int) {
	b.begun = true
	b.ResponseWriter.WriteHeader(status)
}

func (b *begunWriter) Write(p []byte) (int, error) {
	b.begun = true
	return b.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController through.
func (b *begunWriter) Unwrap() http.ResponseWriter { return b.ResponseWriter }

func writeProblem(w http.ResponseWriter, p *report.Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	if p.Retry > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(p.Retry))
	}
	if p.Status < 400 || p.Status > 599 {
		p.Status = http.StatusInternalServerError
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the reader may be gone, and nothing is left to say
}

func noSuchThing(_ http.ResponseWriter, r *http.Request) error {
	return &report.Problem{Status: http.StatusNotFound, Code: "unknown-path", Detail: "no such thing here: " + r.Method + " " + r.URL.Path}
}

// summary returns status and counters, at most summaryAge old.
func (h *handler) summary() (statusRow, countersRow) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := h.clock.Now(); h.taken.IsZero() || now.Sub(h.taken) >= summaryAge {
		h.status, h.counters = statusRow{}, countersRow{}
		if err := errors.Join(convert(h.source.Status(), &h.status), convert(h.source.Counters(), &h.counters)); err != nil {
			h.log.Error("console: summary", "error", err)
		}
		h.taken = now
	}
	return h.status, h.counters
}
