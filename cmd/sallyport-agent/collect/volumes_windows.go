package collect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

var (
	locateDevNode = configManager.NewProc("CM_Locate_DevNodeW")
	getChild      = configManager.NewProc("CM_Get_Child")
	getSibling    = configManager.NewProc("CM_Get_Sibling")
	getDeviceID   = configManager.NewProc("CM_Get_Device_IDW")
)

// Codes of the configuration manager and of a device's problem (cfgmgr32.h, cfg.h).
const (
	crSuccess       = 0x00
	crNoSuchDevNode = 0x0d
	problemDisabled = 0x16
	deviceIDMax     = 200
)

// Codes of DeviceIoControl (winioctl.h).
const (
	ioctlDeviceNumber = 0x002d1080 // IOCTL_STORAGE_GET_DEVICE_NUMBER
	ioctlDiskExtents  = 0x00560000 // IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS
)

// DevNode finds a device of the tree by its instance; ok is false when it is not there.
func DevNode(instance string) (node windows.DEVINST, ok bool, err error) {
	if err := locateDevNode.Find(); err != nil {
		return 0, false, err
	}
	name, err := windows.UTF16PtrFromString(instance)
	if err != nil {
		return 0, false, err
	}
	switch code, _, _ := locateDevNode.Call(uintptr(unsafe.Pointer(&node)), uintptr(unsafe.Pointer(name)), 0); code {
	case crSuccess:
		return node, true, nil
	case crNoSuchDevNode:
		return 0, false, nil
	default:
		return 0, false, fmt.Errorf("%s cannot be found: configuration manager %#x", Printable(instance), code)
	}
}

// DevNodeDisabled says whether a device is plugged in and disabled.
func DevNodeDisabled(instance string) bool {
	node, ok, err := DevNode(instance)
	if !ok || err != nil {
		return false
	}
	var status, problem uint32
	return windows.CM_Get_DevNode_Status(&status, &problem, node, 0) == nil && problem == problemDisabled
}

// disks asks each child of a function for its number as a disk.
func (thisMachine) disks(instance string) (numbers []uint32, err error) {
	node, ok, err := DevNode(instance)
	if !ok || err != nil {
		return nil, err
	}
	var child windows.DEVINST
	code, _, _ := getChild.Call(uintptr(unsafe.Pointer(&child)), uintptr(node), 0)
	for ; code == crSuccess; code, _, _ = getSibling.Call(uintptr(unsafe.Pointer(&child)), uintptr(child), 0) {
		var id [deviceIDMax + 1]uint16
		if code, _, _ := getDeviceID.Call(uintptr(child), uintptr(unsafe.Pointer(&id[0])), uintptr(len(id)), 0); code != crSuccess {
			return numbers, fmt.Errorf("a disk has no name: configuration manager %#x", code)
		}
		paths, err := windows.CM_Get_Device_Interface_List(windows.UTF16ToString(id[:]), &interfaceClasses[0], 0)
		if err != nil {
			return numbers, err
		}
		for _, path := range paths {
			if path == "" {
				continue
			}
			n, err := diskNumber(path)
			if err != nil {
				return numbers, err
			}
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// ask opens something for questions alone, which needs no rights on its content.
func ask(path string, code uint32, out []byte) (int, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	h, err := windows.CreateFile(name, 0, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", Printable(path), err)
	}
	defer windows.CloseHandle(h)
	var n uint32
	if err := windows.DeviceIoControl(h, code, nil, 0, &out[0], uint32(len(out)), &n, nil); err != nil {
		return 0, fmt.Errorf("%s: %w", Printable(path), err)
	}
	return int(n), nil
}

// diskNumber reads STORAGE_DEVICE_NUMBER: type, number, partition.
func diskNumber(path string) (uint32, error) {
	var out [12]byte
	n, err := ask(path, ioctlDeviceNumber, out[:])
	if err == nil && n < 8 {
		err = fmt.Errorf("%s: an answer of %d octets", Printable(path), n)
	}
	return binary.LittleEndian.Uint32(out[4:]), err
}

// disksOf reads VOLUME_DISK_EXTENTS: a number of extents, each a disk, a begin, a length.
// A volume that lies on no disk of its own, a CD say, has none.
func disksOf(volume string) (disks []uint32, err error) {
	out := make([]byte, 8+24*64)
	n, err := ask(volume, ioctlDiskExtents, out)
	if errors.Is(err, windows.ERROR_INVALID_FUNCTION) || errors.Is(err, windows.ERROR_NOT_READY) {
		return nil, nil
	}
	if err != nil || n < 8 {
		return nil, err
	}
	for i := range int(binary.LittleEndian.Uint32(out)) {
		if at := 8 + 24*i; at+24 <= n {
			disks = append(disks, binary.LittleEndian.Uint32(out[at:]))
		}
	}
	return disks, nil
}

func (thisMachine) volumes() (all []drivenVolume, err error) {
	var name [windows.MAX_PATH]uint16
	h, err := windows.FindFirstVolume(&name[0], uint32(len(name)))
	if err != nil {
		return nil, err
	}
	defer windows.FindVolumeClose(h)
	for {
		v := drivenVolume{name: strings.TrimSuffix(windows.UTF16ToString(name[:]), `\`)}
		disks, fault := disksOf(v.name)
		if fault != nil {
			err = fault // of one: the others are told all the same
		}
		v.disks = disks
		var points [4 * windows.MAX_PATH]uint16
		var length uint32
		if windows.GetVolumePathNamesForVolumeName(&name[0], &points[0], uint32(len(points)), &length) == nil {
			for point := range strings.SplitSeq(string(windowsText(points[:min(int(length), len(points))])), "\x00") {
				if point != "" {
					v.points = append(v.points, point)
				}
			}
		}
		all = append(all, v)
		if windows.FindNextVolume(h, &name[0], uint32(len(name))) != nil {
			return all, err
		}
	}
}

func windowsText(units []uint16) []rune {
	runes := make([]rune, 0, len(units))
	for len(units) > 0 {
		end := 0
		for end < len(units) && units[end] != 0 {
			end++
		}
		runes = append(append(runes, []rune(windows.UTF16ToString(units[:end]))...), 0)
		units = units[min(end+1, len(units)):]
	}
	return runes
}

const (
	setupKey  = `SYSTEM\Setup`
	memoryKey = `SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management`
	policyKey = `SOFTWARE\Policies\Microsoft\Windows\RemovableStorageDevices`

	removableDisks = `{53f5630d-b6bf-11d0-94f2-00a0c91efb8b}` // GUID_DEVINTERFACE_VOLUME, as the policy has it
)

func (thisMachine) system() (map[uint32]bool, error) {
	home, err := windows.GetSystemWindowsDirectory()
	if err != nil {
		return nil, err
	}
	volumes := []string{`\\.\` + filepath.VolumeName(home)}
	if k, err := registry.OpenKey(registry.LOCAL_MACHINE, setupKey, registry.QUERY_VALUE); err == nil {
		if began, _, err := k.GetStringValue("SystemPartition"); err == nil && began != "" {
			volumes = append(volumes, `\\?\GLOBALROOT`+began)
		}
		k.Close()
	}
	if k, err := registry.OpenKey(registry.LOCAL_MACHINE, memoryKey, registry.QUERY_VALUE); err == nil {
		files, _, _ := k.GetStringsValue("ExistingPageFiles")
		for _, file := range files {
			if volume := filepath.VolumeName(strings.TrimPrefix(file, `\??\`)); volume != "" {
				volumes = append(volumes, `\\.\`+volume)
			}
		}
		k.Close()
	}
	all := map[uint32]bool{}
	for _, v := range volumes {
		disks, err := disksOf(v)
		if err != nil {
			return nil, err
		}
		for _, n := range disks {
			all[n] = true
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s lies on no disk that can be told", Printable(volumes[0]))
	}
	return all, nil
}

// denied reads what group policies may say of removable storage: everything is denied, or
// reading from and writing to removable disks.
func (thisMachine) denied() bool {
	number := func(key, name string) uint64 {
		k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE)
		if err != nil {
			return 0
		}
		defer k.Close()
		n, _, _ := k.GetIntegerValue(name)
		return n
	}
	disks := policyKey + `\` + removableDisks
	return number(policyKey, "Deny_All") == 1 || number(disks, "Deny_Read") == 1 && number(disks, "Deny_Write") == 1
}
