// Package portal is the HTTPS side of the appliance: TLS 1.3 and HTTP/1.1, a page for
// people that the NAS redirected, and the posture interface of netio/report for agents.
// It decides nothing: limits, decoding and signatures here, everything else in Posture.
//
//	GET  /portal/gateway?sessionId=&portal=&action=cpp&ticket=   page, never redeems the ticket
//	GET  /agent/{file}                                           download of an agent
//	GET  /auth/discovery, /.well-known/posture                   Discovery
//	POST /posture/v1/session      signed with the key inside     Claim -> Claimed
//	POST /posture/v1/enroll       signed with the bound key      Enroll -> Enrolled
//	GET  /posture/v1/policy/{etag}                               Policy, immutable, signed by the authority
//	POST /posture/v1/report       signed with the bound key      Report -> Verdict
//	GET  /posture/v1/events       signed with the bound key      Events, after 50 s at most
//	GET  /healthz
//
// A connection passes these doors, and every refusal is counted by its reason:
//
//	accept -> connections in all, per address -> ClientHello -> handshakes at once -> TLS
//	  -> header in time -> requests per address -> size -> body in time -> decode
//	  -> signature -> reports per session -> Posture
package portal

import (
	"context"
	"net/netip"

	"sallyport/netio/report"
)

// Posture is the appliance as the portal sees it. All methods may be called at once; an
// error that is a *report.Problem goes to the agent as it is, any other as 503.
type Posture interface {
	// Gateway tells what a page may show of a session to whoever holds a ticket that was
	// made for it. False without such a ticket: the session id alone proves nothing.
	Gateway(sessionID, ticket string) (View, bool)
	// Claim binds a key to a session; the claim was signed with it. d is what the device
	// certificate says that came along, verified; nil: none did.
	Claim(ctx context.Context, peer netip.AddrPort, c *report.Claim, spki []byte, d *report.Device) (*report.Claimed, error)
	// Key is the SubjectPublicKeyInfo bound to a session.
	Key(sessionID string) (spki []byte, ok bool)
	// Proof is what a certificate for the bound key of a session may say of its endpoint when
	// it is asked for from peer; false: nothing.
	Proof(sessionID string, peer netip.AddrPort) (report.Proof, bool)
	// Policy is an encoded report.Policy by its entity tag.
	Policy(etag string) (document []byte, ok bool)
	// Report judges a report that was signed with spki; raw is what was signed. It
	// returns an encoded report.Verdict.
	Report(ctx context.Context, peer netip.AddrPort, r *report.Report, spki, raw []byte) (answer []byte, err error)
	// Update is what an agent that runs a version should be: build and settings.
	Update(sessionID, version string) (*report.Build, error)
	// Events waits for news after the number after; when ctx ends it returns none.
	Events(ctx context.Context, sessionID string, after uint64) (*report.Events, error)
}

// View is what a page shows of a session.
type View struct {
	Status  string      // posture status: Unknown, Pending, Compliant, NonCompliant, NotApplicable
	Message string      // for the person, may have lines; empty: the page's own words
	Failed  []string    // names of requirements that are not met
	OS      string      // windows, linux, macos, when the session knows; the browser is asked next
	Bound   bool        // an agent claimed the session
	Offer   []AgentFile // what provisioning gives this endpoint; empty: Config.Agents for its OS
}

// AgentFile is an agent that can be downloaded.
type AgentFile struct {
	OS      string // windows, linux, macos
	Arch    string // amd64, arm64 ...; empty: the file fits all
	Name    string // of the file in the agents directory, letters, digits and -_. only
	Version string // for people; may be empty
	SHA256  string // hexadecimal; not empty: a file with another digest is not offered
}

// Posture statuses as View and the documents spell them.
const (
	statusCompliant     = "Compliant"
	statusNonCompliant  = "NonCompliant"
	statusNotApplicable = "NotApplicable"
)
