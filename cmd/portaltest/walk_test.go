package portaltest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/coa/coatest"
	"sallyport/ops/usbfixture"
)

// Headings of the pages, which are also the beginning of their titles.
const (
	headingUnchecked = "One check before you are connected"
	headingMissing   = "Something on your computer has to change"
	headingPassed    = "You may go on"
)

// byItself is how long a person waits at most: the page looks every ten seconds.
const byItself = 20 * time.Second

// TestPortalInABrowser is the way of one person, from the first page to full access.
func TestPortalInABrowser(t *testing.T) {
	requireBrowser(t)
	t.Parallel()
	w := newWorld(t)
	session := w.login(mac)
	portal := session.Authorization().RedirectURL
	stranger, known := newDriver(t), newDriver(t, w.bound.Certificate)

	t.Run("certificate that nobody knows", func(t *testing.T) { untrusted(t, stranger, w) })
	var shown string
	t.Run("keyboard, no scripts", func(t *testing.T) { shown = keyboard(t, known, w) })

	english := known.open(t, looks{language: "en-GB", width: 1280, names: w.names(), noScript: true})
	portuguese := known.open(t, looks{language: "pt-BR", width: 320})
	english.begin(t, "unchecked", anyPage)
	portuguese.begin(t, "unchecked", quietly(portal))

	port, err := w.tree.Plug(usbfixture.Stick{})
	must(t, err)
	w.startAgent(session, shown)
	english.turns(t, headingMissing)
	english.everyLook("missing")
	english.golden("missing")
	must(t, portuguese.visit(quietly(portal)))
	portuguese.everyLook("missing")

	must(t, w.tree.Unplug(port))
	english.turns(t, headingPassed)
	english.everyLook("passed")
	english.golden("passed")
	must(t, portuguese.visit(quietly(portal)))
	portuguese.everyLook("passed")

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(t, session.WaitFor(ctx, coatest.Access.Full))
	if status, err := os.ReadFile(w.path("agent/status.json")); err != nil || !strings.Contains(string(status), `"authority": "sha256:`) {
		t.Errorf("the agent has not enrolled: %v %s", err, status)
	}
	english.quiet(anyName, hostOf(t, portal))
	portuguese.quiet(hostOf(t, portal))
	must(t, english.visit(anyPage))
	if at := english.url(); at != anyPage {
		t.Errorf("with full access the browser came to %s", at)
	}
}

// begin opens the first page and holds it in every look.
func (b *browser) begin(t *testing.T, page, address string) {
	t.Helper()
	must(t, b.visit(address))
	b.everyLook(page)
	if b.looks.language[:2] == "en" {
		if !strings.HasPrefix(b.title(), headingUnchecked) {
			t.Fatalf("the page is %q", b.title())
		}
		b.golden(page)
	}
}

// turns waits until the page is another one; nobody touches it.
func (b *browser) turns(t *testing.T, heading string) {
	t.Helper()
	begun := time.Now()
	await(t, "the page says: "+heading, byItself, func() bool { return strings.HasPrefix(b.title(), heading) })
	t.Logf("the page turned to %q by itself after %s", heading, time.Since(begun).Round(100*time.Millisecond))
}

// quietly is the address of the page as it looks again by itself: it is no redirect, and
// a test that opens it many times is no loop.
func quietly(portal string) string { return portal + "&refresh=0" }

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	return u.Host
}

// untrusted: the browser warns, and whoever goes on comes to the same page.
func untrusted(t *testing.T, d *driver, w *world) {
	b := d.open(t, looks{language: "en-GB", width: 768, names: w.names()})
	// Whether WebDriver calls the warning an error depends on how the browser got there.
	if err := b.visit(anyPage); err != nil && !strings.Contains(err.Error(), "ERR_CERT_AUTHORITY_INVALID") {
		t.Fatal(err)
	}
	var warning string
	b.script(`return document.querySelector('#error-code')?.textContent ?? document.title`, &warning)
	if !strings.Contains(warning, "ERR_CERT_AUTHORITY_INVALID") {
		t.Fatalf("a certificate that nobody signed: the browser shows %q", warning)
	}
	b.screenshot("warning")
	for _, button := range []string{"#details-button", "#proceed-link"} {
		must(t, b.click(button))
	}
	await(t, "the page behind the warning", patience, func() bool { return strings.HasPrefix(b.title(), headingUnchecked) })
	b.hold("behind the warning")
	b.screenshot("behind-the-warning")
}

// focus is what has the keyboard.
type focus struct{ Tag, Text, Href, Outline string }

func (b *browser) focused() (f focus) {
	b.t.Helper()
	b.script(`const e = document.activeElement, s = getComputedStyle(e);
return {Tag: e.tagName, Text: e.textContent.trim(), Href: e.getAttribute('href') || '', Outline: s.outlineStyle + ' ' + parseFloat(s.outlineWidth)}`, &f)
	return f
}

// keyboard: without a mouse and without scripts the download is had and checked. It returns
// the command that the page shows.
func keyboard(t *testing.T, d *driver, w *world) (shown string) {
	b := d.open(t, looks{language: "en-GB", width: 1280, names: w.names(), noScript: true, downloads: w.path("downloads")})
	must(t, b.visit(anyPage))
	var way []string
	for range 12 {
		b.press(keyTab)
		f := b.focused()
		if f.Tag == "BODY" || len(way) > 0 && way[0] == f.Text {
			break
		}
		if f.Outline != "solid 3" {
			t.Errorf("%q has the focus and looks it not: outline %s", f.Text, f.Outline)
		}
		way = append(way, f.Text)
		switch {
		case strings.HasPrefix(f.Text, "Download for"):
			b.press(keyEnter)
			b.downloaded(t, w)
		case f.Tag == "SUMMARY":
			b.press(keySpace)
			b.hold("an opened part")
		}
	}
	want := []string{"Download for Linux", "Check the download", "Look again now"}
	if !slices.Equal(way, want) {
		t.Errorf("the keyboard goes %q, want %q", way, want)
	}
	var sum string
	b.script(`return document.querySelector('.sum').innerText`, &sum)
	if sum != "SHA-256 "+digestOf(t, w.path("agents/"+agentFile)) {
		t.Errorf("the page tells the digest %q", sum)
	}
	b.screenshot("keyboard")
	b.quiet(anyName, hostOf(t, b.url()))
	b.script(`return document.querySelector('li > pre').innerText`, &shown)
	return shown
}

// downloaded waits for the agent's file and compares it.
func (b *browser) downloaded(t *testing.T, w *world) {
	t.Helper()
	file := filepath.Join(w.path("downloads"), agentFile)
	await(t, "the agent is downloaded", patience, func() bool { _, err := os.Stat(file); return err == nil })
	if digestOf(t, file) != digestOf(t, w.path("agents/"+agentFile)) {
		t.Error("the download is another file than the appliance has")
	}
}

func digestOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// TestOtherPages are those that nobody should come to, and one that says why a person is
// sent back again and again.
func TestOtherPages(t *testing.T) {
	requireBrowser(t)
	t.Parallel()
	w := newWorld(t)
	session := w.login(mac)
	portal := session.Authorization().RedirectURL
	d := newDriver(t, w.bound.Certificate)
	for _, language := range []string{"en-GB", "pt-BR"} {
		b := d.open(t, looks{language: language, width: 320, names: w.names(), noScript: true})
		for page, address := range map[string]string{
			"no-ticket": "https://" + hostOf(t, portal) + "/portal/gateway", "not-found": "https://" + hostOf(t, portal) + "/nothing",
		} {
			must(t, b.visit(address))
			b.everyLook(page)
		}
		for range 4 {
			must(t, b.visit(anyPage))
		}
		b.everyLook("loop")
		var hint string
		b.script(`return document.querySelector('#loop').parentElement.textContent`, &hint)
		if !strings.Contains(hint, "DNS") {
			t.Errorf("the page does not say why it comes again: %q", hint)
		}
	}
	rows, err := exec.Command(w.path("sallyport"), "livelog", "--config", w.path("sallyport.yaml"), "--json").Output()
	must(t, err)
	if got := strings.Count(string(rows), "Redirected again and again: unheard"); got != 1 {
		t.Errorf("the live log tells %d times of the loop, want once:\n%s", got, rows)
	}
	if want := `sallyport_portal_total{event="loop_unheard"} 1`; !strings.Contains(w.metrics(), want) {
		t.Errorf("the metrics have no line %s", want)
	}
}
