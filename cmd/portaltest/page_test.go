package portaltest

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what a screen reader is told as the golden output")

// found is what the page's own measure says.
type found struct {
	Lang   string
	Width  int      // of the page, in pixels
	Faint  []string // texts whose contrast is less than WCAG 2.2 asks (1.4.3)
	Small  []string // what is pressed and is less than 24 by 24 (2.5.8), links in a text left out
	Silent []string // what is pressed and has no name
	Levels []int    // of the headings, in order
	Texts  int      // how many texts were looked at
}

// measure runs in the page. A colour is laid over what is behind it; contrast is by the
// relative luminance of WCAG 2.2.
const measure = `
const colour = s => { const n = s.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
const light = c => { const l = c.slice(0, 3).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2]; };
const ground = e => { let c = [0, 0, 0, 0]; const up = [];
  for (; e; e = e.parentElement) up.push(colour(getComputedStyle(e).backgroundColor));
  let under = matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
  for (const one of up.reverse()) under = over(one, under); return under; };
const shown = e => e.checkVisibility({checkOpacity: true, checkVisibilityCSS: true}) && e.getClientRects().length > 0;
const out = {Lang: document.documentElement.lang, Width: document.documentElement.scrollWidth, Faint: [], Small: [], Silent: [], Levels: [], Texts: 0};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode.textContent.trim(), e = walker.currentNode.parentElement;
  if (!text || !shown(e)) continue;
  out.Texts++;
  const style = getComputedStyle(e), size = parseFloat(style.fontSize), back = ground(e);
  const a = light(over(colour(style.color), back)), b = light(back);
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const wanted = size >= 24 || size >= 18.66 && style.fontWeight >= 700 ? 3 : 4.5;
  if (ratio < wanted) out.Faint.push(ratio.toFixed(2) + ' ' + text.slice(0, 40));
}
for (const e of document.querySelectorAll('a,button,summary,input')) {
  if (!shown(e)) continue;
  const box = e.getBoundingClientRect();
  if (box.width < 24 || box.height < 24) out.Small.push(Math.round(box.width) + 'x' + Math.round(box.height) + ' ' + e.textContent.trim());
  if (!e.textContent.trim() && !e.ariaLabel) out.Silent.push(e.outerHTML.slice(0, 60));
}
for (const e of document.querySelectorAll('h1,h2,h3,h4')) out.Levels.push(Number(e.tagName[1]));
return out;`

// hold fails the test when the page shown breaks what every page has to hold.
func (b *browser) hold(what string) {
	b.t.Helper()
	var f found
	b.script(measure, &f)
	fail := func(format string, args ...any) {
		b.t.Helper()
		b.t.Errorf("%s (%s): %s", what, b.name(), fmt.Sprintf(format, args...))
	}
	if want := b.looks.language[:2]; f.Lang != want {
		fail("the page is in %q, want %q", f.Lang, want)
	}
	if f.Width > b.looks.width {
		fail("%d pixels wide", f.Width)
	}
	if f.Texts < 3 {
		fail("%d texts are seen", f.Texts)
	}
	for problem, list := range map[string][]string{"hard to read": f.Faint, "hard to press": f.Small, "without a name": f.Silent} {
		if len(list) > 0 {
			fail("%s: %q", problem, list)
		}
	}
	for i, level := range f.Levels {
		if i == 0 && level != 1 || i > 0 && (level < 2 || level > f.Levels[i-1]+1) {
			fail("headings are %v", f.Levels)
			break
		}
	}
}

// name says how a browser looks at pages, for screenshots.
func (b *browser) name() string {
	scheme := "light"
	if b.looks.dark {
		scheme = "dark"
	}
	return fmt.Sprintf("%s-%s-%d", b.looks.language[:2], scheme, b.looks.width)
}

// everyLook holds and pictures the page shown in every width, light and dark.
func (b *browser) everyLook(page string) {
	b.t.Helper()
	was := b.looks
	for _, width := range []int{320, 768, 1280} {
		for _, dark := range []bool{false, true} {
			l := was
			l.width, l.dark = width, dark
			b.wear(l)
			b.hold(page)
			b.screenshot(page + "-" + b.name())
		}
	}
	b.wear(was)
}

// quiet fails the test when the browser asked anybody but the hosts, or complained. The
// icon of a page that is none of ours is not asked for.
func (b *browser) quiet(hosts ...string) {
	b.t.Helper()
	type entry struct{ Level, Message string }
	var events, complaints []entry
	must(b.t, b.call(http.MethodPost, "/se/log", args{"type": "performance"}, &events))
	must(b.t, b.call(http.MethodPost, "/se/log", args{"type": "browser"}, &complaints))
	asked := 0
	for _, e := range events {
		var m struct {
			Message struct {
				Method string
				Params struct{ Request struct{ URL string } }
			}
		}
		must(b.t, json.Unmarshal([]byte(e.Message), &m))
		u, err := url.Parse(m.Message.Params.Request.URL)
		if m.Message.Method != "Network.requestWillBeSent" || err != nil || u.Host == "" || strings.HasPrefix(u.Scheme, "chrome") {
			continue
		}
		asked++
		ok := false
		for _, h := range hosts {
			ok = ok || u.Host == h
		}
		if !ok {
			b.t.Errorf("the page made the browser ask %s", u)
		}
	}
	if asked == 0 {
		b.t.Error("the browser's log shows no request at all")
	}
	for _, c := range complaints {
		if c.Level == "SEVERE" || strings.Contains(c.Message, "Content Security Policy") {
			b.t.Errorf("the browser complains: %s", c.Message)
		}
	}
}

// node is a node of the tree that Chromium shows to screen readers.
type node struct {
	NodeID   string
	ParentID string
	Ignored  bool
	Role     struct{ Value string }
	Name     struct{ Value string }
	ChildIDs []string
}

// spoken is that tree as text, one thing a line.
func (b *browser) spoken() string {
	b.t.Helper()
	var tree struct{ Nodes []node }
	b.cdp("Accessibility.getFullAXTree", args{}, &tree)
	byID := map[string]*node{}
	for i := range tree.Nodes {
		byID[tree.Nodes[i].NodeID] = &tree.Nodes[i]
	}
	var out strings.Builder
	var say func(n *node, depth int)
	say = func(n *node, depth int) {
		role := n.Role.Value
		quiet := n.Ignored || role == "none" || role == "generic" || role == "InlineTextBox" || role == "StaticText" && depth > 0 && said(byID[n.ParentID], n)
		if !quiet {
			fmt.Fprintf(&out, "%s%s", strings.Repeat("  ", depth), role)
			if n.Name.Value != "" {
				fmt.Fprintf(&out, " %q", n.Name.Value)
			}
			out.WriteByte('\n')
			depth++
		}
		for _, id := range n.ChildIDs {
			if child := byID[id]; child != nil {
				say(child, depth)
			}
		}
	}
	if len(tree.Nodes) > 0 {
		say(&tree.Nodes[0], 0)
	}
	return out.String()
}

// said is true for a text that is the name of what holds it.
func said(parent, text *node) bool { return parent != nil && parent.Name.Value == text.Name.Value }

// changing are parts of a page that are others every time.
var changing = regexp.MustCompile(`[0-9a-f]{64}|[0-9a-f]{24}|[0-9]+\.[0-9] MiB|127\.0\.0\.1:[0-9]+`)

// golden holds what a screen reader is told against its file.
func (b *browser) golden(name string) {
	b.t.Helper()
	got := changing.ReplaceAllStringFunc(b.spoken(), func(s string) string {
		switch {
		case len(s) == 64:
			return "DIGEST"
		case strings.HasSuffix(s, "MiB"):
			return "SIZE"
		case strings.Contains(s, ":"):
			return "ADDRESS"
		}
		return "SESSION"
	})
	file := filepath.Join("testdata", name+".txt")
	if *rewrite {
		must(b.t, os.MkdirAll("testdata", 0o755))
		must(b.t, os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	must(b.t, err)
	if got != string(want) {
		b.t.Errorf("a screen reader is told:\n%swant (%s):\n%s", got, file, want)
	}
}

// TestMeasureCanFail: a page that breaks every rule is found out.
func TestMeasureCanFail(t *testing.T) {
	requireBrowser(t)
	b := newDriver(t).open(t, looks{language: "en", width: 320})
	must(t, b.visit("data:text/html,<html lang=xx><h3>x</h3><p style='color:%23999;background:%23fff'>pale</p><a href=/ style='font-size:4px'>tiny</a><button></button><div style='width:500px'>wide</div>"))
	var f found
	b.script(measure, &f)
	if f.Lang != "xx" || f.Width <= 320 || len(f.Faint) != 1 || len(f.Small) == 0 || len(f.Silent) != 1 || f.Levels[0] != 3 {
		t.Errorf("the measure overlooks faults: %+v", f)
	}
}
