package console

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
)

// sessionPage is a session, why it stands where it does, and what the live log has of it.
type sessionPage struct {
	sessionRow
	Log []logRow
	Why string // in words, as the command line tells it
}

func (h *handler) pageSession(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	row, ok := h.source.Session(id)
	if !ok {
		return unknownSession(id)
	}
	var s sessionPage
	if err := convert(row, &s.sessionRow); err != nil {
		return err
	}
	f := Filter{Fields: Fields{SessionID: s.SessionID}}
	err := h.source.LiveLog(r.Context(), 0, 50, false, &f, func(_ uint64, row Row) error {
		l, err := rowOf[logRow](row)
		if l.Missed == 0 {
			s.Log = append(s.Log, l)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Reverse(s.Log)
	s.Why = h.why(r.Context(), s.SessionID)
	page := h.frame("session", "Session "+s.SessionID, Filter{}, nil)
	page.Rows, page.JSON = s, "/api/v1/sessions/"+url.PathEscape(id)
	return h.views.show(w, http.StatusOK, "session", page)
}

// why explains a session in words; empty when nobody can.
func (h *handler) why(ctx context.Context, id string) string {
	if h.operator == nil {
		return ""
	}
	request, err := json.Marshal(map[string]string{"session": id})
	if err != nil {
		return ""
	}
	row, err := h.operator.Explain(ctx, request)
	if err != nil {
		return "" // it ended while the page was made
	}
	w, err := rowOf[whyRow](row)
	if err != nil {
		h.log.Error("console: explanation", "session", id, "error", err)
	}
	return w.Text
}

// pageFolded shows the rows that one row of the live log stands for.
func (h *handler) pageFolded(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	page := h.frame("folded", "Repeated failures", Filter{}, nil)
	rows, cut, err := collect[logRow](page.Max, func(emit func(Row) error) error {
		return h.source.Folded(r.Context(), id, emit)
	})
	if err != nil {
		return err
	}
	for i := range rows { // they are what is behind it
		rows[i].FoldID = ""
	}
	page.Rows, page.Cut, page.JSON = rows, cut, "/api/v1/livelog/folded/"+url.PathEscape(id)
	return h.views.show(w, http.StatusOK, "folded", page)
}

// pageShadow shows what the configuration in the shadow would have decided otherwise.
func (h *handler) pageShadow(w http.ResponseWriter, r *http.Request) error {
	row, ok := h.source.Shadow()
	if !ok {
		return noShadow()
	}
	s, err := rowOf[shadowRow](row)
	if err != nil {
		return err
	}
	page := h.frame("shadow", "Shadow", Filter{}, nil)
	page.Rows, page.JSON = s, "/api/v1/shadow"
	return h.views.show(w, http.StatusOK, "shadow", page)
}
