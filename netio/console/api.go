package console

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"sallyport/netio/report"
)

// followInterval is how often sessions are looked through for a reader that follows.
const followInterval = time.Second

// Media types of the answers.
const (
	typeLines  = "application/x-ndjson"
	typeEvents = "text/event-stream"
)

func (h *handler) getStatus(w http.ResponseWriter, r *http.Request) error {
	if p := newQuery(r).done(); p != nil {
		return p
	}
	return writeRow(w, h.source.Status())
}

func (h *handler) getCounters(w http.ResponseWriter, r *http.Request) error {
	if p := newQuery(r).done(); p != nil {
		return p
	}
	return writeRow(w, h.source.Counters())
}

func (h *handler) getSession(w http.ResponseWriter, r *http.Request) error {
	if p := newQuery(r).done(); p != nil {
		return p
	}
	row, ok := h.source.Session(r.PathValue("id"))
	if !ok {
		return unknownSession(r.PathValue("id"))
	}
	return writeRow(w, row)
}

func unknownSession(id string) *report.Problem {
	return &report.Problem{Status: http.StatusNotFound, Code: report.CodeUnknownSession, Detail: "no session has this id", Session: id}
}

func (h *handler) getSessions(w http.ResponseWriter, r *http.Request) error {
	q := newQuery(r)
	f, limit, follow := q.filter(), q.number("limit", 0, 1<<31-1), q.flag("follow")
	if p := q.done(); p != nil {
		return p
	}
	if follow {
		return h.followSessions(w, r, &f)
	}
	out := h.lines(w, r)
	defer out.stop()
	return out.end(h.source.Sessions(r.Context(), &f, int(limit), out.row))
}

// followSessions sends every session once, and again whenever its record changed.
func (h *handler) followSessions(w http.ResponseWriter, r *http.Request, f *Filter) error {
	release, p := h.place()
	if p != nil {
		return p
	}
	defer release()
	out := h.lines(w, r)
	defer out.stop()
	versions := map[string]uint64{}
	timer := time.NewTicker(followInterval)
	defer timer.Stop()
	for {
		err := h.source.Sessions(r.Context(), f, 0, func(row Row) error {
			var s struct {
				ID      string `json:"session_id"`
				Version uint64 `json:"version"`
			}
			b, err := json.Marshal(row)
			if err != nil {
				return err
			}
			if err := json.Unmarshal(b, &s); err != nil {
				return err
			}
			if was, known := versions[s.ID]; known && was == s.Version {
				return nil
			}
			versions[s.ID] = s.Version
			return out.line(b)
		})
		if err != nil {
			return out.end(err)
		}
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return nil
		}
	}
}

func (h *handler) getLiveLog(w http.ResponseWriter, r *http.Request) error {
	q := newQuery(r)
	f, after, follow := q.filter(), q.number("after", 0, 1<<63), q.flag("follow")
	limit := q.number("limit", 100, rowsMax)
	if p := q.done(); p != nil {
		return p
	}
	return h.sendLiveLog(w, r, after, int(limit), follow, &f)
}

func (h *handler) sendLiveLog(w http.ResponseWriter, r *http.Request, after uint64, limit int, follow bool, f *Filter) error {
	if follow {
		release, p := h.place()
		if p != nil {
			return p
		}
		defer release()
	}
	out := h.lines(w, r)
	defer out.stop()
	return out.end(h.source.LiveLog(r.Context(), after, limit, follow, f, func(_ uint64, row Row) error { return out.row(row) }))
}

// getStream follows the live log: server-sent events for a browser, else JSON lines.
func (h *handler) getStream(w http.ResponseWriter, r *http.Request) error {
	q := newQuery(r)
	f, after := q.filter(), q.number("after", 0, 1<<63)
	limit := q.number("limit", 100, rowsMax)
	if p := q.done(); p != nil {
		return p
	}
	if r.Header.Get("Accept") != typeEvents {
		return h.sendLiveLog(w, r, after, int(limit), true, &f)
	}
	release, p := h.place()
	if p != nil {
		return p
	}
	defer release()
	out := h.events(w, r)
	defer out.stop()
	return out.end(h.source.LiveLog(r.Context(), lastEvent(r, after), int(limit), true, &f, func(number uint64, row Row) error {
		b, err := json.Marshal(row)
		if err != nil {
			return err
		}
		return out.event("", number, b)
	}))
}

func (h *handler) getReport(w http.ResponseWriter, r *http.Request) error {
	q := newQuery(r)
	want := ReportQuery{Kind: r.PathValue("kind"), Since: q.moment("since", h.clock.Now()), DecisionID: q.text("decision_id"),
		Limit: int(q.number("limit", 0, 1<<31-1)), Filter: q.filter()}
	if p := q.done(); p != nil {
		return p
	}
	switch want.Kind {
	case ReportCondition, ReportEndpoint, ReportDetail:
	default:
		return &report.Problem{Status: http.StatusNotFound, Code: "unknown-report", Detail: "the reports are condition, endpoint and detail"}
	}
	out := h.lines(w, r)
	defer out.stop()
	return out.end(h.source.Report(r.Context(), want, out.row))
}

func (h *handler) getFolded(w http.ResponseWriter, r *http.Request) error {
	if p := newQuery(r).done(); p != nil {
		return p
	}
	out := h.lines(w, r)
	defer out.stop()
	return out.end(h.source.Folded(r.Context(), r.PathValue("id"), out.row))
}

func (h *handler) getShadow(w http.ResponseWriter, r *http.Request) error {
	if p := newQuery(r).done(); p != nil {
		return p
	}
	row, ok := h.source.Shadow()
	if !ok {
		return noShadow()
	}
	return writeRow(w, row)
}

func writeRow(w http.ResponseWriter, row Row) error {
	b, err := json.Marshal(row)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(append(b, '\n'))
	return err
}

// verb runs what an operator asked for and says who asked.
func (h *handler) verb(w http.ResponseWriter, r *http.Request, name, what string, do func(context.Context) (Row, error)) error {
	if h.operator == nil {
		return noSuchThing(w, r)
	}
	row, err := do(r.Context())
	h.log.Info("console: operator", "verb", name, "what", what, "by", Caller(r.Context()), "error", err)
	if err != nil {
		return err
	}
	return writeRow(w, row)
}

func (h *handler) postReauth(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	return h.verb(w, r, "reauthenticate", id, func(ctx context.Context) (Row, error) { return h.operator.Reauthenticate(ctx, id) })
}

func (h *handler) postDisconnect(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	return h.verb(w, r, "disconnect", id, func(ctx context.Context) (Row, error) { return h.operator.Disconnect(ctx, id) })
}

func (h *handler) postExplain(w http.ResponseWriter, r *http.Request) error {
	body, err := bodyOf(w, r)
	if err != nil {
		return err
	}
	return h.verb(w, r, "explain", "", func(ctx context.Context) (Row, error) { return h.operator.Explain(ctx, body) })
}

func (h *handler) postReload(w http.ResponseWriter, r *http.Request) error {
	body, err := bodyOf(w, r)
	if err != nil {
		return err
	}
	return h.verb(w, r, "reload", string(body), func(ctx context.Context) (Row, error) { return h.operator.Reload(ctx, body) })
}

// bodyOf is the JSON that came with a verb.
func bodyOf(w http.ResponseWriter, r *http.Request) (json.RawMessage, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyBytesMax))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &report.Problem{Status: http.StatusRequestEntityTooLarge, Code: report.CodeTooLarge, Detail: "what was sent is too large"}
	case err != nil:
		return nil, err
	case !json.Valid(body):
		return nil, &report.Problem{Status: http.StatusBadRequest, Code: report.CodeMalformed, Detail: "the body is not JSON"}
	}
	return body, nil
}

func (h *handler) postTest(w http.ResponseWriter, r *http.Request) error {
	if h.operator == nil {
		return noSuchThing(w, r)
	}
	nas := r.PathValue("nas")
	out := h.lines(w, r)
	defer out.stop()
	err := h.operator.TestNAS(r.Context(), nas, out.row)
	h.log.Info("console: operator", "verb", "test", "what", nas, "by", Caller(r.Context()), "error", err)
	return out.end(err)
}

func noShadow() error {
	return &report.Problem{Status: http.StatusNotFound, Code: "no-shadow", Detail: "no configuration is tried in the shadow: see shadow.file"}
}
