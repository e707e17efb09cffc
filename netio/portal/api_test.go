package portal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/netio/report"
)

// TestConversation is what an agent does, in its order, over one connection.
func TestConversation(t *testing.T) {
	b := start(t, nil)
	for _, path := range []string{report.PathDiscovery, report.PathWellKnown} {
		d, err := report.DecodeDiscovery(b.get(path).body)
		if err != nil || d.Appliance != "posture-1.example.com" || d.API != "/posture/v1" || !d.Time.Equal(testTime) {
			t.Fatalf("%s: %+v, %v", path, d, err)
		}
	}
	claimed, err := report.DecodeClaimed(b.do(b.signed("POST", report.PathSession, b.claimBody())).body)
	if err != nil || claimed.SessionID != testSession || claimed.Nonce != "n1" {
		t.Fatalf("%+v, %v", claimed, err)
	}
	policy := b.get(report.PathPolicy + claimed.PolicyETag)
	if p, err := report.DecodePolicy(policy.body); err != nil || p.ETag != testETag {
		t.Fatalf("%+v, %v", p, err)
	}
	if got := policy.header.Get("Cache-Control"); got != "private, max-age=31536000, immutable" {
		t.Errorf("policy: Cache-Control %q", got)
	}
	again := b.request("GET", report.PathPolicy+testETag, nil)
	again.Header.Set("If-None-Match", policy.header.Get("ETag"))
	if a := b.do(again); a.status != http.StatusNotModified || len(a.body) != 0 {
		t.Errorf("known policy: %d", a.status)
	}
	verdict, err := report.DecodeVerdict(b.do(b.signed("POST", report.PathReport, b.reportBody(1))).body)
	if err != nil || verdict.Status != "Compliant" || verdict.Nonce != "n2" {
		t.Fatalf("%+v, %v", verdict, err)
	}
	if a := b.get("/healthz"); a.status != 200 || string(a.body) != "ok\n" {
		t.Errorf("healthz: %d %q", a.status, a.body)
	}
	s := b.server.Stats()
	if s.Accepted != 1 || s.Requests["discovery"].Requests != 2 || s.Requests["policy"].Requests != 2 || s.Requests["report"].Requests != 1 {
		t.Errorf("%+v", s)
	}
	for why, n := range s.Refused {
		if n != 0 {
			t.Errorf("refused %d for %s", n, why)
		}
	}
	if peer := b.posture.peers[0]; !peer.Addr().IsLoopback() || peer.Port() == 0 {
		t.Errorf("claim came from %s", peer)
	}
}

// TestBodies: what is refused before Posture hears of it.
func TestBodies(t *testing.T) {
	b := bound(t, func(_ *Config, f *fakePosture) {
		f.claim = func(*report.Claim) (*report.Claimed, error) {
			t.Error("Posture heard of a claim that had to be refused")
			return nil, errors.New("no")
		}
	})
	with := func(req *http.Request, change func(*http.Request)) *http.Request {
		change(req)
		return req
	}
	unknownLength := func(body []byte) *http.Request {
		req := b.request("POST", report.PathReport, body)
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), -1
		return req
	}
	big := append(b.reportBody(1), bytes.Repeat([]byte{' '}, report.ReportBytesMax)...)
	other := newKey(t)
	for _, test := range []struct {
		name   string
		req    *http.Request
		status int
		code   string
		why    string
	}{
		{"too large by its length", b.request("POST", report.PathReport, big), 413, report.CodeTooLarge, "too-large"},
		{"too large in chunks", unknownLength(big), 413, report.CodeTooLarge, "too-large"},
		{"claim too large", b.request("POST", report.PathSession, big[:report.ClaimBytesMax+1]), 413, report.CodeTooLarge, "too-large"},
		{"no media type", with(b.request("POST", report.PathReport, []byte("{}")), func(r *http.Request) { r.Header.Del("Content-Type") }), 415, report.CodeMalformed, "media-type"},
		{"form", with(b.request("POST", report.PathReport, []byte("{}")), func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }), 415, report.CodeMalformed, "media-type"},
		{"compressed", with(b.request("POST", report.PathReport, []byte("{}")), func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }), 415, report.CodeMalformed, "media-type"},
		{"not JSON", b.signed("POST", report.PathReport, []byte("{")), 400, report.CodeMalformed, "malformed"},
		{"other version", b.signed("POST", report.PathReport, []byte(`{"v":9}`)), 400, report.CodeVersion, "version"},
		{"unsigned", b.request("POST", report.PathReport, b.reportBody(1)), 403, report.CodeBadSignature, "signature"},
		{"signed for another path", with(b.signed("POST", report.PathSession, b.reportBody(1)), func(r *http.Request) { r.URL.Path = report.PathReport }), 403, report.CodeBadSignature, "signature"},
		{"other session", b.signed("POST", report.PathReport, bytes.Replace(b.reportBody(1), []byte(testSession), []byte("ffff"), 1)), 404, report.CodeUnknownSession, "unknown-session"},
		{"claim with a key that is not the signer's", b.signed("POST", report.PathSession,
			bytes.Replace(b.claimBody(), []byte(report.MarshalKey(&b.key.PublicKey)), []byte(report.MarshalKey(&other.PublicKey)), 1)), 403, report.CodeBadSignature, "signature"},
		{"claim with half a key", b.signed("POST", report.PathSession,
			bytes.Replace(b.claimBody(), []byte(report.MarshalKey(&b.key.PublicKey)), []byte("AAAA"), 1)), 400, report.CodeMalformed, "malformed"},
		{"poll for nobody", b.signed("GET", report.PathEvents, nil), 400, report.CodeMalformed, "malformed"},
		{"poll after a word", b.signed("GET", report.PathEvents+"?session_id="+testSession+"&after=now", nil), 400, report.CodeMalformed, "malformed"},
		{"poll with control characters", b.signed("GET", report.PathEvents+"?session_id=a%0ab&after=0", nil), 400, report.CodeMalformed, "malformed"},
		{"unsigned poll", b.request("GET", report.PathEvents+"?session_id="+testSession+"&after=0", nil), 403, report.CodeBadSignature, "signature"},
		{"poll for another session", b.signed("GET", report.PathEvents+"?session_id=ffff&after=0", nil), 404, report.CodeUnknownSession, "unknown-session"},
		{"unknown policy", b.request("GET", report.PathPolicy+"nope", nil), 404, report.CodeNotFound, "not-found"},
		{"unknown path", b.request("GET", "/posture/v2/report", nil), 404, report.CodeNotFound, "not-found"},
		{"other method", b.request("GET", report.PathReport, nil), 405, report.CodeMethod, "method"},
		{"long request line", b.request("GET", report.PathEvents+"?x="+strings.Repeat("x", requestURIMax), nil), 414, report.CodeTooLarge, "too-large"},
	} {
		before := b.server.Stats().Refused[test.why]
		answer := b.do(test.req)
		t.Run(test.name, func(t *testing.T) { answer.problem(t, test.status, test.code) })
		b.refused(test.why, before+1)
	}
}

// TestPostureAnswers: a Problem goes out as it is, anything else as 503 with no detail.
func TestPostureAnswers(t *testing.T) {
	var err error
	b := bound(t, func(_ *Config, f *fakePosture) {
		f.judge = func(*report.Report, []byte) ([]byte, error) { return nil, err }
	})
	err = &report.Problem{Status: 409, Code: report.CodeStaleNonce, Detail: "d", Nonce: "n7"}
	if p := b.do(b.signed("POST", report.PathReport, b.reportBody(1))).problem(t, 409, report.CodeStaleNonce); p.Nonce != "n7" {
		t.Errorf("%+v", p)
	}
	err = errors.New("a secret of the disk")
	a := b.do(b.signed("POST", report.PathReport, b.reportBody(1)))
	if p := a.problem(t, 503, report.CodeBusy); p.Retry == 0 || strings.Contains(p.Detail, "secret") || a.header.Get("Retry-After") == "" {
		t.Errorf("%+v", p)
	}
	b.refused("stale-nonce", 1)
	b.refused("internal", 1)
}

// TestPanicIsAnswered: a fault in one request is that request's alone.
func TestPanicIsAnswered(t *testing.T) {
	b := bound(t, func(_ *Config, f *fakePosture) {
		f.judge = func(*report.Report, []byte) ([]byte, error) { panic("a bug") }
	})
	b.do(b.signed("POST", report.PathReport, b.reportBody(1))).problem(t, 500, report.CodeInternal)
	if b.get("/healthz").status != 200 {
		t.Error("the portal is gone")
	}
}

// TestReportRate: a burst at once, then one a second, by session and only with its signature.
func TestReportRate(t *testing.T) {
	b := bound(t, nil)
	for range forgedBurst - 1 { // one more, and the address would have to wait
		b.do(b.request("POST", report.PathReport, b.reportBody(1))).problem(t, 403, report.CodeBadSignature)
	}
	for i := range reportBurst {
		if a := b.do(b.signed("POST", report.PathReport, b.reportBody(uint64(i)))); a.status != 200 {
			t.Fatalf("report %d: %d %s", i, a.status, a.body)
		}
	}
	a := b.do(b.signed("POST", report.PathReport, b.reportBody(9)))
	if p := a.problem(t, 429, report.CodeBusy); p.Retry != 1 || a.header.Get("Retry-After") != "1" || p.Session != testSession {
		t.Errorf("%+v", p)
	}
	b.refused("report-rate", 1)
	upper := bytes.Replace(b.reportBody(9), []byte(testSession), []byte(strings.ToUpper(testSession)), 1)
	b.do(b.signed("POST", report.PathReport, upper)).problem(t, 429, report.CodeBusy)
	b.clock.Advance(time.Second)
	if a := b.do(b.signed("POST", report.PathReport, b.reportBody(9))); a.status != 200 {
		t.Errorf("a second later: %d %s", a.status, a.body)
	}
}

// TestForgeries: signatures that do not fit cost their address, and it recovers.
func TestForgeries(t *testing.T) {
	b := bound(t, nil)
	for range forgedBurst {
		b.do(b.request("POST", report.PathReport, b.reportBody(1))).problem(t, 403, report.CodeBadSignature)
	}
	b.do(b.signed("POST", report.PathReport, b.reportBody(1))).problem(t, 429, report.CodeBusy)
	if a := b.do(b.signed("POST", report.PathSession, b.claimBody())); a.status != 200 {
		t.Errorf("a neighbour behind the same address: %d %s", a.status, a.body)
	}
	b.clock.Advance(time.Second)
	if a := b.do(b.signed("POST", report.PathReport, b.reportBody(1))); a.status != 200 {
		t.Errorf("a second later: %d %s", a.status, a.body)
	}
}

func TestClaimRate(t *testing.T) {
	b := start(t, nil)
	body := b.claimBody()
	for i := range claimBurst {
		if a := b.do(b.signed("POST", report.PathSession, body)); a.status != 200 {
			t.Fatalf("claim %d: %d %s", i, a.status, a.body)
		}
	}
	b.do(b.signed("POST", report.PathSession, body)).problem(t, 429, report.CodeBusy)
	b.refused("claim-rate", 1)
}

func (b *bench) poll(after int) *http.Request {
	return b.signed("GET", fmt.Sprintf("%s?session_id=%s&after=%d", report.PathEvents, testSession, after), nil)
}

// TestLongPoll: news at once, and an empty answer when there is none.
func TestLongPoll(t *testing.T) {
	news := make(chan report.Event, 1)
	b := bound(t, func(_ *Config, f *fakePosture) {
		f.events = func(ctx context.Context, after uint64) (*report.Events, error) {
			out := &report.Events{V: report.Version, After: after, Events: []report.Event{}}
			select {
			case ev := <-news:
				out.After, out.Events = ev.Seq, append(out.Events, ev)
			case <-ctx.Done():
			}
			return out, nil
		}
	})
	got := make(chan *answer, 1)
	go func() { got <- b.do(b.poll(3)) }()
	b.eventually("a poll that waits", func() bool { return b.server.Stats().Polls == 1 })
	news <- report.Event{Seq: 4, Kind: report.EventRecheck}
	events, err := report.DecodeEvents((<-got).body)
	if err != nil || events.After != 4 || len(events.Events) != 1 || events.Events[0].Kind != report.EventRecheck {
		t.Fatalf("%+v, %v", events, err)
	}
	b.eventually("no poll", func() bool { return b.server.Stats().Polls == 0 })
	b.server.pollWait = 20 * time.Millisecond
	events, err = report.DecodeEvents(b.do(b.poll(4)).body)
	if err != nil || events.After != 4 || len(events.Events) != 0 {
		t.Errorf("%+v, %v", events, err)
	}
}

// TestUpdate: what an agent should be is told to the device of the session alone.
func TestUpdate(t *testing.T) {
	b := bound(t, nil)
	ask := fmt.Sprintf("%s?session_id=%s&version=1.2", report.PathUpdate, testSession)
	if build, err := report.DecodeBuild(b.do(b.signed("GET", ask, nil)).body); err != nil || build.Reason != "the agent is up to date: 1.2" {
		t.Errorf("%+v, %v", build, err)
	}
	for path, want := range map[string]int{ask: 200, report.PathUpdate + "?session_id=" + testSession: 400, report.PathUpdate + "?version=1&session_id=other": 404} {
		if a := b.do(b.signed("GET", path, nil)); a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		}
	}
	r := b.signed("GET", ask, nil)
	r.Header.Del(report.HeaderSignature)
	if a := b.do(r); a.status/100 != 4 {
		t.Errorf("not signed: %d", a.status)
	}
}

// TestPollsPerSession: an agent that forgets its polls cannot pile them up: the oldest is
// answered, and the newest waits.
func TestPollsPerSession(t *testing.T) {
	b := bound(t, nil)
	answered := make(chan int, pollsPerSession+1)
	ask := func(i int) {
		if resp, err := b.client.Do(b.poll(0)); err == nil {
			resp.Body.Close()
			answered <- i
		}
	}
	for i := range pollsPerSession {
		go ask(i)
		b.eventually("one more poll waits", func() bool { return b.server.Stats().Polls == i+1 })
	}
	go ask(pollsPerSession)
	if first := <-answered; first != 0 {
		t.Errorf("poll %d is answered, want the oldest", first)
	}
	b.eventually("the others wait", func() bool { return b.server.Stats().Polls == pollsPerSession })
}

// TestParkedConnectionsGoOn: after its answer the connection serves what comes next, and one
// whose agent hung up is let go when it is answered.
func TestParkedConnectionsGoOn(t *testing.T) {
	b := bound(t, func(_ *Config, f *fakePosture) {
		f.events = func(ctx context.Context, after uint64) (*report.Events, error) {
			<-ctx.Done()
			return &report.Events{V: report.Version, After: after, Events: []report.Event{}}, nil
		}
	})
	b.server.pollWait = 10 * time.Millisecond
	for range 3 {
		if a := b.do(b.poll(1)); a.status != 200 || a.header.Get("Date") == "" || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v %s", a.status, a.header, a.body)
		}
		if a := b.do(b.signed("POST", report.PathReport, b.reportBody(1))); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if n := b.server.Stats().Accepted; n != 1 {
		t.Errorf("%d connections for six requests", n)
	}
	last := b.poll(1)
	last.Close = true
	if a := b.do(last); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	b.eventually("the connection is closed", func() bool { return b.server.Stats().Connections == 0 })
	b.server.pollWait = 300 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		b.eventually("a poll waits", func() bool { return b.server.Stats().Polls == 1 })
		cancel()
	}()
	if _, err := b.client.Do(b.poll(1).WithContext(ctx)); err == nil {
		t.Fatal("the agent did not hang up")
	}
	b.eventually("its connection is let go", func() bool { s := b.server.Stats(); return s.Polls == 0 && s.Connections == 0 })
}

// TestCloseAnswersPolls: what waits gets its answer, then everything is closed.
func TestCloseAnswersPolls(t *testing.T) {
	b := bound(t, nil)
	got := make(chan *answer, 1)
	go func() { got <- b.do(b.poll(5)) }()
	b.eventually("a poll that waits", func() bool { return b.server.Stats().Polls == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.server.Close(ctx); err != nil {
		t.Fatal(err)
	}
	a := <-got
	if events, err := report.DecodeEvents(a.body); err != nil || a.status != 200 || events.After != 5 {
		t.Errorf("%d %s: %v", a.status, a.body, err)
	}
	if err := b.server.Close(ctx); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if n := b.server.Stats().Connections; n != 0 {
		t.Errorf("%d connections are open", n)
	}
	if _, err := b.newClient().Get(b.base + "/healthz"); err == nil {
		t.Error("a closed portal answers")
	}
}

// TestCloseInTime: what does not end is cut when ctx ends, and that is said.
func TestCloseInTime(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	b := bound(t, func(_ *Config, f *fakePosture) {
		f.judge = func(*report.Report, []byte) ([]byte, error) {
			close(entered)
			<-release
			return nil, errors.New("too late")
		}
	})
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if resp, err := b.client.Do(b.signed("POST", report.PathReport, b.reportBody(1))); err == nil {
			resp.Body.Close()
		}
	}()
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := b.server.Close(ctx)
	close(release)
	<-sent
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: %v", err)
	}
	b.cut = true
}
