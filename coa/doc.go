// Package coa tells a NAS that a session may do something else now (RFC 5176). It is
// the Dynamic Authorization Client: changes go in, settlements come out, one for each.
//
//	Submit(change)          never waits; ErrFull when too many are pending
//	  -> track              one for a session: the newest change replaces one that has
//	                        not left; it waits while an older one is in flight; an older
//	                        epoch never leaves after a newer one; nothing but an operator
//	                        replaces an operator's disconnect
//	  -> batch              one for a NAS: gathers for BatchWait or up to BatchMax; bulk
//	                        goes when nothing else waits
//	  -> window             one for a NAS and source socket: 256 identifiers, a slot each
//	                        with the request, its authenticator and its deadline
//	  -> retransmission     RFC 5080 section 2.2.1: the same octets from the same port
//	  -> follow             a refusal that may pass, an identification that was not enough,
//	                        silence: another request of the same change, or
//	  -> settlement         ACK, NAK with its Error-Cause, silence to the end, the fallback
//	  -> confirmation       what the NAS does next, told by Confirmed, or that it did not
//
// The machine (machine.go, track.go, batch.go, window.go, retry.go, follow.go, settle.go,
// confirm.go) is a state machine: events and the time go in as values, datagrams,
// settlements and confirmations come out. The Engine (engine.go, loop.go, wire.go) is the
// rim around it: sockets, the clock, and the one goroutine that owns the machine. A
// Ledger keeps the events as each session's timeline.
package coa
