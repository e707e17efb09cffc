package authn

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Pool runs slow work beside the loops, a bounded amount of it.
type Pool struct {
	jobs    chan func()
	done    sync.WaitGroup
	mu      sync.RWMutex // guards closed against Submit
	closed  bool
	refused atomic.Uint64
	panics  atomic.Uint64
}

// NewPool starts so many workers before a queue of so many jobs.
func NewPool(workers, queue int) *Pool {
	p := &Pool{jobs: make(chan func(), queue)}
	for range max(workers, 1) {
		p.done.Go(func() {
			for job := range p.jobs {
				p.run(job)
			}
		})
	}
	return p
}

// run contains a panic: one login that brings down its worker must not bring down the
// others' logins.
func (p *Pool) run(job func()) {
	defer func() {
		if r := recover(); r != nil {
			p.panics.Add(1)
			slog.Error("a login ended in a panic", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	job()
}

// Submit queues a job. False, and counted, when there is no room or the pool is closed.
func (p *Pool) Submit(job func()) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.closed {
		select {
		case p.jobs <- job:
			return true
		default:
		}
	}
	p.refused.Add(1)
	return false
}

// Refused counts the jobs that found no room, Panics those that panicked.
func (p *Pool) Refused() uint64 { return p.refused.Load() }

// Panics counts the jobs that panicked.
func (p *Pool) Panics() uint64 { return p.panics.Load() }

// Close takes no more jobs and waits for those that are queued, or for ctx.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.jobs)
	}
	p.mu.Unlock()
	finished := make(chan struct{})
	go func() { p.done.Wait(); close(finished) }()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
