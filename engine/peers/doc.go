// Package peers holds the appliance against programs of others. It has nothing but
// tests: each starts an engine with its sockets on loopback in the test's own process, so
// that the race detector watches it, and sets a program beside it that shares no code
// with it.
//
//	radclient    asks, as a NAS does, and verifies the answers
//	FreeRADIUS   receives the changes of authorization and answers them
//	tshark       reads everything that the appliance sent
//
// What a test needs and a machine has not is named where the test is skipped.
package peers
