package bench

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Kinds of request a scenario is made of.
const (
	KindAuth       = "auth"       // Access-Request, PAP, with Message-Authenticator
	KindAccounting = "accounting" // Accounting-Request: Start, Interim-Update, Stop
	KindDay        = "day"        // whole sessions, Rate of them begin each second, see day
)

// Scenario says what to send, how much of it, and what must hold.
type Scenario struct {
	Name  string `yaml:"name" json:"name"`
	About string `yaml:"about" json:"about"`
	Kind  string `yaml:"kind" json:"kind"`

	Users    int    `yaml:"users" json:"users"`       // names bench-00000 and on, each with Password
	Sessions int    `yaml:"sessions" json:"sessions"` // audit-session-ids that take turns
	Fresh    bool   `yaml:"fresh" json:"fresh"`       // each login begins a new session; the NAS ports take turns
	Seed     uint64 `yaml:"seed" json:"seed"`         // of identifiers' first values and jitter; 0: drawn, and printed

	NASes  int     `yaml:"nases" json:"nases"`   // each an address of loopback and its share of ports and sessions
	Ports  int     `yaml:"ports" json:"ports"`   // source ports, of all NASes together
	Window int     `yaml:"window" json:"window"` // outstanding at each source port, at most
	Rate   float64 `yaml:"rate" json:"rate"`     // requests a second, open loop; 0: closed loop

	Warm  int           `yaml:"warm" json:"warm"`   // requests before anything is measured
	Count int           `yaml:"count" json:"count"` // requests at most; 0: as many as Time allows
	Time  time.Duration `yaml:"time" json:"-"`      // of sending

	// Made is how many requests each identifier of a port has that come round; each was
	// made once. 0: every request is made anew, with an authenticator of its own.
	Made int `yaml:"made" json:"made"`

	Again   int `yaml:"again" json:"again"`     // after its reply each request is sent so often again, and must get the same octets
	Copies  int `yaml:"copies" json:"copies"`   // datagrams that each sending of a request makes; 2 is a network that doubles
	Garbage int `yaml:"garbage" json:"garbage"` // malformed datagrams beside each request; none may be answered

	// Failover has everybody log in at the first NAS while the server gets warm, and once
	// more, as new sessions, at the second: NASes is 2.
	Failover bool `yaml:"failover" json:"failover"`
	// Storm is the rate, a second, at which one more NAS sends the same stormSize requests
	// again and again, without waiting for anything; 0: none. Nobody but the other NASes
	// is measured.
	Storm float64 `yaml:"storm" json:"storm"`

	// Overload finds the knee, and then puts so many times as much on the server for a
	// while, see Overload; 0: no overload.
	Overload float64 `yaml:"overload" json:"overload"`

	Retransmit Retransmit `yaml:"retransmit" json:"retransmit"`
	Objectives Objectives `yaml:"objectives" json:"objectives"`

	echo bool // the peer sends every datagram back as it is
}

// Retransmit is RFC 5080 section 2.2.1 with its own names and defaults. Off, a request
// is given up after the longest duration and never sent twice.
type Retransmit struct {
	Off     bool          `yaml:"off" json:"off"`
	Initial time.Duration `yaml:"initial" json:"-"`   // IRT, 2 s
	Longest time.Duration `yaml:"longest" json:"-"`   // MRT, 16 s: of one wait
	Count   int           `yaml:"count" json:"count"` // MRC, 5
	GiveUp  time.Duration `yaml:"give-up" json:"-"`   // MRD, 30 s: of all of them
}

// Objectives are what must hold; one that is missed makes the command fail. Zero values
// of the latencies and the rate ask for nothing.
type Objectives struct {
	Answered float64       `yaml:"answered" json:"answered"` // share of requests, at least
	First    float64       `yaml:"first" json:"first"`       // share of requests answered without being sent again, at least
	Wrong    uint64        `yaml:"wrong" json:"wrong"`       // replies that do not verify, at most
	Stray    uint64        `yaml:"stray" json:"stray"`       // replies to nothing that was asked, at most
	Rejected uint64        `yaml:"rejected" json:"rejected"` // Access-Rejects, at most
	P50      time.Duration `yaml:"p50" json:"-"`
	P99      time.Duration `yaml:"p99" json:"-"`
	Rate     float64       `yaml:"rate" json:"rate"`       // answers a second, at least
	Goodput  float64       `yaml:"goodput" json:"goodput"` // in overload, as a share of the knee, at least
	Recovery time.Duration `yaml:"recovery" json:"-"`      // from the end of an overload until all is well, at most
}

//go:embed scenarios
var scenarios embed.FS

// Scenarios are the names of those that are built in.
func Scenarios() (names []string) {
	files, err := fs.Glob(scenarios, "scenarios/*.yaml")
	if err != nil {
		return nil
	}
	for _, f := range files {
		names = append(names, strings.TrimSuffix(path.Base(f), ".yaml"))
	}
	return names
}

// LoadScenario returns a scenario that is built in.
func LoadScenario(name string) (*Scenario, error) {
	text, err := scenarios.ReadFile("scenarios/" + path.Base(name) + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("there is no scenario %q; there are %s", name, strings.Join(Scenarios(), ", "))
	}
	return ParseScenario(text)
}

// ParseScenario reads a scenario, fills what it leaves out, and checks it. An unknown
// key is a fault, with its line.
func ParseScenario(text []byte) (*Scenario, error) {
	s := &Scenario{}
	if err := yaml.UnmarshalWithOptions(text, s, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	s.fill()
	if err := s.Check(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Scenario) fill() {
	set(&s.Users, 1)
	set(&s.Sessions, s.Users)
	set(&s.NASes, 1)
	set(&s.Ports, s.NASes)
	set(&s.Window, 1)
	set(&s.Copies, 1)
	set(&s.Time, 5*time.Second)
	set(&s.Retransmit.Initial, 2*time.Second)
	set(&s.Retransmit.Longest, 16*time.Second)
	set(&s.Retransmit.Count, 5)
	set(&s.Retransmit.GiveUp, 30*time.Second)
}

func set[T comparable](at *T, value T) {
	var zero T
	if *at == zero {
		*at = value
	}
}

// Check names everything that is wrong with a scenario.
func (s *Scenario) Check() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("scenario %s: "+format, append([]any{s.Name}, args...)...))
	}
	between := func(key string, n, least, most int) {
		if n < least || n > most {
			fault("%s is %d, and may be %d to %d", key, n, least, most)
		}
	}
	if s.Kind != KindAuth && s.Kind != KindAccounting && s.Kind != KindDay {
		fault("kind is %q, and may be %s, %s or %s", s.Kind, KindAuth, KindAccounting, KindDay)
	}
	if s.Kind == KindDay && (s.Rate <= 0 || s.Sessions > dayMax) {
		fault("a day has a rate, and up to %d sessions", dayMax)
	}
	between("users", s.Users, 1, 100_000)
	between("sessions", s.Sessions, 1, 10_000_000)
	between("nases", s.NASes, 1, nasesMax)
	between("ports", s.Ports, s.NASes, portsMax)
	between("window", s.Window, 1, identifiers)
	between("warm", s.Warm, 0, countMax)
	between("count", s.Count, 0, countMax)
	between("made", s.Made, 0, madeMax)
	if s.Made == 1 || (s.Made > 0 && (s.Kind != KindAuth || s.Fresh || s.Failover)) {
		fault("made is %d: two or more, and only for logins of sessions that log in again", s.Made)
	}
	between("again", s.Again, 0, 100)
	between("copies", s.Copies, 1, 4)
	between("garbage", s.Garbage, 0, 100)
	between("retransmit.count", s.Retransmit.Count, 0, 20)
	if s.Time <= 0 || s.Time > timeMax {
		fault("time is %s, and may be up to %s", s.Time, timeMax)
	}
	if s.Storm < 0 || s.Storm > rateMax {
		fault("storm is %g, and may be up to %d a second", s.Storm, rateMax)
	}
	if s.Overload < 0 || s.Overload > 20 {
		fault("overload is %g, and may be up to 20 times the knee", s.Overload)
	}
	if s.Failover && s.NASes != 2 {
		fault("failover is from one NAS to another: nases is %d, and has to be 2", s.NASes)
	}
	if s.Rate < 0 || s.Rate > rateMax {
		fault("rate is %g, and may be up to %d a second", s.Rate, rateMax)
	}
	if r := s.Retransmit; r.Initial <= 0 || r.Longest < r.Initial || r.GiveUp < r.Initial {
		fault("retransmit: initial is to be more than 0 and not above longest and give-up")
	}
	for _, o := range []struct {
		key   string
		share float64
	}{{"answered", s.Objectives.Answered}, {"first", s.Objectives.First}} {
		if o.share < 0 || o.share > 1 {
			fault("objectives.%s is %g, and is a share, 0 to 1", o.key, o.share)
		}
	}
	return errors.Join(faults...)
}
