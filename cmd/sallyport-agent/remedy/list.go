package remedy

import (
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/ops/clock"
)

// listFile is the list's name in the state directory.
const listFile = "blocked.json"

// Entry is one attachment of a device that this agent blocked. All of it has to agree
// before anything is un-blocked: ports and serial numbers alone come again.
type Entry struct {
	Port       string    `json:"port"`
	DevNum     string    `json:"devnum"`
	VID        string    `json:"vid"`
	PID        string    `json:"pid"`
	Serial     string    `json:"serial,omitempty"`
	Product    string    `json:"product,omitempty"`
	Interfaces []string  `json:"interfaces"`       // those that were authorized before
	Whole      bool      `json:"whole,omitempty"`  // the device was handed over to a master, or is about to be
	Hidden     bool      `json:"hidden,omitempty"` // the desktop was asked to leave its disks alone
	At         time.Time `json:"at"`

	added time.Time // in this process: a look that began before says nothing about it
}

// List is what the agent holds blocked, in memory and in the state directory. A change
// is in the file before the method returns, where it outlives the agent but not a loss of
// power; that un-blocks everything and makes the list void. So nobody waits for a disk.
type List struct {
	dir   keep.Dir
	boot  string
	clock clock.Clock

	mu      sync.Mutex // guards what follows
	entries []Entry
}

// listContent is the file. Authorization does not survive a start of the system, so a
// list of another start says nothing.
type listContent struct {
	Version int     `json:"v"`
	BootID  string  `json:"boot_id"`
	Blocked []Entry `json:"blocked"`
}

// LoadList reads the list back; bootID is this start of the system.
func LoadList(dir keep.Dir, bootID string, c clock.Clock) (*List, error) {
	l := &List{dir: dir, boot: bootID, clock: c}
	var content listContent
	err := dir.ReadJSON(listFile, &content)
	switch {
	case errors.Is(err, keep.ErrContent): // it is written without a sync: a power loss may have torn it, and made it void
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if content.BootID == bootID {
		l.entries = content.Blocked
	}
	return l, nil
}

// Entries is a copy of the list.
func (l *List) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

func entryOf(d collect.Device, interfaces []string) Entry {
	return Entry{Port: d.Port, DevNum: d.DevNum, VID: d.VID, PID: d.PID, Serial: d.Serial, Product: d.Product, Interfaces: interfaces}
}

// of says whether an entry is about this attachment of this device.
func (e Entry) of(d collect.Device) bool {
	return e.Port == d.Port && e.DevNum == d.DevNum && e.VID == d.VID && e.PID == d.PID && e.Serial == d.Serial
}

func (e Entry) same(other Entry) bool { return e.Port == other.Port && e.DevNum == other.DevNum }

// add writes an entry down; interfaces noted before for the same attachment stay.
func (l *List) add(e Entry) error {
	e.At, e.added = l.clock.Now().UTC(), time.Now()
	return l.change(func(entries []Entry) []Entry {
		for _, old := range entries {
			if old.same(e) {
				e.Interfaces = append(e.Interfaces, old.Interfaces...)
				e.Whole, e.Hidden = e.Whole || old.Whole, e.Hidden || old.Hidden
			}
		}
		slices.Sort(e.Interfaces)
		e.Interfaces = slices.Compact(e.Interfaces)
		return append(slices.DeleteFunc(entries, e.same), e)
	})
}

// part notes that a device was not handed over after all.
func (l *List) part(e Entry) error {
	return l.change(func(entries []Entry) []Entry {
		for i := range entries {
			entries[i].Whole = entries[i].Whole && !entries[i].same(e)
		}
		return entries
	})
}

func (l *List) remove(e Entry) error {
	return l.change(func(entries []Entry) []Entry { return slices.DeleteFunc(entries, e.same) })
}

// Over says whether the list has attachments that the inventory has not.
func (l *List) Over(inv collect.Inventory) bool { return slices.ContainsFunc(l.Entries(), overBy(inv)) }

func overBy(inv collect.Inventory) func(Entry) bool {
	return func(e Entry) bool { return e.added.Before(inv.Began) && !slices.ContainsFunc(inv.Devices, e.of) }
}

// keepOnly forgets attachments that are over.
func (l *List) keepOnly(inv collect.Inventory) error {
	over := overBy(inv)
	if inv.Error != "" || !l.Over(inv) {
		return nil
	}
	return l.change(func(entries []Entry) []Entry { return slices.DeleteFunc(entries, over) })
}

func (l *List) change(f func([]Entry) []Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := f(slices.Clone(l.entries))
	if err := l.dir.WriteJSONVolatile(listFile, listContent{Version: 1, BootID: l.boot, Blocked: next}, keep.Private); err != nil {
		return err
	}
	l.entries = next
	return nil
}
