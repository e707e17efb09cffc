// Package keep holds the agent's files: each is replaced in one step and is on the disk
// before the writer goes on, so that a crash leaves the old or the new content.
//
//	device.key      the device key, PEM, mode 0600
//	memory.json     sequence numbers, known appliances, the key trusted on first use
//	blocked.json    what the agent holds blocked
//	status.json     what `status` reads, mode 0644
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
	return Dir(path), nil
}

// Path is where a file of the directory is.
func (d Dir) Path(name string) string { return filepath.Join(string(d), name) }

// Write replaces a file. When it returns nil the content survives a power loss.
func (d Dir) Write(name string, content []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(string(d), "."+name+"-*")
	if err != nil {
		return fmt.Errorf("cannot keep %s: %w", name, err)
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), d.Path(name))
	}
	if err == nil {
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
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot keep %s: %w", name, err)
	}
	return d.Write(name, append(b, '\n'), mode)
}

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
		return fmt.Errorf("%s cannot be read (%w); move it away and start again", d.Path(name), err)
	}
	return nil
}
