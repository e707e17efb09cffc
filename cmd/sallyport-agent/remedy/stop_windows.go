package remedy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"sallyport/cmd/sallyport-agent/collect"
)

// critical tells processes without which the system stops at once (Windows 8.1).
var critical = windows.NewLazySystemDLL("kernel32.dll").NewProc("IsProcessCritical")

// stop ends every process that runs from a file: by its name, or by its path. They are not
// asked first: a service sees no windows of theirs.
func (t *Tools) stop(ctx context.Context, target string) Outcome {
	switch {
	case t.root != "/":
		return Outcome{Refused, "the processes of another root are not this machine's"}
	case target == "":
		return Outcome{Refused, "the appliance names no program"}
	}
	running, err := processes()
	if err != nil {
		return Outcome{Failed, "cannot list processes: " + err.Error()}
	}
	var ending []windows.Handle
	defer func() {
		for _, h := range ending {
			_ = windows.CloseHandle(h) // nothing was written
		}
	}()
	for _, p := range running {
		h, err := find(p.pid, target)
		switch {
		case errors.Is(err, windows.ERROR_ACCESS_DENIED) && strings.EqualFold(p.name, filepath.Base(target)):
			return Outcome{Failed, fmt.Sprintf("process %d of that name is protected and cannot be ended", p.pid)}
		case errors.Is(err, errCritical):
			return Outcome{Refused, collect.Printable(target) + " is a part of the system that it cannot run without"}
		case err == nil && h != 0:
			ending = append(ending, h)
		}
	}
	for _, h := range ending {
		if err := windows.TerminateProcess(h, 1); err != nil && !errors.Is(err, windows.ERROR_ACCESS_DENIED) { // that is of one that is ending
			return Outcome{Failed, "a process cannot be ended: " + err.Error()}
		}
	}
	until := time.Now().Add(stopNow)
	for _, h := range ending {
		left := max(time.Until(until), 0)
		if ctx.Err() != nil {
			left = 0
		}
		if event, err := windows.WaitForSingleObject(h, uint32(left.Milliseconds())); err != nil || event != windows.WAIT_OBJECT_0 {
			return Outcome{Failed, fmt.Sprintf("%d processes of %s do not end", len(ending), collect.Printable(target))}
		}
	}
	return Outcome{Result: Done}
}

// process is one of the snapshot.
type process struct {
	pid  uint32
	name string // of its file, without the path
}

func processes() (all []process, err error) {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(snapshot)
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		all = append(all, process{entry.ProcessID, windows.UTF16ToString(entry.ExeFile[:])})
	}
	if errors.Is(err, windows.ERROR_NO_MORE_FILES) {
		err = nil
	}
	return all, err
}

var errCritical = errors.New("critical")

// find holds on to a process that runs from the target, which stays the same one whatever
// becomes of its number; 0 for any other, and for this one.
func find(pid uint32, target string) (windows.Handle, error) {
	if pid == 0 || pid == uint32(os.Getpid()) {
		return 0, nil
	}
	h, err := windows.OpenProcess(windows.PROCESS_TERMINATE|windows.SYNCHRONIZE|windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return 0, err // protected, or over
	}
	if !runsFrom(h, target) {
		return 0, windows.CloseHandle(h)
	}
	var is int32
	if critical.Find() == nil {
		if ok, _, _ := critical.Call(uintptr(h), uintptr(unsafe.Pointer(&is))); ok != 0 && is != 0 {
			return 0, errors.Join(errCritical, windows.CloseHandle(h))
		}
	}
	return h, nil
}

func runsFrom(h windows.Handle, target string) bool {
	var name [windows.MAX_LONG_PATH]uint16
	size := uint32(len(name))
	if windows.QueryFullProcessImageName(h, 0, &name[0], &size) != nil {
		return false
	}
	exe := windows.UTF16ToString(name[:size])
	return strings.EqualFold(exe, filepath.Clean(target)) || !strings.ContainsAny(target, `/\`) && strings.EqualFold(filepath.Base(exe), target)
}
