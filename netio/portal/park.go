package portal

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"sallyport/netio/report"
)

// A poll waits for most of an agent's life. While it does, net/http would keep two buffers, a
// parsed request, and two goroutines with grown stacks for it: 30 KiB that nobody uses. So
// its connection is parked:
//
//	net/http -> events: checks, Hijack -> one goroutine waits with the connection alone
//	                                        -> writes the answer
//	net/http <- listener.Accept <- the connection, as if it were new
//
// A connection whose peer has gone is noticed when the answer is written, after pollTimeout
// at the latest. So that an agent that starts anew is not kept out meanwhile, the oldest of
// too many polls of a session is answered, and none refused.

// parked is a poll that waits.
type parked struct {
	id, waiting string // the session, and how limits spell it
	after       uint64
	last        bool // the connection ends with the answer
	began       time.Time
}

// park takes the connection from net/http and waits on a goroutine of its own. The handler
// returns at once.
func (s *Server) park(r *request, p parked) *refusal {
	ctx, cancel := context.WithTimeout(s.draining, s.pollWait)
	leave := s.polls.enter(p.waiting, cancel)
	s.waiting.Add(1) // before net/http forgets the connection, so that Close sees one or the other
	conn, buffered, err := http.NewResponseController(r.w).Hijack()
	if err != nil {
		cancel()
		leave()
		s.waiting.Done()
		return refuse(whyInternal, http.StatusInternalServerError, report.CodeInternal, "this connection cannot wait")
	}
	c, ok := conn.(*tls.Conn)
	p.last = r.Close || !r.ProtoAtLeast(1, 1) || buffered.Reader.Buffered() > 0 || !ok
	s.count.polls.Add(1)
	go func() {
		defer s.waiting.Done()
		events, err := s.posture.Events(ctx, p.id, p.after)
		cancel()
		leave()
		s.count.polls.Add(-1)
		s.count.elapsed[epEvents].Add(int64(time.Since(p.began)))
		status, body := http.StatusOK, any(events)
		if err != nil {
			no := s.asked(report.PathEvents, err)
			s.count.refuse(no.why)
			status, body = no.problem.Status, no.problem
		}
		p.last = p.last || s.draining.Err() != nil
		if err := conn.SetDeadline(deadline(writeTimeout)); err == nil {
			_, err = conn.Write(s.unparked(status, body, p.last))
			if err == nil && !p.last && conn.SetDeadline(noDeadline) == nil && s.listener.again(c) {
				return
			}
		}
		// Whether the peer is still there is its own affair.
		_ = conn.Close()
	}()
	return nil
}

// endPolls waits until each poll has its answer; peers that do not read are cut with ctx.
func (s *Server) endPolls(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.waiting.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.listener.closeAll()
		<-done
	}
}

// unparked is the answer as it stands on the wire.
func (s *Server) unparked(status int, doc any, last bool) []byte {
	body, status := s.encode(status, doc)
	h := http.Header{"Content-Type": {report.MediaType}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"},
		"Date": {s.cfg.Clock.Now().UTC().Format(http.TimeFormat)}}
	if p, ok := doc.(*report.Problem); ok && p.Retry > 0 {
		h.Set("Retry-After", strconv.Itoa(p.Retry))
	}
	answer := &http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: h, Close: last,
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body))}
	var out bytes.Buffer
	// A buffer takes everything.
	_ = answer.Write(&out)
	return out.Bytes()
}

// again gives a connection that was parked back to net/http; false: the listener is closed.
func (l *listener) again(c *tls.Conn) bool {
	select {
	case l.ready <- c:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// polls are those that wait, by session, the oldest first.
type polls struct {
	mu sync.Mutex
	by map[string][]*func()
}

// enter notes a poll that end ends, and ends the oldest of too many. leave forgets it.
func (p *polls) enter(id string, end func()) (leave func()) {
	mine := &end
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil {
		p.by = map[string][]*func(){}
	}
	if all := p.by[id]; len(all) >= pollsPerSession {
		(*all[0])()
		p.by[id] = all[1:]
	}
	p.by[id] = append(p.by[id], mine)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		all := p.by[id]
		for i, one := range all {
			if one == mine {
				all = append(all[:i:i], all[i+1:]...)
				break
			}
		}
		if p.by[id] = all; len(all) == 0 {
			delete(p.by, id)
		}
	}
}
