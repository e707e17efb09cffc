package main

import (
	"io"
	"os"
	"testing"
	"time"
)

// printed is what f writes to standard output.
func printed(t *testing.T, f func() error) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stdout
	os.Stdout = w
	fault := f()
	os.Stdout = before
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil || fault != nil {
		t.Fatal(err, fault)
	}
	return string(text)
}

func TestWords(t *testing.T) {
	zone := time.Local
	time.Local = time.UTC
	defer func() { time.Local = zone }()
	for in, want := range map[string]string{
		`{"session_id":"a1","authenticated":true,"groups":["employees","vpn"],"posture":{"status":"Pending","since":"2026-01-02T03:04:05.678Z","failed":null},"uptime":90.5,"heap":12345678901}`: `session id     a1
authenticated  yes
groups         employees, vpn
posture
  status  Pending
  since   2026-01-02 03:04:05.678
  failed  none
uptime         1m30.5s
heap           12345678901
`,
		`{"meaning":"port 1 is closed","signs":["port 1700: closed (ICMP port unreachable)","port 3799: nothing comes back"],"empty":[],"none":{}}`: `meaning  port 1 is closed
signs
  port 1700: closed (ICMP port unreachable)
  port 3799: nothing comes back
empty    none
none
`,
		`{"changes":[{"kind":"push","attempts":2},{"kind":"disconnect","attempts":1}],"deep":[{"a":{"b":1}}]}`: `changes
  kind push, attempts 2
  kind disconnect, attempts 1
deep
  a
    b  1

`,
		"[1,\"a\\u001b[2J\"]": "1, a?[2J\n",
	} {
		if got := printed(t, func() error { return printWords([]byte(in)) }); got != want {
			t.Errorf("%s\ngot\n%s\nwant\n%s", in, got, want)
		}
	}
	if err := printWords([]byte(`{"a":`)); err == nil {
		t.Error("half an object is printed")
	}
}
