package authn

import (
	"sync/atomic"

	"sallyport/ops/config"
	"sallyport/sessions"
)

// Identity is who it is.
type Identity struct {
	User   string
	Groups []string
	Store  string // name of the store that knew
	OS     string // of a MAB endpoint, when the file tells
}

// Outcome is how an attempt ended.
type Outcome uint8

// The outcomes.
const (
	NotRemembered Outcome = iota // the zero one lets nobody in
	OK
	UnknownUser
	WrongPassword
	Disabled
	UnknownEndpoint
	MABOff
	NotAMAC
	CHAPUnsupported
	outcomes
)

var outcomeWords = [outcomes]struct{ word, text string }{
	NotRemembered:   {"not_remembered", "the password has to be hashed"},
	OK:              {"ok", "the credentials are right"},
	UnknownUser:     {"unknown_user", "no store knows the user"},
	WrongPassword:   {"wrong_password", "the password is wrong"},
	Disabled:        {"disabled", "the user is disabled"},
	UnknownEndpoint: {"unknown_endpoint", "the MAC is not in the endpoints file, and identity.mab.accept is \"listed\""},
	MABOff:          {"mab_off", "MAC authentication bypass is off (identity.mab.accept)"},
	NotAMAC:         {"not_a_mac", "neither Calling-Station-Id nor User-Name is a MAC"},
	CHAPUnsupported: {"chap_unsupported", "CHAP needs the password in clear (RFC 2865 section 2.2), and the stores keep only hashes; let the NAS use PAP"},
}

// String is the outcome in words, for the record.
func (o Outcome) String() string {
	if o < outcomes {
		return outcomeWords[o].text
	}
	return "unknown"
}

// Word is the outcome in one word, for metrics: wrong_password.
func (o Outcome) Word() string {
	if o < outcomes {
		return outcomeWords[o].word
	}
	return "unknown"
}

// Users is who one configuration lets in. It is immutable but for the Memory it was
// given, and safe for use by many.
type Users struct {
	users     map[string]*user
	endpoints map[string]*config.Endpoint
	accept    string
	memory    *Memory
	nobody    *storedHash   // what a password for an unknown user is held against
	hashes    atomic.Uint64 // slow hashes run
}

type user struct {
	hash     *storedHash
	disabled bool
	identity Identity
}

// NewUsers builds the users of a configuration. Where two stores know a user the first
// in the file has him.
func NewUsers(c *config.Identity) (*Users, config.Faults) {
	u := &Users{users: map[string]*user{}, endpoints: map[string]*config.Endpoint{}, accept: c.MAB.Accept}
	var faults config.Faults
	used := map[work]int{}
	for _, s := range c.Stores {
		for i := range s.Users {
			one := &s.Users[i]
			parsed, err := parseHash(one.Password.Value)
			if err != nil {
				faults = append(faults, config.Fault{Pos: one.Password.Pos, Path: "users." + one.Name + ".password", Message: err.Error(), Hint: makeOne})
				continue
			}
			if u.users[one.Name] == nil {
				used[parsed.work]++
				u.users[one.Name] = &user{parsed.named(), one.Disabled, Identity{User: one.Name, Groups: one.Groups, Store: s.Name.Value}}
			}
		}
	}
	for i := range c.MAB.Endpoints {
		e := &c.MAB.Endpoints[i]
		u.endpoints[sessions.CanonicalStation(e.MAC)] = e
	}
	u.nobody = decoy(mostUsed(used))
	return u, faults
}

// mostUsed is the work of most users' hashes, of several the dearest, so that guessing
// names takes as long as guessing passwords.
func mostUsed(used map[work]int) work {
	best := workDefault
	for w, n := range used {
		if n > used[best] || n == used[best] && w.cmp(best) > 0 {
			best = w
		}
	}
	return best
}

// Remember gives the users the memory of verified passwords. Call it before use.
func (u *Users) Remember(m *Memory) { u.memory = m }

// Remembered is the quick way: OK when this very password was verified before against
// the hash that the user has now. It allocates nothing.
func (u *Users) Remembered(name string, password []byte) (Identity, Outcome) {
	if u.memory == nil {
		return Identity{}, NotRemembered
	}
	one, stored := u.users[name], u.nobody
	if one != nil {
		stored = one.hash
	}
	known := u.memory.knows(&stored.short, password) // asked for an unknown user as well: the time must not tell
	if one == nil || one.disabled || !known {
		return Identity{}, NotRemembered
	}
	return one.identity, OK
}

// Verify is the slow way, for the Pool: one hash whatever the outcome.
func (u *Users) Verify(name string, password []byte) (Identity, Outcome) {
	one, stored := u.users[name], u.nobody
	if one != nil {
		stored = one.hash
	}
	u.hashes.Add(1)
	right := stored.verify(password)
	switch {
	case one == nil:
		return Identity{}, UnknownUser
	case !right:
		return Identity{}, WrongPassword
	case one.disabled:
		return Identity{}, Disabled
	}
	if u.memory != nil {
		u.memory.remember(&one.hash.short, password)
	}
	return one.identity, OK
}

// MAB names an endpoint by its MAC in any usual spelling. It allocates nothing when that
// is the canonical one, aa:bb:cc:dd:ee:ff, and the name is then the very string given.
func (u *Users) MAB(station string) (Identity, Outcome) {
	mac := station
	if !canonicalMAC(mac) {
		mac = sessions.CanonicalStation(station)
	}
	switch known := u.endpoints[mac]; {
	case u.accept == "" || u.accept == config.MABNone:
		return Identity{}, MABOff
	case len(mac) != 17:
		return Identity{}, NotAMAC
	case known != nil:
		return Identity{User: mac, Groups: known.Groups, Store: "endpoints", OS: known.OS}, OK
	case u.accept == config.MABListed:
		return Identity{}, UnknownEndpoint
	}
	return Identity{User: mac, Store: "endpoints"}, OK
}

// Hashes counts the slow hashes that were run.
func (u *Users) Hashes() uint64 { return u.hashes.Load() }

// Groups are the groups of a user, for explain and the policy tests.
func (u *Users) Groups(name string) []string {
	if one := u.users[name]; one != nil {
		return one.identity.Groups
	}
	return nil
}

func canonicalMAC(s string) bool {
	if len(s) != 17 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i%3 == 2 && c != ':', i%3 != 2 && (c < '0' || c > '9') && (c < 'a' || c > 'f'):
			return false
		}
	}
	return true
}
