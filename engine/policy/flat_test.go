package policy

import (
	"path/filepath"
	"runtime"
	"testing"
)

// TestLoadsLeaveNothingBehind: a configuration that is loaded again and again leaves the
// heap and the goroutines as they were.
func TestLoadsLeaveNothingBehind(t *testing.T) {
	_, _, dir := unpack(t, "testdata/reference.txt")
	load := func(n int) {
		for range n {
			if _, _, faults := Load(filepath.Join(dir, "sallyport.yaml")); faults.Err() != nil {
				t.Fatal(faults)
			}
		}
	}
	measure := func() (uint64, int) {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, runtime.NumGoroutine()
	}
	load(20) // caches of the expression language fill
	heap, goroutines := measure()
	load(200)
	after, running := measure()
	const slack = 1 << 20
	if after > heap+slack || running > goroutines {
		t.Errorf("heap %d -> %d, goroutines %d -> %d after 200 loads", heap, after, goroutines, running)
	}
	t.Logf("heap %d -> %d", heap, after)
}
