package console

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/netio/report"
)

// Fields are what a row can be filtered by, as text.
type Fields struct {
	SessionID            string
	Identity             string
	EndpointID           string
	IPAddress            string
	NetworkDevice        string
	PostureStatus        string
	AuthorizationPolicy  string
	AuthorizationProfile string
	Status               string // live log: pass, fail, session; sessions: live, ended
	Kind                 string // live log only
}

// Filter says which rows are wanted. A field that is not empty must be equal without
// regard to case; "*" in it stands for any characters.
type Filter struct {
	Fields
	Text string // must occur in one of the fields, without regard to case
}

// fieldTable are the parameters of a query, the same words as the keys of the rows.
var fieldTable = []struct {
	name string
	of   func(*Fields) *string
}{
	{"authorization_policy", func(f *Fields) *string { return &f.AuthorizationPolicy }},
	{"authorization_profile", func(f *Fields) *string { return &f.AuthorizationProfile }},
	{"endpoint_id", func(f *Fields) *string { return &f.EndpointID }},
	{"identity", func(f *Fields) *string { return &f.Identity }},
	{"ip_address", func(f *Fields) *string { return &f.IPAddress }},
	{"kind", func(f *Fields) *string { return &f.Kind }},
	{"network_device", func(f *Fields) *string { return &f.NetworkDevice }},
	{"posture_status", func(f *Fields) *string { return &f.PostureStatus }},
	{"session_id", func(f *Fields) *string { return &f.SessionID }},
	{"status", func(f *Fields) *string { return &f.Status }},
}

// Match says whether a row with these fields is wanted. It does not allocate for
// filters without text and wildcards.
func (f *Filter) Match(row *Fields) bool {
	for _, field := range fieldTable {
		if want := *field.of(&f.Fields); want != "" && !like(*field.of(row), want) {
			return false
		}
	}
	if f.Text == "" {
		return true
	}
	text := strings.ToLower(f.Text)
	for _, field := range fieldTable {
		if strings.Contains(strings.ToLower(*field.of(row)), text) {
			return true
		}
	}
	return false
}

// Empty says whether every row is wanted.
func (f *Filter) Empty() bool { return *f == Filter{} }

// Values are the parameters that make f again.
func (f *Filter) Values() url.Values {
	v := url.Values{}
	for _, field := range fieldTable {
		if s := *field.of(&f.Fields); s != "" {
			v.Set(field.name, s)
		}
	}
	if f.Text != "" {
		v.Set("text", f.Text)
	}
	return v
}

// like compares without regard to case; "*" in pattern stands for anything.
func like(s, pattern string) bool {
	if !strings.Contains(pattern, "*") {
		return strings.EqualFold(s, pattern)
	}
	s, pattern = strings.ToLower(s), strings.ToLower(pattern)
	parts := strings.Split(pattern, "*")
	first, last := parts[0], parts[len(parts)-1]
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, rest, found := strings.Cut(s, part)
		if !found {
			return false
		}
		s = rest
	}
	return true
}

// query reads the parameters of a request, each once, and refuses those that nobody
// reads: a filter misspelt would otherwise show everything.
type query struct {
	values url.Values
	seen   map[string]bool
	fault  *report.Problem
}

func newQuery(r *http.Request) *query {
	q := &query{seen: map[string]bool{}}
	var err error
	if q.values, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		q.refuse("the query cannot be read: %v", err)
	}
	return q
}

func (q *query) refuse(format string, args ...any) {
	if q.fault == nil {
		q.fault = &report.Problem{Status: http.StatusBadRequest, Code: report.CodeMalformed, Detail: fmt.Sprintf(format, args...)}
	}
}

func (q *query) text(name string) string {
	q.seen[name] = true
	values := q.values[name]
	switch {
	case len(values) == 0:
		return ""
	case len(values) > 1:
		q.refuse("%s is given twice", name)
	case len(values[0]) > filterMax:
		q.refuse("%s is longer than %d octets", name, filterMax)
	}
	return values[0]
}

func (q *query) number(name string, otherwise, most uint64) uint64 {
	s := q.text(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > most {
		q.refuse("%s=%s: want a number from 0 to %d", name, s, most)
	}
	return n
}

func (q *query) flag(name string) bool {
	s := q.text(name)
	on, err := strconv.ParseBool(s)
	if s != "" && err != nil {
		q.refuse("%s=%s: want true or false", name, s)
	}
	return on
}

// moment reads an instant, or a length of time that lies back: RFC 3339, a date, "90m"
// or "7d".
func (q *query) moment(name string, now time.Time) time.Time {
	s := q.text(name)
	if s == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.Add(-time.Duration(n) * 24 * time.Hour)
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d)
	}
	q.refuse("%s=%s: want a time such as 2016-03-11T15:57:39Z, a date, or a length such as 90m or 7d", name, s)
	return time.Time{}
}

func (q *query) filter() (f Filter) {
	for _, field := range fieldTable {
		*field.of(&f.Fields) = q.text(field.name)
	}
	f.Text = q.text("text")
	return f
}

// done refuses what was not read.
func (q *query) done() *report.Problem {
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		if !q.seen[name] {
			q.refuse("unknown parameter %.40q; known are %s", name, strings.Join(slices.Sorted(maps.Keys(q.seen)), ", "))
		}
	}
	return q.fault
}
