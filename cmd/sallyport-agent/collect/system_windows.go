package collect

import (
	"fmt"

	"golang.org/x/sys/windows"
)

func osRelease(string) (name, version string) {
	v := windows.RtlGetVersion()
	return "Windows", fmt.Sprintf("%d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
}
