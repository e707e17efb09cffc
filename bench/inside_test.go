package bench

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tells is a server whose metrics and heap go on as the pages say, and stay at the last.
func tells(t *testing.T, metrics, heaps []string) *Target {
	t.Helper()
	mux := http.NewServeMux()
	for path, pages := range map[string][]string{"GET /metrics": metrics, "GET /debug/pprof/allocs": heaps} {
		n := 0
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, pages[min(n, len(pages)-1)])
			n++
		})
	}
	mux.HandleFunc("GET /debug/pprof/profile", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "a profile of "+r.FormValue("seconds"))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return &Target{Name: "teller", Metrics: strings.TrimPrefix(s.URL, "http://")}
}

func heapPage(objects int) string {
	return fmt.Sprintf("heap profile: 1: 2 [3: 4] @ heap/5\n# runtime.MemStats\n# TotalAlloc = %d\n# Mallocs = %d\n# NumGC = 3\n", 10*objects, objects)
}

// TestInside: what asking costs is taken off, and only what grew meanwhile is a drop.
func TestInside(t *testing.T) {
	page := func(known, unknown, kernel int) string {
		return fmt.Sprintf("# HELP x y\nsallyport_radius_drops_total{nas=\"a\",reason=\"short\"} 7\n"+
			"sallyport_radius_drops_total{nas=\"b\",reason=\"short\"} %d\nsallyport_radius_drops_total{nas=\"\",reason=\"unknown_nas\"} %d\n"+
			"sallyport_udp_total{event=\"kernel_drops\"} %d\nsallyport_udp_total{event=\"sent\"} %d\n", known, unknown, kernel, 100*known)
	}
	at := tells(t, []string{page(1, 5, 0), page(3, 5, 4)}, []string{heapPage(900), heapPage(950), heapPage(1100), heapPage(1170)})
	before, err := look(context.Background(), at)
	if err != nil {
		t.Fatal(err)
	}
	in, err := before.until(context.Background(), 50)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := in.words("a packet"), "2.0000 allocations and 20.0 octets a packet, 0 collections; dropped: kernel_drops 4 short 2"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestInsideOfNobody: a server without metrics has no inside; one without what we need
// is an error, and so is one that ends.
func TestInsideOfNobody(t *testing.T) {
	g, err := look(context.Background(), &Target{})
	if err != nil {
		t.Fatal(err)
	}
	if in, err := g.until(context.Background(), 1); in != nil || err != nil {
		t.Error(in, err)
	}
	if _, err := look(context.Background(), tells(t, []string{"other 1\n"}, []string{"# Mallocs = 7\n"})); err == nil || !strings.Contains(err.Error(), "does not tell") {
		t.Error(err)
	}
	if _, err := look(context.Background(), &Target{Name: "nobody", Metrics: "127.0.0.1:1"}); err == nil {
		t.Error("no error of a server that is not there")
	}
}

// TestProfile: the file is what the server gave; one that offers none is an error that
// says what else there is.
func TestProfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cpu.pprof")
	r := &Runner{Profile: file}
	if err := <-r.profile(context.Background(), tells(t, []string{""}, []string{""}), 3*time.Second); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "a profile of 3" {
		t.Error(string(text), err)
	}
	if err := <-r.profile(context.Background(), &Target{Name: "peer"}, time.Second); err == nil || !strings.Contains(err.Error(), "perf") {
		t.Error(err)
	}
	if err := <-(&Runner{}).profile(context.Background(), &Target{}, time.Second); err != nil {
		t.Error(err)
	}
}
