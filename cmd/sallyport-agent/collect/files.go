package collect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sallyport/netio/report"
)

// Limits of a look at files.
const (
	hashMax  = 1 << 30 // octets of a file that is summed up; more take longer than a look may
	homesMax = 32      // people whose directories are looked at
	chunk    = 256 << 10
)

// home is a person's home directory.
type home struct{ user, dir string }

// files answers the policy's FileProbes. Links are told, not followed.
func files(ctx context.Context, s *survey) *report.Files {
	out := &report.Files{Items: []report.File{}}
	for _, p := range s.probe.Files {
		for _, at := range s.places(p) {
			if ctx.Err() != nil {
				out.Error = "there was no time for all files"
				return out
			}
			f := report.File{Root: p.Root, Path: p.Path, User: Printable(at.user)}
			if at.dir == "" {
				f.State, f.Reason = report.StateUnknown, "there is no "+p.Root+" directory on this system"
			} else {
				look(ctx, &f, at.dir, p.Want)
			}
			out.Items = append(out.Items, f)
		}
	}
	return out
}

// places are where the path of a probe is, with whose it is for a root that every person
// has. An empty place is a root that this system has not.
func (s *survey) places(p report.FileProbe) []home {
	below := ""
	switch p.Root {
	case report.RootUserProfile:
	case report.RootUserDesktop:
		below = "Desktop"
	case "", report.RootAbsolute:
		return []home{{dir: s.path(p.Path)}}
	default:
		dir := rootDirectory(p.Root)
		if dir != "" {
			dir = filepath.Join(s.path(dir), native(p.Path))
		}
		return []home{{dir: dir}}
	}
	var places []home
	for _, h := range s.homes() {
		places = append(places, home{h.user, filepath.Join(h.dir, below, native(p.Path))})
	}
	return places[:min(len(places), homesMax)]
}

// native takes either separator in a path: policies are written for several systems.
func native(path string) string {
	if filepath.Separator == '\\' {
		return filepath.FromSlash(path)
	}
	return strings.ReplaceAll(path, `\`, "/")
}

// path is where an absolute path of the endpoint is below the root.
func (s *survey) path(path string) string {
	if s.root == "/" || s.root == "" {
		return path
	}
	return filepath.Join(s.root, path)
}

// look fills in what is at a place.
func look(ctx context.Context, f *report.File, name string, want []string) {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNotDirectory):
		f.State = report.StateAbsent
		return
	case err != nil:
		f.State, f.Reason = report.StateUnknown, reason(err)
		return
	}
	f.State = report.StatePresent
	f.Type, f.Mode = fileType(info.Mode()), fmt.Sprintf("%04o", info.Mode().Perm())
	f.Modified = info.ModTime().UTC()
	created, accessed := fileTimes(name, info)
	f.Created = created.UTC()
	if slices.Contains(want, report.WantAccessed) {
		f.Accessed = accessed.UTC()
	}
	if !info.Mode().IsRegular() {
		return
	}
	f.Size = info.Size()
	if slices.Contains(want, report.WantVersion) {
		f.Version = Printable(fileVersion(name))
	}
	var sums []hash.Hash
	crc, sha := crc32.NewIEEE(), sha256.New()
	if slices.Contains(want, report.WantCRC32) {
		sums = append(sums, crc)
	}
	if slices.Contains(want, report.WantSHA256) {
		sums = append(sums, sha)
	}
	if len(sums) == 0 {
		return
	}
	if err := sumUp(ctx, name, sums); err != nil {
		f.State, f.Reason = report.StateUnknown, "it is there, but cannot be read: "+reason(err)
		return
	}
	if slices.Contains(want, report.WantCRC32) {
		f.CRC32 = hex.EncodeToString(crc.Sum(nil))
	}
	if slices.Contains(want, report.WantSHA256) {
		f.SHA256 = hex.EncodeToString(sha.Sum(nil))
	}
}

// sumUp reads a file once for all sums.
func sumUp(ctx context.Context, name string, sums []hash.Hash) error {
	f, err := openNoFollow(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, errors.New("it is no file any more"))
	} else if info.Size() > hashMax {
		return fmt.Errorf("it has more than %d octets", hashMax)
	}
	buf := make([]byte, chunk)
	for total := 0; ; {
		if ctx.Err() != nil {
			return errors.New("there was no time")
		}
		n, err := f.Read(buf)
		for _, h := range sums {
			h.Write(buf[:n])
		}
		if total += n; total > hashMax {
			return fmt.Errorf("it has more than %d octets", hashMax)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func fileType(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "file"
	case m.IsDir():
		return "directory"
	case m&fs.ModeSymlink != 0:
		return "link"
	}
	return "other"
}

// reason is an error without the path, which the item names already.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return Printable(err.Error())
}
