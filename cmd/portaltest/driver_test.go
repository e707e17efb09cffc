package portaltest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const patience = 30 * time.Second // for anything that is awaited

// needs are the programs of the browser, by the Debian package that has them.
var needs = []struct{ program, pkg string }{
	{"chromium", "chromium"}, {"chromedriver", "chromium-driver"}, {"certutil", "libnss3-tools"},
}

func requireBrowser(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a walk with a browser takes half a minute; it is left out of the short run")
	}
	for _, n := range needs {
		if _, err := exec.LookPath(n.program); err != nil {
			t.Skipf("needs %s (Debian package %s, which .ci/deps installs)", n.program, n.pkg)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// driver is a chromedriver; its browsers have one home directory, which holds what they
// trust.
type driver struct {
	base string
	home string
}

var startedOn = regexp.MustCompile(`started successfully on port (\d+)`)

// newDriver starts a chromedriver whose browsers trust these certificates (PEM files)
// besides the public ones.
func newDriver(t *testing.T, trusted ...string) *driver {
	t.Helper()
	d := &driver{home: t.TempDir()}
	db := filepath.Join(d.home, ".pki", "nssdb")
	must(t, os.MkdirAll(db, 0o700))
	run(t, "certutil", "-N", "-d", "sql:"+db, "--empty-password")
	for i, file := range trusted {
		run(t, "certutil", "-A", "-d", "sql:"+db, "-n", fmt.Sprintf("appliance %d", i), "-t", "CP,,", "-i", file)
	}
	cmd := exec.Command("chromedriver", "--port=0")
	cmd.Env = append(os.Environ(), "HOME="+d.home, "XDG_CONFIG_HOME="+d.home, "XDG_CACHE_HOME="+d.home)
	said, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill() // its browsers were closed before
		cmd.Wait()
	})
	port := make(chan string, 1)
	go func() {
		defer close(port)
		for lines := bufio.NewScanner(said); lines.Scan(); {
			if m := startedOn.FindStringSubmatch(lines.Text()); m != nil {
				port <- m[1]
			}
		}
	}()
	select {
	case p, ok := <-port:
		if !ok {
			t.Fatal("chromedriver ended instead of starting")
		}
		d.base = "http://127.0.0.1:" + p
	case <-time.After(patience):
		t.Fatal("chromedriver does not start")
	}
	return d
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}

// looks is how a browser is set up.
type looks struct {
	language string // of Accept-Language
	dark     bool
	width    int
	noScript bool
	// names are what the browser takes host names for: "MAP www.example.com 127.0.0.1:8080".
	names     string
	downloads string // the directory for them
}

// heights go with the widths, as on things that people hold.
var heights = map[int]int{320: 568, 768: 1024, 1280: 800}

// browser is one window of Chromium.
type browser struct {
	t     *testing.T
	base  string // of the WebDriver session
	looks looks
}

// open starts a browser.
func (d *driver) open(t *testing.T, l looks) *browser {
	t.Helper()
	b := &browser{t: t, looks: l}
	args := []string{"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--user-data-dir=" + t.TempDir()}
	if l.names != "" {
		args = append(args, "--host-resolver-rules="+l.names)
	}
	options := map[string]any{"args": args, "prefs": map[string]any{
		"intl.accept_languages": l.language, "download.default_directory": l.downloads, "download.prompt_for_download": false,
	}}
	var made struct{ SessionID string }
	b.base = d.base
	must(t, b.call(http.MethodPost, "/session", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"browserName": "chrome", "acceptInsecureCerts": false, "goog:chromeOptions": options,
		"goog:loggingPrefs": map[string]string{"browser": "ALL", "performance": "ALL"}}}}, &made))
	b.base = d.base + "/session/" + made.SessionID
	t.Cleanup(func() {
		if err := b.call(http.MethodDelete, "", nil, nil); err != nil {
			t.Log("closing the browser:", err)
		}
	})
	b.wear(l)
	return b
}

// wear changes how the browser looks at pages, for the page it has and all that follow.
func (b *browser) wear(l looks) {
	b.t.Helper()
	b.looks = l
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	b.cdp("Emulation.setDeviceMetricsOverride", args{"width": l.width, "height": heights[l.width], "deviceScaleFactor": 1, "mobile": l.width < 500}, nil)
	b.cdp("Emulation.setEmulatedMedia", args{"features": []args{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	b.cdp("Emulation.setScriptExecutionDisabled", args{"value": l.noScript}, nil)
}

type args map[string]any

// refusal is an error of WebDriver's.
type refusal struct{ Kind, Message string }

func (r *refusal) Error() string { return r.Kind + ": " + r.Message }

// call is one command (https://www.w3.org/TR/webdriver2).
func (b *browser) call(method, path string, in, out any) error {
	var body io.Reader
	if method == http.MethodPost {
		if in == nil {
			in = args{}
		}
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, b.base+path, body)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 2 * patience}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var doc struct{ Value json.RawMessage }
	if err := json.NewDecoder(answer.Body).Decode(&doc); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if answer.StatusCode != http.StatusOK {
		var no struct{ Error, Message string }
		if err := json.Unmarshal(doc.Value, &no); err != nil {
			return fmt.Errorf("%s %s: %s", method, path, answer.Status)
		}
		message, _, _ := strings.Cut(no.Message, "\n")
		return &refusal{no.Error, message}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(doc.Value, out)
}

// cdp is a command of Chromium's own protocol.
func (b *browser) cdp(command string, params args, out any) {
	b.t.Helper()
	must(b.t, b.call(http.MethodPost, "/goog/cdp/execute", args{"cmd": command, "params": params}, out))
}

// visit loads an address; the error is what the browser shows instead.
func (b *browser) visit(url string) error {
	return b.call(http.MethodPost, "/url", args{"url": url}, nil)
}

// script runs a function's body in the page and reads what it returns. It works where
// the page's own scripts do not run.
func (b *browser) script(body string, out any) {
	b.t.Helper()
	must(b.t, b.call(http.MethodPost, "/execute/sync", args{"script": body, "args": []any{}}, out))
}

func (b *browser) title() (s string) {
	b.t.Helper()
	must(b.t, b.call(http.MethodGet, "/title", nil, &s))
	return s
}

func (b *browser) url() (s string) {
	b.t.Helper()
	must(b.t, b.call(http.MethodGet, "/url", nil, &s))
	return s
}

// click clicks on the first element that a CSS selector finds.
func (b *browser) click(selector string) error {
	var element map[string]string
	if err := b.call(http.MethodPost, "/element", args{"using": "css selector", "value": selector}, &element); err != nil {
		return err
	}
	for _, id := range element {
		return b.call(http.MethodPost, "/element/"+id+"/click", nil, nil)
	}
	return errors.New("no element " + selector)
}

// Keys as WebDriver writes them.
const (
	keyTab   = "\uE004"
	keyEnter = "\uE007"
	keySpace = " "
)

// press presses keys one after the other, as a keyboard does.
func (b *browser) press(keys ...string) {
	b.t.Helper()
	var actions []args
	for _, k := range keys {
		actions = append(actions, args{"type": "keyDown", "value": k}, args{"type": "keyUp", "value": k})
	}
	must(b.t, b.call(http.MethodPost, "/actions", args{"actions": []args{{"type": "key", "id": "keyboard", "actions": actions}}}, nil))
}

// screenshot saves the whole page.
func (b *browser) screenshot(name string) {
	b.t.Helper()
	var shot struct{ Data string }
	b.cdp("Page.captureScreenshot", args{"captureBeyondViewport": true}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	must(b.t, err)
	must(b.t, os.WriteFile(filepath.Join(gallery(b.t), name+".png"), png, 0o644))
}

// gallery is where screenshots go.
func gallery(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SALLYPORT_SCREENSHOTS")
	if dir == "" {
		dir = filepath.Join("..", "..", "testdata-cache", "portal")
	}
	must(t, os.MkdirAll(dir, 0o755))
	return dir
}

// await looks until done says so.
func await(t *testing.T, what string, within time.Duration, done func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}
