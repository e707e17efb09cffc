package renew

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"sallyport/netio/report"
)

// TestCheck: signed, for this system, and newer; never the other way.
func TestCheck(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(edit func(*report.Build)) *report.Build {
		b := &report.Build{Version: "2.1.0", OS: "linux", Arch: "amd64", File: "agent", SHA256: strings.Repeat("ab", 32)}
		edit(b)
		b.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(private, b.SignedText()))
		return b
	}
	tampered := signed(func(*report.Build) {})
	tampered.Version = "2.2.0"
	for what, c := range map[string]struct {
		build   *report.Build
		running string
		want    string
	}{
		"newer":            {signed(func(*report.Build) {}), "2.0.9", ""},
		"much newer":       {signed(func(b *report.Build) { b.Version = "v10.0" }), "9.9.9", ""},
		"the same":         {signed(func(*report.Build) {}), "2.1", "not newer than 2.1"},
		"older":            {signed(func(*report.Build) {}), "2.1.1", "not newer"},
		"no version":       {signed(func(*report.Build) {}), "unknown", "cannot be compared"},
		"another system":   {signed(func(b *report.Build) { b.OS = "windows" }), "2.0", "it is for windows"},
		"another machine":  {signed(func(b *report.Build) { b.Arch = "arm64" }), "2.0", "on arm64"},
		"no digest":        {signed(func(b *report.Build) { b.SHA256 = "" }), "2.0", "no digest"},
		"changed since":    {tampered, "2.0", "or of another build"},
		"nobody signed it": {&report.Build{Version: "3.0", OS: "linux", Arch: "amd64"}, "2.0", "not signed"},
	} {
		err := (&Running{Version: c.running, OS: "linux", Arch: "amd64", Key: public}).Check(c.build)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestInstall: a build that starts and says its version takes the place, the one of before
// is kept; any other leaves all as it was.
func TestInstall(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the builds of this test are shell scripts")
	}
	path := filepath.Join(t.TempDir(), "sallyport-agent")
	const before = "#!/bin/sh\necho sallyport-agent 1.0\n"
	if err := os.WriteFile(path, []byte(before), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ program, sum, want string }{
		{"#!/bin/sh\necho sallyport-agent 1.9\n", "", "and not 2.0"},
		{"#!/bin/sh\nexit 1\n", "", "does not start here"},
		{"garbage", "", "does not start here"},
		{"#!/bin/sh\necho 2.0\n", strings.Repeat("00", 32), "another digest"},
		{"#!/bin/sh\necho sallyport-agent 2.0\n", "", ""},
		{"#!/bin/sh\necho 2.0 again\n", "", ""},
	} {
		old := content(t, path)
		if c.sum == "" {
			c.sum = fmt.Sprintf("%x", sha256.Sum256([]byte(c.program)))
		}
		err := Install(context.Background(), path, []byte(c.program), &report.Build{Version: "2.0", SHA256: c.sum}, "1.0", time.Unix(1e9, 0))
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) || content(t, path) != old {
				t.Errorf("%q: %v", c.program, err)
			}
		} else if err != nil || content(t, path) != c.program || content(t, path+".old") != old {
			t.Errorf("%q: %v", c.program, err)
		}
		if OnTrial(path, "2.0") != (c.want == "") {
			t.Errorf("%q: on trial: %t", c.program, OnTrial(path, "2.0"))
		}
		if _, err := os.Stat(path + ".new"); err == nil {
			t.Errorf("%q: a build is left", c.program)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%q: %v", c.program, info)
		}
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
