// Package coa tells a NAS that a session may do something else now (RFC 5176). It is
// the Dynamic Authorization Client: changes go in, settlements come out, one for each.
//
//	Submit(change)          never waits; ErrFull when too many are pending
//	  -> track              one for a session: the newest change replaces one that has
//	                        not left; it waits while an older one is in flight; an older
//	                        epoch never leaves after a newer one
//	  -> batch              one for a NAS: gathers for BatchWait or up to BatchMax
//	  -> window             one for a NAS and source socket: 256 identifiers, a slot each
//	                        with the request, its authenticator and its deadline
//	  -> retransmission     RFC 5080 section 2.2.1: the same octets from the same port
//	  -> settlement         ACK, NAK with its Error-Cause, or silence to the end
//
// The machine (machine.go, batch.go, window.go, retry.go) is a state machine: events and
// the time go in as values, datagrams and settlements come out. The Engine (engine.go)
// is the rim around it: sockets, the clock, and the one goroutine that owns the machine.
package coa
