package authn

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Parameters of the hashes that Hash makes: the OWASP password storage cheat sheet's
// first choice for argon2id. One hash takes 19 MiB for some 20 ms.
const (
	hashMemory  = 19456 // KiB
	hashTime    = 2
	hashThreads = 1
	saltLen     = 16
	sumLen      = 32
)

// What a hash in a users file may ask for: a file must not be able to eat the machine.
const (
	memoryMax   = 1 << 20 // KiB: 1 GiB
	timeMax     = 64
	threadsMax  = 16
	sumMax      = 64
	saltMax     = 64
	bcryptMax   = 16 // cost; 16 is some 4 s
	passwordMax = 128
)

const makeOne = "make one with \"sallyport hash-password\""

// argon is a parsed $argon2id$ string.
type argon struct {
	memory, time uint32
	threads      uint8
	salt, sum    []byte
}

// Hash makes a PHC string of a password.
func Hash(password []byte) (string, error) {
	if len(password) == 0 || len(password) > passwordMax {
		return "", fmt.Errorf("a password has 1 to %d octets, as RADIUS carries it (RFC 2865 section 5.2)", passwordMax)
	}
	salt := make([]byte, saltLen)
	rand.Read(salt)
	sum := argon2.IDKey(password, salt, hashTime, hashMemory, hashThreads, sumLen)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashTime, hashThreads,
		b64.EncodeToString(salt), b64.EncodeToString(sum)), nil
}

// CheckHash says what is wrong with the text of a hash, nil when nothing is.
func CheckHash(text string) error {
	switch {
	case strings.HasPrefix(text, "$argon2id$"):
		_, err := parseArgon(text)
		return err
	case isBcrypt(text):
		cost, err := bcrypt.Cost([]byte(text))
		if err != nil {
			return fmt.Errorf("not a bcrypt hash: %w; %s", err, makeOne)
		}
		if cost > bcryptMax {
			return fmt.Errorf("bcrypt cost %d, at most %d; %s", cost, bcryptMax, makeOne)
		}
		return nil
	}
	return errors.New("not a hash that begins with $argon2id$, $2a$, $2b$ or $2y$; " + makeOne)
}

func isBcrypt(text string) bool {
	return strings.HasPrefix(text, "$2a$") || strings.HasPrefix(text, "$2b$") || strings.HasPrefix(text, "$2y$")
}

func parseArgon(text string) (*argon, error) {
	bad := func(what string) (*argon, error) {
		return nil, fmt.Errorf("not an argon2id hash: %s; %s", what, makeOne)
	}
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return bad("want $argon2id$v=19$m=...,t=...,p=...$salt$hash")
	}
	if parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return bad("version " + parts[2] + ", want v=" + strconv.Itoa(argon2.Version))
	}
	a := &argon{}
	var threads uint32
	for _, p := range []struct {
		name string
		to   *uint32
		most uint64
	}{{"m=", &a.memory, memoryMax}, {"t=", &a.time, timeMax}, {"p=", &threads, threadsMax}} {
		word, rest, _ := strings.Cut(parts[3], ",")
		digits, ok := strings.CutPrefix(word, p.name)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || n < 1 || n > p.most {
			return bad(fmt.Sprintf("%q, want %s1 to %d", word, p.name, p.most))
		}
		*p.to, parts[3] = uint32(n), rest
	}
	if parts[3] != "" {
		return bad(fmt.Sprintf("%q after the parameters", parts[3]))
	}
	a.threads = uint8(threads)
	var err error
	if a.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil || len(a.salt) < 8 || len(a.salt) > saltMax {
		return bad("the salt is not 8 to 64 octets of base64 without padding")
	}
	if a.sum, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil || len(a.sum) < 16 || len(a.sum) > sumMax {
		return bad("the hash is not 16 to 64 octets of base64 without padding")
	}
	return a, nil
}

// verifyHash runs the slow hash.
func verifyHash(text string, password []byte) bool {
	if isBcrypt(text) {
		return bcrypt.CompareHashAndPassword([]byte(text), password) == nil
	}
	a, err := parseArgon(text)
	if err != nil {
		return false
	}
	sum := argon2.IDKey(password, a.salt, a.time, a.memory, a.threads, uint32(len(a.sum)))
	return subtle.ConstantTimeCompare(sum, a.sum) == 1
}
