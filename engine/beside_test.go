package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"sallyport/engine/policy"
	"sallyport/engine/record"
	"sallyport/engine/replay"
	"sallyport/netio/console"
	"sallyport/netio/radius"
)

// configured rewrites the rig's configuration and brings it into force by a restart.
func (r *rig) configured(old, with string) {
	r.t.Helper()
	r.edit(old, with)
	r.close()
	r.open()
}

func (r *rig) edit(old, with string) {
	r.t.Helper()
	text := read(r.t, r.dir+"/sallyport.yaml")
	if !strings.Contains(text, old) {
		r.t.Fatalf("%q is not in the configuration", old)
	}
	r.write("sallyport.yaml", strings.Replace(text, old, with, 1))
}

// day is what the recording is about: somebody who plugs a stick in, somebody whose profile
// rejects, a printer, accounting, a NAS that starts again.
func (r *rig) day() {
	r.t.Helper()
	_, ticket := r.redirect(r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit)))
	claimed, err := r.claim(audit, ticket)
	if err != nil {
		r.t.Fatal(err)
	}
	v, err := r.report(audit, claimed.Seq+1, claimed.Nonce, "")
	if err != nil {
		r.t.Fatal(err)
	}
	r.exchange(asaAddr, 1, r.acct(1, audit, nil))
	if v, err = r.report(audit, claimed.Seq+2, v.Nonce, "active"); err != nil || v.Status != "NonCompliant" {
		r.t.Fatal(v, err)
	}
	r.exchange(asaAddr, 0, r.pap("out", "cisco", audit[:23]+"1"))
	r.exchange(iosAddr, 0, r.mab())
	for range 3 { // nothing new comes of it
		r.exchange(iosAddr, 0, r.mab())
	}
	b := r.request(radius.AccountingRequest)
	b.U32(radius.AcctStatusType, 7)
	r.exchange(asaAddr, 1, r.seal(&b))
	r.idle()
}

// replayed runs a recording through a configuration.
func replayed(t *testing.T, path, configuration string) replay.Result {
	t.Helper()
	snap, _, faults := policy.Load(configuration)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	compare := replay.NewComparison(nil, &snap.Rules)
	if _, err := replay.Read(bytes.NewReader([]byte(read(t, path))), compare.Event); err != nil {
		t.Fatal(err)
	}
	return compare.Result()
}

// TestRecording: what an appliance wrote down gives the same decisions again by its own
// configuration, other ones by another, and no secret is in it.
func TestRecording(t *testing.T) {
	r := newRig(t, 1)
	r.configured("authorization:\n", "records: {recording: {file: day.jsonl, megabytes: 8}}\nauthorization:\n")
	r.day()
	status := r.e.Status()
	if status.Recording == nil || status.Recording.Events == 0 || status.Recording.Dropped != 0 || status.Recording.Fault != "" {
		t.Errorf("%+v", status.Recording)
	}
	r.close()
	path := filepath.Join(r.dir, "day.jsonl")
	text := read(t, path)
	for _, secret := range []string{"ticket=", `"nonce"`, sharedSecret, `"password"`, `"key"`} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in the recording", secret)
		}
	}
	same := replayed(t, path, filepath.Join(r.dir, "sallyport.yaml"))
	if same.Changed != 0 || same.Unknown != 0 || same.Events < 9 {
		t.Errorf("by the configuration of then:\n%s\n%s", same.Text(), text)
	}
	r.write("next.yaml", strings.Replace(read(t, r.dir+"/sallyport.yaml"), `session.posture == "Compliant"'`, `session.posture == "Compliant" && session.nas == "ios"'`, 1))
	next := replayed(t, path, filepath.Join(r.dir, "next.yaml"))
	if next.Sessions != 1 || len(next.Groups) != 2 || next.Groups[0].Before.Profile != "FullAccess" || next.Groups[0].After.Profile != "DenyAccess" {
		t.Errorf("by another configuration:\n%s\n%s", next.Text(), text)
	}
}

// TestRecordingOverReloads: it goes on, says which configuration came when, and ends when
// nobody asks for it any more.
func TestRecordingOverReloads(t *testing.T) {
	r := newRig(t, 1)
	r.edit("authorization:\n", "records: {recording: {file: day.jsonl, megabytes: 8}}\nauthorization:\n")
	for range 3 {
		if err := r.e.Reload(); err != nil {
			t.Fatal(err)
		}
		r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
		r.idle()
	}
	r.edit("day.jsonl, megabytes: 8", "day.jsonl, megabytes: 16")
	if err := r.e.Reload(); err != nil {
		t.Fatal(err)
	}
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
	r.edit("recording: {file: day.jsonl, megabytes: 16}", "keep: 1d")
	if err := r.e.Reload(); err != nil {
		t.Fatal(err)
	}
	r.exchange(asaAddr, 0, r.pap("cisco", "cisco", audit))
	for name, want := range map[string][2]int{"day.jsonl.1": {3, 3}, "day.jsonl": {1, 1}} {
		text := read(t, filepath.Join(r.dir, name))
		if logins, loads := strings.Count(text, `"login"`), strings.Count(text, `"configuration"`)+1; logins != want[0] || loads != want[1] {
			t.Errorf("%s: %d logins under %d configurations, want %v\n%s", name, logins, loads, want, text)
		}
	}
	if r.e.Status().Recording != nil {
		t.Error("there is a recording nobody asked for")
	}
	r.edit("keep: 1d", "recording: {file: nowhere/day.jsonl}")
	if err := r.e.Reload(); err != nil {
		t.Fatal(err)
	}
	if r.last(record.KindAlarm).Details != "Nothing is recorded" {
		t.Errorf("%+v", r.last(record.KindAlarm))
	}
}

// last is the newest row of a kind.
func (r *rig) last(kind record.Kind) (out record.Decision) {
	for _, d := range r.rows() {
		if d.Kind == kind {
			out = *d
		}
	}
	return out
}

// TestReloadRefusesTooMuch: a reload that would change more sessions than allowed changes
// nothing, says what by rule, and is done when somebody means it.
func TestReloadRefusesTooMuch(t *testing.T) {
	r := newRig(t, 1)
	r.configured("authorization:\n", "reload: {most-changed: 1}\nauthorization:\n")
	for i := range 3 {
		r.exchange(asaAddr, 0, r.pap("cisco", "cisco", fmt.Sprintf("%s%d", audit[:23], i)))
	}
	before := r.e.Revision()
	r.edit(`when: 'session.posture != "Compliant"', profile: Posture_Redirect`, `when: 'session.posture != "Compliant"', profile: FullAccess`)
	err := r.e.Reload()
	if !errors.Is(err, ErrTooMany) || r.e.Revision() != before {
		t.Fatalf("%v, revision %s", err, r.e.Revision())
	}
	for _, want := range []string{"3 of 3, and at most 1 may", "--force", `rule "Posture_Unknown", Posture_Redirect, Pending -> rule "Posture_Unknown", FullAccess, Pending`, "3 sessions"} {
		if reason := r.last(record.KindSystem).Reason; !strings.Contains(reason, want) {
			t.Errorf("%q is not in %q", want, reason)
		}
	}
	certificates := 0
	o := operator{e: r.e, certificate: func() error { certificates++; return nil }}
	row, err := o.Reload(context.Background(), json.RawMessage(`{"try":true}`))
	if try, ok := row.(*Reloaded); err != nil || !ok || try.Applied || try.Impact.Sessions != 3 || r.e.Revision() != before {
		t.Errorf("%+v %v", row, err)
	}
	if _, err := o.Reload(context.Background(), json.RawMessage(`{}`)); code(err) != "reload-refused" {
		t.Errorf("%v", err)
	}
	row, err = o.Reload(context.Background(), json.RawMessage(`{"force":true}`))
	if done, ok := row.(*Reloaded); err != nil || !ok || !done.Applied || done.Revision == before || certificates != 1 {
		t.Errorf("%+v %v, %d", row, err, certificates)
	}
}

// TestShadow: what another configuration would do is counted and shown, and nothing is
// done by it.
func TestShadow(t *testing.T) {
	r := newRig(t, 1)
	r.edit("authorization:\n", "shadow: {file: shadow.yaml}\nauthorization:\n")
	if err := r.e.Reload(); err != nil || r.last(record.KindAlarm).Details != "There is no shadow configuration: it has faults" {
		t.Fatalf("%v, %+v", err, r.last(record.KindAlarm))
	}
	if _, ok := (source{r.e}).Shadow(); ok {
		t.Error("there is a shadow without a file")
	}
	r.write("shadow.yaml", strings.Replace(read(t, r.dir+"/sallyport.yaml"), `session.posture == "Compliant"'`, `session.posture == "Compliant" && session.nas == "ios"'`, 1))
	if err := r.e.Reload(); err != nil {
		t.Fatal(err)
	}
	r.day()
	if s := r.session(audit); s.Grant.Profile == "DenyAccess" {
		t.Error("the shadow decides")
	}
	var v *ShadowView
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		row, ok := (source{r.e}).Shadow()
		if v = row.(*ShadowView); ok && v.Events >= 5 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", v)
		}
	}
	if v.Changed != 1 || len(v.Groups) != 1 || v.Groups[0].After != (replay.Outcome{Rule: "Default", Profile: "DenyAccess", Posture: "Compliant"}) || v.Dropped != 0 {
		t.Errorf("%s", v.Text())
	}
	var row *record.Decision
	for _, d := range r.rows() {
		if strings.HasPrefix(d.Details, "The shadow") {
			row = d
		}
	}
	if row == nil || !strings.Contains(row.Reason, `rule "Compliant_Devices_Access", FullAccess, Compliant -> rule "Default", DenyAccess`) || row.SessionID != audit {
		t.Errorf("%+v", row)
	}
	if s := r.e.Status().Shadow; s == nil || s.Groups != nil || s.Changed != 1 {
		t.Errorf("%+v", s)
	}
}

// TestFoldedRowsCanBeOpened: the live log shows a few of many failures alike, and each is
// there for who asks; of an endpoint that is exempt all are shown.
func TestFoldedRowsCanBeOpened(t *testing.T) {
	r := newRig(t, 1)
	for range 10 {
		r.exchange(asaAddr, 0, r.pap("cisco", "wrong", audit))
	}
	shown := r.rows()
	if last := shown[len(shown)-1]; len(shown) != 4 || last.RepeatCount != 8 || last.FoldID == "" {
		t.Fatalf("%d rows, the last %+v", len(shown), last)
	}
	var opened []*record.Decision
	each := func(row console.Row) error { opened = append(opened, row.(*record.Decision)); return nil }
	if err := (source{r.e}).Folded(context.Background(), shown[0].FoldID, each); err != nil || len(opened) != 10 {
		t.Fatalf("%d rows: %v", len(opened), err)
	}
	for i, d := range opened {
		if d.RepeatCount != uint64(i+1) || d.Identity != "cisco" || d.Reason != shown[0].Reason {
			t.Errorf("%d: %+v", i, d)
		}
	}
	if err := (source{r.e}).Folded(context.Background(), "999", each); code(err) != "unknown-fold" {
		t.Error(err)
	}
	r.edit("authorization:\n", `records: {never-fold: ["00:0C:29:C9:D9:37"]}`+"\nauthorization:\n")
	if err := r.e.Reload(); err != nil {
		t.Fatal(err)
	}
	before := len(r.rows())
	for range 10 {
		r.exchange(asaAddr, 0, r.pap("cisco", "wrong", audit))
	}
	if n := len(r.rows()) - before; n != 10 {
		t.Errorf("%d rows of an endpoint that is exempt, want 10", n)
	}
}
