package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"time"

	"sallyport/netio/report"
	"sallyport/ops/clock"
)

// errEnough ends a Source that has more rows than a page takes.
var errEnough = errors.New("enough rows")

// frame is what every page has.
type frame struct {
	Page     string
	Title    string
	Name     string // of the appliance
	Status   statusRow
	Counters countersRow
	Filter   Filter
	Query    url.Values // as asked for, defaults filled in
	JSON     string     // the same rows as JSON
	Cut      bool       // there are more rows than are shown
	Max      int        // rows that are shown
	Rows     any
}

// Postures are the statuses in the order of the tiles.
func (frame) Postures() []string {
	return []string{"Compliant", "NonCompliant", "Pending", "Unknown", "NotApplicable"}
}

// Choices of how much to show.
func (frame) Limits() []string { return []string{"20", "50", "100", "200", "500"} }

// Choice is a length of time a report looks back.
type Choice struct{ Value, Text string }

// Sinces are the lengths that the reports offer.
func (frame) Sinces() []Choice {
	return []Choice{{"1h", "last hour"}, {"24h", "last 24 hours"}, {"7d", "last 7 days"}, {"30d", "last 30 days"}, {"36500d", "everything"}}
}

func (h *handler) pageRoutes(mux *http.ServeMux) {
	for pattern, a := range map[string]answer{
		"GET /{$}":            h.pageLiveLog,
		"GET /livelog/rows":   h.liveRows,
		"GET /sessions":       h.pageSessions,
		"GET /sessions/{id}":  h.pageSession,
		"GET /reports/{kind}": h.pageReport,
		"GET /shadow":         h.pageShadow,
		"GET /static/{file}":  h.staticFile,
		"GET /favicon.ico":    h.favicon,
		"/":                   noSuchThing,
		"GET /reports":        redirect("/reports/endpoint"),
		"GET /reports/{$}":    redirect("/reports/endpoint"),
		"GET /sessions/{$}":   redirect("/sessions"),
		"GET /livelog":        redirect("/"),

		"GET /livelog/folded/{id}": h.pageFolded,
	} {
		mux.Handle(pattern, h.pageProblems(a))
	}
}

func redirect(to string) answer {
	return func(w http.ResponseWriter, r *http.Request) error {
		http.Redirect(w, r, to, http.StatusSeeOther)
		return nil
	}
}

// pageProblems shows a refusal as a page.
func (h *handler) pageProblems(a answer) http.Handler {
	return h.problems(func(w http.ResponseWriter, r *http.Request) error {
		err := a(w, r)
		var p *report.Problem
		if !errors.As(err, &p) {
			return err
		}
		f := h.frame("problem", "Not possible", Filter{}, nil)
		f.Rows = p
		return h.views.show(w, p.Status, "problem", f)
	})
}

func (h *handler) frame(page, title string, f Filter, query url.Values) *frame {
	status, counters := h.summary()
	return &frame{Page: page, Title: title, Name: h.appliance, Status: status, Counters: counters, Filter: f, Query: query, Max: pageRowsMax}
}

func (h *handler) pageLiveLog(w http.ResponseWriter, r *http.Request) error {
	q := newQuery(r)
	f, limit := q.filter(), q.number("limit", 50, pageRowsMax)
	if p := q.done(); p != nil {
		return p
	}
	var rows []logRow
	err := h.source.LiveLog(r.Context(), 0, int(limit), false, &f, func(_ uint64, row Row) error {
		l, err := rowOf[logRow](row)
		if l.Missed == 0 { // what was overwritten before the page was opened is of no interest
			rows = append(rows, l)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Reverse(rows)
	query := f.Values()
	page := h.frame("livelog", "Live log", f, query)
	page.Rows = rows
	page.JSON = "/api/v1/livelog?" + query.Encode()
	query.Set("limit", strconv.FormatUint(limit, 10))
	return h.views.show(w, http.StatusOK, "livelog", page)
}

// liveRows streams the rows of the live log as parts of the page, and the counters
// above it whenever they changed.
func (h *handler) liveRows(w http.ResponseWriter, r *http.Request) error {
	q := newQuery(r)
	f, after := q.filter(), q.number("after", 0, 1<<63)
	if p := q.done(); p != nil {
		return p
	}
	release, p := h.place()
	if p != nil {
		return p
	}
	defer release()
	out := h.events(w, r)
	defer out.stop()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	told := h.tellCounters(ctx, out)
	shown := &pacer{clock: h.clock}
	err := h.source.LiveLog(ctx, lastEvent(r, after), pageRate, true, &f, func(number uint64, row Row) error {
		skipped, ok := shown.next()
		if !ok {
			return nil
		}
		if skipped > 0 {
			if err := h.sendRow(out, number-1, Missed{Missed: skipped}); err != nil {
				return err
			}
		}
		return h.sendRow(out, number, row)
	})
	cancel()
	<-told
	return out.end(err)
}

// sendRow sends a row as a part of the page.
func (h *handler) sendRow(out *stream, number uint64, row Row) error {
	l, err := rowOf[logRow](row)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := h.views.part(&b, "log-row", l); err != nil {
		return err
	}
	return out.event("row", number, b.Bytes())
}

// pageRate is how many rows a second a page shows: more cannot be read, and a browser
// that lays out thousands of them stands still.
const pageRate = 200

// pacer lets pageRate rows a second through and counts the others.
type pacer struct {
	clock   clock.Clock
	second  int64
	passed  int
	skipped uint64
}

// next says whether one more row may be shown, and how many were not before it.
func (p *pacer) next() (skipped uint64, ok bool) {
	if now := p.clock.Now().Unix(); now != p.second {
		p.second, p.passed = now, 0
	}
	if p.passed == pageRate {
		p.skipped++
		return 0, false
	}
	p.passed++
	skipped, p.skipped = p.skipped, 0
	return skipped, true
}

// every waits for d, and says whether ctx goes on.
func every(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// tellCounters sends the counters when they change, until ctx ends.
func (h *handler) tellCounters(ctx context.Context, out *stream) (told <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var last []byte
		for every(ctx, summaryAge) {
			status, counters := h.summary()
			b, err := json.Marshal(struct {
				countersRow
				Live    int `json:"sessions_live"`
				OpenCoA int `json:"coa_open"`
			}{counters, status.Live, status.OpenCoA})
			if err == nil && !bytes.Equal(b, last) {
				err = out.event("counters", 0, b)
				last = b
			}
			if err != nil {
				return
			}
		}
	}()
	return done
}

func (h *handler) pageSessions(w http.ResponseWriter, r *http.Request) error {
	q := newQuery(r)
	f := q.filter()
	if p := q.done(); p != nil {
		return p
	}
	page := h.frame("sessions", "Sessions", f, f.Values())
	rows, cut, err := collect[sessionRow](page.Max, func(emit func(Row) error) error {
		return h.source.Sessions(r.Context(), &f, pageRowsMax+1, emit)
	})
	if err != nil {
		return err
	}
	slices.SortFunc(rows, func(a, b sessionRow) int { return b.LastSeen.Compare(a.LastSeen) })
	page.Rows, page.Cut, page.JSON = rows, cut, "/api/v1/sessions?"+page.Query.Encode()
	return h.views.show(w, http.StatusOK, "sessions", page)
}

var reportTitles = map[string]string{ReportCondition: "Posture assessment by condition",
	ReportEndpoint: "Posture assessment by endpoint", ReportDetail: "Posture assessment in detail"}

// detailsMax is how many reports the detail page shows: each is a page of its own.
const detailsMax = 20

func (h *handler) pageReport(w http.ResponseWriter, r *http.Request) error {
	kind := r.PathValue("kind")
	if reportTitles[kind] == "" {
		return noSuchThing(w, r)
	}
	want, query, p := h.reportQuery(r, kind)
	if p != nil {
		return p
	}
	page := h.frame(kind, reportTitles[kind], want.Filter, query)
	page.JSON = "/api/v1/reports/" + kind + "?" + query.Encode()
	if kind == ReportDetail {
		page.Max = detailsMax
	}
	want.Limit = page.Max + 1 // one more tells that there are more
	if err := h.reportRows(r.Context(), want, page); err != nil {
		return err
	}
	return h.views.show(w, http.StatusOK, kind, page)
}

// reportQuery reads what a report page is asked for: the last day unless it says.
func (h *handler) reportQuery(r *http.Request, kind string) (ReportQuery, url.Values, *report.Problem) {
	q, now := newQuery(r), h.clock.Now()
	want := ReportQuery{Kind: kind, DecisionID: q.text("decision_id"), Since: q.moment("since", now), Filter: q.filter()}
	query := want.Filter.Values()
	switch since := q.text("since"); {
	case since != "":
		query.Set("since", since)
	case want.DecisionID == "":
		query.Set("since", "24h")
		want.Since = now.Add(-24 * time.Hour)
	}
	if want.DecisionID != "" {
		query.Set("decision_id", want.DecisionID)
	}
	return want, query, q.done()
}

func (h *handler) reportRows(ctx context.Context, want ReportQuery, page *frame) (err error) {
	rows := func(emit func(Row) error) error { return h.source.Report(ctx, want, emit) }
	switch want.Kind {
	case ReportCondition:
		page.Rows, page.Cut, err = collect[conditionRow](page.Max, rows)
	case ReportEndpoint:
		page.Rows, page.Cut, err = collect[endpointRow](page.Max, rows)
	case ReportDetail:
		page.Rows, page.Cut, err = collect[detailRow](page.Max, rows)
	}
	return err
}

// collect takes up to most rows and says whether there were more.
func collect[T any](most int, rows func(emit func(Row) error) error) (list []T, cut bool, err error) {
	err = rows(func(row Row) error {
		if len(list) == most {
			cut = true
			return errEnough
		}
		v, err := rowOf[T](row)
		list = append(list, v)
		return err
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return list, cut, err
}

// staticTypes are the kinds of file below static.
var staticTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

func (h *handler) staticFile(w http.ResponseWriter, r *http.Request) error {
	b, err := fs.ReadFile(static, "static/"+r.PathValue("file"))
	if err != nil {
		return noSuchThing(w, r)
	}
	w.Header().Set("Content-Type", staticTypes[path.Ext(r.PathValue("file"))])
	w.Header().Set("Cache-Control", "max-age=300")
	_, err = w.Write(b)
	return err
}

func (h *handler) favicon(w http.ResponseWriter, r *http.Request) error {
	return redirect("/static/icon.svg")(w, r)
}
