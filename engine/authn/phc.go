package authn

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// workDefault is what the hashes that Hash makes cost: the OWASP password storage cheat
// sheet's first choice for argon2id. One takes 19 MiB for some 20 ms.
var workDefault = work{memory: 19456, passes: 2, lanes: 1}

const (
	saltLen = 16
	sumLen  = 32
)

// What a hash in a users file may ask for: a file must not be able to eat the machine.
// Every worker of the Pool may hold memoryMax at once.
const (
	memoryMax   = 256 << 10 // KiB
	passesMax   = 64
	lanesMax    = 16
	workMax     = 1 << 20 // KiB times passes: about a second
	saltMin     = 8
	saltMax     = 64
	sumMin      = 16
	sumMax      = 64
	hashLenMax  = 256 // characters
	bcryptLen   = 60  // characters
	bcryptMax   = 14  // cost: about a second
	passwordMax = 128 // octets (RFC 2865 section 5.2)
)

const makeOne = "make one with: sallyport hash-password"

// work is what a verification costs. Two hashes with the same work take the same time.
type work struct {
	bcrypt int // cost; 0: argon2id with the rest
	memory uint32
	passes uint32
	lanes  uint8
}

func (w work) cmp(v work) int {
	return cmp.Or(cmp.Compare(w.bcrypt, v.bcrypt), cmp.Compare(uint64(w.memory)*uint64(w.passes), uint64(v.memory)*uint64(v.passes)),
		cmp.Compare(w.memory, v.memory), cmp.Compare(w.lanes, v.lanes))
}

// storedHash is a hash of a users file, parsed. bcrypt reads its own text.
type storedHash struct {
	work
	text      string
	short     [16]byte // of text: what a remembered password is tied to
	salt, sum []byte
}

// named gives the hash its short form.
func (h *storedHash) named() *storedHash {
	sum := sha256.Sum256([]byte(h.text))
	copy(h.short[:], sum[:])
	return h
}

// Hash makes a PHC string of a password, with a salt of its own. It refuses what no
// Access-Request can carry (RFC 2865 section 5.2: at most 128 octets, padded with NUL).
func Hash(password []byte) (string, error) {
	if len(password) == 0 || len(password) > passwordMax {
		return "", fmt.Errorf("a password has 1 to %d octets, as RADIUS carries it (RFC 2865 section 5.2)", passwordMax)
	}
	if bytes.IndexByte(password, 0) >= 0 {
		return "", errors.New("a password cannot hold a NUL, which RADIUS takes for padding (RFC 2865 section 5.2)")
	}
	salt := make([]byte, saltLen)
	rand.Read(salt)
	w := workDefault
	return w.argonText(salt, argon2.IDKey(password, salt, w.passes, w.memory, w.lanes, sumLen)), nil
}

func (w work) argonText(salt, sum []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, w.memory, w.passes, w.lanes,
		b64.EncodeToString(salt), b64.EncodeToString(sum))
}

// CheckHash says what is wrong with the text of a hash and how to make a good one, nil
// when nothing is wrong. It never shows the hash.
func CheckHash(text string) error {
	if _, err := parseHash(text); err != nil {
		return fmt.Errorf("%w; %s", err, makeOne)
	}
	return nil
}

func parseHash(text string) (*storedHash, error) {
	switch {
	case len(text) > hashLenMax:
		return nil, fmt.Errorf("not a password hash: %d characters, at most %d", len(text), hashLenMax)
	case strings.HasPrefix(text, "$argon2id$"):
		return parseArgon(text)
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		return parseBcrypt(text)
	}
	return nil, errors.New("not a password hash that begins with $argon2id$, $2a$, $2b$ or $2y$")
}

// parseArgon takes $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$SUM, salt and sum in
// base64 without padding.
func parseArgon(text string) (*storedHash, error) {
	bad := func(format string, args ...any) (*storedHash, error) {
		return nil, fmt.Errorf("not an argon2id hash: "+format, args...)
	}
	parts := strings.Split(text, "$")
	if len(parts) != 6 {
		return bad("want $argon2id$v=19$m=...,t=...,p=...$salt$hash; is it cut short, or did a shell eat a $?")
	}
	if parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return bad("another version than v=%d", argon2.Version)
	}
	h := &storedHash{text: text}
	var lanes uint32
	rest := parts[3]
	for _, p := range []struct {
		name string
		to   *uint32
		most uint64
	}{{"m=", &h.memory, memoryMax}, {"t=", &h.passes, passesMax}, {"p=", &lanes, lanesMax}} {
		var word string
		word, rest, _ = strings.Cut(rest, ",")
		digits, ok := strings.CutPrefix(word, p.name)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || n < 1 || n > p.most {
			return bad("%q, want %s1 to %d", word, p.name, p.most)
		}
		*p.to = uint32(n)
	}
	h.lanes = uint8(lanes)
	switch {
	case rest != "" || strings.HasSuffix(parts[3], ","):
		return bad("%q after the parameters", rest)
	case h.memory < 8*lanes: // RFC 9106 section 3.1
		return bad("m=%d, at least 8 for each of p=%d", h.memory, lanes)
	case uint64(h.memory)*uint64(h.passes) > workMax:
		return bad("m=%d times t=%d is more work than %d", h.memory, h.passes, workMax)
	}
	var err error
	if h.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil || len(h.salt) < saltMin || len(h.salt) > saltMax {
		return bad("the salt is not %d to %d octets of base64 without padding", saltMin, saltMax)
	}
	if h.sum, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil || len(h.sum) < sumMin || len(h.sum) > sumMax {
		return bad("the hash is not %d to %d octets of base64 without padding", sumMin, sumMax)
	}
	return h, nil
}

const bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// parseBcrypt takes $2b$COST$ and 53 characters of bcrypt's own base64.
func parseBcrypt(text string) (*storedHash, error) {
	if len(text) != bcryptLen || text[6] != '$' {
		return nil, fmt.Errorf("not a bcrypt hash: %d characters, want %d; is it cut short, or did a shell eat a $?", len(text), bcryptLen)
	}
	cost, err := strconv.ParseUint(text[4:6], 10, 8)
	if err != nil || cost < uint64(bcrypt.MinCost) || cost > bcryptMax {
		return nil, fmt.Errorf("bcrypt cost %q, want %02d to %d", text[4:6], bcrypt.MinCost, bcryptMax)
	}
	if strings.Trim(text[7:], bcryptAlphabet) != "" {
		return nil, errors.New("not a bcrypt hash: a character that bcrypt does not use")
	}
	return &storedHash{text: text, work: work{bcrypt: int(cost)}}, nil
}

// verify runs the slow hash and compares in constant time.
func (h *storedHash) verify(password []byte) bool {
	if h.bcrypt != 0 {
		return bcrypt.CompareHashAndPassword([]byte(h.text), password) == nil
	}
	sum := argon2.IDKey(password, h.salt, h.passes, h.memory, h.lanes, uint32(len(h.sum)))
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}

// decoy is a hash that no password has, and that takes the work w to find that out.
func decoy(w work) *storedHash {
	random := make([]byte, bcryptLen)
	rand.Read(random)
	if w.bcrypt == 0 {
		salt, sum := random[:saltLen], random[saltLen:saltLen+sumLen]
		return (&storedHash{work: w, text: w.argonText(salt, sum), salt: salt, sum: sum}).named()
	}
	text := fmt.Appendf(nil, "$2b$%02d$", w.bcrypt)
	for _, c := range random[len(text):] {
		text = append(text, bcryptAlphabet[c%64])
	}
	return (&storedHash{work: w, text: string(text)}).named()
}
