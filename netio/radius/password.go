package radius

import "encoding/binary"

// stream is MD5(secret + seed), the octets that hide a password (RFC 2865 section 5.2).
func (k *keyState) stream(seed []byte, salt []byte) Authenticator {
	d := newDigest()
	d.write(k.secret)
	d.write(seed)
	d.write(salt)
	return d.sum()
}

// HidePassword appends the User-Password value of plain to dst: padded with zeros to a
// multiple of 16 octets, 16 at least. False when plain is longer than PasswordMax.
func (k *Key) HidePassword(dst, plain []byte, request Authenticator) ([]byte, bool) {
	if len(plain) > PasswordMax {
		return dst, false
	}
	s, seed := k.state(), request
	for first := true; first || len(plain) > 0; first = false {
		mask := s.stream(seed[:], nil)
		n := copy(seed[:], plain)
		clear(seed[n:])
		plain = plain[n:]
		for i := range seed {
			seed[i] ^= mask[i]
		}
		dst = append(dst, seed[:]...)
	}
	return dst, true
}

// RevealPassword appends the password in the User-Password value hidden to dst, without
// the zeros that pad it. False when hidden has not 16 to 128 octets in steps of 16
// (RFC 2865 section 5.2). A wrong secret shows as a wrong password only.
func (k *Key) RevealPassword(dst, hidden []byte, request Authenticator) ([]byte, bool) {
	if len(hidden) == 0 || len(hidden)%16 != 0 || len(hidden) > PasswordMax {
		return dst, false
	}
	s, start := k.state(), len(dst)
	for seed := request[:]; len(hidden) > 0; hidden = hidden[16:] {
		mask := s.stream(seed, nil)
		for i, c := range hidden[:16] {
			dst = append(dst, c^mask[i])
		}
		seed = hidden[:16]
	}
	for len(dst) > start && dst[len(dst)-1] == 0 {
		dst = dst[:len(dst)-1]
	}
	return dst, true
}

// HideSalted appends salt and the hidden form of plain to dst, as Tunnel-Password (RFC
// 2868 section 3.5, after its tag) and the MPPE keys (RFC 2548 section 2.4.2) have it.
// The salt's first bit is set here; it must not repeat within one packet. False when
// plain is longer than 239 octets, which is what fits.
func (k *Key) HideSalted(dst, plain []byte, salt uint16, request Authenticator) ([]byte, bool) {
	const most = 239 // 253 less tag and salt, in whole blocks of 16, less the length octet
	if len(plain) > most {
		return dst, false
	}
	var salted [2]byte
	binary.BigEndian.PutUint16(salted[:], salt|0x8000)
	dst = append(dst, salted[:]...)
	start := len(dst)
	dst = append(append(dst, byte(len(plain))), plain...)
	for (len(dst)-start)%16 != 0 {
		dst = append(dst, 0)
	}
	s, tail := k.state(), salted[:]
	for seed, rest := request[:], dst[start:]; len(rest) > 0; rest = rest[16:] {
		mask := s.stream(seed, tail)
		for i := range mask {
			rest[i] ^= mask[i]
		}
		seed, tail = rest[:16], nil
	}
	return dst, true
}

// RevealSalted appends what HideSalted hid. False when the value's lengths disagree,
// which is also how a wrong secret shows most of the time.
func (k *Key) RevealSalted(dst, hidden []byte, request Authenticator) ([]byte, bool) {
	if len(hidden) < 18 || (len(hidden)-2)%16 != 0 {
		return dst, false
	}
	s, start, tail := k.state(), len(dst), hidden[:2]
	for seed, rest := request[:], hidden[2:]; len(rest) > 0; rest = rest[16:] {
		mask := s.stream(seed, tail)
		for i, c := range rest[:16] {
			dst = append(dst, c^mask[i])
		}
		seed, tail = rest[:16], nil
	}
	n := int(dst[start])
	if n > len(dst)-start-1 {
		return dst[:start], false
	}
	copy(dst[start:], dst[start+1:start+1+n])
	return dst[:start+n], true
}
