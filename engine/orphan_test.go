package engine

import (
	"strings"
	"testing"

	"sallyport/engine/step"
	"sallyport/netio/radius"
	"sallyport/sessions"
)

// TestAnOrphanGetsNoChange: a login that a nameless session came of, and no accounting,
// ends when it is to be changed and the NAS has another session of the same login; what
// was meant for it would reach that one. Without accounting nobody knows which is which.
func TestAnOrphanGetsNoChange(t *testing.T) {
	r := newRig(t, 1700)
	login := func() []byte {
		class, ok := r.exchange(asaAddr, 0, r.pap("cisco", "cisco", "")).Get(radius.Class)
		if !ok {
			t.Fatal("no Class")
		}
		return append([]byte(nil), class...)
	}
	first, second := login(), login()
	change := func(class []byte) *sessions.Session {
		id := strings.TrimPrefix(string(class), "SP:")
		ev := &operatorEvent{id: sessions.ID(id), kind: sessions.ChangeReauth, who: "operator", finished: make(chan struct{})}
		if !r.e.core.submit(ev) {
			t.Fatal("the core takes nothing")
		}
		<-ev.finished
		r.idle()
		r.idle()
		return r.session(id)
	}
	if s := change(first); !s.Live() || s.Change == nil {
		t.Fatalf("without accounting of the other: live %v, change %+v", s.Live(), s.Change)
	}
	r.exchange(asaAddr, 1, r.acct(step.AcctStart, "", func(b *radius.Builder) { b.Bytes(radius.Class, second) }))
	if s := change(first); s.Live() || s.Change != nil || !strings.Contains(s.EndCause, "no accounting came") {
		t.Errorf("live %v, change %+v, %q", s.Live(), s.Change, s.EndCause)
	}
	if s := change(second); !s.Live() || s.Change == nil {
		t.Errorf("the one with accounting: live %v, change %+v", s.Live(), s.Change)
	}
}
