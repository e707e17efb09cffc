package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/netio/report"
)

// ask makes a request to the pages as a browser would.
func ask(t *testing.T, s *Server, method, path string, header ...string) (status int, h http.Header, body string) {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+s.Addr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(b)
}

// rows collects what a client gets.
func rows(into *[]string) func(json.RawMessage) error {
	return func(row json.RawMessage) error {
		*into = append(*into, string(row))
		return nil
	}
}

func TestPagesShowTheirRows(t *testing.T) {
	f := newFake()
	s, _ := openConsole(t, f)
	for path, want := range map[string][]string{
		"/": {"CoA acknowledged", "00:0c:29:c9:d9:37", "Misconfigured Supplicants", `data-count="radius_drops">6<`, "&lt;img src=x onerror=alert(1)&gt;",
			"/reports/detail?decision_id=01535d1a-0000002a", "4×", "/livelog/folded/7", "wrong password", "state/day.jsonl", "12 events", "5 dropped", `href="/shadow"`, "posture-1.example.com"},
		"/?identity=nobody":                  {"No row matches this filter"},
		"/sessions":                          {"PermitAccess", "under way", "&lt;script&gt;alert(1)&lt;/script&gt;", "10.10.10.10"},
		"/sessions?posture_status=compliant": {"10.10.10.10"},
		"/sessions/0a3042ca0001d00056e2dce3": {"#ACSACL#", "18.0 KiB", "7m22s", "Authentication succeeded", "push PermitAccess", "1 sent, confirmed",
			"because of &lt;b&gt;explain", "the agent is lost", "report_by", "sent CoA-Request 4", "subscriber:command=&lt;b&gt;"},
		"/sessions/0a3042ca0001e00056e2dd10":            {"in grace", "NonCompliant", "temporal", "in-use", "WIN7-PC"},
		"/livelog/folded/7":                             {"Repeated failures", "wrong password", "&lt;img src=x onerror=alert(1)&gt;"},
		"/shadow":                                       {"77aa01", "5e0c1f", "&lt;i&gt;New", "DenyAccess", "/sessions/0a3042ca0001d00056e2dce3"},
		"/reports/condition?since=1m":                   {"No posture report was judged in this period"},
		"/reports/condition?since=36500d":               {"USB_Check", "Windows 7 USB check", "Passed"},
		"/reports/endpoint?since=36500d":                {"sallyport-agent 0.1", "details"},
		"/reports/detail?decision_id=01535d1a-0000002a": {"WIN7-PC", "USB_Block", "Cruzer &lt;b&gt;Blade&lt;/b&gt;", "15m0s"},
		"/reports/detail?decision_id=other":             {"No posture report belongs to this decision"},
		"/static/console.css":                           {"--ground"},
		"/static/console.js":                            {"EventSource"},
	} {
		status, header, body := ask(t, s, "GET", path)
		if status != 200 {
			t.Errorf("%s: %d %s", path, status, body)
		}
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("%s: %q is not in the page", path, w)
			}
		}
		for _, never := range []string{"<script>alert", "<img src=x", "<b>Blade", "<b>explain", "<i>New", " style=", "onclick", "http://", "ZgotmplZ"} {
			if strings.Contains(body, never) && !strings.HasPrefix(path, "/static") {
				t.Errorf("%s: %q is in the page", path, never)
			}
		}
		if csp := header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
	}
}

func TestNotThere(t *testing.T) {
	s, _ := openConsole(t, newFake())
	for path, want := range map[string]int{
		"/nothing": 404, "/sessions/unknown": 404, "/reports/other": 404, "/static/..%2fconsole.go": 404, "/static/other.css": 404, "/livelog/folded/8": 404,
		"/api/v1/nothing": 404, "/api/v1/sessions/unknown": 404, "/api/v1/reports/other": 404, "/api/v1/livelog/folded/8": 404, "/api/v1/reload": 404,
		"/?colour=red": 400, "/?limit=501": 400, "/?limit=x": 400, "/sessions?identity=a&identity=b": 400,
		"/api/v1/sessions?indentity=cisco": 400, "/api/v1/reports/condition?since=yesterday": 400, "/api/v1/livelog?limit=10001": 400,
		"/api/v1/livelog?follow=maybe": 400, "/api/v1/sessions?text=" + strings.Repeat("x", 257): 400, "/api/v1/sessions?%zz": 400,
		"/reports": 303, "/livelog": 303, "/favicon.ico": 303,
	} {
		if status, _, body := ask(t, s, "GET", path); status != want {
			t.Errorf("%.60s: %d, want %d: %.100s", path, status, want, body)
		}
	}
}

// TestTCPIsReadOnlyAndLocal: verbs, foreign names and foreign pages are refused.
func TestTCPIsReadOnlyAndLocal(t *testing.T) {
	f := newFake()
	s, _ := openConsole(t, f)
	for _, c := range []struct {
		method, path string
		header       []string
		want         int
	}{
		{"POST", "/api/v1/coa/reauth/0a3042ca0001d00056e2dce3", nil, 405},
		{"DELETE", "/api/v1/sessions/0a3042ca0001d00056e2dce3", nil, 405},
		{"GET", "/api/v1/coa/reauth/0a3042ca0001d00056e2dce3", nil, 404},
		{"GET", "/", []string{"Host", "evil.example:9443"}, 421},
		{"GET", "/api/v1/status", []string{"Host", "posture-1.example.com"}, 421},
		{"GET", "/", []string{"Host", "192.0.2.1"}, 421},
		{"GET", "/", []string{"Host", "localhost:9443"}, 200},
		{"GET", "/", []string{"Host", "LOCALHOST"}, 200},
		{"GET", "/", []string{"Host", "[::1]:9443"}, 200},
		{"GET", "/", []string{"Host", "127.8.9.1"}, 200},
		{"GET", "/api/v1/status", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"GET", "/", []string{"Sec-Fetch-Site", "cross-site"}, 200}, // a link in an operator's mail
		{"HEAD", "/", nil, 200},
	} {
		if status, _, _ := ask(t, s, c.method, c.path, c.header...); status != c.want {
			t.Errorf("%s %s %v: %d, want %d", c.method, c.path, c.header, status, c.want)
		}
	}
	if len(f.verbs) != 0 {
		t.Errorf("something was done: %v", f.verbs)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _ = openConsole(t, newFake())
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Address: "0.0.0.0:0", Source: newFake()}, "not loopback"},
		{Config{Address: ":9443", Source: newFake()}, "not loopback"},
		{Config{Address: "192.0.2.1:1", Source: newFake()}, "not loopback"},
		{Config{Address: "console.example.com:1", Source: newFake()}, "not loopback"},
		{Config{Address: "9443", Source: newFake()}, "want ADDRESS:PORT"},
		{Config{Address: "127.0.0.1:0"}, "no source"},
		{Config{Socket: dir + "/file", Source: newFake()}, "not a socket"},
		{Config{Socket: dir + "/nodir/control.sock", Source: newFake()}, "control socket"},
		{Config{Socket: dir + strings.Repeat("/long", 30), Source: newFake()}, "shorter state directory"},
	} {
		if _, err := Open(c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.config.Address+c.config.Socket, err, c.want)
		}
	}
	for _, address := range []string{"127.0.0.1:0", "localhost:0"} {
		s, err := Open(Config{Address: address, Source: newFake()})
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// TestSocketIsTakenOverOnlyWhenStale: also its mode, and that Close removes it.
func TestSocketIsTakenOverOnlyWhenStale(t *testing.T) {
	path := t.TempDir() + "/control.sock"
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close() // as after SIGKILL
	s, err := Open(Config{Socket: path, Source: newFake()})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket %v %v, want mode 0660", info.Mode(), err)
	}
	if _, err := Open(Config{Socket: path, Source: newFake()}); err == nil || !strings.Contains(err.Error(), "somebody answers") {
		t.Errorf("a second console: %v", err)
	}
	var got []string
	if err := NewClient(path).Get(context.Background(), "/api/v1/status", nil, rows(&got)); err != nil || len(got) != 1 {
		t.Errorf("the first one does not answer any more: %v", err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	err = NewClient(path).Get(context.Background(), "/api/v1/status", nil, rows(&got))
	if err == nil || !strings.Contains(err.Error(), "no appliance answers at "+path) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestClientReadsLists(t *testing.T) {
	f := newFake()
	_, client := openConsole(t, f)
	for _, c := range []struct {
		path  string
		query url.Values
		want  []string // one for each row: what it contains
	}{
		{"/api/v1/sessions", nil, []string{`"identity":"cisco"`, `NonCompliant`}},
		{"/api/v1/sessions", url.Values{"limit": {"1"}}, []string{`"identity":"cisco"`}},
		{"/api/v1/sessions", url.Values{"identity": {"CISCO"}}, []string{`"identity":"cisco"`}},
		{"/api/v1/sessions", url.Values{"endpoint_id": {"00:0c:29:a*"}}, []string{`00:0c:29:aa:bb:cc`}},
		{"/api/v1/sessions", url.Values{"text": {"asa5515"}}, []string{`cisco`, `alert`}},
		{"/api/v1/sessions", url.Values{"identity": {"nobody"}}, nil},
		{"/api/v1/sessions/0a3042ca0001d00056e2dce3", nil, []string{`"version":7`}},
		{"/api/v1/livelog", url.Values{"limit": {"2"}}, []string{`"number":3`, `"number":4`}},
		{"/api/v1/livelog", url.Values{"after": {"3"}}, []string{`"number":4`}},
		{"/api/v1/livelog", url.Values{"status": {"fail"}}, []string{`wrong password`}},
		{"/api/v1/reports/condition", nil, []string{`"condition_status":"Passed"`}},
		{"/api/v1/reports/condition", url.Values{"since": {"1m"}}, nil},
		{"/api/v1/reports/condition", url.Values{"since": {"2016-03-11T16:05:00Z"}}, []string{`USB_Check`}},
		{"/api/v1/reports/detail", url.Values{"since": {"2016-03-11"}, "decision_id": {"01535d1a-0000002a"}}, []string{`"USB_Block"`}},
		{"/api/v1/livelog/folded/7", nil, []string{`wrong password`}},
		{"/api/v1/shadow", nil, []string{`"decisions":3`}},
		{"/api/v1/counters", nil, []string{`"radius_drops":6`}},
	} {
		var got []string
		if err := client.Get(t.Context(), c.path, c.query, rows(&got)); err != nil {
			t.Errorf("%s %v: %v", c.path, c.query, err)
		}
		if len(got) != len(c.want) {
			t.Errorf("%s %v: %d rows, want %d", c.path, c.query, len(got), len(c.want))
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], c.want[i]) {
				t.Errorf("%s %v: row %d is %s, want %q in it", c.path, c.query, i, got[i], c.want[i])
			}
		}
	}
}

func TestVerbsOnTheSocket(t *testing.T) {
	f := newFake()
	_, client := openConsole(t, f)
	var got []string
	for _, c := range []struct {
		path string
		body string
		want string
	}{
		{"/api/v1/coa/reauth/0a3042ca0001d00056e2dce3", "", "reauth 0a3042ca0001d00056e2dce3"},
		{"/api/v1/coa/disconnect/0a:b c", "", "disconnect 0a:b c"},
		{"/api/v1/coa/test/BSNS-ASA5515-11", "", "test BSNS-ASA5515-11 answered"},
		{"/api/v1/explain", `{"session_id":"x"}`, `explain {"session_id":"x"}`},
		{"/api/v1/reload", `{"force":true}`, `reload {"force":true}`},
	} {
		if err := client.Post(t.Context(), c.path, json.RawMessage(c.body), rows(&got)); err != nil {
			t.Errorf("%s: %v", c.path, err)
		}
		if last := f.verbs[len(f.verbs)-1]; !strings.HasPrefix(last, c.want+" by uid ") {
			t.Errorf("%s: did %q, want %q", c.path, last, c.want)
		}
	}
	if len(got) != 6 {
		t.Errorf("%d rows, want 6 (a test has two)", len(got))
	}
	f.fail = errBusy
	var p *report.Problem
	for _, path := range []string{"/api/v1/coa/reauth/x", "/api/v1/coa/test/x", "/api/v1/explain"} {
		if err := client.Post(t.Context(), path, json.RawMessage("{}"), rows(&got)); !errors.As(err, &p) || p.Status != 503 || p.Retry != 3 {
			t.Errorf("%s: %v, want the problem of the operator", path, err)
		}
	}
	for path, body := range map[string]string{"/api/v1/explain": "{", "/api/v1/other": ""} {
		if err := client.Post(t.Context(), path, json.RawMessage(body), rows(&got)); !errors.As(err, &p) || p.Status/100 != 4 {
			t.Errorf("%s: %v", path, err)
		}
	}
	huge := json.RawMessage(`"` + strings.Repeat("x", bodyBytesMax) + `"`)
	if err := client.Post(t.Context(), "/api/v1/explain", huge, rows(&got)); !errors.As(err, &p) || p.Status != 413 {
		t.Errorf("too large: %v", err)
	}
}

// TestAFailureIsNotAnEnd: a list that breaks off is an error, also behind good rows,
// and never looks complete.
func TestAFailureIsNotAnEnd(t *testing.T) {
	f := newFake()
	s, client := openConsole(t, f)
	f.fail = errors.New("the disk is gone")
	var got []string
	if err := client.Get(t.Context(), "/api/v1/sessions", nil, rows(&got)); err == nil {
		t.Errorf("%d rows and no error", len(got))
	}
	if err := client.Get(t.Context(), "/api/v1/sessions", url.Values{"identity": {"nobody"}}, rows(&got)); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("before the first row: %v", err)
	}
	if status, _, _ := ask(t, s, "GET", "/sessions"); status != 500 {
		t.Errorf("page: %d", status)
	}
}

func TestFollow(t *testing.T) {
	f := newFake()
	_, client := openConsole(t, f)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	n := 0
	stop := errors.New("enough")
	err := client.Get(ctx, "/api/v1/livelog", url.Values{"follow": {"true"}, "after": {"3"}}, func(row json.RawMessage) error {
		if n++; n == 1 {
			f.add(object{"details": "while following"})
			return nil
		}
		if !strings.Contains(string(row), "while following") {
			t.Errorf("row %s", row)
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("%d rows: %v", n, err)
	}
	n = 0
	err = client.Get(ctx, "/api/v1/sessions", url.Values{"follow": {"true"}}, func(row json.RawMessage) error {
		switch n++; n {
		case 2: // both are there; change one
			f.mu.Lock()
			changed := object{}
			for k, v := range f.sessions[0] {
				changed[k] = v
			}
			changed["version"], changed["state"] = 8, "ended"
			f.sessions[0] = changed
			f.mu.Unlock()
		case 3:
			if !strings.Contains(string(row), `"state":"ended"`) {
				t.Errorf("row %s", row)
			}
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Errorf("%d rows: %v", n, err)
	}
}

// TestEvents reads the streams as a browser does.
func TestEvents(t *testing.T) {
	f := newFake()
	s, _ := openConsole(t, f)
	for _, c := range []struct{ path, last, want string }{
		{"/api/v1/livelog/stream?after=3", "", `data: {"answered"`},
		{"/livelog/rows?after=0&status=fail", "", "data: <tr data-number=\"2\">"},
		{"/livelog/rows?after=0", "3", "data: <tr data-number=\"4\">"}, // after a lost connection
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		r, _ := http.NewRequestWithContext(ctx, "GET", "http://"+s.Addr()+c.path, nil)
		r.Header.Set("Accept", "text/event-stream")
		if c.last != "" {
			r.Header.Set("Last-Event-ID", c.last)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		lines, seen := bufio.NewScanner(answer.Body), []string{}
		for lines.Scan() && (len(seen) == 0 || !strings.HasPrefix(seen[len(seen)-1], "data:")) {
			seen = append(seen, lines.Text())
		}
		if all := strings.Join(seen, "\n"); !strings.Contains(all, c.want) || !strings.Contains(all, "id: ") || answer.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%s: %q, want %q", c.path, all, c.want)
		}
		cancel()
		answer.Body.Close()
	}
}

// TestCountersAreTold: the stream of the page tells the counters.
func TestCountersAreTold(t *testing.T) {
	s, _ := openConsole(t, newFake())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", "http://"+s.Addr()+"/livelog/rows?after=4", nil)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if strings.Contains(lines.Text(), `"radius_drops":6`) {
			return
		}
	}
	t.Error("no counters")
}

// TestCloseEndsFollowers: a console that closes does not wait for its readers.
func TestCloseEndsFollowers(t *testing.T) {
	f := newFake()
	s, client := openConsole(t, f)
	first, ended := make(chan struct{}, 10), make(chan error, 1)
	go func() {
		ended <- client.Get(context.Background(), "/api/v1/livelog", url.Values{"follow": {"true"}}, func(json.RawMessage) error {
			first <- struct{}{}
			return nil
		})
	}()
	<-first
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the follower: %v", err)
	}
}

// TestFollowersAreBounded: the sixty-fifth is told to come later.
func TestFollowersAreBounded(t *testing.T) {
	h, err := newHandler(Config{Source: newFake()})
	if err != nil {
		t.Fatal(err)
	}
	var release func()
	for range streamsMax {
		var p *report.Problem
		if release, p = h.place(); p != nil {
			t.Fatal(p)
		}
	}
	if _, p := h.place(); p == nil || p.Retry == 0 {
		t.Errorf("one more: %v", p)
	}
	release()
	if _, p := h.place(); p != nil {
		t.Error(p)
	}
}
