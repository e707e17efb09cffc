package remedy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/cmd/sallyport-agent/keep"
)

// strictFile is where it is written down that the kernel was told to let nothing in.
const strictFile = "strict.json"

// defaultFile of a root hub says whether the kernel authorizes new interfaces by itself.
const defaultFile = "interface_authorized_default"

// Strict has the kernel refuse every new interface until the agent has looked at it: hubs
// and what people type and point with get through, and devices that are allowed. What is
// plugged in already is not touched. It is for machines where a disk must not be there
// for a moment; the price is that without the agent nothing new works.
type Strict struct {
	root string
	dir  keep.Dir
	boot string

	mu    sync.Mutex // guards what follows
	on    bool
	allow []string
	hubs  map[string]string // root hub -> what its file held before
}

// strictContent is the file. The kernel forgets with a restart, and so does the agent.
type strictContent struct {
	Version int               `json:"v"`
	BootID  string            `json:"boot_id"`
	Hubs    map[string]string `json:"hubs"`
}

// LoadStrict reads back what an agent before this one left switched.
func LoadStrict(root string, dir keep.Dir, bootID string) (*Strict, error) {
	s := &Strict{root: root, dir: dir, boot: bootID, hubs: map[string]string{}}
	var content strictContent
	err := dir.ReadJSON(strictFile, &content)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, keep.ErrContent) {
		return nil, err
	}
	if err == nil && content.BootID == bootID && content.Hubs != nil {
		s.hubs = content.Hubs
	}
	return s, nil
}

// Set switches it on or off; allow names devices that get through. Switching off gives the
// root hubs back what they held; what was kept out meanwhile has to be plugged in again.
func (s *Strict) Set(on bool, allow []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on, s.allow = on, slices.Clone(allow)
	if on {
		return s.close()
	}
	return s.open()
}

// close tells every root hub to let nothing in by itself. REQUIRES: mu.
func (s *Strict) close() error {
	names, err := filepath.Glob(filepath.Join(s.root, devicesDir, "usb*", defaultFile))
	if err != nil {
		return err
	}
	if len(names) == 0 && len(s.hubs) == 0 {
		return errors.New("this kernel cannot keep new USB interfaces out: it has no " + defaultFile)
	}
	for _, name := range names {
		hub := filepath.Base(filepath.Dir(name))
		if _, done := s.hubs[hub]; done {
			continue
		}
		before, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		s.hubs[hub] = strings.TrimSpace(string(before))
		if err := s.write(); err != nil { // before it is done, so that it is undone whatever happens
			return err
		}
		if err := os.WriteFile(name, []byte("0"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// open gives back what was switched. REQUIRES: mu.
func (s *Strict) open() error {
	var faults []error
	for hub, before := range s.hubs {
		err := os.WriteFile(filepath.Join(s.root, devicesDir, hub, defaultFile), []byte(before), 0o644)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // else the controller is gone
			faults = append(faults, err)
			continue
		}
		delete(s.hubs, hub)
	}
	if len(s.hubs) == 0 {
		if err := os.Remove(s.dir.Path(strictFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, err)
		}
		return errors.Join(faults...)
	}
	return errors.Join(append(faults, s.write())...)
}

func (s *Strict) write() error {
	return s.dir.WriteJSONVolatile(strictFile, strictContent{Version: 1, BootID: s.boot, Hubs: s.hubs}, keep.Private)
}

// inputClasses get through: hubs, or nothing behind them could be looked at, and what
// people type and point with, or nobody could log in.
var inputClasses = []string{"09", "03"}

// Admit looks at an interface that is new ("2-1:1.0") and lets it in when it may come.
// It is called for every one of them, and says whether it let it in.
func (s *Strict) Admit(iface string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.on {
		return false, nil
	}
	if strings.HasSuffix(iface, "-0:1.0") { // a root hub's own: a controller came
		return false, s.close()
	}
	dev, class, ok := collect.Peek(s.root, iface)
	if !ok || !slices.Contains(inputClasses, class) && !dev.AllowedBy(s.allow) {
		return false, nil
	}
	dir := filepath.Join(s.root, devicesDir, iface)
	if now, err := os.ReadFile(filepath.Join(dir, "authorized")); err != nil || strings.TrimSpace(string(now)) != "0" {
		return false, nil // it is gone, or was here before
	}
	if err := os.WriteFile(filepath.Join(dir, "authorized"), []byte("1"), 0o644); err != nil {
		return false, err
	}
	probe, err := os.OpenFile(filepath.Join(s.root, "sys/bus/usb/drivers_probe"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return false, err
	}
	_, err = probe.WriteString(iface + "\n")
	if err = errors.Join(err, probe.Close()); err != nil {
		return false, fmt.Errorf("%s was authorized, but no driver could be looked for: %w", iface, err)
	}
	return true, nil
}
