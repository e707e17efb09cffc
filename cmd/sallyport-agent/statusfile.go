package main

import (
	"log/slog"
	"os"
	"reflect"
	"sync"
	"time"

	"sallyport/cmd/sallyport-agent/core"
	"sallyport/cmd/sallyport-agent/devicekey"
	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/cmd/sallyport-agent/remedy"
	"sallyport/cmd/sallyport-agent/renew"
	"sallyport/cmd/sallyport-agent/uplink"
)

// statusName is the status file's name in the state directory. Everybody may read it,
// so it holds no nonce, no ticket and no key.
const statusName = "status.json"

// saidMax is how many messages are kept for `status`.
const saidMax = 5

// status is what the file holds and what `status --json` prints.
type status struct {
	Version      int       `json:"v"`
	Agent        string    `json:"agent"` // version
	PID          int       `json:"pid"`
	ProcessStart string    `json:"process_start,omitempty"` // tells a process from a later one with its number
	BootID       string    `json:"boot_id,omitempty"`
	Started      time.Time `json:"started"`
	Updated      time.Time `json:"updated"`
	Stopped      bool      `json:"stopped"`
	core.View
	DeviceKey devicekey.Place   `json:"device_key,omitzero"`
	Failed    *renew.Failure    `json:"failed_build,omitempty"` // that was taken back
	Enrolment *uplink.Enrolment `json:"enrolment,omitempty"`    // nil: no claim yet
	Blocked   []remedy.Entry    `json:"blocked,omitempty"`
	Said      []said            `json:"said,omitempty"` // messages for the person, newest last

	USBControl *usbControl `json:"usb_control,omitempty"` // nil: nobody else decides about devices
}

type said struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// statusFile writes the status behind the loop's back, so that no report waits for a
// disk; when changes come faster than the disk, only the newest is written.
type statusFile struct {
	dir  keep.Dir
	log  *slog.Logger
	wake chan struct{}
	done chan struct{}

	mu      sync.Mutex // guards what follows
	now     status
	written status
	closed  bool
}

func newStatusFile(dir keep.Dir, boot string, key devicekey.Place, failed *renew.Failure, started time.Time, log *slog.Logger) *statusFile {
	f := &statusFile{dir: dir, log: log, wake: make(chan struct{}, 1), done: make(chan struct{})}
	f.now = status{Version: 1, Agent: version, PID: os.Getpid(), ProcessStart: processStart(os.Getpid()), BootID: boot, DeviceKey: key, Failed: failed, Started: started.UTC()}
	go f.write()
	return f
}

func (f *statusFile) update(v core.View, blocked []remedy.Entry, control *usbControl) {
	f.mu.Lock()
	f.now.View, f.now.Blocked, f.now.USBControl = v, blocked, control
	f.mu.Unlock()
	f.raise()
}

func (f *statusFile) enrolled(e uplink.Enrolment) {
	f.mu.Lock()
	f.now.Enrolment = &e
	f.mu.Unlock()
	f.raise()
}

func (f *statusFile) message(text string, at time.Time) {
	f.mu.Lock()
	f.now.Said = append(f.now.Said[max(0, len(f.now.Said)-saidMax+1):len(f.now.Said):len(f.now.Said)], said{At: at.UTC(), Text: text})
	f.mu.Unlock()
	f.raise()
}

func (f *statusFile) raise() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// stop writes the last status and returns when it is on the disk.
func (f *statusFile) stop(v core.View, blocked []remedy.Entry) {
	f.mu.Lock()
	f.now.View, f.now.Blocked, f.now.Stopped, f.closed = v, blocked, true, true
	f.mu.Unlock()
	f.raise()
	<-f.done
}

func (f *statusFile) write() {
	defer close(f.done)
	failing := false
	for range f.wake {
		f.mu.Lock()
		now, closed := f.now, f.closed
		f.mu.Unlock()
		if !reflect.DeepEqual(now, f.written) {
			f.written = now
			now.Updated = time.Now().UTC()
			err := f.dir.WriteJSONVolatile(statusName, now, keep.Public)
			if err != nil && !failing {
				f.log.Error("the status cannot be written", "error", err)
			}
			failing = err != nil
		}
		if closed {
			return
		}
	}
}
