package engine

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestMetricsAreLocal: a page in a browser on the machine may not read them by having
// its own name point at the loopback address.
func TestMetricsAreLocal(t *testing.T) {
	h := onlyLocal(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	for host, want := range map[string]int{
		"127.0.0.1:9812": 200, "[::1]:9812": 200, "localhost:9812": 200, "LOCALHOST": 200,
		"evil.example:9812": 421, "192.0.2.1:9812": 421, "127.0.0.1.evil.example": 421, "": 421,
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Host = host
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
}
