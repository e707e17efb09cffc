package console

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"sallyport/netio/report"
)

// flushInterval is how long a row may wait for others before it goes out.
const flushInterval = 50 * time.Millisecond

// heartbeatInterval is how often a stream of events that has nothing to say says so:
// less than the minute after which proxies and tunnels forget a connection.
const heartbeatInterval = 15 * time.Second

// stream sends rows as they come: many rows a write, and no row waits long. A reader
// that takes nothing for writeTimeout is cut off.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	events  bool
	ended   chan struct{}
	flusher sync.WaitGroup

	mu      sync.Mutex // guards the following
	buf     *bufio.Writer
	begun   bool
	waiting bool // something is in buf
	last    time.Time
	err     error
}

// place takes one of the places for readers that follow.
func (h *handler) place() (release func(), p *report.Problem) {
	select {
	case h.streams <- struct{}{}:
		return func() { <-h.streams }, nil
	default:
		return nil, &report.Problem{Status: http.StatusServiceUnavailable, Code: report.CodeBusy,
			Detail: "64 readers follow already", Retry: 5}
	}
}

func (h *handler) lines(w http.ResponseWriter, r *http.Request) *stream {
	return newStream(w, r, false)
}
func (h *handler) events(w http.ResponseWriter, r *http.Request) *stream {
	return newStream(w, r, true)
}

func newStream(w http.ResponseWriter, r *http.Request, events bool) *stream {
	s := &stream{w: w, control: http.NewResponseController(w), events: events, ended: make(chan struct{}),
		buf: bufio.NewWriterSize(w, 32<<10), last: time.Now()}
	s.flusher.Go(func() {
		ticker := time.NewTicker(flushInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				s.tick()
			case <-s.ended:
				return
			case <-r.Context().Done():
				return
			}
		}
	})
	if events {
		s.mu.Lock()
		s.begin()
		s.waiting = true // the header alone, so that the browser knows it is connected
		s.mu.Unlock()
	}
	return s
}

// begin sends the header once.
func (s *stream) begin() {
	if s.begun {
		return
	}
	s.begun = true
	contentType := typeLines
	if s.events {
		contentType = typeEvents
	}
	s.w.Header().Set("Content-Type", contentType)
	s.w.WriteHeader(http.StatusOK)
}

func (s *stream) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.events && !s.waiting && time.Since(s.last) >= heartbeatInterval {
		s.write([]byte(":\n\n"))
	}
	if s.waiting {
		s.flush()
	}
}

func (s *stream) write(p []byte) {
	s.begin()
	s.waiting = true
	if s.err == nil && s.buf.Available() < len(p) {
		s.deadline()
	}
	if s.err == nil {
		_, s.err = s.buf.Write(p)
	}
}

func (s *stream) flush() {
	s.begin()
	s.waiting, s.last = false, time.Now()
	s.deadline()
	if s.err == nil {
		s.err = s.buf.Flush()
	}
	if s.err == nil {
		s.err = s.control.Flush()
	}
}

// deadline gives the reader writeTimeout from now.
func (s *stream) deadline() {
	if s.err == nil {
		s.err = s.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	}
}

// row sends one row as a line.
func (s *stream) row(row Row) error {
	b, err := json.Marshal(row)
	if err != nil {
		return err
	}
	return s.line(b)
}

func (s *stream) line(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(append(b, '\n'))
	return s.err
}

// event sends a server-sent event; number, when there is one, is what the browser
// gives back after it lost the connection.
func (s *stream) event(name string, number uint64, data []byte) error {
	var b bytes.Buffer
	if name != "" {
		b.WriteString("event: " + name + "\n")
	}
	if number != 0 {
		b.WriteString("id: " + strconv.FormatUint(number, 10) + "\n")
	}
	for line := range bytes.Lines(data) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(b.Bytes())
	return s.err
}

// end sends what waits. A refusal before the first row is returned, to be told as a
// Problem; one behind it cuts the answer short.
func (s *stream) end(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil // the reader is gone: nobody to tell
	}
	if err == nil || s.begun {
		s.flush()
	}
	return err
}

// stop ends the flusher; the handler must not return before it did.
func (s *stream) stop() {
	close(s.ended)
	s.flusher.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.control.SetWriteDeadline(time.Time{}) // the connection may serve another request
}

// lastEvent is where a browser that lost the connection goes on.
func lastEvent(r *http.Request, after uint64) uint64 {
	if n, err := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64); err == nil {
		return n
	}
	return after
}
