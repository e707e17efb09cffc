// Package packagetest has nothing but tests: what installing, upgrading and removing the
// packages leaves on a machine.
//
//	this machine's files  <- lower    overlay, in a mount namespace of its own
//	a tmpfs               <- upper    chroot: dpkg -i, rpm -U, what a person would type
//	                                  systemctl there is a script that writes down what is asked
//
// Nothing is installed here, and every test begins with a fresh copy. The packages come in two
// versions, built by `make test-packages`; where they lie is in SALLYPORT_PACKAGES. Without
// them, without root or without overlays the tests are left out and say so.
//
// Files: machine (the copy), then the tests.
package packagetest
