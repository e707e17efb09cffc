package portal

import (
	"log/slog"
	"path/filepath"
	"syscall"
	"testing"
)

// TestAFIFOIsNoAgent: opening one would wait for a writer, and the page with it.
func TestAFIFOIsNoAgent(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "sallyport-agent-linux-amd64"), 0o600); err != nil {
		t.Skip("no FIFOs here:", err)
	}
	a := &agents{dir: dir, log: slog.New(slog.DiscardHandler), refuse: func(why) {}}
	if got := a.available("linux", nil); len(got) != 0 {
		t.Errorf("offered: %+v", got)
	}
}
