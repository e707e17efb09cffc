package radius

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"

	"sallyport/netio/radius/internal/lanes"
	"sallyport/ops/secret"
)

// ErrEmptySecret refuses a shared secret of no octets (RFC 2865 section 3).
var ErrEmptySecret = errors.New("radius: the shared secret is empty")

// Key is a shared secret made ready: the HMAC-MD5 states are computed once. A Key may
// be used by many goroutines at the same time, its methods do not allocate, and it
// prints no secret, for a closure has no octets to print.
type Key struct{ state func() *keyState }

type keyState struct {
	secret       []byte
	inner, outer [4]uint32 // MD5 after the block of key^ipad, key^opad (RFC 2104)
}

// NewKey makes s ready. It fails with ErrEmptySecret only.
func NewKey(s secret.Shared) (*Key, error) {
	if s.Len() == 0 {
		return nil, ErrEmptySecret
	}
	k := &keyState{secret: append([]byte(nil), s.Reveal()...)}
	k.inner, k.outer = padded(k.secret, 0x36), padded(k.secret, 0x5c)
	return &Key{state: func() *keyState { return k }}, nil
}

// padded is the MD5 state after one block of the secret and the pad octet.
func padded(octets []byte, pad byte) [4]uint32 {
	var block [64]byte
	if len(octets) > len(block) {
		d := newDigest()
		d.write(octets)
		sum := d.sum()
		copy(block[:], sum[:])
	} else {
		copy(block[:], octets)
	}
	for i := range block {
		block[i] ^= pad
	}
	d := newDigest()
	lanes.Blocks(&d.state, block[:])
	return d.state
}

var zeros Authenticator

// messageAuthenticator is HMAC-MD5 over the packet with authenticator a in the header
// and zeros in the place of the attribute's value at offset mac (RFC 3579 section 3.2).
func (k *keyState) messageAuthenticator(pkt []byte, a *Authenticator, mac int) Authenticator {
	d := digest{state: k.inner, total: 64}
	d.write(pkt[:4])
	d.write(a[:])
	d.write(pkt[HeaderLen:mac])
	d.write(zeros[:])
	d.write(pkt[mac+16:])
	inner := d.sum()
	d = digest{state: k.outer, total: 64}
	d.write(inner[:])
	return d.sum()
}

// authenticator is MD5 over the packet with a in the header, and the secret.
func (k *keyState) authenticator(pkt []byte, a *Authenticator) Authenticator {
	d := newDigest()
	d.write(pkt[:4])
	d.write(a[:])
	d.write(pkt[HeaderLen:])
	d.write(k.secret)
	return d.sum()
}

func same(sum Authenticator, octets []byte) bool {
	return subtle.ConstantTimeCompare(sum[:], octets) == 1
}

// VerifyMessageAuthenticator checks the attribute in a request. Whether a request may
// come without is the caller's policy: WhyNoMessageAuthenticator says that it did.
func (k *Key) VerifyMessageAuthenticator(v *View) Why {
	a := v.Authenticator()
	if v.Code().digested() {
		a = zeros
	}
	return k.verifyMessageAuthenticator(v, &a)
}

func (k *Key) verifyMessageAuthenticator(v *View, a *Authenticator) Why {
	if v.mac == 0 {
		return WhyNoMessageAuthenticator
	}
	if !same(k.state().messageAuthenticator(v.pkt, a, v.mac), v.pkt[v.mac:v.mac+16]) {
		return WhyBadMessageAuthenticator
	}
	return Sound
}

// VerifyRequestAuthenticator checks the Request Authenticator of an accounting, CoA or
// Disconnect request. Other requests have a random one, about which nothing can be
// said: they get WhyBadAuthenticator.
func (k *Key) VerifyRequestAuthenticator(v *View) Why {
	if !v.Code().digested() || !same(k.state().authenticator(v.pkt, &zeros), v.pkt[4:HeaderLen]) {
		return WhyBadAuthenticator
	}
	return Sound
}

// VerifyRequest makes every check that a request's code allows: the Request
// Authenticator where it is a digest, Message-Authenticator where it is present, and
// its presence in a Status-Server (RFC 5997 section 3) and beside EAP-Message (RFC 3579
// section 3.1). A Sound Access-Request without the attribute proves nothing.
func (k *Key) VerifyRequest(v *View) Why {
	if v.Code().digested() {
		if why := k.VerifyRequestAuthenticator(v); why != Sound {
			return why
		}
	}
	why := k.VerifyMessageAuthenticator(v)
	if why == WhyNoMessageAuthenticator && v.Code() != StatusServer && !v.Has(EAPMessage) {
		return Sound
	}
	return why
}

// VerifyResponse checks a reply to the request whose authenticator was request: the
// Response Authenticator always, Message-Authenticator when it is there (RFC 2865
// section 3, RFC 3579 section 3.2, RFC 5176 section 3.4).
func (k *Key) VerifyResponse(v *View, request Authenticator) Why {
	if len(v.pkt) == 0 || !same(k.state().authenticator(v.pkt, &request), v.pkt[4:HeaderLen]) {
		return WhyBadAuthenticator
	}
	if v.mac == 0 {
		return Sound
	}
	return k.verifyMessageAuthenticator(v, &request)
}

// SealReply finishes a reply to the request whose authenticator was request: length,
// Message-Authenticator, Response Authenticator. It returns the buffer given to Begin
// with the packet appended, or the first error of the Builder and nothing.
func (k *Key) SealReply(b *Builder, request Authenticator) ([]byte, error) {
	pkt, err := b.finish()
	if err != nil {
		return nil, err
	}
	s := k.state()
	b.fillMessageAuthenticator(s, pkt, &request)
	sum := s.authenticator(pkt, &request)
	copy(pkt[4:], sum[:])
	return b.buf, nil
}

// SealRequest finishes a request. The Request Authenticator of accounting, CoA and
// Disconnect is computed here, after Message-Authenticator; that of an Access-Request
// or a Status-Server is what Begin drew or SetAuthenticator set.
func (k *Key) SealRequest(b *Builder) ([]byte, error) {
	pkt, err := b.finish()
	if err != nil {
		return nil, err
	}
	s := k.state()
	if !Code(pkt[0]).digested() {
		b.fillMessageAuthenticator(s, pkt, (*Authenticator)(pkt[4:HeaderLen]))
		return b.buf, nil
	}
	b.fillMessageAuthenticator(s, pkt, &zeros)
	sum := s.authenticator(pkt, &zeros)
	copy(pkt[4:], sum[:])
	return b.buf, nil
}

func (b *Builder) fillMessageAuthenticator(s *keyState, pkt []byte, a *Authenticator) {
	if b.mac == 0 {
		return
	}
	sum := s.messageAuthenticator(pkt, a, b.mac)
	copy(pkt[b.mac:], sum[:])
}

// finish writes the length and returns the packet alone.
func (b *Builder) finish() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	pkt := b.buf[b.start:]
	binary.BigEndian.PutUint16(pkt[2:], uint16(len(pkt)))
	return pkt, nil
}
