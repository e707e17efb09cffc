package remedy

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"sallyport/ops/usbfixture"
)

// TestRulesAreEverybodys: the service's umask keeps its own files to itself, and these are
// not its own.
func TestRulesAreEverybodys(t *testing.T) {
	before := syscall.Umask(0o077)
	t.Cleanup(func() { syscall.Umask(before) })
	b := newDesktopBench(t)
	b.plug(usbfixture.Stick{Mount: "/media/s"}.Device())
	b.want(b.Block(ctx, nil), Done, "")
	rules := filepath.Join(b.tree.Root(), hiddenFile)
	for name, want := range map[string]os.FileMode{rules: 0o644, filepath.Dir(rules): 0o755} {
		info, err := os.Stat(name)
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
}
