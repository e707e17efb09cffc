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
	OK Outcome = iota
	NotRemembered
	UnknownUser
	WrongPassword
	Disabled
	UnknownEndpoint
	MABOff
	NotAMAC
	outcomes
)

var outcomeWords = [outcomes]string{
	OK:              "the credentials are right",
	NotRemembered:   "the password has to be hashed",
	UnknownUser:     "no store knows the user",
	WrongPassword:   "the password is wrong",
	Disabled:        "the user is disabled",
	UnknownEndpoint: "the MAC is not in the endpoints file, and identity.mab.accept is \"listed\"",
	MABOff:          "MAC authentication bypass is off (identity.mab.accept)",
	NotAMAC:         "neither Calling-Station-Id nor User-Name is a MAC",
}

// String is the outcome in words, for the record.
func (o Outcome) String() string {
	if o < outcomes {
		return outcomeWords[o]
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
	hashes    atomic.Uint64 // slow hashes run
}

type user struct {
	hash     string
	disabled bool
	identity Identity
}

// unknownHash is what a password for an unknown user is held against, so that guessing
// names takes as long as guessing passwords.
const unknownHash = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// NewUsers builds the users of a configuration. Where two stores know a user the first
// in the file has him.
func NewUsers(c *config.Identity) (*Users, config.Faults) {
	u := &Users{users: map[string]*user{}, endpoints: map[string]*config.Endpoint{}, accept: c.MAB.Accept}
	var faults config.Faults
	for _, s := range c.Stores {
		for i := range s.Users {
			one := &s.Users[i]
			if err := CheckHash(one.Password.Value); err != nil {
				faults = append(faults, config.Fault{Pos: one.Password.Pos, Path: "users." + one.Name + ".password", Message: err.Error()})
			}
			if u.users[one.Name] == nil {
				u.users[one.Name] = &user{one.Password.Value, one.Disabled, Identity{User: one.Name, Groups: one.Groups, Store: s.Name.Value}}
			}
		}
	}
	for i := range c.MAB.Endpoints {
		e := &c.MAB.Endpoints[i]
		u.endpoints[sessions.CanonicalStation(e.MAC)] = e
	}
	return u, faults
}

// Remember gives the users the memory of verified passwords. Call it before use.
func (u *Users) Remember(m *Memory) { u.memory = m }

// Remembered is the quick way: OK when this very password was verified before against
// the hash that the user has now. It allocates nothing.
func (u *Users) Remembered(name string, password []byte) (Identity, Outcome) {
	one := u.users[name]
	if one == nil || one.disabled || u.memory == nil || !u.memory.knows(one.hash, password) {
		return Identity{}, NotRemembered
	}
	return one.identity, OK
}

// Verify is the slow way, for the Pool: one hash whatever the outcome.
func (u *Users) Verify(name string, password []byte) (Identity, Outcome) {
	one := u.users[name]
	stored := unknownHash
	if one != nil {
		stored = one.hash
	}
	u.hashes.Add(1)
	right := verifyHash(stored, password)
	switch {
	case one == nil:
		return Identity{}, UnknownUser
	case !right:
		return Identity{}, WrongPassword
	case one.disabled:
		return Identity{}, Disabled
	}
	if u.memory != nil {
		u.memory.learn(one.hash, password)
	}
	return one.identity, OK
}

// MAB names an endpoint by its MAC in any usual spelling.
func (u *Users) MAB(station string) (Identity, Outcome) {
	mac := sessions.CanonicalStation(station)
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
