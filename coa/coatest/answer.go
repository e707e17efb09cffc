package coatest

import (
	"net/netip"
	"sync/atomic"

	"sallyport/netio/radius"
)

// ASARequest is a sound CoA-Request or Disconnect-Request that is about to be answered.
type ASARequest struct {
	From    netip.AddrPort
	Code    radius.Code
	Session string // audit-session-id as the request has it; empty when it names none
	Arrival int    // how often these octets have come: 1, 2 …
}

// ASAAnswer is how the ASA is to misbehave. The zero value is good behaviour.
type ASAAnswer struct {
	Silent bool   // says nothing and does nothing; what comes again is looked at anew
	Cause  uint32 // refuses with this Error-Cause and does nothing
	Lie    bool   // acknowledges and does nothing
}

// ASASilent is silent n times, then behaves.
func ASASilent(n int) func(ASARequest) ASAAnswer { return first(n, ASAAnswer{Silent: true}) }

// ASANAK refuses n times, then behaves.
func ASANAK(cause uint32, n int) func(ASARequest) ASAAnswer { return first(n, ASAAnswer{Cause: cause}) }

// ASALies acknowledges n times without doing anything, then behaves.
func ASALies(n int) func(ASARequest) ASAAnswer { return first(n, ASAAnswer{Lie: true}) }

func first(n int, answer ASAAnswer) func(ASARequest) ASAAnswer {
	var left atomic.Int64
	left.Store(int64(n))
	return func(ASARequest) ASAAnswer {
		if left.Add(-1) >= 0 {
			return answer
		}
		return ASAAnswer{}
	}
}
