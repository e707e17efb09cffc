package foreign

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// space is a network namespace: a thread that lives in it. It ends with the thread and
// with what was started there.
type space struct {
	work chan func()
	done chan struct{}
}

func (s *space) open() error {
	s.work, s.done = make(chan func()), make(chan struct{})
	opened := make(chan error)
	go func() {
		defer close(s.done)
		runtime.LockOSThread() // and never unlock: the thread is of no use elsewhere
		err := unix.Unshare(unix.CLONE_NEWNET)
		opened <- err
		if err != nil {
			return
		}
		for f := range s.work {
			f()
		}
	}()
	return <-opened
}

func (s *space) do(f func() error) error {
	result := make(chan error)
	s.work <- func() { result <- f() }
	return <-result
}

func (s *space) close() {
	close(s.work)
	<-s.done
}
