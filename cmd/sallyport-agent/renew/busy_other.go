//go:build !unix

package renew

func busy(error) bool { return false }
