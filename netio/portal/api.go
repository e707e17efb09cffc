package portal

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"sallyport/netio/report"
)

// discovery answers an agent that looks for its appliance.
func (s *Server) discovery(r *request) *refusal {
	d := &report.Discovery{V: report.Version, Appliance: s.cfg.Name, Time: r.at.UTC(), API: strings.TrimSuffix(report.PathSession, "/session")}
	if s.authority != nil {
		d.Authority, d.Vouch = s.authority.spki, s.certificate.Load().vouch
	}
	s.writeJSON(r, http.StatusOK, d)
	return nil
}

// session takes a claim. The key in it has to sign it: who presents a key must have it.
func (s *Server) session(r *request) *refusal {
	if wait, ok := s.claims.take(origin(r.peer.Addr()), r.at); !ok {
		return tooMany(whyClaimRate, wait, "too many claims from this address")
	}
	body, no := s.body(r, report.ClaimBytesMax)
	if no != nil {
		return no
	}
	claim, err := report.DecodeClaim(body)
	if err != nil {
		return refused(err)
	}
	spki, err := report.ParseKey(claim.Key)
	if err != nil {
		return refused(err)
	}
	if no := s.verify(r, spki, body); no != nil {
		return no
	}
	device, no := s.device(claim.Certificate, spki, r.at)
	if no != nil {
		return no
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	claimed, err := s.posture.Claim(ctx, r.peer, claim, spki, device)
	if err != nil {
		return s.asked(r.URL.Path, err)
	}
	s.writeJSON(r, http.StatusOK, claimed)
	return nil
}

// policy hands out a policy by its entity tag: what stands at a path never changes.
func (s *Server) policy(r *request) *refusal {
	document, ok := s.posture.Policy(r.tail)
	if !ok {
		return refuse(whyNotFound, http.StatusNotFound, report.CodeNotFound, "there is no policy with this entity tag now")
	}
	h, tag := r.w.Header(), `"`+r.tail+`"`
	h.Set("ETag", tag)
	h.Set("Cache-Control", "private, max-age=31536000, immutable")
	if matches(r.Header.Get("If-None-Match"), tag) {
		r.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if err := s.signPolicy(r, document); err != nil {
		return s.asked(r.URL.Path, err)
	}
	s.write(r, http.StatusOK, report.MediaType, document)
	return nil
}

// matches is If-None-Match (RFC 9110 section 13.1.2) for a tag of ours, which is strong.
func matches(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

// report takes a report, once the bound key of its session has signed it.
func (s *Server) report(r *request) *refusal {
	body, no := s.body(r, report.ReportBytesMax)
	if no != nil {
		return no
	}
	doc, err := report.DecodeReport(body)
	if err != nil {
		return refused(err)
	}
	spki, no := s.boundKey(r, doc.SessionID, body)
	if no != nil {
		return no
	}
	// After the signature, so that nobody else can use up what an agent may send.
	if wait, ok := s.reports.take(oneSpelling(doc.SessionID), r.at); !ok {
		no := tooMany(whyReportRate, wait, "more than %d reports at once or %d a second for one session", reportBurst, reportRate)
		no.problem.Session = doc.SessionID
		return no
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	answer, err := s.posture.Report(ctx, r.peer, doc, spki, body)
	if err != nil {
		return s.asked(r.URL.Path, err)
	}
	s.write(r, http.StatusOK, report.MediaType, answer)
	return nil
}

// events is the long poll. A poll that waits is answered when there is news, after
// pollTimeout, or when the portal closes, whichever is first.
func (s *Server) events(r *request) *refusal {
	q := r.URL.Query()
	id := q.Get(report.QueryEventSessionID)
	after, err := strconv.ParseUint(q.Get(report.QueryEventAfter), 10, 64)
	if err != nil || !isSessionID(id) {
		return refuse(whyMalformed, http.StatusBadRequest, report.CodeMalformed, "query: want %s=<audit-session-id>&%s=<number>",
			report.QueryEventSessionID, report.QueryEventAfter)
	}
	if _, no := s.boundKey(r, id, nil); no != nil {
		return no
	}
	return s.park(r, parked{id: id, waiting: oneSpelling(id), after: after, began: r.at})
}

// update tells an agent what it should be, once the bound key of its session has signed the
// question.
func (s *Server) update(r *request) *refusal {
	q := r.URL.Query()
	id, version := q.Get(report.QueryEventSessionID), q.Get(report.QueryUpdateVersion)
	if !isSessionID(id) || version == "" || len(version) > report.SessionIDMax {
		return refuse(whyMalformed, http.StatusBadRequest, report.CodeMalformed, "query: want %s=<audit-session-id>&%s=<version>",
			report.QueryEventSessionID, report.QueryUpdateVersion)
	}
	if _, no := s.boundKey(r, id, nil); no != nil {
		return no
	}
	update, err := s.posture.Update(id, version)
	if err != nil {
		return s.asked(r.URL.Path, err)
	}
	s.writeJSON(r, http.StatusOK, update)
	return nil
}

// isSessionID says whether a text could be an audit-session-id.
func isSessionID(id string) bool {
	return id != "" && len(id) <= report.SessionIDMax &&
		!strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// oneSpelling is what limits count a session by: ASA writes the audit-session-id in lower
// case and IOS in upper case, and both mean the same session.
func oneSpelling(id string) string { return strings.ToLower(id) }

// boundKey is the key of a session that has signed this request.
func (s *Server) boundKey(r *request, sessionID string, body []byte) ([]byte, *refusal) {
	spki, ok := s.posture.Key(sessionID)
	if !ok {
		no := refuse(whyUnknownSession, http.StatusNotFound, report.CodeUnknownSession, "no device key is bound to this session here; claim it first")
		no.problem.Session = sessionID
		return nil, no
	}
	r.session = sessionID
	return spki, s.verify(r, spki, body)
}

// forger is who sends signatures that do not fit: an address, for one session. Whoever
// guesses about one keeps nobody out who shares his address, behind a translator, and reports
// for another.
type forger struct {
	from    netip.Addr
	session string // empty: of a claim
}

// verify checks the signature. An address that sends many that do not fit for a session has
// to wait, since each costs a verification.
func (s *Server) verify(r *request, spki, body []byte) *refusal {
	from := forger{origin(r.peer.Addr()), oneSpelling(r.session)}
	if wait, ok := s.forged.check(from, r.at); !ok {
		return tooMany(whySignature, wait, "too many signatures from this address for this session do not fit")
	}
	path := r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	if err := report.Verify(spki, path, body, r.Header.Get(report.HeaderSignature)); err != nil {
		s.forged.take(from, r.at)
		return refused(err)
	}
	return nil
}

// body reads a whole body of at most bytesMax octets within bodyTimeout.
func (s *Server) body(r *request, bytesMax int) ([]byte, *refusal) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != report.MediaType || r.Header.Get("Content-Encoding") != "" {
		return nil, s.hangUp(r, refuse(whyMediaType, http.StatusUnsupportedMediaType, report.CodeMalformed, "the body has to be %s, not encoded", report.MediaType))
	}
	large := func() *refusal {
		return s.hangUp(r, refuse(whyTooLarge, http.StatusRequestEntityTooLarge, report.CodeTooLarge, "the body has more than %d octets", bytesMax))
	}
	if r.ContentLength > int64(bytesMax) {
		return nil, large()
	}
	control := http.NewResponseController(r.w)
	if err := control.SetReadDeadline(deadline(s.bodyWait)); err != nil {
		return nil, refuse(whyInternal, http.StatusInternalServerError, report.CodeInternal, "no deadline on this connection")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(bytesMax)+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, s.hangUp(r, refuse(whySlowBody, http.StatusRequestTimeout, report.CodeSlow, "the body took longer than %s", s.bodyWait))
	case err != nil:
		return nil, s.hangUp(r, refuse(whyBrokenBody, http.StatusBadRequest, report.CodeMalformed, "the body ended before its length"))
	case len(body) > bytesMax:
		return nil, large()
	}
	if err := control.SetReadDeadline(noDeadline); err != nil {
		return nil, refuse(whyInternal, http.StatusInternalServerError, report.CodeInternal, "no deadline on this connection")
	}
	return body, nil
}

// hangUp closes the connection after the refusal: what is left of the body is not read.
func (s *Server) hangUp(r *request, no *refusal) *refusal {
	r.w.Header().Set("Connection", "close")
	return no
}

// reasons by the code of a Problem that netio/report made.
var reasons = map[string]why{
	report.CodeTooLarge:     whyTooLarge,
	report.CodeVersion:      whyVersion,
	report.CodeMalformed:    whyMalformed,
	report.CodeBadSignature: whySignature,
}

// refused makes a refusal of an error of netio/report.
func refused(err error) *refusal {
	var p *report.Problem
	if !errors.As(err, &p) {
		return refuse(whyInternal, http.StatusInternalServerError, report.CodeInternal, "a fault of the appliance")
	}
	if w, ok := reasons[p.Code]; ok {
		return &refusal{why: w, problem: p}
	}
	return &refusal{why: whyMalformed, problem: p}
}
