package remedy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/netio/report"
)

// place is where a file goes: a directory that is held open, so that nobody can put another
// one in its place, and a name in it.
type place struct {
	dir  *os.File
	path string // of the file, below the root, for people
	name string
}

// file fetches a file and puts it where the action says, if that is where this agent lets
// files be put. Until it is whole and has the digest it lies under another name beside it.
func (t *Tools) file(ctx context.Context, a *report.Action, fetch Fetch) Outcome {
	perms, err := strconv.ParseUint(orElse(a.Permissions, filePerms), 8, 32)
	if err != nil || !slices.Contains(report.FilePermissions(), orElse(a.Permissions, filePerms)) {
		return Outcome{Refused, "the permissions " + collect.Printable(a.Permissions) + " are not among those that a file may have"}
	}
	at, err := t.placeOf(a)
	if err != nil {
		return Outcome{Refused, err.Error()}
	}
	defer at.dir.Close()
	there, err := at.has(a.SHA256, uint32(perms))
	switch {
	case err != nil:
		return Outcome{Refused, err.Error()}
	case there:
		return Outcome{Done, at.path + " was there already"}
	}
	part := partPrefix + rand.Text()
	fd, err := unix.Openat(int(at.dir.Fd()), part, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return Outcome{Failed, "cannot write into " + filepath.Dir(at.path) + ": " + err.Error()}
	}
	f := os.NewFile(uintptr(fd), part)
	n, outcome := t.fill(ctx, a, fetch, f, os.FileMode(perms))
	if outcome.Result == "" {
		if err := at.commit(part); err != nil {
			outcome = Outcome{Failed, at.path + ": " + err.Error()}
		}
	}
	if outcome.Result != "" {
		if err := unix.Unlinkat(int(at.dir.Fd()), part, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			t.log.Warn("a part of a file cannot be taken away", "path", filepath.Join(filepath.Dir(at.path), part), "error", err)
		}
		return outcome
	}
	noted := Fetched{Path: at.path, SHA256: a.SHA256, From: a.Target, Octets: n, At: t.clock.Now().UTC(), Requirement: a.Requirement}
	if err := t.note(noted); err != nil {
		t.log.Warn("it cannot be noted that a file was written", "path", at.path, "error", err)
	}
	return Outcome{Done, at.path + " was written, " + inOctets(n)}
}

// fill writes a file that is on the disk when it returns, and proves its digest.
func (t *Tools) fill(ctx context.Context, a *report.Action, fetch Fetch, f *os.File, perms os.FileMode) (n int64, outcome Outcome) {
	n, sum, err := t.get(ctx, a, fetch, f)
	if err == nil {
		err = errors.Join(f.Chmod(perms), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, cannotFetch(err)
	}
	if sum != a.SHA256 {
		return 0, Outcome{Refused, "what is handed out as " + collect.Printable(a.Target) + " has another digest"}
	}
	return n, Outcome{}
}

// placeOf finds the place of a file. Every directory on the way has to be there, no link, and
// only root's to write.
func (t *Tools) placeOf(a *report.Action) (*place, error) {
	name, err := report.FileName(a)
	if err != nil {
		return nil, err
	}
	if len(t.files) == 0 {
		return nil, errors.New("this agent has no directory for files")
	}
	dir := t.files[0]
	if filepath.IsAbs(a.To) {
		dir = filepath.Dir(filepath.Clean(a.To))
		allowed := func(root string) bool {
			return dir == root || strings.HasPrefix(dir, strings.TrimSuffix(root, "/")+"/")
		}
		if !slices.ContainsFunc(t.files, allowed) {
			return nil, fmt.Errorf("%s is in none of the directories that this agent lets files be put in: %s", collect.Printable(a.To), strings.Join(t.files, ", "))
		}
	}
	opened, err := t.openDir(dir)
	if err != nil {
		return nil, err
	}
	return &place{dir: opened, path: filepath.Join(dir, name), name: name}, nil
}

// openDir opens a directory below the root, one name after the other.
func (t *Tools) openDir(dir string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Open(t.root, flags&^unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.root, err)
	}
	at := "/"
	for name := range strings.SplitSeq(strings.Trim(dir, "/"), "/") {
		if name == "" {
			continue
		}
		at = filepath.Join(at, name)
		next, err := unix.Openat(fd, name, flags, 0)
		_ = unix.Close(fd) // nothing was written
		switch {
		case errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR):
			return nil, fmt.Errorf("%s is a link, or no directory", collect.Printable(at))
		case err != nil:
			return nil, fmt.Errorf("%s: %w", collect.Printable(at), err)
		}
		fd = next
		var s unix.Stat_t
		if err := unix.Fstat(fd, &s); err != nil || s.Mode&0o022 != 0 || s.Uid != 0 && s.Uid != uint32(os.Geteuid()) {
			_ = unix.Close(fd) // nothing was written
			return nil, errors.Join(fmt.Errorf("%s can be changed by others than root", collect.Printable(at)), err)
		}
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// has says whether the very file is there already. What is there and no file is not replaced.
func (p *place) has(sha256 string, perms uint32) (bool, error) {
	fd, err := unix.Openat(int(p.dir.Fd()), p.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, unix.ELOOP):
		return false, fmt.Errorf("%s is a link", collect.Printable(p.path))
	case err != nil:
		return false, fmt.Errorf("%s: %w", collect.Printable(p.path), err)
	}
	f := os.NewFile(uintptr(fd), p.name)
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false, errors.Join(fmt.Errorf("%s is there, and no file", collect.Printable(p.path)), err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if uint32(info.Mode().Perm()) != perms || info.Size() > fileMax || owner != 0 && owner != uint32(os.Geteuid()) {
		return false, nil // it is put there anew
	}
	sum, err := digestOf(f)
	return err == nil && sum == sha256, nil
}

// commit gives a whole file its name.
func (p *place) commit(part string) error {
	dir := int(p.dir.Fd())
	if err := unix.Renameat(dir, part, dir, p.name); err != nil {
		return err
	}
	return p.dir.Sync()
}

// sweep takes away parts of files that an agent left that was killed.
func (t *Tools) sweep() {
	for _, dir := range t.files {
		opened, err := t.openDir(dir)
		if err != nil {
			continue // it is not there yet, or not ours: then nothing was put there
		}
		names, err := opened.Readdirnames(-1)
		for _, name := range names {
			if strings.HasPrefix(name, partPrefix) {
				err = errors.Join(err, unix.Unlinkat(int(opened.Fd()), name, 0))
			}
		}
		if err != nil {
			t.log.Warn("what was left of a file cannot be taken away", "directory", dir, "error", err)
		}
		opened.Close()
	}
}
