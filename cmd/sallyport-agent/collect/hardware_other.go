//go:build !linux && !windows && !darwin

package collect

func hardwareValue(string, string) (value, why string) { return "", notInThisBuild }
