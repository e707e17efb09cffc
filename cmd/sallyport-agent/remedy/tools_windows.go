package remedy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/netio/report"
)

// launch runs a program that is there. It is held open so that nobody writes, renames or
// removes it from the look at its octets until it has started, and its directory has to be
// the administrators' alone, since programs load libraries from there.
func (t *Tools) launch(ctx context.Context, a *report.Action) Outcome {
	path := filepath.Clean(a.Target)
	if !filepath.IsAbs(path) || strings.HasPrefix(path, `\\`) {
		return Outcome{Refused, collect.Printable(a.Target) + " is not an absolute path of this machine"}
	}
	f, err := holdOpen(path)
	if err != nil {
		return Outcome{Refused, reason(err)}
	}
	defer f.Close()
	if err := reallyAt(f, path); err != nil {
		return Outcome{Refused, err.Error()}
	}
	for at, rights := path, windows.ACCESS_MASK(changes); ; at = filepath.Dir(at) {
		if at == filepath.Dir(filepath.Dir(path)) {
			rights = swaps // everybody may make new directories at the top of a disk
		}
		if err := onlyAdministrators(at, rights); err != nil {
			return Outcome{Refused, err.Error()}
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	switch sum, err := digestOf(f); {
	case err != nil:
		return Outcome{Failed, err.Error()}
	case sum != a.SHA256:
		return Outcome{Refused, collect.Printable(a.Target) + " has another digest than the appliance names"}
	}
	return t.carryOut(ctx, path, a.Arguments)
}

// holdOpen opens a file that others may read and run meanwhile, and nothing else.
func holdOpen(path string) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ, windows.FILE_SHARE_READ, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(h), path)
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is not a file", collect.Printable(path)), err, f.Close())
	}
	return f, nil
}

// trusted may change what is run with the rights of the system: the system, the
// administrators and the installer of the system's own parts.
var trusted = []string{"S-1-5-18", "S-1-5-32-544", "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"}

// changes are the rights with which a file, or what is in a directory, becomes another one.
const changes = windows.FILE_WRITE_DATA | windows.FILE_APPEND_DATA | windows.FILE_WRITE_EA | fileDeleteChild | windows.DELETE | windows.WRITE_DAC |
	windows.WRITE_OWNER | windows.GENERIC_WRITE | windows.GENERIC_ALL

const fileDeleteChild = 0x40 // FILE_DELETE_CHILD (winnt.h)

// swaps are the rights with which what is in a directory gives way to something else.
const swaps = fileDeleteChild | windows.DELETE | windows.WRITE_DAC | windows.WRITE_OWNER | windows.GENERIC_ALL

// reallyAt wants no link on the way to an open file.
func reallyAt(f *os.File, path string) error {
	var name [windows.MAX_LONG_PATH]uint16
	n, err := windows.GetFinalPathNameByHandle(windows.Handle(f.Fd()), &name[0], uint32(len(name)), 0)
	if err != nil || int(n) > len(name) {
		return errors.Join(fmt.Errorf("where %s lies cannot be told", collect.Printable(path)), err)
	}
	if at := strings.TrimPrefix(windows.UTF16ToString(name[:n]), `\\?\`); !strings.EqualFold(at, path) {
		return fmt.Errorf("%s is really %s", collect.Printable(path), collect.Printable(at))
	}
	return nil
}

// onlyAdministrators says that others have some of the rights to a file or directory, nil when
// nobody has.
func onlyAdministrators(path string, rights windows.ACCESS_MASK) error {
	d, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("who may change %s cannot be told: %w", collect.Printable(path), err)
	}
	others := func(who *windows.SID) error {
		for _, t := range trusted {
			if who != nil && who.String() == t {
				return nil
			}
		}
		return fmt.Errorf("%s can be changed by others than administrators", collect.Printable(path))
	}
	owner, _, err := d.Owner()
	if err != nil {
		return err
	}
	if err := others(owner); err != nil {
		return err
	}
	list, _, err := d.DACL()
	if err != nil || list == nil { // none: everybody may do everything
		return errors.Join(others(nil), err)
	}
	for i := range uint32(list.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(list, i, &ace); err != nil {
			return err
		}
		if ace.Header.AceType == windows.ACCESS_DENIED_ACE_TYPE || ace.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0 || ace.Mask&rights == 0 {
			continue
		}
		if ace.Header.AceType != windows.ACCESS_ALLOWED_ACE_TYPE { // with conditions or objects: read as if it gave
			return others(nil)
		}
		if err := others((*windows.SID)(unsafe.Pointer(&ace.SidStart))); err != nil {
			return err
		}
	}
	return nil
}

// systemTool is the path of a program of the system's.
func systemTool(elem ...string) string {
	dir, err := windows.GetSystemDirectory()
	if err != nil {
		dir = `C:\Windows\System32`
	}
	return filepath.Join(append([]string{dir}, elem...)...)
}

// runScript runs a PowerShell text; no says why it was not run.
func (t *Tools) runScript(ctx context.Context, name string, text []byte, arguments []string, stdout, stderr *tail) (ended error, no Outcome) {
	const suffix = ".ps1"
	if !strings.EqualFold(filepath.Ext(name), suffix) {
		return nil, Outcome{Refused, "on Windows scripts are PowerShell's: the file's name has to end in " + suffix}
	}
	scratch, err := os.MkdirTemp(string(t.dir), scratchPrefix)
	if err != nil {
		return nil, Outcome{Failed, reason(err)}
	}
	defer func() {
		if err := os.RemoveAll(scratch); err != nil {
			t.log.Warn("what a script left cannot be taken away", "error", err)
		}
	}()
	path := filepath.Join(scratch, "script"+suffix)
	const owners = 0o600
	if err := os.WriteFile(path, text, owners); err != nil {
		return nil, Outcome{Failed, reason(err)}
	}
	powershell := systemTool("WindowsPowerShell", "v1.0", "powershell.exe")
	// -File takes what follows as it is; -ExecutionPolicy is of this process alone.
	all := append([]string{"-NoLogo", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File", path}, arguments...)
	return t.run(ctx, powershell, all, stdout, stderr, manner{}), Outcome{}
}

// resume lets a process run that was made without its first thread running.
var resume = windows.NewLazySystemDLL("ntdll.dll").NewProc("NtResumeProcess")

// run runs a program without a shell, with a plain environment, in a job: it is ended with
// all that it started when there is no more time.
func (t *Tools) run(ctx context.Context, path string, arguments []string, stdout, stderr io.Writer, _ manner) error {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(job)
	cmd := exec.Command(path, arguments...)
	cmd.Env = plainEnvironment()
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Dir(systemTool()), stdout, stderr
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_SUSPENDED | windows.CREATE_NO_WINDOW, HideWindow: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	// Only now, when all that it will start is in the job as well, does it begin.
	fault := cmd.Process.WithHandle(func(h uintptr) {
		if err = windows.AssignProcessToJobObject(job, windows.Handle(h)); err != nil {
			return
		}
		if status, _, _ := resume.Call(h); status != 0 {
			err = windows.NTStatus(status)
		}
	})
	if err = errors.Join(fault, err); err != nil {
		_ = cmd.Process.Kill() // it never began
		_ = cmd.Wait()
		return err
	}
	var ending sync.Mutex // the job is not closed while it is ended
	over := context.AfterFunc(ctx, func() {
		ending.Lock()
		defer ending.Unlock()
		_ = windows.TerminateJobObject(job, 1) // it may be over
	})
	err = cmd.Wait()
	if !over() {
		ending.Lock() // it ends, or has ended
		defer ending.Unlock()
	}
	if errors.Is(err, exec.ErrWaitDelay) { // it ended well, and what it left behind goes on
		return nil
	}
	return err
}

// plainEnvironment is what programs need to find the system.
func plainEnvironment() []string {
	root := filepath.Dir(systemTool())
	return []string{"SystemRoot=" + root, "windir=" + root, "SystemDrive=" + filepath.VolumeName(root), "PATH=" + systemTool() + ";" + root,
		"PATHEXT=.COM;.EXE", "TEMP=" + filepath.Join(root, "Temp"), "TMP=" + filepath.Join(root, "Temp"),
		"ProgramFiles=" + os.Getenv("ProgramFiles"), "ProgramData=" + os.Getenv("ProgramData")}
}

func (t *Tools) firewall(ctx context.Context) Outcome {
	return t.carryOut(ctx, systemTool("netsh.exe"), []string{"advfirewall", "set", "allprofiles", "state", "on"})
}

// antiMalware asks the system's own; others have no common way.
func (t *Tools) antiMalware(ctx context.Context) Outcome {
	files, err := windows.KnownFolderPath(windows.FOLDERID_ProgramFiles, 0)
	if err != nil {
		return Outcome{Failed, err.Error()}
	}
	defender := filepath.Join(files, "Windows Defender", "MpCmdRun.exe")
	if _, err := os.Stat(defender); err != nil {
		return Outcome{Refused, "no anti-malware is installed that this agent can update: Microsoft Defender"}
	}
	return t.carryOut(ctx, defender, []string{"-SignatureUpdate"})
}
