package portal

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// agentsDirectory has agents with contents that never change.
func agentsDirectory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"sallyport-agent-linux-amd64", "sallyport-agent-linux-arm64", "sallyport-agent-linux-amd64.sha256",
		"sallyport-agent-windows-amd64.exe", "sallyport-agent-macos-arm64", "sallyport-agentx", ".hidden", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat(name, 50_000)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sallyport-agent-linux-dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "sallyport-agent-linux-link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func names(list []offer) (out []string) {
	for _, o := range list {
		out = append(out, o.Name)
	}
	return out
}

// TestAgentsByName: without rules, the names of the files tell; directories, links out
// of the directory and other files are not offered.
func TestAgentsByName(t *testing.T) {
	var no []why
	a := &agents{dir: agentsDirectory(t), refuse: func(w why) { no = append(no, w) }, log: slog.New(slog.DiscardHandler)}
	for osName, want := range map[string][]string{
		"linux":   {"sallyport-agent-linux-amd64", "sallyport-agent-linux-arm64"},
		"windows": {"sallyport-agent-windows-amd64.exe"},
		"macos":   {"sallyport-agent-macos-arm64"},
		"plan9":   nil,
	} {
		if got := names(a.available(osName, nil)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", osName, got, want)
		}
	}
	if len(no) != 2 {
		t.Errorf("refused %v, want the directory and the link", no)
	}
	if (&agents{}).available("linux", nil) != nil {
		t.Error("agents without a directory")
	}
}

// TestConfiguredDigest: a file that is not the configured one is not offered, and one
// that changes gets its new digest.
func TestConfiguredDigest(t *testing.T) {
	dir := agentsDirectory(t)
	a := &agents{dir: dir, refuse: func(why) {}, log: slog.New(slog.DiscardHandler)}
	const name = "sallyport-agent-linux-amd64"
	sum := sha256.Sum256(readFile(t, filepath.Join(dir, name)))
	want := []AgentFile{{OS: "linux", Name: name, SHA256: strings.ToUpper(hex.EncodeToString(sum[:])), Version: "1.2"}}
	got := a.available("linux", want)
	if len(got) != 1 || got[0].SHA256 != hex.EncodeToString(sum[:]) || got[0].Version != "1.2" || got[0].Size != int64(50_000*len(name)) {
		t.Fatalf("%+v", got)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte("swapped"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := a.available("linux", want); len(got) != 0 {
		t.Errorf("a swapped file is offered: %+v", got)
	}
	sum = sha256.Sum256([]byte("swapped"))
	if got := a.available("linux", []AgentFile{{Name: name}}); len(got) != 1 || got[0].SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("%+v", got)
	}
	a.offers = func(osName string) []AgentFile { return []AgentFile{{OS: osName, Name: "notes.txt"}} }
	if got := names(a.available("linux", nil)); !slices.Equal(got, []string{"notes.txt"}) {
		t.Errorf("rules give notes.txt, offered %v", got)
	}
}

// TestDownload: whole, in ranges, known already; safe names only.
func TestDownload(t *testing.T) {
	dir := agentsDirectory(t)
	b := start(t, func(c *Config, _ *fakePosture) { c.AgentsDirectory = dir; c.Limits.DownloadsAtOnce = 1 })
	content := readFile(t, filepath.Join(dir, "sallyport-agent-windows-amd64.exe"))
	sum := sha256.Sum256(content)
	a := b.get("/agent/sallyport-agent-windows-amd64.exe")
	if a.status != 200 || string(a.body) != string(content) {
		t.Fatalf("%d, %d octets", a.status, len(a.body))
	}
	for name, want := range map[string]string{
		"Content-Type": "application/octet-stream", "ETag": `"` + hex.EncodeToString(sum[:]) + `"`,
		"Content-Disposition": `attachment; filename="sallyport-agent-windows-amd64.exe"`, "X-Content-Type-Options": "nosniff",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	part := b.request("GET", "/agent/sallyport-agent-windows-amd64.exe", nil)
	part.Header.Set("Range", "bytes=10-19")
	if a := b.do(part); a.status != http.StatusPartialContent || string(a.body) != string(content[10:20]) {
		t.Errorf("a part: %d %q", a.status, a.body)
	}
	known := b.request("GET", "/agent/sallyport-agent-windows-amd64.exe", nil)
	known.Header.Set("If-None-Match", a.header.Get("ETag"))
	if a := b.do(known); a.status != http.StatusNotModified {
		t.Errorf("known: %d", a.status)
	}
	if a := b.do(b.request("HEAD", "/agent/sallyport-agent-windows-amd64.exe", nil)); a.status != 200 || len(a.body) != 0 {
		t.Errorf("HEAD: %d, %d octets", a.status, len(a.body))
	}
	for _, path := range []string{"/agent/", "/agent/none", "/agent/.hidden", "/agent/..%2f..%2fetc%2fpasswd", "/agent/../portal.key",
		"/agent/sallyport-agent-linux-link", "/agent/sallyport-agent-linux-dir", "/agent/a%00b", "/agent/" + strings.Repeat("a", 200)} {
		if a := b.get(path); a.status != 404 || !strings.Contains(a.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d %s", path, a.status, a.header.Get("Content-Type"))
		}
	}
	b.server.downloads <- struct{}{}
	if a := b.get("/agent/sallyport-agent-windows-amd64.exe"); a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("one download too many: %d", a.status)
	}
	b.refused("downloads", 1)
	<-b.server.downloads
}

// TestSlowDownload: a reader that stops does not keep its place forever, since every
// part has its own deadline; one that reads gets all.
func TestSlowDownload(t *testing.T) {
	b := start(t, func(c *Config, _ *fakePosture) { c.AgentsDirectory = agentsDirectory(t) })
	c := b.dialTLS()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	resp := send(t, c, "GET /agent/sallyport-agent-linux-amd64 HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	b.eventually("the download is under way or done", func() bool { return b.server.Stats().Accepted == 1 })
	c.Close()
	b.eventually("its place is free", func() bool { return len(b.server.downloads) == 0 && b.server.Stats().Connections == 0 })
}
