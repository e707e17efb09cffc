package remedy

import (
	"context"
	"errors"
	"strings"
	"testing"

	"sallyport/netio/report"
)

// TestAsk: scripts that answer a question say their status and what they printed; one that
// did not run says why, and what was said is not asked again until something was mended.
func TestAsk(t *testing.T) {
	w := newWorkshop(t, ToolsConfig{})
	const yes, no = "#!/bin/sh\necho noise >&2\necho asked >>did\necho all is well\n", "#!/bin/sh\necho 'two are missing'\nexit 2\n"
	w.files = map[string]string{"yes.sh": yes, "no.sh": no}
	fetch := func(_ context.Context, name string, _ int) ([]byte, error) {
		if text, ok := w.files[name]; ok {
			return []byte(text), nil
		}
		return nil, errors.New("404 Not Found")
	}
	ask := func(name, sha string) report.Script {
		t.Helper()
		got := w.tools.Ask(context.Background(), []report.ScriptProbe{{Name: name, SHA256: sha}}, fetch)
		if len(got.Items) != 1 || got.Items[0].Name != name || got.Items[0].SHA256 != sha {
			t.Fatalf("%+v", got)
		}
		return got.Items[0]
	}
	for range 2 {
		if s := ask("yes.sh", sum(yes)); s.State != report.StatePresent || s.Exit != 0 || s.Output != "all is well" {
			t.Errorf("%+v", s)
		}
	}
	if n := strings.Count(w.did(), "asked"); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
	w.tools.Forget()
	if ask("yes.sh", sum(yes)); strings.Count(w.did(), "asked") != 2 {
		t.Error("it was not asked again")
	}
	if s := ask("no.sh", sum(no)); s.State != report.StatePresent || s.Exit != 2 || s.Output != "two are missing" {
		t.Errorf("%+v", s)
	}
	for _, c := range []struct{ name, sha, want string }{{"no.sh", sum("another"), "another digest"}, {"none.sh", sum(yes + " "), "404"}} {
		if s := ask(c.name, c.sha); s.State != report.StateUnknown || !strings.Contains(s.Reason, c.want) {
			t.Errorf("%+v", s)
		}
	}
	w.tools.refuse = []string{report.VerbScript}
	if s := ask("no.sh", sum(no+" ")); s.State != report.StateUnknown || !strings.Contains(s.Reason, "configured to refuse") {
		t.Errorf("%+v", s)
	}
}
