package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport/engine/authn"
	"sallyport/engine/policy"
)

// TestExampleConfiguration loads the example that is handed out, as it is, with the
// files it names beside it; its policy tests pass, and its user is who its file says.
func TestExampleConfiguration(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secrets", "asa"), []byte(strings.Repeat("s3cret-", 5)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sallyport.yaml", "users.yaml"} {
		b, err := os.ReadFile(filepath.Join("../../ops/deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := policy.Check(filepath.Join(dir, "sallyport.yaml"))
	if o.ExitCode() != 0 || len(o.Snapshot.Config.Tests) != 2 {
		t.Fatal(o.Text())
	}
	id, outcome := o.Snapshot.Users.Verify("cisco", []byte("cisco"))
	if outcome != authn.OK || !slices.Equal(id.Groups, []string{"employees"}) {
		t.Errorf("the user of users.yaml: %s, %+v", outcome, id)
	}
	for _, w := range o.Warnings {
		if !strings.Contains(w.Error(), "agents-directory") { // exists where it is installed
			t.Errorf("warning: %s", w.Error())
		}
	}
}
