package collect

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// signal is a channel of capacity one: many changes before a look are one change.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) raise() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// WatchUSB gives a channel that gets a value whenever the USB storage below root may
// have changed; changes that nobody took yet count as one. It stops with ctx. For this
// machine ("/") it listens to the kernel's uevents. For any other root it watches the
// directory kernel/uevents below it, one file an event, and says so in the log. appeared
// is called, before all else, with the name of each interface that is new.
func WatchUSB(ctx context.Context, root string, log *slog.Logger, appeared func(iface string, storage bool)) (<-chan struct{}, error) {
	if root == "/" || root == "" {
		return watchKernel(ctx, log, appeared)
	}
	return watchDirectory(ctx, filepath.Join(root, "kernel/uevents"), log, appeared)
}

func watchDirectory(ctx context.Context, dir string, log *slog.Logger, appeared func(string, bool)) (<-chan struct{}, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := w.Add(dir); err != nil {
		w.Close()
		return nil, fmt.Errorf("cannot watch for USB changes: %w", err)
	}
	log.Info("watching files instead of the kernel's uevents, since the root is not /", "directory", dir)
	changed := newSignal()
	go func() {
		defer w.Close()
		for {
			select {
			case <-ctx.Done():
				return
			case err := <-w.Errors:
				log.Warn("watching for USB changes: looking at everything again", "error", err)
				changed.raise()
			case ev := <-w.Events:
				if ev.Has(fsnotify.Create) && fileConcerns(ev.Name, log, appeared) {
					changed.raise()
				}
			}
		}
	}()
	return changed, nil
}

// fileConcerns reads an event's file. One that is gone already may have been anything.
func fileConcerns(name string, log *slog.Logger, appeared func(string, bool)) bool {
	b, err := os.ReadFile(name)
	if err != nil {
		return true
	}
	ev, err := ParseUevent(b)
	if err != nil {
		log.Warn("an event that cannot be read", "file", name, "error", err)
		return false
	}
	if iface := ev.NewInterface(); iface != "" {
		appeared(iface, ev.Storage())
	}
	log.Debug("uevent", "action", ev.Action, "path", Printable(ev.DevPath), "storage", ev.Storage())
	return ev.Concerns()
}
