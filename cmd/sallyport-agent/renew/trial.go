package renew

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sallyport/cmd/sallyport-agent/keep"
)

// A build that took the program's place is on trial until an appliance has answered a report
// of it. What is known of that lies beside the program, so that it is read before anything
// else can go wrong:
//
//	PROGRAM         the build
//	PROGRAM.old     the program of before
//	PROGRAM.trial   JSON: which build, since when, how often it was started
//	PROGRAM.failed  JSON: the build that was taken back last, and why
//
// A build that is started more than StartsMax times in its trial and was never stopped by
// anybody, or that runs for Within
// without an answer, is taken back: PROGRAM.old becomes the program again.
const (
	StartsMax = 3
	Within    = 15 * time.Minute

	// triedAgain is when a build is taken once more that ran well and met no appliance: the
	// network may have been what failed.
	triedAgain = 24 * time.Hour

	oldSuffix, newSuffix, trialSuffix, failedSuffix = ".old", ".new", ".trial", ".failed"
)

// trial is the build that has to show what it is worth.
type trial struct {
	Version string    `json:"version"`
	SHA256  string    `json:"sha256"`
	Before  string    `json:"before"` // version of PROGRAM.old
	At      time.Time `json:"at"`
	Starts  int       `json:"starts"`
}

// Failure is a build that was taken back.
type Failure struct {
	Version string     `json:"version"`
	SHA256  string     `json:"sha256"`
	Why     string     `json:"why"`
	At      time.Time  `json:"at"`
	Again   *time.Time `json:"again,omitempty"` // from when on it may be tried again; nil: never
}

// String is the failure in words.
func (f *Failure) String() string {
	return fmt.Sprintf("build %s was taken back: %s", f.Version, f.Why)
}

// beside splits a program's path into its directory and the name of a file beside it.
func beside(program, suffix string) (keep.Dir, string) {
	return keep.Dir(filepath.Dir(program)), filepath.Base(program) + suffix
}

func read(program, suffix string, v any) error {
	text, err := os.ReadFile(program + suffix)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	return err
}

func begin(program string, t trial) error {
	dir, name := beside(program, trialSuffix)
	return dir.WriteJSON(name, t, keep.Public)
}

// Guard counts a start of the program, and takes back a build that was started too often
// without an answer: then whoever calls has to end, so that the program of before is started.
// It comes before whatever may go wrong.
func Guard(program, version string, now time.Time) (back *Failure, err error) {
	var t trial
	if err := read(program, trialSuffix, &t); err != nil {
		return nil, nil // hardly ever is there a trial, and one that cannot be read judges nobody
	}
	if t.Version != version { // somebody put another program here, or it was taken back
		return nil, drop(program + trialSuffix)
	}
	if t.Starts++; t.Starts <= StartsMax {
		return nil, begin(program, t)
	}
	return TakeBack(program, version, fmt.Sprintf("it was started %d times, and no appliance ever answered it", StartsMax), now, false)
}

// Forgive takes a start back that ended because somebody stopped the program: it says nothing of
// the build.
func Forgive(program, version string) error {
	var t trial
	if read(program, trialSuffix, &t) != nil || t.Version != version || t.Starts == 0 {
		return nil
	}
	t.Starts--
	return begin(program, t)
}

// OnTrial says whether the program is a build that no appliance has answered yet.
func OnTrial(program, version string) bool {
	var t trial
	return read(program, trialSuffix, &t) == nil && t.Version == version
}

// Confirm ends a trial well.
func Confirm(program string) error {
	return errors.Join(drop(program+trialSuffix), drop(program+failedSuffix))
}

// TakeBack makes the program of before the program again, and notes why. again: the build may
// be tried once more, a day later.
func TakeBack(program, version, why string, now time.Time, again bool) (*Failure, error) {
	var t trial
	if err := read(program, trialSuffix, &t); err != nil {
		return nil, fmt.Errorf("there is no trial of %s: %w", version, err)
	}
	f := &Failure{Version: t.Version, SHA256: t.SHA256, Why: why, At: now.UTC()}
	if again {
		at := f.At.Add(triedAgain)
		f.Again = &at
	}
	if _, err := os.Stat(program + oldSuffix); err != nil {
		return nil, errors.Join(fmt.Errorf("build %s stays, since the program of before is gone: %w", version, err), drop(program+trialSuffix))
	}
	// The failure is written first, and the trial goes last: an end in between is met by the
	// next start.
	dir, name := beside(program, failedSuffix)
	if err := dir.WriteJSON(name, f, keep.Public); err != nil {
		return nil, err
	}
	if err := put(program+oldSuffix, program, program+newSuffix); err != nil {
		return nil, err
	}
	_ = drop(program + newSuffix) // where it still runs from there, the next renewal does it
	return f, drop(program + trialSuffix)
}

// Failed is the build that was taken back last, nil when there is none.
func Failed(program string) *Failure {
	var f Failure
	if read(program, failedSuffix, &f) != nil {
		return nil
	}
	return &f
}

// Bars says why a build with a digest must not be tried now, nil when it may.
func (f *Failure) Bars(sha256 string, now time.Time) error {
	switch {
	case f == nil || f.SHA256 != sha256:
		return nil
	case f.Again == nil:
		return fmt.Errorf("this very %w", errors.New(f.String()))
	case now.Before(*f.Again):
		return fmt.Errorf("this very %s; it is tried again from %s", f, f.Again.Format(time.RFC3339))
	}
	return nil
}

func drop(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
