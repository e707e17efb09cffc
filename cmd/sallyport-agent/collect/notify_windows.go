package collect

import (
	"context"
	"log/slog"
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	configManager        = windows.NewLazySystemDLL("cfgmgr32.dll")
	registerNotification = configManager.NewProc("CM_Register_Notification")
	unregister           = configManager.NewProc("CM_Unregister_Notification")
)

// interfaceClasses are those whose coming and going matters (winioctl.h, usbiodef.h).
var interfaceClasses = []windows.GUID{
	{Data1: 0x53f56307, Data2: 0xb6bf, Data3: 0x11d0, Data4: [8]byte{0x94, 0xf2, 0x00, 0xa0, 0xc9, 0x1e, 0xfb, 0x8b}}, // GUID_DEVINTERFACE_DISK
	{Data1: 0xa5dcbf10, Data2: 0x6530, Data3: 0x11d2, Data4: [8]byte{0x90, 0x1f, 0x00, 0xc0, 0x4f, 0xb9, 0x51, 0xed}}, // GUID_DEVINTERFACE_USB_DEVICE
}

// notifyFilter is CM_NOTIFY_FILTER (cfgmgr32.h) for the interfaces of a class; the union is
// as long as its longest member, an instance id of 200 UTF-16 units.
type notifyFilter struct {
	size, flags, kind, reserved uint32
	class                       windows.GUID
	_                           [400 - unsafe.Sizeof(windows.GUID{})]byte
}

// filterSize is what the system wants to be told; the layout above has to have it.
const filterSize = 416

const _ = uint(filterSize-unsafe.Sizeof(notifyFilter{})) + uint(unsafe.Sizeof(notifyFilter{})-filterSize)

// Actions of a notification (CM_NOTIFY_ACTION).
const (
	interfaceArrival = 0
	interfaceRemoval = 1
)

// onDevices calls f on every coming and going until ctx ends. False: this system does not
// tell of them.
func onDevices(ctx context.Context, log *slog.Logger, f func()) bool {
	if err := registerNotification.Find(); err != nil {
		log.Info("this system does not tell of devices; their lists are read every second", "error", err)
		return false
	}
	callback := windows.NewCallback(func(_, _, action, _, _ uintptr) uintptr {
		if action == interfaceArrival || action == interfaceRemoval {
			f()
		}
		return 0
	})
	var handles []uintptr
	for _, class := range interfaceClasses {
		filter := notifyFilter{size: filterSize, class: class}
		var handle uintptr
		if code, _, _ := registerNotification.Call(uintptr(unsafe.Pointer(&filter)), 0, callback, uintptr(unsafe.Pointer(&handle))); code != 0 {
			log.Warn("this system does not tell of devices; their lists are read every second", "configuration_manager", code)
			continue
		}
		handles = append(handles, handle)
	}
	context.AfterFunc(ctx, func() {
		for _, h := range handles {
			unregister.Call(h)
		}
	})
	return len(handles) == len(interfaceClasses)
}
