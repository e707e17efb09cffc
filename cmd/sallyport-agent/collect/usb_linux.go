package collect

// USB looks for USB storage below root, "/" for this machine.
func USB(root string) Inventory { return scanSysfs(root) }
