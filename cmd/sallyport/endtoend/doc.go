// Package endtoend has nothing but tests: of the programs as they are built, each test
// with an appliance of its own as a child process on loopback.
//
//	radclient, tshark, FreeRADIUS   peers that share no code with us
//	storm                           SIGKILL twice while a policy changes every session
//	story, crash, kill              the real agent against a fixture tree, and SIGKILL
//	wrong                           everything that must be refused, over real sockets
//	operate, signals                signals, reload, a second instance
//
// What a test needs and a machine has not is named where the test is skipped.
package endtoend
