package store

import (
	"errors"
	"io"
	"os"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fence is the file system of one life of the journal. When that life has failed it is
// shut: whatever of it still runs in the background changes nothing any more, while the
// next life works in the same directory. The directory's lock is the store's own and
// outlasts every life.
type fence struct {
	vfs.FS
	shut atomic.Bool
}

var errFenced = errors.New("the journal that this file belongs to has failed")

type nothingToClose struct{}

func (nothingToClose) Close() error { return nil }

func (f *fence) Lock(string) (io.Closer, error) { return nothingToClose{}, nil }
func (f *fence) Unwrap() vfs.FS                 { return f.FS }

func (f *fence) check() error {
	if f.shut.Load() {
		return errFenced
	}
	return nil
}

func (f *fence) file(open func() (vfs.File, error)) (vfs.File, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	file, err := open()
	if err != nil {
		return nil, err
	}
	return &fencedFile{file, f}, nil
}

func (f *fence) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f *fence) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, opts...) })
}

func (f *fence) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.ReuseForWrite(old, name, c) })
}

func (f *fence) OpenDir(name string) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

func (f *fence) Link(old, name string) error {
	return f.unless(func() error { return f.FS.Link(old, name) })
}

func (f *fence) Rename(old, name string) error {
	return f.unless(func() error { return f.FS.Rename(old, name) })
}

func (f *fence) Remove(name string) error { return f.unless(func() error { return f.FS.Remove(name) }) }

func (f *fence) RemoveAll(name string) error {
	return f.unless(func() error { return f.FS.RemoveAll(name) })
}

func (f *fence) MkdirAll(dir string, perm os.FileMode) error {
	return f.unless(func() error { return f.FS.MkdirAll(dir, perm) })
}

// unless runs do when the fence is open.
func (f *fence) unless(do func() error) error {
	if err := f.check(); err != nil {
		return err
	}
	return do()
}

type fencedFile struct {
	vfs.File
	fence *fence
}

func (f *fencedFile) Write(p []byte) (int, error) {
	if err := f.fence.check(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *fencedFile) WriteAt(p []byte, at int64) (int, error) {
	if err := f.fence.check(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, at)
}

func (f *fencedFile) Preallocate(at, n int64) error {
	return f.fence.unless(func() error { return f.File.Preallocate(at, n) })
}

func (f *fencedFile) Sync() error     { return f.fence.unless(f.File.Sync) }
func (f *fencedFile) SyncData() error { return f.fence.unless(f.File.SyncData) }

func (f *fencedFile) SyncTo(n int64) (bool, error) {
	if err := f.fence.check(); err != nil {
		return false, err
	}
	return f.File.SyncTo(n)
}
