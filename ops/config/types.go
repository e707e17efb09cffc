package config

import (
	"net/netip"
	"time"

	"sallyport/ops/secret"
)

// Config is one configuration. Nothing in it changes after Load.
type Config struct {
	File    string   `key:"-"` // the file that Load was given
	Sources []Source `key:"-"` // every file that was read, in order

	lines map[string][]string // of those files, for messages
	meant map[string]bool     // paths of keys that somebody misspelt, and of what holds them

	Appliance     Appliance     `key:"appliance,required"`
	Listen        Listen        `key:"listen"`
	NAS           []NAS         `key:"nas"`
	Recipes       Map[Recipe]   `key:"recipes"`
	Identity      Identity      `key:"identity"`
	Posture       Posture       `key:"posture"`
	Provisioning  Provisioning  `key:"provisioning"`
	Authorization Authorization `key:"authorization"`
	Portal        Portal        `key:"portal"`
	Records       Records       `key:"records"`
	Reload        Reload        `key:"reload"`
	Shadow        Shadow        `key:"shadow"`
	Sessions      Sessions      `key:"sessions"`
	Drain         time.Duration `key:"drain" default:"10s" range:"0s..10m"` // the longest a stop may take
	Log           Log           `key:"log"`
	Tests         []Test        `key:"tests"`
}

// Source is one file that took part, with the SHA-256 of what was read. Files that
// hold secrets are not among them: a digest of a short secret gives it away.
type Source struct {
	Path string
	Sum  [32]byte
}

// Appliance says who we are and where we keep what must survive a restart.
type Appliance struct {
	Name  Text `key:"name,required"`                      // DNS name or address: redirect URLs and the certificate carry it
	State Path `key:"state" default:"/var/lib/sallyport"` // directory
}

// Listen is where packets and connections come in.
type Listen struct {
	Authentication []Address `key:"authentication" default:":1812 :1645"`
	Accounting     []Address `key:"accounting" default:":1813 :1646"`
	Portal         Address   `key:"portal" default:":8443"`
	Console        Address   `key:"console" default:"127.0.0.1:9443"`
	Metrics        Address   `key:"metrics" default:"127.0.0.1:9812"`
}

// Message-Authenticator demands of a NAS.
const (
	WhenPresent = "when-present" // verified when it is there
	Require     = "require"      // a request without one is dropped
)

// NAS is a device that gives access, or a prefix of them.
type NAS struct {
	Pos                  Pos
	Name                 Text           `key:"name,required"`
	Addresses            []netip.Prefix `key:"address,required"` // one, or a list; a single address is a full-length prefix
	Secret               secret.Shared  `key:"secret,required"`
	Recipe               Text           `key:"recipe" default:"rfc5176"` // resolved by coa/recipe
	CoA                  NASCoA         `key:"coa"`
	MessageAuthenticator string         `key:"message-authenticator" default:"when-present" one:"when-present|require"`
	LimitProxyState      bool           `key:"limit-proxy-state"` // drop an Access-Request with Proxy-State and no Message-Authenticator
	Group                string         `key:"group"`             // session.nas_group in rules
}

// NASCoA is how changes of authorization reach a NAS.
type NASCoA struct {
	Pos     Pos
	Port    int           `key:"port" range:"1..65535"`                   // 0: the recipe's own
	Secret  secret.Shared `key:"secret"`                                  // empty: the NAS's secret
	Source  []netip.Addr  `key:"source"`                                  // to send from: one address, or one of each family; empty: the system chooses
	Timeout time.Duration `key:"timeout" default:"2s" range:"100ms..60s"` // of the first attempt; later ones wait longer
	Retries int           `key:"retries" default:"3" range:"0..10"`

	Fallback      string        `key:"fallback" one:"alarm|disconnect|bounce"` // after silence to the end; empty: the recipe's own
	ConfirmWithin time.Duration `key:"confirm-within" range:"1s..10m"`         // the NAS shows within that it carried a change out; empty: the recipe's own
	InFlight      int           `key:"in-flight" range:"1..768"`               // requests without an answer; empty: the recipe's own, or 128
	Rate          int           `key:"rate" range:"1..100000"`                 // changes a second; empty: the recipe's own, or any
}

// Identity is who may log in.
type Identity struct {
	Stores []Store `key:"stores"`
	MAB    MAB     `key:"mab"`
}

// Store is one source of users, asked in the order of the file.
type Store struct {
	Pos       Pos
	Name      Text   `key:"name,required"`
	UsersFile Path   `key:"users-file,required"`
	Users     []User `key:"-"` // what the file holds
}

// User is one entry of a users file.
type User struct {
	Pos      Pos
	Name     string   `key:"-"`
	Password Text     `key:"password,required"` // PHC string: $argon2id$, $2a$, $2b$ or $2y$
	Groups   []string `key:"groups"`
	Disabled bool     `key:"disabled"`
}

// What MAC authentication bypass accepts.
const (
	MABNone   = "none"   // nothing
	MABListed = "listed" // the endpoints of the file
	MABAll    = "all"    // every MAC; those of the file get their groups
)

// MAB is MAC authentication bypass: endpoints that have no user.
type MAB struct {
	Pos           Pos
	Accept        string     `key:"accept" one:"none|listed|all"` // default: none, or listed when there is a file
	EndpointsFile Path       `key:"endpoints-file"`
	Endpoints     []Endpoint `key:"-"` // what the file holds
}

// Endpoint is one entry of an endpoints file, by MAC.
type Endpoint struct {
	Pos    Pos
	MAC    string   `key:"-"` // aa:bb:cc:dd:ee:ff
	Groups []string `key:"groups"`
	OS     string   `key:"os" one:"windows|linux|macos"` // when the NAS does not tell
}

// Portal is the HTTPS side: where redirected people and agents arrive.
type Portal struct {
	Certificate    Path          `key:"certificate"` // PEM; both empty: a self-signed pair in the state directory
	Key            Path          `key:"key"`
	Name           Text          `key:"name"`                                         // host in the redirect URL; empty: appliance.name
	TicketLifetime time.Duration `key:"ticket-lifetime" default:"1h" range:"1m..24h"` // of the single-use ticket in the redirect URL
	Limits         PortalLimits  `key:"limits"`
}

// PortalLimits bounds what people and agents may ask of the portal.
type PortalLimits struct {
	Connections           int `key:"connections" default:"24576" range:"16..1000000"`        // at once, over all; about 25 KiB each
	ConnectionsPerAddress int `key:"connections-per-address" default:"64" range:"1..100000"` // at once, from one address or IPv6 /64
	Handshakes            int `key:"handshakes" default:"64" range:"1..10000"`               // at once; each is 1 to 4 ms of a core
	RequestsPerAddress    int `key:"requests-per-address" default:"100" range:"1..1000000"`  // a second from one address, in the long run
	RequestBurst          int `key:"request-burst" default:"500" range:"1..1000000"`         // from one address at once
	Downloads             int `key:"downloads" default:"256" range:"1..100000"`              // of agents, at once, over all
}

// Sessions bounds the session table and says when silence ends a session.
type Sessions struct {
	Max                    int           `key:"max" default:"1000000" range:"1..100000000"`
	MaxPerNAS              int           `key:"max-per-nas" range:"1..100000000"`                       // of one address; empty: all where there is one NAS, else three quarters
	PurgeWithoutStop       time.Duration `key:"purge-without-stop" default:"5d" range:"1m..365d"`       // accounting started, then nothing for so long
	PurgeWithoutAccounting time.Duration `key:"purge-without-accounting" default:"4h" range:"1m..365d"` // login, and no accounting for so long
	PurgeWithoutInterim    time.Duration `key:"purge-without-interim" default:"0s" range:"0s..365d"`    // interim records came, then none for so long; 0: never
	IdleTimeout            time.Duration `key:"idle-timeout" default:"0s" range:"0s..365d"`             // disconnect a session of which nothing is heard for so long; 0: never
	SessionTimeout         time.Duration `key:"session-timeout" default:"0s" range:"0s..365d"`          // disconnect a session that lasts so long; 0: never
	KeepEnded              time.Duration `key:"keep-ended" default:"1h" range:"0s..30d"`                // an ended session can still be looked at
}

// Log is what the process writes to standard error.
type Log struct {
	Level  string `key:"level" default:"info" one:"debug|info|warn|error"`
	Format string `key:"format" default:"text" one:"text|json"`
}
