package remedy

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sallyport/cmd/sallyport-agent/collect"
)

// Master is a program on this machine that decides over USB devices as a whole, such as
// USBGuard. Where one rules, this agent does not write its files behind its back: what is
// blocked is handed over to it, so that both say the same, and taken back from it.
//
// The storage interfaces are de-authorized first all the same: that cannot be refused, takes
// no time, and is not what a master writes. It is also all that is done to a device that is
// more than storage, since the rest of it is to live on.
type Master interface {
	// Rules says whether it decides now.
	Rules() bool
	// Block has it block the device at a port ("2-1") of a vendor and product ("0781:5581").
	// held: it keeps it out by itself, and nothing was asked of it.
	Block(ctx context.Context, port, id string) (held bool, err error)
	// Allow has it let that device in again, if it holds it blocked.
	Allow(ctx context.Context, port, id string) error
}

// whole says whether a device is the master's to block: there is one, and the device is
// nothing but storage.
func (u *USB) whole(d collect.Device) bool {
	other := func(class string) bool { return !strings.HasPrefix(class, "08/") }
	return u.master != nil && u.master.Rules() && len(d.Ifaces) > 0 && !slices.ContainsFunc(d.Ifaces, other)
}

// handOver tells the master of a device whose interfaces were taken away. That it does not
// take it leaves the device blocked by those, and one that it keeps out by itself is its own.
func (u *USB) handOver(ctx context.Context, d collect.Device) error {
	if !u.whole(d) {
		return nil
	}
	held, err := u.master.Block(ctx, d.Port, d.VID+":"+d.PID)
	if held {
		return u.list.remove(entryOf(d, nil))
	}
	if err != nil {
		u.log.Warn("a USB device is blocked by its interfaces alone", "port", d.Port, "error", err)
		if !errors.Is(err, context.DeadlineExceeded) { // else it may still take it
			return u.list.part(entryOf(d, nil))
		}
	}
	return nil
}

// handing marks a port until done is called: what the master decides meanwhile is about to be
// overruled.
func (u *USB) handing(port string) (done func()) {
	u.ruling.Lock()
	defer u.ruling.Unlock()
	if u.hands == nil {
		u.hands = map[string]bool{}
	}
	u.hands[port] = true
	return func() {
		u.ruling.Lock()
		defer u.ruling.Unlock()
		delete(u.hands, port)
	}
}

func (u *USB) inHand(port string) bool {
	u.ruling.Lock()
	defer u.ruling.Unlock()
	return u.hands[port]
}

// takeBack has the master let in what was handed over to it. One that is gone meanwhile left
// the device as it was: then this agent lets it in.
func (u *USB) takeBack(ctx context.Context, e Entry) error {
	if u.master != nil && u.master.Rules() {
		return u.master.Allow(ctx, e.Port, e.VID+":"+e.PID)
	}
	name := filepath.Join(devicesDir, e.Port, "authorized")
	now, err := os.ReadFile(filepath.Join(u.root, name))
	if err == nil && strings.TrimSpace(string(now)) == "0" {
		err = u.write(name, "1", 0)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Taken says that somebody else decided about the device at a port: what this agent handed
// over is the master's own business from now on, and is not given back.
func (u *USB) Taken(port string) error {
	for _, e := range u.list.Entries() {
		if e.Port == port && e.Whole && !u.inHand(port) {
			u.log.Info("a USB device that this agent had blocked was decided about by somebody else", "port", port)
			return u.list.remove(e)
		}
	}
	return nil
}
