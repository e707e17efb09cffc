package portal

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport/netio/report"
)

// Browsers as they introduce themselves.
const (
	onLinux   = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	onARM     = "Mozilla/5.0 (X11; Linux aarch64; rv:140.0) Gecko/20100101 Firefox/140.0"
	onWindows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	onMac     = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15"
	onPhone   = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"
)

var gatewayURL = report.PathGateway + "?sessionId=" + testSession + "&portal=client-provisioning&action=cpp&ticket=" + testTicket

// smallAgents has agents of few octets, so that golden pages name fixed digests.
func smallAgents(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"sallyport-agent-linux-amd64", "sallyport-agent-linux-arm64", "sallyport-agent-windows-amd64.exe"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (b *bench) visit(path, language, agent string) *answer {
	b.t.Helper()
	req := b.request("GET", path, nil)
	req.Header.Set("Accept-Language", language)
	req.Header.Set("User-Agent", agent)
	return b.do(req)
}

// TestPages holds every page against its golden text, the style left out.
func TestPages(t *testing.T) {
	refused := View{Status: "NonCompliant", Bound: true, Message: "Remove the USB disk; it has been blocked.\nThen wait a moment.",
		Failed: []string{"USB_Block", `<script>alert("x")</script>`}}
	for _, test := range []struct {
		name, path, language, agent string
		view                        View
	}{
		{"unchecked.en.html", gatewayURL, "en-GB,en;q=0.9,pt;q=0.1", onLinux, View{Status: "Unknown"}},
		{"unchecked.pt.html", gatewayURL, "pt-BR,pt;q=0.9,en;q=0.8", onWindows, View{Status: "Pending"}},
		{"phone.en.html", gatewayURL, "", onPhone, View{Status: "Unknown"}},
		{"checking.pt.html", gatewayURL + "&refresh=7", "pt", onLinux, View{Status: "Pending", Bound: true}},
		{"refused.en.html", gatewayURL, "en", onWindows, refused},
		{"refused.pt.html", gatewayURL + "&refresh=180", "pt", onWindows, refused},
		{"compliant.en.html", gatewayURL + "&refresh=3", "de,en;q=0.5", onLinux, View{Status: "Compliant", Bound: true}},
		{"compliant.pt.html", gatewayURL, "pt", onLinux, View{Status: "Compliant", Bound: true}},
		{"not-applicable.en.html", gatewayURL, "en", onMac, View{Status: "NotApplicable"}},
		{"generic.en.html", report.PathGateway, "en", onWindows, View{}},
		{"generic.pt.html", report.PathGateway + "?sessionId=" + testSession, "pt", onMac, View{}},
		{"not-found.en.html", "/", "en", onLinux, View{}},
		{"not-found.pt.html", "/favicon.ico", "pt", onLinux, View{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := start(t, func(c *Config, f *fakePosture) { c.AgentsDirectory, f.view = smallAgents(t), test.view })
			a := b.visit(test.path, test.language, test.agent)
			checkPage(t, a)
			body := strings.Replace(string(a.body), strings.TrimSpace(pageCSS), "...", 1)
			golden(t, test.name, strings.ReplaceAll(body, b.server.pin(), "sha256:PIN")) // the certificate is new every time
		})
	}
}

var (
	styleText = regexp.MustCompile(`(?s)<style>(.*?)</style>`)
	elsewhere = regexp.MustCompile(`(?i)(src|href|url)\s*=\s*["']?\s*(https?:)?//`)
)

// checkPage is what holds for every page: a policy that fits it, no script, nothing
// from elsewhere, no ticket but in the address to look again.
func checkPage(t *testing.T, a *answer) {
	t.Helper()
	body := string(a.body)
	style := styleText.FindStringSubmatch(body)
	if style == nil {
		t.Fatalf("no style: %.200s", body)
	}
	sum := sha256.Sum256([]byte(style[1]))
	csp := a.header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") || !strings.HasPrefix(csp, "default-src 'none'; ") {
		t.Errorf("policy %s does not name the style", csp)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		"X-Content-Type-Options": "nosniff", "Content-Type": "text/html; charset=utf-8"} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if strings.Contains(body, "<script") || strings.Contains(body, " style=") || strings.Contains(body, " on") && regexp.MustCompile(`\son\w+=`).MatchString(body) {
		t.Error("script or style in an element")
	}
	if m := elsewhere.FindString(body); m != "" {
		t.Errorf("something from elsewhere: %s", m)
	}
	if strings.Count(body, testTicket) > 2 {
		t.Error("the ticket stands elsewhere than in the address to look again")
	}
	for _, want := range []string{"<main", "<header", "<footer", "<h1", `lang="` + a.header.Get("Content-Language") + `"`, `name="viewport"`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
}

// TestNothingWithoutTicket: a wrong, a missing and another session's ticket show the
// same page as no session at all.
func TestNothingWithoutTicket(t *testing.T) {
	b := start(t, func(_ *Config, f *fakePosture) {
		f.view = View{Status: "NonCompliant", Bound: true, Message: "secret", Failed: []string{"secret"}}
	})
	want := string(b.visit(report.PathGateway, "en", onLinux).body)
	for _, query := range []string{
		"?sessionId=" + testSession, "?sessionId=" + testSession + "&ticket=", "?sessionId=" + testSession + "&ticket=x",
		"?ticket=" + testTicket, "?sessionId=ffff&ticket=" + testTicket, "?sessionId=%00&ticket=" + testTicket,
		"?sessionId=" + testSession + "&ticket=" + strings.Repeat("A", 500), "?%zz",
	} {
		if got := string(b.visit(report.PathGateway+query, "en", onLinux).body); got != want {
			t.Errorf("%s shows another page than nothing does", query)
		}
		b.clock.Advance(loopWindow) // more at once would be a loop, and say so
	}
	if got := string(b.visit(gatewayURL, "en", onLinux).body); got == want || !strings.Contains(got, "secret") {
		t.Error("the ticket shows nothing")
	}
}

var refreshTo = regexp.MustCompile(`<meta http-equiv="refresh" content="10;url=([^"]*)">`)

// TestPageTurns: the page looks again by itself, without script, until it may say that
// the person may go on; and it does not look forever.
func TestPageTurns(t *testing.T) {
	b := start(t, func(_ *Config, f *fakePosture) { f.view = View{Status: "Pending"} })
	path, looks := gatewayURL, 0
	for ; ; looks++ {
		body := string(b.visit(path, "en", onLinux).body)
		m := refreshTo.FindStringSubmatch(body)
		if m == nil {
			if !strings.Contains(body, "Look again now") {
				t.Error("no way to go on looking")
			}
			break
		}
		u, err := url.Parse(strings.ReplaceAll(m[1], "&amp;", "&"))
		if err != nil || u.Query().Get("ticket") != testTicket || u.Query().Get("sessionId") != testSession || u.Path != report.PathGateway {
			t.Fatalf("look %d goes to %s, %v", looks, m[1], err)
		}
		path = u.String()
		if looks == 5 {
			b.posture.view.Status = "Compliant"
			if body := string(b.visit(path, "en", onLinux).body); refreshTo.MatchString(body) || !strings.Contains(body, "You may go on") {
				t.Error("the page does not turn")
			}
			b.posture.view.Status = "Pending"
		}
		b.clock.Advance(refreshEvery * time.Second)
	}
	if looks != refreshesMax {
		t.Errorf("looked %d times, want %d", looks, refreshesMax)
	}
}

// TestOffers: the session's system first, then the browser's; its processor; and what
// provisioning gives replaces what is there.
func TestOffers(t *testing.T) {
	button := regexp.MustCompile(`class="button" href="/agent/([^"]*)"`)
	for _, test := range []struct {
		agent string
		view  View
		want  string
	}{
		{onLinux, View{}, "sallyport-agent-linux-amd64"},
		{onARM, View{}, "sallyport-agent-linux-arm64"},
		{onWindows, View{}, "sallyport-agent-windows-amd64.exe"},
		{onLinux, View{OS: "windows"}, "sallyport-agent-windows-amd64.exe"},
		{onMac, View{}, ""},
		{onPhone, View{}, ""},
		{"", View{}, ""},
		{onLinux, View{Offer: []AgentFile{{OS: "linux", Name: "sallyport-agent-linux-arm64"}}}, "sallyport-agent-linux-arm64"},
	} {
		b := start(t, func(c *Config, f *fakePosture) { c.AgentsDirectory, f.view = smallAgents(t), test.view })
		got := ""
		if m := button.FindStringSubmatch(string(b.visit(gatewayURL, "en", test.agent).body)); m != nil {
			got = m[1]
		}
		if got != test.want {
			t.Errorf("%+v on %.40s: offers %q, want %q", test.view, test.agent, got, test.want)
		}
	}
}

func TestLanguage(t *testing.T) {
	for header, want := range map[string]string{
		"": "en", "pt": "pt", "pt-BR": "pt", "PT-br;q=0.8, en;q=0.9": "en", "de, pt;q=0.2": "pt", "en;q=0, pt;q=0.1": "pt",
		"pt;q=0": "en", "pt;q=x, en": "en", "pt;q=2": "en", "*": "en", "ptx": "en", " pt ; q=1.0 ": "pt",
		strings.Repeat("pt,", 200): "en", ";;,,;q=": "en",
	} {
		if got := language(header).Lang; got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

// TestWordsAreComplete: nothing is missing in a language or left in the other one.
func TestWordsAreComplete(t *testing.T) {
	en, pt := reflect.ValueOf(*english), reflect.ValueOf(*portuguese)
	for i := range en.NumField() {
		name := en.Type().Field(i).Name
		if a, ok := en.Field(i).Interface().([3]string); ok {
			b := pt.Field(i).Interface().([3]string)
			for j := range a {
				if (a[j] == "") != (b[j] == "") || j > 0 && (a[j] == "" || a[j] == b[j]) {
					t.Errorf("%s[%d]: %q and %q", name, j, a[j], b[j])
				}
			}
			continue
		}
		if a, ok := en.Field(i).Interface().([causes]string); ok {
			b := pt.Field(i).Interface().([causes]string)
			for j := range a {
				if (a[j] == "") != (j == int(causeNone)) || (b[j] == "") != (a[j] == "") || a[j] != "" && a[j] == b[j] {
					t.Errorf("%s[%d]: %q and %q", name, j, a[j], b[j])
				}
			}
			continue
		}
		if a, b := en.Field(i).String(), pt.Field(i).String(); a == "" || b == "" || a == b {
			t.Errorf("%s: %q and %q", name, a, b)
		}
	}
}
