package endtoend

import (
	"strings"
	"syscall"
	"testing"

	"sallyport/engine"
	"sallyport/engine/record"
)

// TestRecordAndReplay: a real appliance writes down what it is told; the program runs that
// through the same configuration, where nothing changes, and through a stricter one.
func TestRecordAndReplay(t *testing.T) {
	t.Parallel()
	a := newAppliance(t, "authorization:\n", "records: {recording: {file: recording.jsonl, megabytes: 8}}\nauthorization:\n")
	n := newNAS(t, "127.0.0.3")
	d := a.device()
	d.bind(n.redirected(a, auditID))
	d.compliant()
	d.send(d.document("active"))
	n.redirected(a, auditID[:23]+"7")
	out, fault, code := a.program("replay", "--config", a.path("sallyport.yaml"), "--from", a.path("recording.jsonl"), "--most", "0")
	if code != 0 || !strings.Contains(out, "0 decisions of 0 sessions change") {
		t.Errorf("while it runs: exit code %d\n%s%s", code, out, fault)
	}
	a.signal(t, syscall.SIGTERM)
	if code := a.exit(t); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	text := a.read("sallyport.yaml")
	a.write("next.yaml", edited(t, text, `session.authenticated && session.posture == "Compliant"`, `session.nas == "asa" && session.posture == "Compliant"`))
	for config, want := range map[string]struct {
		code  int
		words []string
	}{
		"sallyport.yaml": {0, []string{"0 decisions of 0 sessions change"}},
		"next.yaml":      {1, []string{`rule "Compliant_Devices_Access", FullAccess, Compliant -> rule "Default", DenyAccess, Compliant`, "such as session " + auditID, "of 1 sessions change"}},
	} {
		out, fault, code := a.program("replay", "--config", a.path(config), "--from", a.path("recording.jsonl"), "--most", "0")
		if code != want.code || strings.Contains(out, "say nothing") {
			t.Errorf("%s: exit code %d\n%s%s", config, code, out, fault)
		}
		for _, words := range want.words {
			if !strings.Contains(out, words) {
				t.Errorf("%s: %q is not in\n%s", config, words, out)
			}
		}
	}
	if recording := a.read("recording.jsonl"); strings.Contains(recording, "ticket=") || strings.Contains(recording, sharedSecret) {
		t.Error("a secret is in the recording")
	}
}

// TestReloadWithCare: the command says what a configuration would change, is refused above
// the number that is allowed, and does it when told to. Beside it a shadow counts.
func TestReloadWithCare(t *testing.T) {
	t.Parallel()
	a := newAppliance(t, "authorization:\n", "reload: {most-changed: 0}\nshadow: {file: shadow.yaml}\nauthorization:\n")
	a.write("shadow.yaml", edited(t, a.read("sallyport.yaml"), `when: 'session.posture != "Compliant"', profile: Posture_Redirect}`, `when: 'session.posture != "Compliant"', profile: FullAccess}`))
	if out, fault, code := a.run("reload"); code != 0 || !strings.Contains(out, "In force now") {
		t.Fatalf("exit code %d\n%s%s", code, out, fault)
	}
	n := newNAS(t, "127.0.0.3")
	n.redirected(a, auditID)
	eventually(t, "the shadow has counted", func() bool {
		return ask[engine.ShadowView](a, "shadow")[0].Changed == 1
	})
	if out, _, code := a.run("shadow"); code != 0 || !strings.Contains(out, `Posture_Redirect, Pending -> rule "Posture_Unknown", FullAccess, Pending`) {
		t.Errorf("exit code %d\n%s", code, out)
	}
	a.edit(`when: 'session.posture != "Compliant"', profile: Posture_Redirect}`, `when: 'session.posture != "Compliant"', profile: FullAccess}`)
	before := ask[engine.Status](a, "status")[0].Revision
	for _, c := range []struct {
		args        []string
		code        int
		words       string
		sameAsShown bool
	}{
		{[]string{"reload", "--try"}, 0, "1 of 1 sessions change at once", true},
		{[]string{"reload"}, 1, "1 of 1, and at most 0 may (reload.most-changed: 0); sallyport reload --force", true},
		{[]string{"reload", "--force"}, 0, "In force now", false},
	} {
		out, fault, code := a.run(c.args...)
		if code != c.code || !strings.Contains(out+fault, c.words) {
			t.Errorf("%v: exit code %d\n%s%s", c.args, code, out, fault)
		}
		if now := ask[engine.Status](a, "status")[0].Revision; (now == before) != c.sameAsShown {
			t.Errorf("%v: revision %s, was %s", c.args, now, before)
		}
	}
}

// TestOpenFolded: a row with a count can be opened by the command.
func TestOpenFolded(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	n := newNAS(t, "127.0.0.3")
	for range 5 {
		n.exchange(a.auth(), n.pap("cisco", "wrong", auditID, nil))
	}
	row := a.row(func(d *record.Decision) bool { return d.RepeatCount == 4 })
	if row == nil || row.FoldID == "" {
		t.Fatalf("%+v", row)
	}
	if all := ask[record.Decision](a, "livelog", "--open", row.FoldID); len(all) != 5 {
		t.Errorf("%d rows, want 5", len(all))
	}
	if _, fault, code := a.run("livelog", "--open", "999"); code == 0 || !strings.Contains(fault, "no repeated failures") {
		t.Errorf("exit code %d: %s", code, fault)
	}
}
