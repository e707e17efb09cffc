package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/engine/step"
	"sallyport/netio/radius"
	"sallyport/sessions"
	"sallyport/sessions/store"
)

// TestANumberGivenAgain: the NAS lost its memory without a word and gives the number of a
// session to another. The old one is over, and what is to change of it reaches nobody.
func TestANumberGivenAgain(t *testing.T) {
	r := newRig(t, 1700)
	const second = "0a3042ca0001d00056e2dce4"
	for _, id := range []string{audit, second} {
		r.exchange(asaAddr, 0, r.pap("cisco", "cisco", id))
		r.exchange(asaAddr, 1, r.acct(step.AcctStart, id, nil))
	}
	if old := r.session(audit); old.Live() || !strings.Contains(old.EndCause, "Acct-Session-Id") {
		t.Errorf("live %v: %s", old.Live(), old.EndCause)
	}
	if s := r.session(second); !s.Live() || r.e.table.ByAcctSessionID(asaAddr.Addr(), "63815AAF").ID != s.ID {
		t.Errorf("%+v", s)
	}
	r.exchange(asaAddr, 1, r.acct(step.AcctInterim, audit, nil)) // late, of the old one
	if r.session(audit).Live() || !r.session(second).Live() {
		t.Error("a late record brought the old session back")
	}
}

// TestALoginSentAgain after a restart is the same session, though its NAS gives it no name;
// another login is another one.
func TestALoginSentAgain(t *testing.T) {
	r := newRig(t, 1700)
	login := r.pap("cisco", "cisco", "")
	first, _ := r.exchange(asaAddr, 0, login).Get(radius.Class)
	r.close()
	r.open()
	again, _ := r.exchange(asaAddr, 0, login).Get(radius.Class)
	if string(first) != string(again) || r.e.table.Len() != 1 {
		t.Errorf("%s and %s, %d sessions", first, again, r.e.table.Len())
	}
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", ""))
	if n := r.e.table.Len(); n != 2 {
		t.Errorf("%d sessions after another login", n)
	}
}

// TestAReloadThatCouldNotBeWritten is made up for when it can be, and one that the
// appliance did not see at its next start.
func TestAReloadThatCouldNotBeWritten(t *testing.T) {
	r := newRig(t, 1700)
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
	edit := func(old, with string) {
		r.write("sallyport.yaml", strings.Replace(read(t, filepath.Join(r.dir, "sallyport.yaml")), old, with, 1))
	}
	intended := func() string {
		s := r.session(audit)
		if s.Change != nil {
			return s.Change.Grant.Profile
		}
		return s.Grant.Profile // nobody answers: the change has been given up, and is tried again later
	}
	r.e.journal.SetFreeMin(1 << 62)
	failed := r.e.counters.failed.Load()
	edit(`session.posture == "Compliant"`, `session.posture != "NonCompliant"`)
	if err := r.e.Reload(); err != nil {
		t.Fatal(err)
	}
	await(t, "a commit that fails", func() bool { return r.e.counters.failed.Load() > failed })
	if intended() == "FullAccess" {
		t.Fatal("something was published that is not on disk")
	}
	r.e.journal.SetFreeMin(store.FreeMin)
	await(t, "full access by the new rules", func() bool {
		return intended() == "FullAccess" || r.session(audit).Settled.Profile == "FullAccess"
	})
	await(t, "the revision is noted", func() bool {
		last, err := os.ReadFile(r.e.revisionFile(r.e.snapshot()))
		return err == nil && string(last) == r.e.Revision()
	})
	r.close()
	edit(`session.posture != "NonCompliant"`, `session.posture == "Compliant"`)
	r.open()
	await(t, "the redirect by the rules that changed meanwhile", func() bool { return intended() == "Posture_Redirect" })
	if s := r.session(audit); s.Posture.Status != sessions.Pending {
		t.Errorf("%s", s.Posture.Status)
	}
}
