package usbfixture

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// run reacts to what is written below root until Close.
func (t *Tree) run() {
	defer close(t.done)
	for {
		select {
		case ev, ok := <-t.watcher.Events:
			if !ok {
				return
			}
			if ev.Has(fsnotify.Write) || ev.Has(fsnotify.Create) {
				t.react(ev.Name)
			}
		case err, ok := <-t.watcher.Errors:
			if !ok {
				return
			}
			t.fail(err)
		}
	}
}

func (t *Tree) fail(err error) {
	if err == nil || errors.Is(err, fs.ErrNotExist) { // unplugged while it was being looked at
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failure == nil {
		t.failure = err
	}
}

func (t *Tree) react(name string) {
	switch {
	case filepath.Base(name) == "authorized":
		t.fail(t.authorize(filepath.Dir(name)))
	case name == t.path(probeFile):
		t.fail(t.probe())
	case strings.HasSuffix(name, ".call"):
		t.fail(t.answer(name))
	}
}

// authorize acts on a changed authorized file in dir.
func (t *Tree) authorize(dir string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.devices {
		if t.path(a.dir) == dir {
			return t.authorizeDevice(a)
		}
		for _, i := range a.ifaces {
			if i.present && t.path(i.dir) == dir {
				return t.authorizeInterface(i)
			}
		}
	}
	return nil
}

// authorizeDevice: a device that is not authorized has no interfaces at all.
func (t *Tree) authorizeDevice(a *attached) error {
	on, ok := t.readFlag(a.dir)
	if !ok || on == a.authorized {
		return nil
	}
	a.authorized = on
	if on {
		if err := t.addInterfaces(a); err != nil {
			return err
		}
		return t.writeProc()
	}
	return t.removeInterfaces(a)
}

// authorizeInterface: authorizing alone binds nothing, a write to drivers_probe does.
func (t *Tree) authorizeInterface(i *iface) error {
	on, ok := t.readFlag(i.dir)
	if !ok || on == i.authorized {
		return nil
	}
	i.authorized = on
	if on {
		return nil
	}
	return t.unbind(i)
}

// probe binds the interfaces named in drivers_probe since the last time. Those that
// write there append, so that no name is lost.
func (t *Tree) probe() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, err := os.ReadFile(t.path(probeFile))
	if err != nil {
		return err
	}
	text := string(b[min(t.probed, int64(len(b))):])
	end := strings.LastIndexByte(text, '\n') + 1
	t.probed += int64(end)
	for _, name := range strings.Fields(text[:end]) {
		for _, a := range t.devices {
			for _, i := range a.ifaces {
				if i.name != name {
					continue
				}
				if on, ok := t.readFlag(i.dir); ok { // the two files' events may come in any order
					i.authorized = on
				}
				if err := t.bind(i); err != nil {
					return err
				}
			}
		}
	}
	return t.writeProc()
}

// answer serves one system call asked for as a file: "syncfs PATH", "umount PATH",
// "detach PATH", "kill PATH" (who holds it goes), "end PATH" (who holds it does not listen)
// or "claim NODE". The answer is "ok", "busy" or "unknown".
func (t *Tree) answer(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	call := string(b)
	verb, arg, _ := strings.Cut(call, " ")
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls = append(t.calls, call)
	said := "unknown"
	switch verb {
	case "syncfs":
		said = "ok"
	case "end":
		said = "ok"
	case "kill":
		delete(t.held, arg)
		said = "ok"
	case "umount", "detach":
		if verb == "detach" {
			delete(t.held, arg)
		}
		said = t.umount(arg)
		if err := t.writeProc(); err != nil {
			return err
		}
	case "claim":
		said = t.claim(strings.TrimPrefix(arg, "/dev/"))
	}
	w := writer{t: t}
	rel, err := filepath.Rel(t.root, name)
	if err != nil {
		return err
	}
	w.remove(rel)
	w.replace(strings.TrimSuffix(rel, ".call")+".answer", said)
	return w.err
}

func (t *Tree) umount(point string) string {
	if t.held[point] {
		return "busy"
	}
	for n := len(t.mounts) - 1; n >= 0; n-- {
		if t.mounts[n].point == point {
			t.mounts = slices.Delete(t.mounts, n, n+1)
			return "ok"
		}
	}
	return "unknown"
}

func (t *Tree) claim(node string) string {
	for _, m := range t.mounts {
		if m.source == node {
			return "busy"
		}
	}
	if slices.Contains(t.swaps, "/dev/"+node) {
		return "busy"
	}
	return "ok"
}

// Call asks the pretended kernel of the tree at root for a system call and waits with
// wait between looks until it answers; wait returns false to give up.
func Call(root, call string, wait func() bool) (string, error) {
	f, err := os.CreateTemp(filepath.Join(root, CallsDir), "c")
	if err != nil {
		return "", err
	}
	base := f.Name()
	_, err = f.WriteString(call)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	if err := os.Rename(base, base+".call"); err != nil {
		return "", err
	}
	for {
		b, err := os.ReadFile(base + ".answer")
		if err == nil {
			return string(b), os.Remove(base + ".answer")
		}
		if !wait() {
			return "", fmt.Errorf("no answer to %q: nothing watches %s", call, root)
		}
	}
}
