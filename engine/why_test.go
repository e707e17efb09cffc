package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/coa"
	"sallyport/engine/policy"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// asked is what an operator gets who asks why, and all of it as text.
func (s *stage) asked(id string) (policy.Why, string) {
	s.t.Helper()
	row, err := operator{e: s.e}.Explain(context.Background(), json.RawMessage(fmt.Sprintf(`{"session": %q}`, id)))
	if err != nil {
		s.t.Fatal(err)
	}
	octets, err := json.Marshal(row)
	if err != nil {
		s.t.Fatal(err)
	}
	var answer struct {
		Why policy.Why `json:"why"`
	}
	if err := json.Unmarshal(octets, &answer); err != nil { // as the command does
		s.t.Fatal(err)
	}
	text := answer.Why.Text()
	b := &s.session(id).Posture.Binding
	for _, secret := range []string{b.Nonce, s.e.tickets.ticket(s.session(id))} {
		if secret != "" && strings.Contains(text+string(octets), secret) {
			s.t.Errorf("%s is shown", secret)
		}
	}
	return answer.Why, text
}

// TestWhyASessionStandsWhereItDoes: what decided, down to the fact; why not as before; what
// would open the gate; what happens next; and the person's part of it on the page.
func TestWhyASessionStandsWhereItDoes(t *testing.T) {
	s := newStage(t, "AGENT", "lost: noncompliant, remediation-over: disconnect")
	wants := func(what string, text string, all ...string) {
		t.Helper()
		for _, want := range all {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in\n%s", what, want, text)
			}
		}
	}
	s.play("0 login")
	w, text := s.asked(audit)
	if w.Opens == nil || w.Before != nil || w.Posture == nil || w.DecisionID != "" {
		t.Errorf("%+v", w)
	}
	wants("nobody reported", text, "no report was received", `rule "Others"`, "pending_by", "opens the gate (Full")

	s.play("1 clean")
	s.settle(coa.ACK)
	if w, _ = s.asked(audit); w.Opens != nil || w.Authorization.Profile != "Full" {
		t.Errorf("open: %+v", w.Opens)
	}
	s.play("2 stick")
	s.settle(coa.ACK)
	w, text = s.asked(audit)
	if w.Before == nil || w.Before.Profile != "Full" || w.Before.Posture != "Compliant" || w.DecisionID == "" || w.Opens == nil ||
		len(w.Opens.Changes) != 1 || !strings.HasPrefix(w.Opens.Changes[0], "USB_Check passes") || w.Opens.Profile != "Full" {
		t.Errorf("%+v %+v", w.Before, w.Opens)
	}
	wants("a stick", text, "decision "+w.DecisionID, "configuration "+s.e.Revision(), "stage.yaml:", "port 2-1", "USB_Block was passed and is failed",
		`session.posture is "NonCompliant"`, "remedy_by", "What the person is told:\n  Remove the USB disk")

	ticket := s.e.tickets.ticket(s.session(audit))
	view, ok := s.e.Posture().Gateway(audit, ticket)
	if !ok {
		t.Fatal("no page")
	}
	wants("the page", view.Message, "Remove the USB disk", "port 2-1", "The connection ends in 4m0s unless this is put right.")
	if strings.Contains(view.Message, "stage.yaml") || strings.Contains(view.Message, "Others") {
		t.Errorf("the person is told of rules: %s", view.Message)
	}

	s.crash()
	w, text = s.asked(audit)
	if w.Opens == nil || w.Opens.Profile != "Full" || w.Before == nil {
		t.Errorf("after a restart: %+v", w)
	}
	wants("after a restart", text, "is not in memory any more", "USB_Block (mandatory) failed", "USB_Block is met, instead of USB_Check: in use", "Remove the USB disk")

	s.play("3 clean")
	s.settle(coa.ACK)
	s.pass(time.Hour)
	s.settle(coa.ACK)
	w, text = s.asked(audit)
	if w.Before == nil || w.Before.Profile != "Full" {
		t.Errorf("%+v", w.Before)
	}
	wants("lost", text, "The agent fell silent", `session.posture is "NonCompliant"`)
	s.crash()
	_, text = s.asked(audit)
	wants("lost, and started again", text, "posture NonCompliant since 2026-03-11T15:30:39Z: agent lost")
}

// TestGraceIsTold to the person, with the verdict and on the page.
func TestGraceIsTold(t *testing.T) {
	s := newStage(t, "GRACE", "10m")
	s.play("0 login")
	s.play("1 clean")
	s.pass(time.Minute)
	v := s.reports(audit, report.TriggerEvent, stuck)
	if v.Status != "NonCompliant" || !strings.HasSuffix(v.Message, "You keep your access for another 10m0s, and no longer unless this is put right.") {
		t.Errorf("%s: %q", v.Status, v.Message)
	}
	s.pass(3 * time.Minute)
	view, ok := s.e.Posture().Gateway(audit, s.e.tickets.ticket(s.session(audit)))
	if !ok || view.Status != "NonCompliant" || !strings.Contains(view.Message, "another 7m0s") {
		t.Errorf("%v %+v", ok, view)
	}
}

// TestReportsHeardAreBounded: the oldest make room, a newer decision has no older facts.
func TestReportsHeardAreBounded(t *testing.T) {
	h := newHeard()
	raw := []byte(`{"v":1,"message":"` + strings.Repeat("x", 1<<20) + `"}`)
	for i := range 100 {
		h.keep(heardReport{id: sessions.ID(fmt.Sprint(i)), decisionID: "d", raw: raw})
		h.keep(heardReport{id: "same", decisionID: fmt.Sprint(i), raw: []byte(`{"v":1}`)})
	}
	if h.octets > heardOctets || len(h.byID) != h.order.Len() || len(h.byID) > 33 || len(h.byID) < 30 {
		t.Errorf("%d octets of %d reports", h.octets, len(h.byID))
	}
	of := func(id, decision string) bool {
		return h.of(&sessions.Session{ID: sessions.ID(id), Posture: sessions.Posture{DecisionID: decision}}) != nil
	}
	if of("0", "d") || !of("99", "d") || of("same", "98") || !of("same", "99") {
		t.Error("another report is kept than the last")
	}
	for id := range h.byID {
		h.forget(id)
	}
	if h.octets != 0 || h.order.Len() != 0 {
		t.Error(h.octets)
	}
}
