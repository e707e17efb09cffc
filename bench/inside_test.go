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

// tells is a server whose metrics go on as the pages say, and stay at the last.
func tells(t *testing.T, pages ...string) *Target {
	t.Helper()
	n := 0
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, pages[min(n, len(pages)-1)])
		n++
	})
	mux.HandleFunc("GET /debug/pprof/profile", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "a profile of "+r.FormValue("seconds"))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return &Target{Name: "teller", Metrics: strings.TrimPrefix(s.URL, "http://")}
}

// TestInside: what asking costs is taken off, and only what grew meanwhile is a drop.
func TestInside(t *testing.T) {
	page := func(mallocs, known, unknown, kernel int) string {
		return fmt.Sprintf("# HELP x y\ngo_memstats_mallocs_total %d\ngo_memstats_alloc_bytes_total %d\ngo_gc_duration_seconds_count 3\n"+
			"sallyport_radius_drops_total{nas=\"a\",reason=\"short\"} 7\nsallyport_radius_drops_total{nas=\"b\",reason=\"short\"} %d\n"+
			"sallyport_radius_drops_total{nas=\"\",reason=\"unknown_nas\"} %d\nsallyport_udp_total{event=\"kernel_drops\"} %d\n"+
			"sallyport_udp_total{event=\"sent\"} %d\n", mallocs, 10*mallocs, known, unknown, kernel, mallocs)
	}
	at := tells(t, page(1000, 1, 5, 0), page(1150, 3, 5, 4), page(1200, 3, 5, 4))
	before, err := look(context.Background(), at)
	if err != nil {
		t.Fatal(err)
	}
	in, err := before.until(context.Background(), 50)
	if err != nil {
		t.Fatal(err)
	}
	if want := "2.0000 allocations and 20.0 octets a packet, 0 collections; dropped: kernel_drops 4 short 2"; in.words("a packet") != want {
		t.Errorf("%s, want %s", in.words("a packet"), want)
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
	if _, err := look(context.Background(), tells(t, "other 1\n")); err == nil || !strings.Contains(err.Error(), "go_memstats_mallocs_total") {
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
	if err := <-r.profile(context.Background(), tells(t, ""), 3*time.Second); err != nil {
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
