package uplink

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io/fs"
	"slices"
	"sync"

	"sallyport/cmd/sallyport-agent/keep"
)

const memoryFile = "memory.json"

// How much is remembered: sessions come with every login, appliances with every site.
const (
	sessionsMax   = 16
	appliancesMax = 8
)

// Memory is what survives a restart: the highest report number of each session, the
// appliances met, and the key trusted on first use. A change is on the disk before the
// method returns.
type Memory struct {
	dir keep.Dir

	mu      sync.Mutex // guards what follows
	content memoryContent
}

type memoryContent struct {
	Version    int        `json:"v"`
	Sessions   []sentUpTo `json:"sessions,omitempty"`   // newest last
	Appliances []string   `json:"appliances,omitempty"` // newest first
	Trusted    string     `json:"trusted,omitempty"`    // key pin, hexadecimal

	Authority   []byte `json:"authority,omitempty"`   // SubjectPublicKeyInfo of the key that is obeyed
	Certificate []byte `json:"certificate,omitempty"` // of the device key, DER
	Issued      uint64 `json:"issued,omitempty"`      // of the newest policy seen
}

type sentUpTo struct {
	ID  string `json:"id"`
	Seq uint64 `json:"seq"`
}

// LoadMemory reads the memory back; an empty directory has none yet.
func LoadMemory(dir keep.Dir) (*Memory, error) {
	m := &Memory{dir: dir}
	err := dir.ReadJSON(memoryFile, &m.content)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	m.content.Version = 1
	return m, nil
}

// Seq is the highest number ever sent in a session; 0 when none is remembered.
func (m *Memory) Seq(sessionID string) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.content.Sessions {
		if s.ID == sessionID {
			return s.Seq
		}
	}
	return 0
}

// LastSession is the session that a report was sent in last; empty when none is remembered.
func (m *Memory) LastSession() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.content.Sessions); n > 0 {
		return m.content.Sessions[n-1].ID
	}
	return ""
}

// seqAhead is how many numbers are taken at once, so that a report waits for the disk
// once in so many. After a restart those that were not used are left out.
const seqAhead = 64

// SaveSeq remembers a number before it is sent, and some more after it. Sending one of
// those writes nothing.
func (m *Memory) SaveSeq(sessionID string, seq uint64) error {
	if seq <= m.Seq(sessionID) {
		return nil
	}
	return m.change(func(c *memoryContent) {
		c.Sessions = slices.DeleteFunc(c.Sessions, func(s sentUpTo) bool { return s.ID == sessionID })
		c.Sessions = append(c.Sessions, sentUpTo{ID: sessionID, Seq: max(seq, seq+seqAhead-1)})
		c.Sessions = c.Sessions[max(0, len(c.Sessions)-sessionsMax):]
	})
}

// Appliances lists the bases met, newest first.
func (m *Memory) Appliances() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.content.Appliances)
}

// Remember puts an appliance first in the list.
func (m *Memory) Remember(base string) error {
	if known := m.Appliances(); len(known) > 0 && known[0] == base {
		return nil
	}
	return m.change(func(c *memoryContent) {
		others := slices.DeleteFunc(c.Appliances, func(a string) bool { return a == base })
		c.Appliances = append([]string{base}, others...)
		c.Appliances = c.Appliances[:min(len(c.Appliances), appliancesMax)]
	})
}

// Trusted is the key trusted on first use, if there is one.
func (m *Memory) Trusted() (Pin, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := hex.DecodeString(m.content.Trusted)
	if err != nil || len(b) != len(Pin{}) {
		return Pin{}, false
	}
	return Pin(b), true
}

// TrustFirst remembers a key unless there is one; an error when that is another.
func (m *Memory) TrustFirst(p Pin) error {
	if _, ok := m.Trusted(); !ok {
		err := m.change(func(c *memoryContent) {
			if c.Trusted == "" { // another probe may have been faster
				c.Trusted = hex.EncodeToString(p[:])
			}
		})
		if err != nil {
			return err
		}
	}
	if known, ok := m.Trusted(); !ok || known != p {
		return errors.New("it is not the appliance trusted on first use")
	}
	return nil
}

// Authority is the key (SubjectPublicKeyInfo) that this agent is tied to; nil: none.
func (m *Memory) Authority() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.content.Authority
}

// Certificate is the device certificate; nil when there is none that can be read.
func (m *Memory) Certificate() *x509.Certificate {
	m.mu.Lock()
	der := m.content.Certificate
	m.mu.Unlock()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return cert
}

// Enrol remembers authority and device certificate. An authority stays what it is.
func (m *Memory) Enrol(authority, certificate []byte) error {
	if known := m.Authority(); len(known) > 0 && !bytes.Equal(known, authority) {
		return errors.New("this agent is tied to another authority")
	}
	return m.change(func(c *memoryContent) { c.Authority, c.Certificate = authority, certificate })
}

// DropCertificate forgets the device certificate and keeps the authority.
func (m *Memory) DropCertificate() error {
	return m.change(func(c *memoryContent) { c.Certificate = nil })
}

// Issued is the number of the newest signed policy seen.
func (m *Memory) Issued() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.content.Issued
}

// SaveIssued remembers a newer one.
func (m *Memory) SaveIssued(n uint64) error {
	if n <= m.Issued() {
		return nil
	}
	return m.change(func(c *memoryContent) { c.Issued = max(c.Issued, n) })
}

func (m *Memory) change(f func(*memoryContent)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.content
	next.Sessions, next.Appliances = slices.Clone(next.Sessions), slices.Clone(next.Appliances)
	f(&next)
	if err := m.dir.WriteJSON(memoryFile, next, keep.Private); err != nil {
		return err
	}
	m.content = next
	return nil
}
