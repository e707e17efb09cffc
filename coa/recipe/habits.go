package recipe

import (
	"strings"
	"time"
)

// Fallback is what is done when a NAS was silent about a change to the end.
type Fallback uint8

// The fallbacks. The default is the recipe's own; a recipe's own default is the alarm.
const (
	FallbackDefault Fallback = iota
	FallbackAlarm            // nothing is sent
	FallbackDisconnect
	FallbackBounce
	fallbacks // the number of them
)

var fallbackNames = [fallbacks]string{"default", "alarm", "disconnect", "bounce"}

// String is the fallback as configuration has it.
func (f Fallback) String() string {
	if f < fallbacks {
		return fallbackNames[f]
	}
	return "unknown"
}

// ParseFallback reads a word that String made.
func ParseFallback(word string) (Fallback, bool) {
	for i, name := range fallbackNames {
		if name == word {
			return Fallback(i), true
		}
	}
	return 0, false
}

// Kind is what is sent; false when nothing is.
func (f Fallback) Kind() (Kind, bool) {
	switch f {
	case FallbackDisconnect:
		return Disconnect, true
	case FallbackBounce:
		return Bounce, true
	}
	return 0, false
}

// Sign is a set of things that a NAS does when it carried a change out, and by which that
// can be seen: an acknowledgement alone is a promise.
type Sign uint8

// The signs.
const (
	SignACL        Sign = 1 << iota // it fetches the downloadable ACL
	SignAccess                      // it asks for the session again
	SignAccounting                  // it sends an Interim-Update
	SignStop                        // it sends an Accounting Stop
)

// Words is the signs in words: what the NAS did, or one of which it is to do.
func (s Sign) Words() string {
	var words []string
	for i, word := range [...]string{"fetched the downloadable ACL", "asked for the session again",
		"sent an accounting update", "sent an accounting stop"} {
		if s&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	return strings.Join(words, ", or ")
}

// habits is how a kind of NAS behaves besides what its packets hold.
type habits struct {
	fallback      Fallback
	confirmWithin time.Duration // 0: nothing is expected of it
	inFlightMax   int           // requests it bears at a time; 0: no statement
	rateMax       int           // a second; 0: no statement
	signs         [kinds]Sign   // any of them shows that the kind was carried out
}

// Fallback is what follows silence unless the NAS was configured otherwise.
func (r *Recipe) Fallback() Fallback { return r.habits.fallback }

// ConfirmWithin is how long after an acknowledgement the NAS may take to show that it
// carried the change out; 0 when nothing can be expected of it.
func (r *Recipe) ConfirmWithin() time.Duration { return r.habits.confirmWithin }

// InFlightMax is how many unanswered requests this kind of NAS bears; 0: not known.
func (r *Recipe) InFlightMax() int { return r.habits.inFlightMax }

// RateMax is how many changes a second this kind of NAS bears; 0: not known.
func (r *Recipe) RateMax() int { return r.habits.rateMax }

// Signs is what the NAS does when it has carried out a change of this kind to g; any one
// of them is enough. 0: nothing that can be seen. g may be nil where the request does not
// carry it.
func (r *Recipe) Signs(kind Kind, g *Grant) Sign {
	signs := r.habits.signs[r.Means(kind)]
	if g == nil || g.DACLName == "" || !r.CarriesGrant(kind) {
		signs &^= SignACL
	}
	return signs
}
