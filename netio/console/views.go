package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strings"
	"time"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed static
var static embed.FS

// views are the templates, each page with the common frame.
type views struct{ pages map[string]*template.Template }

var pageNames = []string{"livelog", "sessions", "session", "condition", "endpoint", "detail", "folded", "shadow", "problem"}

func newViews() (*views, error) {
	common, err := template.New("").Funcs(functions).ParseFS(templates, "templates/frame.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	v := &views{pages: map[string]*template.Template{}}
	for _, name := range pageNames {
		page, err := common.Clone()
		if err == nil {
			page, err = page.ParseFS(templates, "templates/"+name+".html")
		}
		if err != nil {
			return nil, err
		}
		v.pages[name] = page
	}
	return v, nil
}

// show renders a page whole before the first octet leaves, so that a template that
// fails shows as an error and not as half a page.
func (v *views) show(w http.ResponseWriter, status int, name string, data any) error {
	var b bytes.Buffer
	if err := v.pages[name].ExecuteTemplate(&b, "frame", data); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := b.WriteTo(w)
	return err
}

// part renders one named part, such as a row of a table.
func (v *views) part(w io.Writer, name string, data any) error {
	return v.pages["livelog"].ExecuteTemplate(w, name, data)
}

var functions = template.FuncMap{
	"when": func(t time.Time) string { return formatTime(t, "2006-01-02 15:04:05.000") },
	"on":   func(t time.Time) string { return formatTime(t, "2006-01-02 15:04:05") },
	"iso":  func(t time.Time) string { return formatTime(t, time.RFC3339Nano) },
	"list": func(s []string) string { return strings.Join(s, ", ") },
	// tone is how a status is coloured: what needs nobody, what waits, what needs somebody.
	"tone":    tone,
	"octets":  octets,
	"seconds": seconds,
	"millis":  func(s float64) string { return fmt.Sprintf("%.1f ms", s*1000) },
	"dict":    dict,
}

func formatTime(t time.Time, layout string) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(layout)
}

func tone(status string) string {
	switch strings.ToLower(status) {
	case "pass", "passed", "compliant", "ack", "blocked", "live", "ok":
		return "good"
	case "fail", "failed", "noncompliant", "nak", "active":
		return "bad"
	case "pending", "silent", "skipped", "unsayable", "protected_system_disk":
		return "waiting"
	case "session":
		return "info"
	}
	return "plain"
}

func octets(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for ; f >= 1024 && unit < len(units)-1; unit++ {
		f /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", f, units[unit])
}

func seconds(s float64) string {
	return (time.Duration(s) * time.Second).String()
}

// dict passes several values to a part of a template: name, value, name, value.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: %d values do not make pairs", len(pairs))
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m, nil
}
