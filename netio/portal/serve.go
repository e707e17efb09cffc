package portal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"sallyport/netio/report"
)

// request is one request on its way through the portal.
type request struct {
	*http.Request
	w       http.ResponseWriter
	peer    netip.AddrPort
	at      time.Time
	session string // that it is about, once it is known to exist here
	tail    string // of the path, behind a prefix in routes
}

// refusal is a Problem for the peer and the reason that is counted.
type refusal struct {
	why     why
	problem *report.Problem
	told    bool // Posture has told of it
}

func refuse(w why, status int, code, format string, args ...any) *refusal {
	return &refusal{why: w, problem: &report.Problem{Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}}
}

// routes are all paths. One that ends with a slash is a prefix.
var routes = []struct {
	path, method string
	endpoint     endpoint
	page         bool // refusals are shown to a person
	handle       func(*Server, *request) *refusal
}{
	{report.PathReport, http.MethodPost, epReport, false, (*Server).report},
	{report.PathEvents, http.MethodGet, epEvents, false, (*Server).events},
	{report.PathUpdate, http.MethodGet, epUpdate, false, (*Server).update},
	{report.PathSession, http.MethodPost, epSession, false, (*Server).session},
	{report.PathEnroll, http.MethodPost, epEnroll, false, (*Server).enroll},
	{report.PathPolicy, http.MethodGet, epPolicy, false, (*Server).policy},
	{report.PathDiscovery, http.MethodGet, epDiscovery, false, (*Server).discovery},
	{report.PathWellKnown, http.MethodGet, epDiscovery, false, (*Server).discovery},
	{report.PathGateway, http.MethodGet, epGateway, true, (*Server).gateway},
	{pathAgent, http.MethodGet, epAgent, true, (*Server).agent},
	{pathHealth, http.MethodGet, epHealth, false, (*Server).health},
}

// Paths that only people and monitoring use.
const (
	pathAgent  = report.PathFile
	pathHealth = "/healthz"
)

// serve is the one entry for requests: limits, route, count, and a Problem or a page
// when something was refused.
func (s *Server) serve(w http.ResponseWriter, hr *http.Request) {
	if c, ok := hr.Context().Value(connKey{}).(*conn); ok && c != nil {
		c.begun.Store(false)
	}
	r := &request{Request: hr, w: w, at: s.cfg.Clock.Now()}
	if peer, err := netip.ParseAddrPort(hr.RemoteAddr); err == nil {
		r.peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	ep, page := epOther, !underAPI(hr.URL.Path)
	var no *refusal
	begun := time.Now()
	func() {
		defer func() {
			if fault := recover(); fault != nil {
				s.log.Error("portal: panic", "path", hr.URL.Path, "fault", fault, "stack", string(debug.Stack()))
				no = refuse(whyInternal, http.StatusInternalServerError, report.CodeInternal, "a fault of the appliance; its log has it")
			}
		}()
		ep, page, no = s.route(r, page)
	}()
	if no != nil {
		s.count.refuse(no.why)
		if !no.told {
			s.teller.refused(r.peer.Addr(), r.session, no.why, r.at)
		}
		s.answerRefusal(r, no, page)
	}
	s.count.requests[ep].Add(1)
	s.count.elapsed[ep].Add(int64(time.Since(begun)))
}

// route runs the handler of a request within the limits for its address.
func (s *Server) route(r *request, page bool) (endpoint, bool, *refusal) {
	if err := http.NewResponseController(r.w).SetWriteDeadline(deadline(writeTimeout)); err != nil {
		return epOther, page, refuse(whyInternal, http.StatusInternalServerError, report.CodeInternal, "no deadline on this connection")
	}
	if len(r.RequestURI) > requestURIMax {
		return epOther, page, refuse(whyTooLarge, http.StatusRequestURITooLong, report.CodeTooLarge, "the request line has more than %d octets", requestURIMax)
	}
	for i := range routes {
		t := &routes[i]
		tail, ok := strings.CutPrefix(r.URL.Path, t.path)
		if !ok || tail != "" && !strings.HasSuffix(t.path, "/") {
			continue
		}
		if wait, ok := s.requests.take(origin(r.peer.Addr()), r.at); !ok && t.endpoint != epHealth {
			return t.endpoint, t.page, tooMany(whyRequestsPer, wait, "too many requests from this address")
		}
		if r.Method != t.method && !(r.Method == http.MethodHead && t.method == http.MethodGet) {
			r.w.Header().Set("Allow", t.method)
			return t.endpoint, t.page, refuse(whyMethod, http.StatusMethodNotAllowed, report.CodeMethod, "%s is for %s", t.path, t.method)
		}
		r.tail = tail
		return t.endpoint, t.page, t.handle(s, r)
	}
	return epOther, page, refuse(whyNotFound, http.StatusNotFound, report.CodeNotFound, "there is nothing at this path")
}

// underAPI says whether programs rather than people ask for a path.
func underAPI(path string) bool {
	for _, prefix := range []string{"/posture/", "/auth/", "/.well-known/", pathHealth} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

func tooMany(w why, wait time.Duration, format string, args ...any) *refusal {
	no := refuse(w, http.StatusTooManyRequests, report.CodeBusy, format, args...)
	no.problem.Retry = max(1, int((wait+time.Second-1)/time.Second))
	return no
}

// answerRefusal writes a Problem, or a small page for people.
func (s *Server) answerRefusal(r *request, no *refusal, page bool) {
	if no.problem.Retry > 0 {
		r.w.Header().Set("Retry-After", strconv.Itoa(no.problem.Retry))
	}
	if page {
		s.errorPage(r, no.problem)
		return
	}
	s.writeJSON(r, no.problem.Status, no.problem)
}

func (s *Server) writeJSON(r *request, status int, doc any) {
	body, status := s.encode(status, doc)
	s.write(r, status, report.MediaType, body)
}

// encode writes a document; one that cannot be written becomes a Problem of ours.
func (s *Server) encode(status int, doc any) ([]byte, int) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		s.count.refuse(whyInternal)
		s.log.Error("portal: encode", "error", err)
		status = http.StatusInternalServerError
		b.Reset()
		fmt.Fprintf(&b, `{"status":500,"code":%q,"detail":"the answer cannot be encoded"}`+"\n", report.CodeInternal)
	}
	return b.Bytes(), status
}

// write sends an answer. That the peer is gone is its own affair: what was asked is done.
func (s *Server) write(r *request, status int, mediaType string, body []byte) {
	h := r.w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	// Reading the body moved no deadline of ours; waiting in a poll did.
	if err := http.NewResponseController(r.w).SetWriteDeadline(deadline(writeTimeout)); err != nil {
		s.log.Debug("portal: write deadline", "error", err)
	}
	r.w.WriteHeader(status)
	if _, err := r.w.Write(body); err != nil {
		s.log.Debug("portal: write", "peer", r.peer, "error", err)
	}
}

// asked makes a refusal of what Posture answered.
func (s *Server) asked(path string, err error) *refusal {
	var p *report.Problem
	if errors.As(err, &p) {
		if w, ok := asks[p.Code]; ok {
			return &refusal{w, p, true}
		}
		return &refusal{whyPosture, p, true}
	}
	s.log.Error("portal: posture", "path", path, "error", err)
	no := refuse(whyInternal, http.StatusServiceUnavailable, report.CodeBusy, "the appliance could not do this now")
	no.problem.Retry = 5
	return no
}

func (s *Server) health(r *request) *refusal {
	s.write(r, http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
	return nil
}
