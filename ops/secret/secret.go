// Package secret holds values that must not appear in a log, a dump or an error.
//
// A named type with a String method is not enough: fmt cannot call the method of an
// unexported field and prints its bytes. A closure has no bytes to print, so fmt,
// slog and encoding/json all show an address or refuse.
package secret

import "crypto/subtle"

// Shared is a secret both ends know, such as a RADIUS shared secret. The zero value
// is the empty secret. Two Shared values cannot be compared with ==.
type Shared struct{ reveal func() []byte }

// New keeps a private copy of b.
func New(b []byte) Shared {
	kept := append([]byte(nil), b...)
	return Shared{reveal: func() []byte { return kept }}
}

// Reveal returns the octets; the caller must not change or print them.
func (s Shared) Reveal() []byte {
	if s.reveal == nil {
		return nil
	}
	return s.reveal()
}

// Len is the number of octets.
func (s Shared) Len() int { return len(s.Reveal()) }

// Equal compares in constant time.
func (s Shared) Equal(b []byte) bool { return subtle.ConstantTimeCompare(s.Reveal(), b) == 1 }

// String says that there is a secret, never which.
func (s Shared) String() string { return "[secret]" }

// GoString is String, for %#v.
func (s Shared) GoString() string { return "[secret]" }

// MarshalText is String, for encoders.
func (s Shared) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }
