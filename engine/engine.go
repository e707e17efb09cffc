// Package engine joins the stages and owns the lifecycle.
//
//	access.go      an Access-Request, from the datagram to the reply
//	accounting.go  an Accounting-Request
//	report.go      a posture report, from HTTPS to the CoA
//	core.go        the one goroutine through which every change of a session goes
//	change.go      changes of authorization, from the journal to the NAS and back
//	reload.go      another configuration while packets flow; drain.go the end
//
// Packets are answered from immutable things: one snapshot of the configuration behind
// an atomic pointer, records that are replaced and never written to. What changes goes
// through the core.
package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/coa"
	"sallyport/engine/authn"
	"sallyport/engine/authz"
	"sallyport/engine/record"
	"sallyport/engine/step"
	"sallyport/netio/dup"
	"sallyport/ops/clock"
	"sallyport/ops/config"
	"sallyport/sessions"
	"sallyport/sessions/store"
)

// Limits of the engine.
const (
	// poolQueue bounds the logins that wait for a password to be hashed. A hash takes
	// some 20 ms; at four workers the last of 256 waits about 1.3 s, under the 2 s after
	// which a NAS sends again (RFC 5080 section 2.2.1).
	poolQueue = 256
	// sparesMax bounds the requests that are kept for use: those that wait, those that are
	// in work, and what the loops hold.
	sparesMax = 2 * queueMax
	// rememberedMax bounds the verified passwords that are remembered.
	rememberedMax = 1 << 20
	// ledgerOctets bounds what is kept of changes on their way: the last 20,000 or so.
	ledgerOctets = 16 << 20
	// memoOctets bounds the memory of authorization decisions.
	memoOctets = 64 << 20
)

// Options are what serve was told. Zero values are for production.
type Options struct {
	Config  string // path of the configuration file
	Version string // of the program
	Clock   clock.Clock
	Logger  func(config.Log) *slog.Logger // called after each load; nil: slog.Default
	Store   store.Options

	push  func(coa.Config) (pusher, error) // nil: coa.New; a simulation plays the NASes
	small bool                             // memories of a few entries: quick to make
	flaws flaws                            // of a simulation that must fail
}

// pusher brings changes of authorization to NASes: *coa.Engine.
type pusher interface {
	Submit(coa.Change) error
	Cancel(id sessions.ID, serial uint64)
	Confirmed(coa.Confirmed)
	Stats() coa.Stats
	Close(context.Context) error
}

// Engine is the appliance without its sockets.
type Engine struct {
	opts  Options
	log   *slog.Logger
	clock clock.Clock
	run   uint32 // tells this run's decisions from another's

	snap       atomic.Pointer[Snapshot]
	counters   *counters
	strangers  strangers
	livelog    *record.Ring
	suppress   *suppressor
	tickets    *ticketKey
	memory     *authn.Memory
	memo       *authz.Memo
	pool       *authn.Pool
	loops      []*loop
	decisions  atomic.Uint64
	pushes     atomic.Uint64 // changes of authorization that were published
	clockSteps clockSteps
	answers    *answers
	table      *sessions.Table
	journal    *store.Store
	core       *core
	spare      *ring[*request] // requests to be used again
	coa        pusher
	ledger     *coa.Ledger
	hub        *hub
	heard      *heard
	latency    latencies
	reloading  sync.Mutex             // one reload at a time
	rounds     sync.WaitGroup         // sessions are decided again
	beside     atomic.Pointer[beside] // nil: nobody looks on

	portalAt    atomic.Pointer[string] // host and port of redirect URLs
	rehearsals  sync.Map               // by session id: chan settlement
	life        context.Context        // ends with the engine
	end         context.CancelFunc
	stopCore    chan struct{}
	coreDone    chan struct{}
	started     time.Time
	lastTrouble atomic.Int64
	troubleText atomic.Pointer[string]
}

// Open loads the configuration and the journal, and starts the core. It opens no
// listening socket: see Serve. Warnings of the configuration are logged.
func Open(opts Options) (*Engine, error) {
	e, err := assemble(opts)
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(e.coreDone)
		e.core.run(e.stopCore)
	}()
	e.lookOn(e.snapshot())
	e.resume()
	e.catchUp()
	return e, nil
}

// assemble is Open without the core's goroutine: whoever calls it takes the groups.
func assemble(opts Options) (*Engine, error) {
	if opts.Clock == nil {
		opts.Clock = clock.System{}
	}
	if opts.Logger == nil {
		opts.Logger = func(config.Log) *slog.Logger { return slog.Default() }
	}
	snap, warnings, err := loadSnapshot(opts.Config)
	if err != nil {
		return nil, err
	}
	log := opts.Logger(snap.Config.Log)
	for _, w := range warnings {
		log.Warn("configuration", "warning", w.Error())
	}
	passwords, decisions, replies := int64(rememberedMax), int64(memoOctets), 0
	if opts.small {
		passwords, decisions, replies = 1<<10, 1<<16, 1<<12
	}
	e := &Engine{
		opts: opts, log: log, clock: opts.Clock, run: randomRun(), answers: newAnswers(opts.Clock.Now()),
		counters: newCounters(), livelog: record.NewRing(snap.Config.Records.Livelog),
		spare: newRing[*request](sparesMax), memory: authn.NewMemory(passwords), hub: newHub(), heard: newHeard(), table: sessions.NewTable(),
		ledger: coa.NewLedger(ledgerOctets), stopCore: make(chan struct{}), coreDone: make(chan struct{}), started: opts.Clock.Now(),
	}
	if e.memo, err = authz.NewMemo(decisions); err != nil {
		return nil, err
	}
	e.life, e.end = context.WithCancel(context.Background())
	e.suppress, e.latency = newSuppressor(e.livelog, snap.Config.Records.Folded), newLatencies()
	e.suppress.exempt(snap.Config.Records.NeverFold)
	e.pool = authn.NewPool(poolWorkers(), poolQueue)
	for range runtime.GOMAXPROCS(0) {
		e.loops = append(e.loops, &loop{e: e, dups: dup.NewCache(dup.Config{Entries: replies})})
	}
	snap.bind(e.memory, e.memo, e.counters)
	e.snap.Store(snap)
	if err := e.openState(snap); err != nil {
		e.end()
		return nil, err
	}
	return e, nil
}

func randomRun() uint32 {
	var b [4]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint32(b[:])
}

// openState opens what survives a restart.
func (e *Engine) openState(snap snapshot) error {
	dir := snap.Config.Appliance.State.Value
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("appliance.state: %w", err)
	}
	journal, err := store.Open(filepath.Join(dir, "journal"), withLogger(e.opts.Store, e.log))
	if err != nil {
		return err
	}
	e.journal = journal
	e.core = newCore(e, e.table, journal)
	if e.tickets, err = loadTicketKey(dir); err != nil {
		return errors.Join(err, journal.Close())
	}
	begun := e.clock.Now()
	e.table.Due(begun) // the timers begin now, not at the beginning of time
	if err := journal.Restore(e.table, e.recall); err != nil {
		return errors.Join(fmt.Errorf("the journal cannot be read: %w", err), journal.Close())
	}
	push := e.opts.push
	if push == nil {
		push = func(c coa.Config) (pusher, error) { return coa.New(c) }
	}
	e.coa, err = push(coa.Config{Settled: e.settled, Event: e.ledger.Note, Confirmation: e.confirmed, Clock: e.clock, Logger: e.log, Sources: snap.CoASources})
	if err != nil {
		return errors.Join(err, journal.Close())
	}
	e.log.Info("journal read", "sessions", e.table.Len(), "seconds", e.clock.Now().Sub(begun).Seconds())
	return nil
}

func withLogger(o store.Options, log *slog.Logger) store.Options {
	o.Logger = log
	return o
}

// recall sets the clocks of a session of the journal.
func (e *Engine) recall(s *sessions.Session) {
	e.table.Schedule(s.ID, step.Deadline(s, &e.snapshot().Rules))
	e.core.hold(version{next: s})
	if s.Change != nil && !e.opts.flaws.forgetsChange {
		e.core.unsent[keep(s.ID)] = struct{}{}
	}
}

// resume says what was left half done; the core's first tick sends the open changes.
func (e *Engine) resume() {
	if e.table.Len() == 0 {
		return
	}
	e.livelog.Add(&record.Decision{
		Time: e.clock.Now().UTC(), Kind: record.KindSystem, Status: record.Session,
		Details: fmt.Sprintf("Started with %d sessions of the journal", e.table.Len()),
		Server:  e.snapshot().Config.Appliance.Name.Value,
	})
}

// decision is the number of one more decision.
func (e *Engine) decision() uint64 { return e.decisions.Add(1) }

// trouble says that the journal takes nothing, once in a while and not per packet.
func (e *Engine) trouble(now time.Time, err error) {
	text := err.Error()
	e.troubleText.Store(&text)
	if last := e.lastTrouble.Swap(now.Unix()); now.Unix() >= last && now.Unix()-last < 10 {
		return
	}
	e.log.Error("nothing is acknowledged: the journal takes no change", "error", err)
	e.livelog.Add(&record.Decision{
		Time: now.UTC(), Kind: record.KindAlarm, Status: record.Failed,
		Details: "Nothing is acknowledged: the journal takes no change", Reason: text,
		Server: e.snapshot().Config.Appliance.Name.Value,
	})
}

// recovered says once that the journal takes changes again.
func (e *Engine) recovered() {
	if e.troubleText.Load() == nil {
		return
	}
	e.troubleText.Store(nil)
	e.lastTrouble.Store(0)
	e.log.Info("the journal takes changes again")
	e.system(record.Passed, "The journal takes changes again", "")
}
