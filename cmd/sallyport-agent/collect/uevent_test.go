package collect

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport/ops/usbfixture"
)

// octets reads a line of a vector file: Go escapes, with \0 for NUL.
func octets(t testing.TB, line string) []byte {
	t.Helper()
	s, err := strconv.Unquote(`"` + strings.ReplaceAll(line, `\0`, `\x00`) + `"`)
	if err != nil {
		t.Fatalf("vector %q: %v", line, err)
	}
	return []byte(s)
}

func vectors(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/uevents.vec")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestUeventVectors(t *testing.T) {
	var got strings.Builder
	for _, line := range vectors(t) {
		fmt.Fprintf(&got, "%s\n", line)
		ev, err := ParseUevent(octets(t, line))
		if err != nil {
			fmt.Fprintf(&got, "    error: %v\n\n", err)
			continue
		}
		fmt.Fprintf(&got, "    %s %s subsystem=%q type=%q interface=%02x has=%v seq=%d storage=%v concerns=%v\n\n", ev.Action, ev.DevPath,
			ev.Subsystem, ev.DevType, ev.Interface, ev.HasInterface, ev.Seq, ev.Storage(), ev.Concerns())
	}
	golden(t, "testdata/uevents.golden", []byte(got.String()))
}

// TestUeventCutAnywhere: no prefix of a message may be read as another device.
func TestUeventCutAnywhere(t *testing.T) {
	whole := octets(t, vectors(t)[0])
	want, err := ParseUevent(whole)
	must(t, err)
	for n := range whole {
		ev, err := ParseUevent(whole[:n])
		if err == nil && ev.HasInterface && ev.Interface[0] != want.Interface[0] {
			t.Fatalf("%d octets: interface %v", n, ev.Interface)
		}
	}
	if _, err := ParseUevent(append(whole, make([]byte, ueventMax)...)); err == nil {
		t.Fatal("a message longer than any of the kernel was read")
	}
}

func FuzzUevent(f *testing.F) {
	for _, line := range vectors(f) {
		f.Add(octets(f, line))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ev, err := ParseUevent(b)
		if err != nil {
			return
		}
		if head := []byte(ev.Action + "@" + ev.DevPath); !bytes.HasPrefix(b, head) {
			t.Fatalf("read %q from %q", head, b)
		}
	})
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func receive(t *testing.T, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(5 * time.Second):
		t.Fatalf("no change was heard within 5 s after: %s", what)
	}
}

// TestWatchDirectory: with a root other than / each change of the tree is heard.
func TestWatchDirectory(t *testing.T) {
	tree := newTree(t)
	var said bytes.Buffer
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	changed, err := WatchUSB(ctx, tree.Root(), slog.New(slog.NewTextHandler(&said, nil)), func(string, bool) {})
	must(t, err)
	if !strings.Contains(said.String(), "instead of the kernel's uevents") {
		t.Errorf("the log does not say that files are watched: %s", said.String())
	}
	port, err := tree.Plug(usbfixture.Stick{})
	must(t, err)
	receive(t, "plug", changed)
	if got := USB(tree.Root()).Devices; len(got) != 1 {
		t.Fatalf("%d devices after the plug was heard", len(got))
	}
	drain(changed)
	must(t, tree.Unplug(port))
	receive(t, "unplug", changed)
	if _, err := WatchUSB(ctx, filepath.Join(tree.Root(), "nowhere"), quiet, func(string, bool) {}); err == nil {
		t.Error("a directory that is not there is being watched")
	}
}

// drain takes what is still signalled, until it has been silent for a while: a plug is
// several events.
func drain(ch <-chan struct{}) {
	for {
		select {
		case <-ch:
		case <-time.After(50 * time.Millisecond):
			return
		}
	}
}
