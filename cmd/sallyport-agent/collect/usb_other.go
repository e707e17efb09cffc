//go:build !linux && !windows && !darwin

package collect

// USB looks for USB storage. This machine's cannot be read by this build, so the
// appliance is told that the agent cannot tell; a root other than "/" is a tree that
// looks like Linux and is read anywhere.
func USB(root string) Inventory {
	if root == "/" || root == "" {
		return Inventory{Error: "not implemented on this system in this build"}
	}
	return scanSysfs(root)
}
