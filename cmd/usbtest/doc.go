// Package usbtest has nothing but tests: of the agent on a real kernel, with devices that
// really come and go.
//
//	this machine                                   the machine in QEMU
//	sallyport serve <- RADIUS, CoA -> ASA          Debian's kernel; process 1 is this
//	     ^  HTTPS                                  test program, which does what it is
//	     '------------- user network ------------- told over a serial line; the agent
//	QMP: plug, pull, press a key  ---------------> xHCI, hubs, sticks, a keyboard
//
// The machine's root is a disk on USB, so that every test also has a disk that must not
// be blocked. Composite devices are made inside, by the kernel's own gadget framework on
// a loop-back controller. The kernel package is Debian's, unpacked, not installed; where it
// lies is in SALLYPORT_USB_KERNEL, which `make test-usb` sets. Without it, or without
// QEMU, the tests are left out and say so. SALLYPORT_USB_BESIDE is the same for USBGuard,
// udev and udisks2, which some of the tests run inside.
//
// Times within the machine are by its own clock, which counts instructions, one every two
// nanoseconds: a modest computer, however busy the one is that pretends to be it. Times of
// the story between machine, appliance and NAS are by the clock on the wall.
//
// Files: machine (QEMU and its control), boot (what is loaded into it), guest (process 1
// inside), line (the serial line between the two), then the tests.
package usbtest
