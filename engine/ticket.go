package engine

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sallyport/sessions"
)

// A ticket is what proves that its bearer was redirected by the NAS:
//
//	| serial | seal                                             |
//	0        4                                                 20   -> 27 characters base64url
//
// The seal is HMAC-SHA256 over "ticket", serial, when the session began, and its
// audit-session-id, cut to 128 bits. The serial makes it single-use: the session record
// says which one is the newest and which one was redeemed. So no ticket has to be stored
// before it is given out, and a restart invalidates none. The serials of an id begin again
// when its ended session has been forgotten; the beginning tells the two apart.
const (
	ticketOctets = 20
	ticketLen    = 27 // base64url without padding
	ticketKeyLen = 32
)

type ticketKey [ticketKeyLen]byte

// loadTicketKey reads the key from the state directory, or makes it on the first start.
func loadTicketKey(dir string) (*ticketKey, error) {
	path := filepath.Join(dir, "ticket.key")
	var k ticketKey
	b, err := os.ReadFile(path)
	switch {
	case err == nil && len(b) == ticketKeyLen:
		copy(k[:], b)
		return &k, nil
	case err == nil:
		return nil, fmt.Errorf("%s: %d octets, want %d; remove it, and agents that were redirected before must be redirected again", path, len(b), ticketKeyLen)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	rand.Read(k[:])
	return &k, writeNew(path, k[:])
}

// writeNew makes a private file that is whole or not there.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// sealRoom holds a block of HMAC, what is sealed, and the longest id.
const sealRoom = sha256.BlockSize + len("ticket") + 4 + 8 + sessions.IDMax

// seal is the HMAC (RFC 2104), written out: a login makes one, and none goes to the heap.
func (k *ticketKey) seal(s *sessions.Session, serial uint32) (out [16]byte) {
	var room [sealRoom]byte
	var last [sha256.BlockSize + sha256.Size]byte
	copy(room[:], k[:])
	copy(last[:], k[:])
	for i := range sha256.BlockSize {
		room[i] ^= 0x36
		last[i] ^= 0x5c
	}
	message := append(room[:sha256.BlockSize], "ticket"...)
	message = binary.BigEndian.AppendUint32(message, serial)
	message = binary.BigEndian.AppendUint64(message, uint64(s.Started.UnixNano()))
	message = append(message, s.ID...)
	inner := sha256.Sum256(message)
	copy(last[sha256.BlockSize:], inner[:])
	sum := sha256.Sum256(last[:])
	copy(out[:], sum[:])
	return out
}

// write makes the text of the session's newest ticket, for the redirect URL.
func (k *ticketKey) write(to *[ticketLen]byte, s *sessions.Session) {
	serial := s.Posture.Binding.TicketSerial
	sealed := k.seal(s, serial)
	var b [ticketOctets]byte
	binary.BigEndian.PutUint32(b[:], serial)
	copy(b[4:], sealed[:])
	base64.RawURLEncoding.Encode(to[:], b[:])
}

// ticket is the text as a string.
func (k *ticketKey) ticket(s *sessions.Session) string {
	var b [ticketLen]byte
	k.write(&b, s)
	return string(b[:])
}

// open returns the serial of a ticket that we made for the session, 0 for anything else.
func (k *ticketKey) open(s *sessions.Session, text string) uint32 {
	if len(text) != ticketLen {
		return 0
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != ticketOctets {
		return 0
	}
	serial := binary.BigEndian.Uint32(b)
	sealed := k.seal(s, serial)
	if subtle.ConstantTimeCompare(sealed[:], b[4:]) != 1 {
		return 0
	}
	return serial
}
