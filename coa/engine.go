package coa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sallyport/ops/clock"
	"sallyport/sessions"
)

// Limits and defaults of the Engine.
const (
	socketsDefault    = 4                    // up to 4 x 192 requests in flight for one NAS
	socketsMax        = 64                   // a window is 10 KB for each NAS and socket
	batchWaitDefault  = 5 * time.Millisecond // reports that come together leave together
	batchMaxDefault   = 64                   // as many as one system call can take
	pendingMaxDefault = 1 << 18              // a storm of 100,000 sessions, twice and a half
	staleDefault      = 300 * time.Second    // RFC 5176 section 6.3
	// A request may come to the NAS later than its answer came back from there: a copy that
	// the network made, or our own retransmission. Until it must have come, the next one of
	// the session stays here, or the older authorization would be the last.
	lingerDefault  = 100 * time.Millisecond
	inboxStep      = 256 // changes taken before answers are looked at again
	receiveStep    = 64  // answers taken before changes are
	receiveBuffers = 256
	socketBuffer   = 1 << 20 // octets asked of the system for each socket
	warnEvery      = 10 * time.Second
	trimAfter      = time.Minute
)

// SourcesMax is how many addresses besides the default an Engine can send from.
const SourcesMax = socketsMax/socketsDefault - 1

// Errors of Submit.
var (
	ErrFull   = errors.New("coa: too many changes pending")
	ErrClosed = errors.New("coa: the engine is closed")
)

// Config is what an Engine needs. Zero fields take the defaults above.
type Config struct {
	Settled func([]Settlement) // gets every settlement, in order; must not wait for the Engine
	Event   func(*Event)       // gets each step for the ledger; may be nil; likewise

	// Confirmation gets how each expectation ended; likewise. Without it nothing is expected.
	Confirmation func([]Confirmation)

	Clock  clock.Clock
	Logger *slog.Logger // for what the system refuses to send; nil: nothing is logged
	Seed   uint64       // of the jitter; 0: from the clock

	Source     netip.Addr    // address to send from; zero: the system's choice
	Sources    []netip.Addr  // others, which a NAS may name; SourcesMax at most
	Sockets    int           // for each of them
	BatchWait  time.Duration // how long changes of one NAS gather; negative: not at all
	BatchMax   int           // or how many
	PendingMax int           // changes taken and not settled
	Retry      Retransmission
}

// Engine sends changes and settles them.
type Engine struct {
	settledFn func([]Settlement)
	confirmFn func([]Confirmation)
	eventFn   func(*Event)
	clock     clock.Clock
	log       *slog.Logger
	wires     []*wire
	local     []netip.AddrPort
	sources   []netip.Addr
	bursts    chan *burst // from the sockets to the loop
	interest  *interest
	commands  chan func(*machine)
	wake      chan struct{}
	stop      chan struct{} // closed by Close: nothing new
	cut       chan struct{} // closed when Close may wait no longer
	stopped   chan struct{} // closed when the loop has ended
	readers   sync.WaitGroup

	mu         sync.Mutex // guards the following
	inbox      []Change
	notes      []note // told after the changes that were submitted before
	pending    int
	pendingMax int
	closed     bool
	stats      Stats

	machine *machine // this and the following are the loop's
	taken   []Change // of the inbox, not yet given to the machine
	spare   []Change // the inbox's other half
	heard   []note   // the other half of the notes
	warned  time.Time
	calm    time.Time // since when nothing is pending

	bySocket  [][]datagram // what is to be sent
	refusedFn func(*datagram, error)
}

// New opens the sockets and starts the loop. Close ends it.
func New(c Config) (*Engine, error) {
	if c.Settled == nil {
		return nil, errors.New("coa: no function for settlements")
	}
	c = c.withDefaults()
	sockets, err := c.sockets()
	if err != nil {
		return nil, err
	}
	e := &Engine{
		settledFn: c.Settled, confirmFn: c.Confirmation, eventFn: c.Event, clock: c.Clock, log: c.Logger, pendingMax: c.PendingMax,
		bursts: make(chan *burst, sockets*burstsEach), bySocket: make([][]datagram, sockets), sources: c.Sources,
		commands: make(chan func(*machine)), wake: make(chan struct{}, 1),
		stop: make(chan struct{}), cut: make(chan struct{}), stopped: make(chan struct{}),
	}
	for _, source := range append([]netip.Addr{c.Source}, c.Sources...) {
		if err := e.open(source, c.Sockets); err != nil {
			return nil, err
		}
	}
	s := settings{sockets: c.Sockets, sources: c.allSources(), batchWait: max(0, c.BatchWait), batchMax: c.BatchMax, retry: c.Retry, staleWindow: staleDefault,
		linger: lingerDefault, opened: c.Clock.Now(), confirms: c.Confirmation != nil}
	e.machine = newMachine(s, c.Seed, func(i int) netip.AddrPort { return e.local[i] }, c.Event != nil)
	e.refusedFn, e.interest = e.refused, e.machine.interest
	for i := range e.wires {
		e.readers.Go(func() { e.read(i) })
	}
	go e.loop()
	return e, nil
}

// sockets is how many there are for all sources.
func (c *Config) sockets() (int, error) {
	switch {
	case len(c.Sources) > SourcesMax:
		return 0, fmt.Errorf("coa: %d source addresses; %d at most", len(c.Sources), SourcesMax)
	case c.Sockets < 1 || c.Sockets*(1+len(c.Sources)) > socketsMax:
		return 0, fmt.Errorf("coa: %d sockets; 1 to %d", c.Sockets*(1+len(c.Sources)), socketsMax)
	}
	return c.Sockets * (1 + len(c.Sources)), nil
}

// allSources is the default, which no NAS names, and the others.
func (c *Config) allSources() []netip.Addr {
	return append([]netip.Addr{{}}, c.Sources...)
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Seed == 0 {
		c.Seed = uint64(c.Clock.Now().UnixNano())
	}
	if c.Sockets == 0 {
		c.Sockets = socketsDefault
	}
	if c.BatchWait == 0 {
		c.BatchWait = batchWaitDefault
	}
	if c.BatchMax <= 0 {
		c.BatchMax = batchMaxDefault
	}
	if c.PendingMax <= 0 {
		c.PendingMax = pendingMaxDefault
	}
	c.Retry = c.Retry.withDefaults()
	return c
}

func (e *Engine) open(source netip.Addr, sockets int) error {
	for range sockets {
		w, err := openWire(source)
		if err != nil {
			return errors.Join(err, e.closeWires())
		}
		e.wires = append(e.wires, w)
		e.local = append(e.local, w.local)
	}
	return nil
}

func (e *Engine) closeWires() (err error) {
	for _, w := range e.wires {
		err = errors.Join(err, w.conn.Close())
	}
	return err
}

// Submit takes a change. It never waits for the network: ErrFull when too many are
// pending, ErrClosed after Close, ErrBadChange when it could never be sent. A change that
// is taken gets one Settlement.
func (e *Engine) Submit(c Change) error {
	if err := c.validate(); err != nil {
		return err
	}
	if from := c.NAS.Source; from.IsValid() && !slices.Contains(e.sources, from) {
		return fmt.Errorf("%w: session %s: NAS %s is to be told from %s, and no socket has that address", ErrBadChange, c.Session, c.NAS.Name, from)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return ErrClosed
	case e.pending >= e.pendingMax:
		return fmt.Errorf("%w: %d", ErrFull, e.pending)
	}
	e.pending++
	e.inbox = append(e.inbox, c)
	e.rouse()
	return nil
}

// Cancel takes back the changes of a session up to the given serial, because it ended or
// a login overtook them. Those that have not left are settled as Cancelled; of one in
// flight the answer is awaited, and nothing follows it.
func (e *Engine) Cancel(id sessions.ID, serial uint64) {
	e.tell(note{session: id, serial: serial, cancel: true})
}

// Confirmed takes something that a NAS did. It is cheap when nobody waits for that.
func (e *Engine) Confirmed(c Confirmed) {
	key := string(c.Session)
	if key == "" {
		key = c.DACLName
	}
	if e.confirmFn != nil && e.interest.has(key) {
		e.tell(note{confirmed: c})
	}
}

// note is news for the machine that no change came with.
type note struct {
	session   sessions.ID
	serial    uint64
	cancel    bool
	confirmed Confirmed
}

func (e *Engine) tell(n note) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.notes = append(e.notes, n)
		e.rouse()
	}
}

// Local is the addresses that requests leave from.
func (e *Engine) Local() []netip.AddrPort { return append([]netip.AddrPort(nil), e.local...) }

// Stats is the counters as of the loop's last step.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.stats
	s.Pending = uint64(e.pending)
	return s
}

// PeerState is one NAS's part of the engine at one moment.
type PeerState struct {
	Name     string
	Addr     netip.AddrPort
	Queued   int // changes that gather or wait for room
	InFlight int
	Sockets  int // windows open to it
	Dead     bool
	Awaiting int // changes of which it has to show something yet
}

// Peers is the state of every NAS that had a change lately, by name and address; nil
// after Close.
func (e *Engine) Peers() (states []PeerState) {
	ready := make(chan struct{})
	command := func(m *machine) {
		states = m.peerStates()
		close(ready)
	}
	select {
	case e.commands <- command:
		<-ready
		return states
	case <-e.stopped:
		return nil
	}
}

// Close takes no more changes, settles what has not left as Unsent, waits for the
// answers to what is in flight until ctx ends, and settles the rest as Abandoned, which
// is ctx's error. When it returns, Settled and Event will not be called again.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	first := !e.closed
	e.closed = true
	e.mu.Unlock()
	if first {
		close(e.stop)
	}
	var err error
	select {
	case <-e.stopped:
	case <-ctx.Done():
		err = ctx.Err()
		if first {
			close(e.cut)
		}
		<-e.stopped
	}
	if !first {
		return nil
	}
	err = errors.Join(err, e.closeWires())
	e.readers.Wait()
	return err
}
