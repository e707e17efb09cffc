package remedy

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"sallyport/cmd/sallyport-agent/collect"
)

// TestWindowsVolumeThatIsGone: a stick that was pulled out in the middle of it is no fault.
func TestWindowsVolumeThatIsGone(t *testing.T) {
	k := KernelOf("/")
	m := collect.Mount{Point: `E:\`, Device: `\\?\Volume{00000000-0000-0000-0000-000000000001}`}
	for name, f := range map[string]func(collect.Mount) error{"sync": k.Sync, "unmount": k.Unmount, "detach": k.Detach} {
		if err := f(m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	release, err := k.Claim(m.Device)
	if err != nil {
		t.Fatal(err)
	}
	release()
	if err := k.End(m, true); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

// TestWindowsSwitchOfNothing: a device that is not there is told apart, or nothing is done.
func TestWindowsSwitchOfNothing(t *testing.T) {
	s := KernelOf("/").(switcher)
	for _, on := range []bool{false, true} {
		if err := s.Switch(`USB\VID_0000&PID_0000\NONE`, on); err == nil {
			t.Error("a device that is not there was switched")
		} else if !errors.Is(err, fs.ErrNotExist) && !strings.Contains(err.Error(), "configuration manager") {
			t.Error(err)
		}
	}
	for code, want := range map[uintptr]error{crSuccess: nil, crNoSuchDevNode: fs.ErrNotExist, crRemoveVetoed: ErrBusy} {
		if err := codeError("disabled", code); !errors.Is(err, want) {
			t.Errorf("%#x: %v", code, err)
		}
	}
	if err := codeError("disabled", 0x33); err == nil || !strings.Contains(err.Error(), "cannot be disabled: configuration manager 0x33") {
		t.Error(err)
	}
}
