// Package keep holds the agent's files: each is replaced in one step, so that a crash of
// the agent leaves the old or the new content. Those that must outlive a loss of power are
// on the disk before the writer goes on.
//
//	device.key      the device key, PEM, mode 0600
//	device.tpm      the same as a TPM gave it out, of no use to another one
//	memory.json     sequence numbers, known appliances, the key trusted on first use
//	fetched.json    files that were written because the appliance asked for it
//	files/          where they are, unless the agent is configured otherwise
//	blocked.json    what the agent holds blocked; not synced, a start of the system voids it
//	status.json     what `status` reads, mode 0644; not synced
//	lock            held by the running agent
package keep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Modes of files: for the agent alone, and for everybody to read.
const (
	Private fs.FileMode = 0o600
	Public  fs.FileMode = 0o644
)

// fileMax bounds what is read back; none of the files comes near it.
const fileMax = 1 << 20

// Dir is the agent's state directory.
type Dir string

// Open makes the directory when it is not there.
func Open(path string) (Dir, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return "", fmt.Errorf("state directory: %w", err)
	}
	if err := guard(path); err != nil {
		return "", fmt.Errorf("state directory: %w", err)
	}
	return Dir(path), nil
}

// Sub makes a directory in it that everybody may read.
func (d Dir) Sub(name string) (string, error) {
	path, err := filepath.Abs(d.Path(name))
	if err == nil {
		err = os.MkdirAll(path, 0o755)
	}
	if err == nil {
		err = os.Chmod(path, 0o755) // whatever the umask is
	}
	if err != nil {
		return "", fmt.Errorf("state directory: %w", err)
	}
	return path, nil
}

// Path is where a file of the directory is.
func (d Dir) Path(name string) string { return filepath.Join(string(d), name) }

// Write replaces a file. When it returns nil the content survives a power loss.
func (d Dir) Write(name string, content []byte, mode fs.FileMode) error {
	return d.replace(name, content, mode, true)
}

func (d Dir) replace(name string, content []byte, mode fs.FileMode, sync bool) error {
	f, err := os.CreateTemp(string(d), "."+name+"-*")
	if err != nil {
		return fmt.Errorf("cannot keep %s: %w", name, err)
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil && sync {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), d.Path(name))
	}
	if err == nil && sync {
		err = syncDir(string(d))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("cannot keep %s: %w", name, err)
	}
	return nil
}

// WriteJSON is Write of v as JSON.
func (d Dir) WriteJSON(name string, v any, mode fs.FileMode) error {
	return d.replaceJSON(name, v, mode, true)
}

// WriteJSONVolatile is WriteJSON without waiting for the disk: a crash of the agent keeps
// the content, a loss of power may tear it.
func (d Dir) WriteJSONVolatile(name string, v any, mode fs.FileMode) error {
	return d.replaceJSON(name, v, mode, false)
}

func (d Dir) replaceJSON(name string, v any, mode fs.FileMode, sync bool) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot keep %s: %w", name, err)
	}
	return d.replace(name, append(b, '\n'), mode, sync)
}

// ErrContent says that a file is there and does not hold what it should.
var ErrContent = errors.New("not as the agent wrote it")

// ReadJSON fills v from a file. A file that is not there leaves v as it is and gives
// an error that is fs.ErrNotExist; one that cannot be read says how to go on.
func (d Dir) ReadJSON(name string, v any) error {
	info, err := os.Stat(d.Path(name))
	if err != nil {
		return err
	}
	if info.Size() > fileMax {
		return fmt.Errorf("%s is longer than %d octets; move it away and start again", d.Path(name), fileMax)
	}
	b, err := os.ReadFile(d.Path(name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s cannot be read: it is %w (%v); move it away and start again", d.Path(name), ErrContent, err)
	}
	return nil
}
