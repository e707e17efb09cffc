package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/engine/replay"
	"sallyport/engine/step"
)

// TestReplayCommand runs a recording through another configuration, as people do: it says
// what changes, and fails above the number that is allowed.
func TestReplayCommand(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const head = "appliance: {name: a.example.com, state: state}\nauthorization:\n  rules: [{rule: all, when: 'session.user != \"ann\"', profile: "
	old := write("old.yaml", head+"PermitAccess}]\n  default: PermitAccess\n")
	next := write("next.yaml", head+"PermitAccess}]\n")
	var recording strings.Builder
	encoder := json.NewEncoder(&recording)
	at := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	for i, what := range []any{
		replay.Header{V: replay.Version, Revision: "then", At: at},
		replay.Login(at, &step.LoginInput{Attributes: step.Attributes{ID: "s1", UserName: "ann"}}, replay.Outcome{Rule: "Default", Profile: "PermitAccess", Posture: "NotApplicable"}),
		replay.Login(at, &step.LoginInput{Attributes: step.Attributes{ID: "s2", UserName: "bob"}}, replay.Outcome{Rule: "all", Profile: "PermitAccess", Posture: "NotApplicable"}),
	} {
		if err := encoder.Encode(what); err != nil {
			t.Fatal(i, err)
		}
	}
	from := write("recording", recording.String())
	for _, against := range []string{"", old} {
		if err := (&replayCmd{Config: next, From: from, Against: against, Most: 1}).Run(); err != nil {
			t.Errorf("against %q: %v", against, err)
		}
		if err := (&replayCmd{Config: next, From: from, Against: against, Most: 0}).Run(); err == nil || !strings.Contains(err.Error(), "1 sessions change") {
			t.Errorf("against %q: %v", against, err)
		}
	}
	if err := (&replayCmd{Config: old, From: from, Most: 0}).Run(); err != nil {
		t.Error(err)
	}
}
