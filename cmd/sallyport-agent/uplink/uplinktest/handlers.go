package uplinktest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sallyport/netio/report"
)

func (a *Appliance) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+report.PathDiscovery, a.discovery)
	mux.HandleFunc("POST "+report.PathEnroll, a.enroll)
	mux.HandleFunc("POST "+report.PathSession, a.claim)
	mux.HandleFunc("GET "+report.PathPolicy+"{etag}", a.policy)
	mux.HandleFunc("POST "+report.PathReport, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, report.ReportBytesMax+1))
		if err != nil {
			return
		}
		a.report(w, r, body)
	})
	mux.HandleFunc("GET "+report.PathEvents, a.events)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if strings.HasPrefix(path, report.PathPolicy) {
			path = report.PathPolicy
		}
		a.mu.Lock()
		a.served[path]++
		var instead http.HandlerFunc
		if list := a.injected[path]; len(list) > 0 {
			instead, a.injected[path] = list[0], list[1:]
		}
		a.mu.Unlock()
		if instead != nil {
			instead(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// problem sends an error as a Problem.
func problem(w http.ResponseWriter, err error) {
	var p *report.Problem
	if !errors.As(err, &p) {
		p = &report.Problem{Status: http.StatusInternalServerError, Code: "internal", Detail: err.Error()}
	}
	refuse(w, p)
}

func (a *Appliance) claim(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, report.ClaimBytesMax+1))
	if err != nil {
		return
	}
	claim, err := report.DecodeClaim(body)
	if err != nil {
		problem(w, err)
		return
	}
	key, err := report.ParseKey(claim.Key)
	if err == nil {
		err = report.Verify(key, r.URL.RequestURI(), body, r.Header.Get(report.HeaderSignature))
	}
	if err != nil {
		problem(w, err)
		return
	}
	device, err := carried(claim.Certificate)
	if err != nil {
		problem(w, err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	id, s := a.sessionOf(claim)
	switch {
	case s == nil:
		refuse(w, &report.Problem{Status: 404, Code: report.CodeUnknownSession, Detail: "no such session"})
		return
	case claim.Ticket != "" && (claim.Ticket != s.ticket):
		refuse(w, &report.Problem{Status: 403, Code: report.CodeTicketUnknown, Detail: "not a ticket of this session"})
		return
	case claim.Ticket != "" && s.used && string(s.key) != string(key):
		refuse(w, &report.Problem{Status: 403, Code: report.CodeTicketUsed, Detail: "used"})
		return
	}
	s.used, s.key = true, key
	s.nonce = fmt.Sprintf("nonce-%s-%d", id, a.served[report.PathSession])
	answer(w, report.Claimed{V: report.Version, SessionID: id, Assurance: assurance(id, device), Status: s.status, Epoch: s.epoch, Nonce: s.nonce,
		Seq: s.seq, PolicyETag: a.etag, HeartbeatS: 900})
}

// sessionOf finds the session a claim means: by its id, or the only one there is.
func (a *Appliance) sessionOf(claim *report.Claim) (string, *session) {
	if claim.SessionID != "" {
		return claim.SessionID, a.sessions[claim.SessionID]
	}
	if len(a.sessions) == 1 && len(claim.MACs) > 0 {
		for id, s := range a.sessions {
			return id, s
		}
	}
	return "", nil
}

func (a *Appliance) report(w http.ResponseWriter, r *http.Request, body []byte) {
	doc, err := report.DecodeReport(body)
	if err != nil {
		problem(w, err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[doc.SessionID]
	if s == nil {
		refuse(w, &report.Problem{Status: 404, Code: report.CodeUnknownSession, Detail: "no such session"})
		return
	}
	if err := report.Verify(s.key, r.URL.RequestURI(), body, r.Header.Get(report.HeaderSignature)); err != nil {
		problem(w, err)
		return
	}
	switch {
	case doc.Seq == s.seq && string(body) == s.body:
		w.Header().Set("Content-Type", report.MediaType)
		w.Write(s.answer)
		return
	case doc.Seq <= s.seq:
		refuse(w, &report.Problem{Status: 409, Code: report.CodeReplay, Detail: fmt.Sprintf("number %d after %d", doc.Seq, s.seq)})
		return
	case doc.Nonce != s.nonce:
		refuse(w, &report.Problem{Status: 409, Code: report.CodeStaleNonce, Detail: "stale", Nonce: s.nonce})
		return
	}
	v := a.Judge(*doc)
	if v.Status != s.status {
		s.epoch++
	}
	s.seq, s.body, s.status, s.nonce = doc.Seq, string(body), v.Status, s.nonce+"x"
	if len(s.nonce) > 100 {
		s.nonce = "n" + strconv.FormatUint(doc.Seq, 10)
	}
	v.V, v.SessionID, v.Epoch, v.Nonce, v.PolicyETag = report.Version, doc.SessionID, s.epoch, s.nonce, a.etag
	v.DecisionID = "D" + strconv.FormatUint(doc.Seq, 10)
	if v.NextS == 0 {
		v.NextS = 900
	}
	s.answer = marshal(v)
	a.Reports <- *doc
	w.Header().Set("Content-Type", report.MediaType)
	w.Write(s.answer)
}

func (a *Appliance) events(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get(report.QueryEventSessionID)
	after, err := strconv.ParseUint(r.URL.Query().Get(report.QueryEventAfter), 10, 64)
	if err != nil {
		refuse(w, &report.Problem{Status: 400, Code: report.CodeMalformed, Detail: "after is not a number"})
		return
	}
	deadline := time.After(pollWait)
	for {
		a.mu.Lock()
		s := a.sessions[id]
		if s == nil {
			a.mu.Unlock()
			refuse(w, &report.Problem{Status: 404, Code: report.CodeUnknownSession, Detail: "no such session"})
			return
		}
		err := report.Verify(s.key, r.URL.RequestURI(), nil, r.Header.Get(report.HeaderSignature))
		news := report.Events{V: report.Version, After: s.eventSeq, Events: []report.Event{}}
		for _, e := range s.events {
			if e.Seq > after {
				news.Events = append(news.Events, e)
			}
		}
		wake, ended := s.wake, a.ended
		a.mu.Unlock()
		if err != nil {
			problem(w, err)
			return
		}
		if len(news.Events) > 0 {
			answer(w, news)
			return
		}
		select {
		case <-wake:
		case <-deadline:
			answer(w, news)
			return
		case <-ended:
			return
		case <-r.Context().Done():
			return
		}
	}
}
