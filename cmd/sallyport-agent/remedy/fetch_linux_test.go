package remedy

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/netio/report"
)

// downloads is a web server with files, trusted by the client it gives.
func downloads(t *testing.T) (*httptest.Server, http.RoundTripper) {
	t.Helper()
	mux := http.NewServeMux()
	s := httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	plain := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	t.Cleanup(plain.Close)
	mux.HandleFunc("/tool.cfg", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a = 1\n") })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/tool.cfg", http.StatusFound) })
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL+"/tool.cfg", http.StatusFound)
	})
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		part := make([]byte, 1<<20)
		for range fileMax/len(part) + 1 {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
	})
	return s, s.Client().Transport
}

// shelves are directories where files may be put, and everything in the way that there can be.
func shelves(t *testing.T, web http.RoundTripper) *workshop {
	t.Helper()
	w := newWorkshop(t, ToolsConfig{Web: web, Files: []string{"/srv/files", "/etc/tool"}})
	w.files = map[string]string{"tool.cfg": "a = 1\n", "other": "b"}
	for _, dir := range []string{"srv/files/sub", "etc/tool", "etc/open"} {
		if err := os.MkdirAll(filepath.Join(w.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.put("/srv/files/open/x", "", 0o644)
	w.put("/srv/files/is-a-directory/x", "", 0o644)
	w.put("/etc/passwd", "root\n", 0o644)
	for _, err := range []error{
		os.Chmod(filepath.Join(w.root, "srv/files/open"), 0o777),
		os.Symlink("/etc", filepath.Join(w.root, "srv/files/link")),
		os.Symlink("../../etc/passwd", filepath.Join(w.root, "srv/files/alias")),
		unix.Mkfifo(filepath.Join(w.root, "srv/files/pipe"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// TestFetchFile: what has the digest lies where it may, with the mode, whole or not at all; and
// every way to have it elsewhere, or otherwise, is refused and leaves nothing.
func TestFetchFile(t *testing.T) {
	server, web := downloads(t)
	w := shelves(t, web)
	digest := sum("a = 1\n")
	for _, c := range []struct{ target, to, perms, sha, result, detail, at string }{
		{"tool.cfg", "", "", digest, Done, "/srv/files/tool.cfg was written, 6 octets", "srv/files/tool.cfg"},
		{"tool.cfg", "", "", digest, Done, "was there already", "srv/files/tool.cfg"},
		{"tool.cfg", "", "0755", digest, Done, "was written", "srv/files/tool.cfg"},
		{"other", "tool.cfg", "", sum("b"), Done, "was written", "srv/files/tool.cfg"},
		{server.URL + "/tool.cfg?v=1", "", "", digest, Done, "was written", "srv/files/tool.cfg"},
		{server.URL + "/moved", "/etc/tool/tool.cfg", "0600", digest, Done, "/etc/tool/tool.cfg was written", "etc/tool/tool.cfg"},
		{"tool.cfg", "/srv/files/sub/deep.cfg", "0640", digest, Done, "was written", "srv/files/sub/deep.cfg"},

		{"tool.cfg", "", "", sum("another"), Refused, "has another digest", ""},
		{"tool.cfg", "", "", "", Refused, "names no digest", ""},
		{"tool.cfg", "new", "0666", digest, Refused, "permissions 0666", ""},
		{"tool.cfg", "new", "4755", digest, Refused, "permissions 4755", ""},
		{"none", "new", "", digest, Failed, "404", ""},
		{server.URL + "/none", "new", "", digest, Failed, "404 Not Found", ""},
		{server.URL + "/plain", "new", "", digest, Failed, "not https", ""},
		{server.URL + "/round", "new", "", digest, Failed, "redirected more than", ""},
		{server.URL + "/endless", "new", "", digest, Failed, "has more than", ""},
		{server.URL + "/broken", "new", "", digest, Failed, "unexpected EOF", ""},
		{"https://127.0.0.1:1/x", "", "", digest, Failed, "cannot be fetched", ""},
		{"https://127.0.0.1:1", "", "", digest, Refused, "no name for a file", ""},
		{"tool.cfg", "/etc/passwd", "", digest, Refused, "is in none of the directories", ""},
		{"tool.cfg", "/srv/filesystem/x", "", digest, Refused, "is in none of the directories", ""},
		{"tool.cfg", "/srv/files/../../etc/passwd", "", digest, Refused, "shortest form", ""},
		{"tool.cfg", "sub/x", "", digest, Refused, "neither a plain name", ""},
		{"tool.cfg", "..", "", digest, Refused, "no name for a file", ""},
		{"tool.cfg", ".hidden", "", digest, Refused, "begins with a dot", ""},
		{"tool.cfg", "/srv/files/link/x", "", digest, Refused, "/srv/files/link is a link", ""},
		{"tool.cfg", "alias", "", digest, Refused, "/srv/files/alias is a link", ""},
		{"tool.cfg", "pipe", "", digest, Refused, "is there, and no file", ""},
		{"tool.cfg", "is-a-directory", "", digest, Refused, "is there, and no file", ""},
		{"tool.cfg", "/srv/files/open/x", "", digest, Refused, "can be changed by others", ""},
		{"tool.cfg", "/srv/files/none/x", "", digest, Refused, "no such file", ""},
	} {
		what := c.target + " to " + c.to + " " + c.perms + " " + c.detail
		w.want(what, w.do(report.Action{Verb: report.VerbFile, Target: c.target, To: c.to, Permissions: c.perms, SHA256: c.sha, Requirement: "Q"}), c.result, c.detail)
		if c.at != "" {
			w.holds(what, c.at, c.sha, c.perms)
		}
	}
	if text, err := os.ReadFile(filepath.Join(w.root, "etc/passwd")); err != nil || string(text) != "root\n" {
		t.Errorf("%q %v", text, err)
	}
	w.nothingLeft()
	var noted fetchedContent
	if err := w.tools.dir.ReadJSON(fetchedFile, &noted); err != nil || len(noted.Files) != 3 || noted.Files[2].Path != "/srv/files/sub/deep.cfg" || noted.Files[2].From != "tool.cfg" {
		t.Errorf("%v %+v", err, noted)
	}
}

// holds wants a file with a digest and permissions.
func (w *workshop) holds(what, at, sha, perms string) {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(w.root, at))
	if err != nil || sum(string(text)) != sha {
		w.Errorf("%s: %q %v", what, text, err)
	}
	if info, err := os.Stat(filepath.Join(w.root, at)); err != nil || fmt.Sprintf("%04o", info.Mode().Perm()) != orElse(perms, filePerms) {
		w.Errorf("%s: %v %v", what, info.Mode(), err)
	}
}

// nothingLeft wants no part of a file anywhere.
func (w *workshop) nothingLeft() {
	w.Helper()
	err := filepath.WalkDir(w.root, func(path string, _ os.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), partPrefix) {
			w.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		w.Error(err)
	}
}

// TestFetchSweep: what an agent left that was killed goes with the next start, and nothing else.
func TestFetchSweep(t *testing.T) {
	w := newWorkshop(t, ToolsConfig{})
	w.put("/files/"+partPrefix+"X", "half", 0o600)
	w.put("/files/whole", "whole", 0o600)
	NewTools(ToolsConfig{Root: w.root, Files: []string{"/files", "/none"}}, w.tools.dir, w.tools.log)
	w.nothingLeft()
	if _, err := os.Stat(filepath.Join(w.root, "files/whole")); err != nil {
		t.Error(err)
	}
	w.want("nowhere", w.do(report.Action{Verb: report.VerbFile, Target: "x", SHA256: sum("")}), Refused, "no directory for files")
}

// TestFetchStops: a server that says nothing is not waited for longer than an action may take.
func TestFetchStops(t *testing.T) {
	hangs := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hangs.Close)
	w := newWorkshop(t, ToolsConfig{Web: hangs.Client().Transport, Files: []string{"/"}})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	got := w.tools.Do(ctx, &report.Action{Verb: report.VerbFile, Target: hangs.URL + "/x", SHA256: sum("")}, nil)
	w.want("hangs", got, Failed, "context canceled")
	w.nothingLeft()
}

// TestWebTrust: nobody vouches for a server of the test.
func TestWebTrust(t *testing.T) {
	server, _ := downloads(t)
	w := newWorkshop(t, ToolsConfig{Files: []string{"/"}})
	w.want("a stranger", w.do(report.Action{Verb: report.VerbFile, Target: server.URL + "/tool.cfg", SHA256: sum("a = 1\n")}), Failed, "certificate")
	if web, ok := w.tools.web.Transport.(*http.Transport); !ok || web.TLSClientConfig.MinVersion < tls.VersionTLS12 {
		t.Error("old TLS is spoken")
	}
}

// TestPublishers: a file runs when the publisher whose key the policy has signed its digest, and
// only when somebody vouches for that policy.
func TestPublishers(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(key ed25519.PrivateKey, text string) string {
		return base64.StdEncoding.EncodeToString(ed25519.Sign(key, report.PublisherText(sum(text))))
	}
	w := newWorkshop(t, ToolsConfig{})
	w.put("/fix", noting, 0o755)
	w.files = map[string]string{"fix.sh": noting}
	launch := report.Action{Verb: report.VerbLaunch, Target: "/fix", SHA256: sum(noting), Publisher: "Example Ltd", PublisherSignature: signed(private, noting)}
	w.want("not enrolled", w.do(launch), Refused, "not enrolled")
	w.tools.Vouch([]report.Publisher{{Name: "Other", Key: base64.StdEncoding.EncodeToString(public)}})
	w.want("nobody knows", w.do(launch), Refused, "no key of the publisher")
	w.tools.Vouch([]report.Publisher{{Name: "Example Ltd", Key: "AAAA"}})
	w.want("no key", w.do(launch), Refused, "no Ed25519 public key")
	w.tools.Vouch([]report.Publisher{{Name: "Example Ltd", Key: base64.StdEncoding.EncodeToString(public)}})
	w.want("signed", w.do(launch), Done, "")
	script := launch
	script.Verb, script.Target = report.VerbScript, "fix.sh"
	w.want("a script", w.do(script), Done, "")
	for what, signature := range map[string]string{"of a stranger": signed(stranger, noting), "of another file": signed(private, "x"), "none": "?"} {
		launch.PublisherSignature = signature
		w.want(what, w.do(launch), Refused, "or of another file")
	}
	launch.PublisherSignature = ""
	w.want("by the system", w.do(launch), Refused, "by the system alone")
	if n := strings.Count(w.did(), "\n"); n != 2 {
		t.Errorf("%d were run: %s", n, w.did())
	}
	doc := &report.Policy{V: report.Version, ETag: "e", Collect: []string{}, Requirements: []report.Requirement{}, Publishers: []report.Publisher{{Name: "Example Ltd", Key: base64.StdEncoding.EncodeToString(public)}}}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := report.DecodePolicy(b); err != nil || len(got.Publishers) != 1 {
		t.Errorf("%v %+v", err, got)
	}
}

// TestSignedFile: with a remedy key, what is fetched has to be signed with where it goes.
func TestSignedFile(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorkshop(t, ToolsConfig{Key: public, Files: []string{"/"}})
	w.files = map[string]string{"x": "x"}
	a := report.Action{Verb: report.VerbFile, Target: "x", SHA256: sum("x"), To: "y", Permissions: "0644"}
	w.want("not signed", w.do(a), Refused, "not signed")
	a.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(private, a.SignedText()))
	w.want("signed", w.do(a), Done, "/y was written")
	a.To = "z"
	w.want("elsewhere", w.do(a), Refused, "or of another action")
	a.To, a.Permissions = "y", "0755"
	w.want("otherwise", w.do(a), Refused, "or of another action")
}
