// Package renew replaces the agent's program by a newer build.
//
//	appliance names a build -> signed with the key this agent was told?
//	  -> for this system?  newer than what runs?
//	  -> fetched, its digest is the one that was signed
//	  -> written beside the program, started with --version: does it say what it should?
//	  -> the program becomes FILE.old, the build the program, in one step each
//	  -> on trial: an appliance answers a report of it, or the program of before comes back
//
// Else nothing is taken back to an older version: that is for people.
package renew

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"sallyport/netio/report"
)

// Limits of a build.
const (
	BuildBytesMax = 256 << 20
	tryWithin     = 10 * time.Second // for --version
)

// Running is what asks for a build.
type Running struct {
	Version string
	OS      string // as in report.System
	Arch    string
	Key     ed25519.PublicKey // whoever signs builds
}

// Check says why a build must not be taken, nil when it may.
func (r *Running) Check(b *report.Build) error {
	if err := b.SignedBy(r.Key); err != nil {
		return err
	}
	if b.OS != r.OS || b.Arch != r.Arch {
		return fmt.Errorf("it is for %s on %s, and this is %s on %s", b.OS, b.Arch, r.OS, r.Arch)
	}
	if b.SHA256 == "" || b.File == "" {
		return errors.New("it has no digest or no file")
	}
	newer, err := newerThan(b.Version, r.Version)
	if err == nil && !newer {
		err = fmt.Errorf("it is not newer than %s", r.Version)
	}
	return err
}

// newerThan compares versions: numbers between dots, with a v before them or without.
func newerThan(offered, running string) (bool, error) {
	a, err := numbers(offered)
	if err != nil {
		return false, err
	}
	b, err := numbers(running)
	if err != nil {
		return false, err
	}
	for i := range max(len(a), len(b)) {
		if x, y := at(a, i), at(b, i); x != y {
			return x > y, nil
		}
	}
	return false, nil
}

func at(list []uint64, i int) uint64 {
	if i < len(list) {
		return list[i]
	}
	return 0
}

func numbers(version string) (out []uint64, err error) {
	for part := range strings.SplitSeq(strings.TrimPrefix(version, "v"), ".") {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the version %q is not numbers between dots and cannot be compared", version)
		}
		out = append(out, n)
	}
	return out, nil
}

// Install puts a build in the place of the program at path, when it has the digest and says
// that it is the version. The program of before, of version running, stays at path.old, and
// the build is on trial from its next start. On an error all is as it was.
func Install(ctx context.Context, path string, program []byte, b *report.Build, running string, now time.Time) error {
	if sum := sha256.Sum256(program); hex.EncodeToString(sum[:]) != b.SHA256 {
		return errors.New("what was fetched has another digest than the build that was signed")
	}
	next, old := path+newSuffix, path+oldSuffix
	if err := write(next, program); err != nil {
		return err
	}
	err := try(ctx, next, b.Version)
	if err == nil {
		// It is noted first: of a build that is not there yet the note says nothing.
		err = begin(path, trial{Version: b.Version, SHA256: b.SHA256, Before: running, At: now.UTC()})
	}
	if err == nil {
		err = keepOld(path, old)
	}
	if err == nil {
		if err = put(next, path, old); err != nil {
			err = errors.Join(err, restore(old, path))
		}
	}
	if err != nil {
		return errors.Join(err, drop(next), drop(path+trialSuffix))
	}
	return nil
}

// restore brings a program back that lies at old alone.
func restore(old, path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return os.Rename(old, path)
}

// write makes a file that is on the disk when it returns.
func write(path string, content []byte) (err error) {
	const everybodyRuns = 0o755
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, everybodyRuns)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(everybodyRuns), f.Sync(), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// busyMax is how often a program is tried again that a child of ours, which is just about
// to start, still holds open for writing.
const busyMax = 50

// try starts a build, which has to say its version.
func try(ctx context.Context, path, version string) error {
	ctx, cancel := context.WithTimeout(ctx, tryWithin)
	defer cancel()
	var said []byte
	var err error
	for range busyMax {
		cmd := exec.CommandContext(ctx, path, "--version")
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
		cmd.WaitDelay = time.Second
		if said, err = cmd.Output(); !busy(err) {
			break
		}
	}
	switch {
	case err != nil:
		return fmt.Errorf("the build does not start here: %w", err)
	case !sameWord(string(said), version):
		return fmt.Errorf("the build says that it is %.40q and not %s", strings.TrimSpace(string(said)), version)
	}
	return nil
}

func sameWord(said, version string) bool {
	for word := range strings.FieldsSeq(said) {
		if word == version {
			return true
		}
	}
	return false
}
