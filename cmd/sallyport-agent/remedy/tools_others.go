//go:build !linux

package remedy

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/netio/report"
)

func (t *Tools) patch(context.Context, string) Outcome { return Outcome{Refused, notInThisBuild} }

func (t *Tools) uninstall(context.Context, string) Outcome { return Outcome{Refused, notInThisBuild} }

// file puts a file into the agent's own directory for files, and nowhere else: who else may
// write to another one cannot be told on this system in this build.
func (t *Tools) file(ctx context.Context, a *report.Action, fetch Fetch) Outcome {
	name, err := report.FileName(a)
	perms, wrong := strconv.ParseUint(orElse(a.Permissions, filePerms), 8, 32)
	switch {
	case err != nil:
		return Outcome{Refused, err.Error()}
	case wrong != nil || !slices.Contains(report.FilePermissions(), orElse(a.Permissions, filePerms)):
		return Outcome{Refused, "the permissions " + collect.Printable(a.Permissions) + " are not among those that a file may have"}
	case len(t.files) != 1 || !strings.HasPrefix(t.files[0], string(t.dir)):
		return Outcome{Refused, "file-directory is " + notInThisBuild}
	case a.To != "" && a.To != name || strings.ContainsAny(name, `/:`):
		return Outcome{Refused, "this agent puts files into its own directory alone, by a plain name"}
	}
	path := filepath.Join(t.files[0], name)
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return Outcome{Refused, collect.Printable(path) + " is there, and no file"}
	}
	if f, err := os.Open(path); err == nil {
		sum, err := digestOf(f)
		f.Close()
		if err == nil && sum == a.SHA256 {
			return Outcome{Done, path + " was there already"}
		}
	}
	n, outcome := t.bring(ctx, a, fetch, path, os.FileMode(perms))
	if outcome.Result != "" {
		return outcome
	}
	noted := Fetched{Path: path, SHA256: a.SHA256, From: a.Target, Octets: n, At: t.clock.Now().UTC(), Requirement: a.Requirement}
	if err := t.note(noted); err != nil {
		t.log.Warn("it cannot be noted that a file was written", "path", path, "error", err)
	}
	return Outcome{Done, path + " was written, " + inOctets(n)}
}

// bring writes a file under another name until it is whole and has the digest.
func (t *Tools) bring(ctx context.Context, a *report.Action, fetch Fetch, path string, perms os.FileMode) (n int64, outcome Outcome) {
	part := filepath.Join(filepath.Dir(path), partPrefix+rand.Text())
	const owners = 0o600
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, owners)
	if err != nil {
		return 0, Outcome{Failed, reason(err)}
	}
	defer os.Remove(part) // it has another name by then, or is of no use
	n, sum, err := t.get(ctx, a, fetch, f)
	if err == nil {
		err = errors.Join(os.Chmod(part, perms), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, cannotFetch(err)
	}
	if sum != a.SHA256 {
		return 0, Outcome{Refused, "what is handed out as " + collect.Printable(a.Target) + " has another digest"}
	}
	if err := os.Rename(part, path); err != nil {
		return 0, Outcome{Failed, reason(err)}
	}
	return n, Outcome{}
}

// sweep takes away parts of files that an agent left that was killed.
func (t *Tools) sweep() {
	for _, dir := range t.files {
		parts, err := filepath.Glob(filepath.Join(dir, partPrefix+"*"))
		for _, part := range parts {
			err = errors.Join(err, os.Remove(part))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.log.Warn("what was left of a file cannot be taken away", "directory", dir, "error", err)
		}
	}
}
