//go:build !linux

package collect

func hardwareValue(string, string) (value, why string) { return "", notInThisBuild }
