package replay

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"
)

// Recorder writes a recording of bounded size. Events go through a queue, so that nobody
// waits for the disk; what finds it full, or comes after an error, is dropped and counted.
// When the file has half of its size it becomes FILE.1, in place of the one before.
type Recorder struct {
	path   string
	header Header
	half   int64 // octets

	queue   chan *Event
	added   atomic.Uint64
	dropped atomic.Uint64
	fault   atomic.Pointer[error]
	closed  atomic.Bool
	end     chan struct{}
	ended   chan struct{}

	file    *os.File // owned by run
	out     *bufio.Writer
	written int64
}

// queueMax is how many events may wait for the disk: some seconds of a busy appliance.
const queueMax = 4096

// recordingMin is the least size of a recording: a few reports of the largest kind.
const recordingMin = 4 << 20

// NewRecorder opens a recording at path, of at most so many octets; what is there already
// becomes the older half. Close it.
func NewRecorder(path string, octetsMax int64, revision string, now time.Time) (*Recorder, error) {
	if octetsMax < recordingMin {
		return nil, fmt.Errorf("a recording of %d octets is too small: at least %d", octetsMax, recordingMin)
	}
	r := &Recorder{
		path: path, header: Header{V: Version, Revision: revision, At: now.UTC()}, half: octetsMax / 2,
		queue: make(chan *Event, queueMax), end: make(chan struct{}), ended: make(chan struct{}),
	}
	if err := r.older(); err != nil {
		return nil, err
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	go r.run()
	return r, nil
}

// Add takes an event, or drops it: when the disk is behind, broken, or the recorder is
// closed. The event, and what it points to, is not to be changed afterwards.
func (r *Recorder) Add(e *Event) {
	r.added.Add(1)
	if r.closed.Load() {
		r.dropped.Add(1)
		return
	}
	select {
	case r.queue <- e:
	default:
		r.dropped.Add(1)
	}
}

// Added is how many events there were, in the recording or not.
func (r *Recorder) Added() uint64 { return r.added.Load() }

// Dropped is how many events are not in the recording, and the fault of the disk, if any.
func (r *Recorder) Dropped() (uint64, error) {
	if at := r.fault.Load(); at != nil {
		return r.dropped.Load(), *at
	}
	return r.dropped.Load(), nil
}

// Close writes what waits and closes the file.
func (r *Recorder) Close() error {
	if !r.closed.Swap(true) {
		close(r.end)
	}
	<-r.ended
	_, err := r.Dropped()
	return err
}

func (r *Recorder) run() {
	defer close(r.ended)
	for open := true; open; {
		select {
		case e := <-r.queue:
			r.take(e)
		case <-r.end:
			open = false
		}
	}
	for len(r.queue) > 0 { // what was added before the end; nobody else takes
		r.take(<-r.queue)
	}
	err := r.out.Flush()
	if closing := r.file.Close(); err == nil {
		err = closing
	}
	if err != nil && r.fault.Load() == nil {
		r.fault.Store(&err)
	}
}

func (r *Recorder) take(e *Event) {
	if r.fault.Load() != nil {
		r.dropped.Add(1)
		return
	}
	if e.Kind == KindConfiguration {
		r.header.Revision, r.header.At = e.Revision, e.At // of the next half
	}
	err := r.write(e)
	if err == nil && len(r.queue) == 0 {
		err = r.out.Flush()
	}
	if err != nil {
		r.dropped.Add(1)
		r.fault.Store(&err)
	}
}

func (r *Recorder) write(what any) error {
	line, err := json.Marshal(what)
	if err != nil {
		return err
	}
	if r.written+int64(len(line))+1 > r.half && r.written > 0 {
		if err := r.turn(); err != nil {
			return err
		}
	}
	n, err := r.out.Write(append(line, '\n'))
	r.written += int64(n)
	return err
}

// turn makes the file that is full the older half.
func (r *Recorder) turn() error {
	if err := r.out.Flush(); err != nil {
		return err
	}
	if err := r.file.Close(); err != nil {
		return err
	}
	if err := r.older(); err != nil {
		return err
	}
	return r.open()
}

// older makes what is there the older half.
func (r *Recorder) older() error {
	if err := os.Rename(r.path, r.path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (r *Recorder) open() (err error) {
	const ownerOnly = 0o600 // who is on the network is nobody's business
	if r.file, err = os.OpenFile(r.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, ownerOnly); err != nil {
		return err
	}
	r.out, r.written = bufio.NewWriterSize(r.file, 64<<10), 0
	return r.write(r.header)
}
