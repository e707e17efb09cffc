package remedy

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"sallyport/cmd/sallyport-agent/collect"
)

// KernelOf gives the operating system for "/", the pretended kernel of a usbfixture tree
// for any other root.
func KernelOf(root string) Kernel {
	if root == "/" || root == "" {
		return &system{held: map[windows.Handle]bool{}}
	}
	return fixtureKernel{root: root}
}

// system asks Windows: volumes are locked and dismounted, the function that the storage
// driver drives is disabled. It needs the rights of LocalSystem.
type system struct {
	mu   sync.Mutex
	held map[windows.Handle]bool // volumes that are kept locked
}

// Codes of DeviceIoControl (winioctl.h).
const (
	fsctlLock     = 0x00090018 // FSCTL_LOCK_VOLUME
	fsctlDismount = 0x00090020 // FSCTL_DISMOUNT_VOLUME
)

// volume opens \\?\Volume{GUID}; ok is false when it is gone.
func volume(name string) (h windows.Handle, ok bool, err error) {
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return 0, false, err
	}
	h, err = windows.CreateFile(path, windows.GENERIC_READ|windows.GENERIC_WRITE, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, nil,
		windows.OPEN_EXISTING, 0, 0)
	switch {
	case errors.Is(err, windows.ERROR_FILE_NOT_FOUND), errors.Is(err, windows.ERROR_PATH_NOT_FOUND), errors.Is(err, windows.ERROR_NO_SUCH_DEVICE):
		return 0, false, nil
	case errors.Is(err, windows.ERROR_SHARING_VIOLATION):
		return 0, false, ErrBusy
	}
	return h, err == nil, err
}

func control(h windows.Handle, code uint32) error {
	var n uint32
	return windows.DeviceIoControl(h, code, nil, 0, nil, 0, &n, nil)
}

// lock is refused while anything on the volume is open.
func lock(h windows.Handle) error {
	err := control(h, fsctlLock)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_BUSY) {
		return ErrBusy
	}
	return err
}

func (*system) Sync(m collect.Mount) error {
	h, ok, err := volume(m.Device)
	if !ok || err != nil {
		return err
	}
	defer windows.CloseHandle(h)
	if err := windows.FlushFileBuffers(h); err != nil && !errors.Is(err, windows.ERROR_WRITE_PROTECT) {
		return err
	}
	return nil
}

// Unmount lets go at once: Claim takes the volume again, and whatever mounts it meanwhile
// is met there.
func (s *system) Unmount(m collect.Mount) error {
	h, ok, err := volume(m.Device)
	if !ok || err != nil {
		return err
	}
	defer windows.CloseHandle(h)
	if err := lock(h); err != nil {
		return err
	}
	return control(h, fsctlDismount)
}

// UnmountElsewhere: a volume is mounted once for the whole system.
func (*system) UnmountElsewhere(map[string]bool) error { return nil }

// Claim holds a volume locked and dismounted, so that nobody mounts it again.
func (s *system) Claim(name string) (func(), error) {
	h, ok, err := volume(name)
	if err != nil || !ok {
		return func() {}, err
	}
	err = lock(h)
	if err == nil {
		err = control(h, fsctlDismount)
	}
	if err != nil {
		windows.CloseHandle(h)
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[h] = true
	return func() { s.letGo(h) }, nil
}

func (s *system) letGo(handles ...windows.Handle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range handles {
		if s.held[h] {
			delete(s.held, h)
			windows.CloseHandle(h)
		}
	}
}

// Detach dismounts what is in use: open files are not valid any more.
func (*system) Detach(m collect.Mount) error {
	h, ok, err := volume(m.Device)
	if !ok || err != nil {
		return err
	}
	defer windows.CloseHandle(h)
	if err := windows.FlushFileBuffers(h); err != nil && !errors.Is(err, windows.ERROR_WRITE_PROTECT) {
		return err
	}
	return control(h, fsctlDismount)
}

// End: the system does not say who holds a volume.
func (*system) End(collect.Mount, bool) error {
	return fmt.Errorf("%w on Windows: use detach or keep", errors.ErrUnsupported)
}

func (*system) Holders(collect.Mount) []string { return nil }

var (
	configManager = windows.NewLazySystemDLL("cfgmgr32.dll")
	disableNode   = configManager.NewProc("CM_Disable_DevNode")
	enableNode    = configManager.NewProc("CM_Enable_DevNode")
)

// Codes of the configuration manager (cfgmgr32.h).
const (
	crSuccess       = 0x00
	crNoSuchDevNode = 0x0d
	crRemoveVetoed  = 0x17

	disableQuietly = 0x4 // CM_DISABLE_UI_NOT_OK; without CM_DISABLE_PERSIST it ends with this start of the system

	configFlagDisabled = 0x1 // CONFIGFLAG_DISABLED (regstr.h): by an administrator, for good
)

// Switch disables or enables a device. What an administrator disabled for good meanwhile is
// his.
func (s *system) Switch(instance string, on bool) error {
	node, ok, err := collect.DevNode(instance)
	if err != nil {
		return err
	}
	if !ok {
		return fs.ErrNotExist
	}
	if on {
		if disabledForGood(instance) {
			return nil
		}
		code, _, _ := enableNode.Call(uintptr(node), 0)
		return codeError("enabled", code)
	}
	code, _, _ := disableNode.Call(uintptr(node), disableQuietly)
	if code == crRemoveVetoed && s.letAllGo() {
		// That the volumes are held is a reason to refuse for some file systems. They are
		// dismounted; who mounts one in this moment refuses as well.
		code, _, _ = disableNode.Call(uintptr(node), disableQuietly)
	}
	return codeError("disabled", code)
}

func (s *system) letAllGo() bool {
	s.mu.Lock()
	handles := make([]windows.Handle, 0, len(s.held))
	for h := range s.held {
		handles = append(handles, h)
	}
	s.mu.Unlock()
	s.letGo(handles...)
	return len(handles) > 0
}

func codeError(what string, code uintptr) error {
	switch code {
	case crSuccess:
		return nil
	case crNoSuchDevNode:
		return fs.ErrNotExist
	case crRemoveVetoed:
		return fmt.Errorf("%w: a program or driver refused that it is %s", ErrBusy, what)
	}
	return fmt.Errorf("it cannot be %s: configuration manager %#x", what, code)
}

func disabledForGood(instance string) bool {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Enum\`+instance, registry.QUERY_VALUE)
	if err != nil {
		return false
	}
	defer k.Close()
	flags, _, _ := k.GetIntegerValue("ConfigFlags")
	return flags&configFlagDisabled != 0
}
