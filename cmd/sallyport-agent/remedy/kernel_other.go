//go:build !linux && !windows && !darwin

package remedy

// KernelOf gives the pretended kernel of a usbfixture tree. For this machine ("/") it
// gives nil: this build cannot block USB storage here, and every action is refused.
func KernelOf(root string) Kernel {
	if root == "/" || root == "" {
		return nil
	}
	return fixtureKernel{root: root}
}
