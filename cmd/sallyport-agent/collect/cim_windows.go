package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"time"

	"sallyport/netio/report"
)

// What only WMI tells is asked through PowerShell, which prints it as JSON. Neither was
// run on a Windows of Microsoft's.

// cim asks for all instances of a class; properties are those of out's fields.
func cim[T any](ctx context.Context, namespace, class, properties string) ([]T, error) {
	command := fmt.Sprintf("$ErrorActionPreference='Stop'; ConvertTo-Json -Compress @(Get-CimInstance -Namespace '%s' -ClassName '%s' | Select-Object %s)",
		namespace, class, properties)
	cmd := exec.CommandContext(ctx, powershell(), "-NoProfile", "-NonInteractive", "-Command", command)
	cmd.WaitDelay = time.Second
	text, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var all []T
	return all, json.Unmarshal(text, &all)
}

// encryptable is Win32_EncryptableVolume.
type encryptable struct {
	DriveLetter      string
	ProtectionStatus uint32 // 0 off, 1 on, 2 locked
	ConversionStatus uint32 // 0 decrypted, 1 encrypted, 2 encrypting, 3 decrypting, 4 and 5 paused
	VolumeType       uint32 // 0 system, 1 fixed, 2 removable
}

func encryption(ctx context.Context, _ *survey) *report.Encryption {
	out := &report.Encryption{Volumes: []report.Volume{}}
	all, err := cim[encryptable](ctx, `root\cimv2\Security\MicrosoftVolumeEncryption`, "Win32_EncryptableVolume",
		"DriveLetter,ProtectionStatus,ConversionStatus,VolumeType")
	if err != nil {
		out.Error = "BitLocker cannot be asked: " + Printable(err.Error())
		return out
	}
	for _, v := range all {
		if v.DriveLetter != "" {
			out.Volumes = append(out.Volumes, v.volume())
		}
	}
	return out
}

// volume: with the conversion done and the protection off the key lies open on the disk.
func (v encryptable) volume() report.Volume {
	out := report.Volume{Mount: Printable(v.DriveLetter), By: "bitlocker", System: v.VolumeType == 0, External: v.VolumeType == 2}
	switch {
	case v.ProtectionStatus == 2:
		out.State = report.VolumeEncrypted // locked: nobody has its key
	case v.ConversionStatus == 1 && v.ProtectionStatus == 1:
		out.State = report.VolumeEncrypted
	case v.ConversionStatus == 1:
		out.State = report.VolumeSuspended
	case v.ConversionStatus == 2:
		out.State = report.VolumePending
	case v.ConversionStatus == 0:
		out.State, out.By = report.VolumePlain, ""
	default:
		out.State = report.VolumePartly
	}
	return out
}

// protector is AntiVirusProduct of the security center, which a server has not.
type protector struct {
	DisplayName  string `json:"displayName"`
	ProductState uint32 `json:"productState"`
}

func antiMalware(ctx context.Context, _ *survey) *report.AntiMalware {
	out := &report.AntiMalware{Products: []report.Product{}}
	all, err := cim[protector](ctx, `root\SecurityCenter2`, "AntiVirusProduct", "displayName,productState")
	if err != nil {
		out.Error = "the security center cannot be asked: " + Printable(err.Error())
		return out
	}
	for _, p := range all {
		out.Products = append(out.Products, p.product())
	}
	return out
}

// product reads productState: its third octet from the right is 0x10 or 0x11 for on, the
// last 0x00 for definitions that are up to date. Microsoft does not publish it.
func (p protector) product() report.Product {
	out := report.Product{Name: Printable(p.DisplayName), State: report.StateOff, RealTime: report.StateOff}
	if out.Name == "" {
		out.Name = "a product without a name"
	}
	if p.ProductState>>12&0xf == 1 {
		out.State, out.RealTime = report.StateOn, report.StateOn
	}
	out.Definitions = "out of date"
	if p.ProductState&0xff == 0 {
		out.Definitions = "up to date"
	}
	return out
}
