package collect

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"sallyport/netio/report"
)

// errNotDirectory: something on the way to the path is not there.
const errNotDirectory = windows.ERROR_PATH_NOT_FOUND

// openNoFollow opens a file; the caller has seen that it is no link.
func openNoFollow(name string) (*os.File, error) { return os.Open(name) }

// rootDirectory is what a word of a FileProbe stands for.
func rootDirectory(word string) string {
	system, err := windows.GetSystemWindowsDirectory()
	if err != nil {
		return ""
	}
	switch word {
	case report.RootSystem:
		return system
	case report.RootSystem32:
		return filepath.Join(system, "System32")
	case report.RootSystemDrive:
		return filepath.VolumeName(system) + `\`
	case report.RootSystemPrograms:
		dir, err := windows.KnownFolderPath(windows.FOLDERID_ProgramFiles, 0)
		if err == nil {
			return dir
		}
	}
	return ""
}

const profileList = `SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList`

// homes lists the profiles of people: their identifiers begin with S-1-5-21, and of
// directory accounts without a domain with S-1-12-1.
func (s *survey) homes() []home {
	var homes []home
	for _, sid := range peopleSIDs() {
		k, err := registry.OpenKey(registry.LOCAL_MACHINE, profileList+`\`+sid, registry.QUERY_VALUE)
		if err != nil {
			continue
		}
		dir, _, err := k.GetStringValue("ProfileImagePath")
		k.Close()
		if err == nil {
			if expanded, err := registry.ExpandString(dir); err == nil {
				dir = expanded
			}
			homes = append(homes, home{filepath.Base(dir), dir})
		}
	}
	return homes
}

func fileTimes(_ string, info fs.FileInfo) (created, accessed time.Time) {
	d, ok := info.Sys().(*syscall.Win32FileAttributeData)
	if !ok {
		return created, accessed
	}
	return time.Unix(0, d.CreationTime.Nanoseconds()), time.Unix(0, d.LastAccessTime.Nanoseconds())
}

// fileVersion reads the fixed version of a program's resources, "10.0.19041.1".
func fileVersion(name string) string {
	var zero windows.Handle
	size, err := windows.GetFileVersionInfoSize(name, &zero)
	if err != nil || size == 0 {
		return ""
	}
	info := make([]byte, size)
	if windows.GetFileVersionInfo(name, 0, size, unsafe.Pointer(&info[0])) != nil {
		return ""
	}
	var fixed *windows.VS_FIXEDFILEINFO
	n := uint32(unsafe.Sizeof(*fixed))
	if windows.VerQueryValue(unsafe.Pointer(&info[0]), `\`, unsafe.Pointer(&fixed), &n) != nil {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d.%d", fixed.FileVersionMS>>16, fixed.FileVersionMS&0xffff, fixed.FileVersionLS>>16, fixed.FileVersionLS&0xffff)
}

// threadModeBackground is THREAD_MODE_BACKGROUND_BEGIN: less of processor, disk and memory.
const threadModeBackground = 0x00010000

var setThreadPriority = windows.NewLazySystemDLL("kernel32.dll").NewProc("SetThreadPriority")

func lowPriority() {
	lockedForGood()
	// Its fate is of no concern: a look goes on without it.
	_, _, _ = setThreadPriority.Call(uintptr(windows.CurrentThread()), threadModeBackground)
}

// isRefused: nobody listens at a socket that is there.
func isRefused(error) bool { return false }
