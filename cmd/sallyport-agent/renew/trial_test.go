package renew

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"sallyport/netio/report"
)

const oldBuild, newBuild = "#!/bin/sh\necho sallyport-agent 1.0\n", "#!/bin/sh\necho sallyport-agent 2.0\n"

// installed has a program of version 1.0 replaced by 2.0, on trial.
func installed(t *testing.T) (path, sum string, now time.Time) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the builds of this test are shell scripts")
	}
	path = filepath.Join(t.TempDir(), "sallyport-agent")
	if err := os.WriteFile(path, []byte(oldBuild), 0o755); err != nil {
		t.Fatal(err)
	}
	sum, now = fmt.Sprintf("%x", sha256.Sum256([]byte(newBuild))), time.Unix(1_800_000_000, 0).UTC()
	if err := Install(context.Background(), path, []byte(newBuild), &report.Build{Version: "2.0", SHA256: sum}, "1.0", now); err != nil {
		t.Fatal(err)
	}
	return path, sum, now
}

func guard(t *testing.T, path, version string, now time.Time) *Failure {
	t.Helper()
	back, err := Guard(path, version, now)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// TestConfirmed: a build that an appliance answered stays, however often it is started.
func TestConfirmed(t *testing.T) {
	path, _, now := installed(t)
	for range StartsMax {
		if back := guard(t, path, "2.0", now); back != nil {
			t.Fatal(back)
		}
	}
	if err := Confirm(path); err != nil {
		t.Fatal(err)
	}
	for range 2 * StartsMax {
		if back := guard(t, path, "2.0", now); back != nil || OnTrial(path, "2.0") {
			t.Fatal(back)
		}
	}
	if content(t, path) != newBuild {
		t.Error("it is another program")
	}
}

// TestStartedTooOften: the program of before is back, and the build is never tried again.
func TestStartedTooOften(t *testing.T) {
	path, sum, now := installed(t)
	for range StartsMax {
		if back := guard(t, path, "2.0", now); back != nil {
			t.Fatal(back)
		}
	}
	back := guard(t, path, "2.0", now)
	if back == nil || back.String() != "build 2.0 was taken back: it was started 3 times, and no appliance ever answered it" {
		t.Fatalf("%v", back)
	}
	if content(t, path) != oldBuild || OnTrial(path, "2.0") {
		t.Error("the program of before is not back")
	}
	f := Failed(path)
	if err := f.Bars(sum, now.AddDate(10, 0, 0)); err == nil || !strings.Contains(err.Error(), "this very build 2.0 was taken back") {
		t.Error(err)
	}
	if err := f.Bars("another", now); err != nil {
		t.Error(err)
	}
	if back := guard(t, path, "1.0", now); back != nil {
		t.Error(back)
	}
}

// TestForgiven: an agent that is stopped and started again and again says nothing of its build.
func TestForgiven(t *testing.T) {
	path, _, now := installed(t)
	for range 5 * StartsMax {
		if back := guard(t, path, "2.0", now); back != nil {
			t.Fatal(back)
		}
		if err := Forgive(path, "2.0"); err != nil {
			t.Fatal(err)
		}
	}
	if err := Forgive(path, "1.0"); err != nil || !OnTrial(path, "2.0") {
		t.Error(err)
	}
}

// TestTakenBackForAWhile: a build that ran and met nobody is tried again a day later.
func TestTakenBackForAWhile(t *testing.T) {
	path, sum, now := installed(t)
	if back, err := TakeBack(path, "2.0", "no appliance answered it within 15m0s", now, true); back == nil || err != nil {
		t.Fatal(back, err)
	}
	if content(t, path) != oldBuild {
		t.Error("the program of before is not back")
	}
	f := Failed(path)
	if f.Bars(sum, now.Add(23*time.Hour)) == nil || f.Bars(sum, now.Add(25*time.Hour)) != nil {
		t.Errorf("%+v", f)
	}
	if err := Install(context.Background(), path, []byte(newBuild), &report.Build{Version: "2.0", SHA256: sum}, "1.0", now); err != nil {
		t.Fatal(err)
	}
	if err := Confirm(path); err != nil || Failed(path) != nil {
		t.Error("a failure that is over is still told", err)
	}
}

// TestEndInBetween: whatever step an end of the machine comes after, the next start has one of
// the two programs, and knows which.
func TestEndInBetween(t *testing.T) {
	path, _, now := installed(t)
	// Before the build got its name: the note is about nothing.
	if err := os.WriteFile(path, []byte(oldBuild), 0o755); err != nil {
		t.Fatal(err)
	}
	if back := guard(t, path, "1.0", now); back != nil || OnTrial(path, "2.0") {
		t.Error(back)
	}
	// After the failure was written, before the program of before came back.
	path, _, now = installed(t)
	dir, name := beside(path, failedSuffix)
	if err := dir.WriteJSON(name, Failure{Version: "2.0"}, 0o644); err != nil {
		t.Fatal(err)
	}
	for range StartsMax {
		guard(t, path, "2.0", now)
	}
	if back := guard(t, path, "2.0", now); back == nil || content(t, path) != oldBuild {
		t.Error(back)
	}
	// The program of before is gone: better a doubtful build than none.
	path, _, now = installed(t)
	if err := os.Remove(path + oldSuffix); err != nil {
		t.Fatal(err)
	}
	for range StartsMax {
		guard(t, path, "2.0", now)
	}
	if back, err := Guard(path, "2.0", now); back != nil || err == nil || content(t, path) != newBuild || OnTrial(path, "2.0") {
		t.Error(back, err)
	}
	if err := os.WriteFile(path+trialSuffix, []byte("{torn"), 0o644); err != nil {
		t.Fatal(err)
	}
	if back := guard(t, path, "2.0", now); back != nil || content(t, path) != newBuild {
		t.Error(back)
	}
}
