package lanes

import (
	"encoding/binary"
	"math/bits"
)

// Blocks takes the whole blocks of 64 octets that p begins with into state.
func Blocks(state *[4]uint32, p []byte) {
	var x [16]uint32
	a, b, c, d := state[0], state[1], state[2], state[3]
	for ; len(p) >= 64; p = p[64:] {
		q := p[:64]
		for i := range x {
			x[i] = binary.LittleEndian.Uint32(q[4*i:])
		}
		a0, b0, c0, d0 := a, b, c, d
		a, b, c, d = round1(a, b, c, d, &x)
		a, b, c, d = round2(a, b, c, d, &x)
		a, b, c, d = round3(a, b, c, d, &x)
		a, b, c, d = round4(a, b, c, d, &x)
		a, b, c, d = a+a0, b+b0, c+c0, d+d0
	}
	state[0], state[1], state[2], state[3] = a, b, c, d
}

// round1: F selects c or d by b.
func round1(a, b, c, d uint32, x *[16]uint32) (uint32, uint32, uint32, uint32) {
	a = b + bits.RotateLeft32(a+x[0]+0xd76aa478+((c^d)&b^d), 7)
	d = a + bits.RotateLeft32(d+x[1]+0xe8c7b756+((b^c)&a^c), 12)
	c = d + bits.RotateLeft32(c+x[2]+0x242070db+((a^b)&d^b), 17)
	b = c + bits.RotateLeft32(b+x[3]+0xc1bdceee+((d^a)&c^a), 22)
	a = b + bits.RotateLeft32(a+x[4]+0xf57c0faf+((c^d)&b^d), 7)
	d = a + bits.RotateLeft32(d+x[5]+0x4787c62a+((b^c)&a^c), 12)
	c = d + bits.RotateLeft32(c+x[6]+0xa8304613+((a^b)&d^b), 17)
	b = c + bits.RotateLeft32(b+x[7]+0xfd469501+((d^a)&c^a), 22)
	a = b + bits.RotateLeft32(a+x[8]+0x698098d8+((c^d)&b^d), 7)
	d = a + bits.RotateLeft32(d+x[9]+0x8b44f7af+((b^c)&a^c), 12)
	c = d + bits.RotateLeft32(c+x[10]+0xffff5bb1+((a^b)&d^b), 17)
	b = c + bits.RotateLeft32(b+x[11]+0x895cd7be+((d^a)&c^a), 22)
	a = b + bits.RotateLeft32(a+x[12]+0x6b901122+((c^d)&b^d), 7)
	d = a + bits.RotateLeft32(d+x[13]+0xfd987193+((b^c)&a^c), 12)
	c = d + bits.RotateLeft32(c+x[14]+0xa679438e+((a^b)&d^b), 17)
	b = c + bits.RotateLeft32(b+x[15]+0x49b40821+((d^a)&c^a), 22)
	return a, b, c, d
}

// round2: G selects b or c by d; a sum, so that only one half of it waits for b.
func round2(a, b, c, d uint32, x *[16]uint32) (uint32, uint32, uint32, uint32) {
	a = b + bits.RotateLeft32(a+x[1]+0xf61e2562+(c&^d)+(b&d), 5)
	d = a + bits.RotateLeft32(d+x[6]+0xc040b340+(b&^c)+(a&c), 9)
	c = d + bits.RotateLeft32(c+x[11]+0x265e5a51+(a&^b)+(d&b), 14)
	b = c + bits.RotateLeft32(b+x[0]+0xe9b6c7aa+(d&^a)+(c&a), 20)
	a = b + bits.RotateLeft32(a+x[5]+0xd62f105d+(c&^d)+(b&d), 5)
	d = a + bits.RotateLeft32(d+x[10]+0x2441453+(b&^c)+(a&c), 9)
	c = d + bits.RotateLeft32(c+x[15]+0xd8a1e681+(a&^b)+(d&b), 14)
	b = c + bits.RotateLeft32(b+x[4]+0xe7d3fbc8+(d&^a)+(c&a), 20)
	a = b + bits.RotateLeft32(a+x[9]+0x21e1cde6+(c&^d)+(b&d), 5)
	d = a + bits.RotateLeft32(d+x[14]+0xc33707d6+(b&^c)+(a&c), 9)
	c = d + bits.RotateLeft32(c+x[3]+0xf4d50d87+(a&^b)+(d&b), 14)
	b = c + bits.RotateLeft32(b+x[8]+0x455a14ed+(d&^a)+(c&a), 20)
	a = b + bits.RotateLeft32(a+x[13]+0xa9e3e905+(c&^d)+(b&d), 5)
	d = a + bits.RotateLeft32(d+x[2]+0xfcefa3f8+(b&^c)+(a&c), 9)
	c = d + bits.RotateLeft32(c+x[7]+0x676f02d9+(a&^b)+(d&b), 14)
	b = c + bits.RotateLeft32(b+x[12]+0x8d2a4c8a+(d&^a)+(c&a), 20)
	return a, b, c, d
}

// round3: H is the parity; what does not wait for b comes first.
func round3(a, b, c, d uint32, x *[16]uint32) (uint32, uint32, uint32, uint32) {
	a = b + bits.RotateLeft32(a+x[5]+0xfffa3942+(b^(c^d)), 4)
	d = a + bits.RotateLeft32(d+x[8]+0x8771f681+(a^(b^c)), 11)
	c = d + bits.RotateLeft32(c+x[11]+0x6d9d6122+(d^(a^b)), 16)
	b = c + bits.RotateLeft32(b+x[14]+0xfde5380c+(c^(d^a)), 23)
	a = b + bits.RotateLeft32(a+x[1]+0xa4beea44+(b^(c^d)), 4)
	d = a + bits.RotateLeft32(d+x[4]+0x4bdecfa9+(a^(b^c)), 11)
	c = d + bits.RotateLeft32(c+x[7]+0xf6bb4b60+(d^(a^b)), 16)
	b = c + bits.RotateLeft32(b+x[10]+0xbebfbc70+(c^(d^a)), 23)
	a = b + bits.RotateLeft32(a+x[13]+0x289b7ec6+(b^(c^d)), 4)
	d = a + bits.RotateLeft32(d+x[0]+0xeaa127fa+(a^(b^c)), 11)
	c = d + bits.RotateLeft32(c+x[3]+0xd4ef3085+(d^(a^b)), 16)
	b = c + bits.RotateLeft32(b+x[6]+0x4881d05+(c^(d^a)), 23)
	a = b + bits.RotateLeft32(a+x[9]+0xd9d4d039+(b^(c^d)), 4)
	d = a + bits.RotateLeft32(d+x[12]+0xe6db99e5+(a^(b^c)), 11)
	c = d + bits.RotateLeft32(c+x[15]+0x1fa27cf8+(d^(a^b)), 16)
	b = c + bits.RotateLeft32(b+x[2]+0xc4ac5665+(c^(d^a)), 23)
	return a, b, c, d
}

// round4: I is c ^ (b | ^d).
func round4(a, b, c, d uint32, x *[16]uint32) (uint32, uint32, uint32, uint32) {
	a = b + bits.RotateLeft32(a+x[0]+0xf4292244+(c^(b|^d)), 6)
	d = a + bits.RotateLeft32(d+x[7]+0x432aff97+(b^(a|^c)), 10)
	c = d + bits.RotateLeft32(c+x[14]+0xab9423a7+(a^(d|^b)), 15)
	b = c + bits.RotateLeft32(b+x[5]+0xfc93a039+(d^(c|^a)), 21)
	a = b + bits.RotateLeft32(a+x[12]+0x655b59c3+(c^(b|^d)), 6)
	d = a + bits.RotateLeft32(d+x[3]+0x8f0ccc92+(b^(a|^c)), 10)
	c = d + bits.RotateLeft32(c+x[10]+0xffeff47d+(a^(d|^b)), 15)
	b = c + bits.RotateLeft32(b+x[1]+0x85845dd1+(d^(c|^a)), 21)
	a = b + bits.RotateLeft32(a+x[8]+0x6fa87e4f+(c^(b|^d)), 6)
	d = a + bits.RotateLeft32(d+x[15]+0xfe2ce6e0+(b^(a|^c)), 10)
	c = d + bits.RotateLeft32(c+x[6]+0xa3014314+(a^(d|^b)), 15)
	b = c + bits.RotateLeft32(b+x[13]+0x4e0811a1+(d^(c|^a)), 21)
	a = b + bits.RotateLeft32(a+x[4]+0xf7537e82+(c^(b|^d)), 6)
	d = a + bits.RotateLeft32(d+x[11]+0xbd3af235+(b^(a|^c)), 10)
	c = d + bits.RotateLeft32(c+x[2]+0x2ad7d2bb+(a^(d|^b)), 15)
	b = c + bits.RotateLeft32(b+x[9]+0xeb86d391+(d^(c|^a)), 21)
	return a, b, c, d
}
