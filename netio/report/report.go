// Package report is the posture document that the agent and the appliance share,
// version 1: JSON over HTTPS, every body judged by its size before it is decoded.
//
//	GET  /auth/discovery                -> Discovery   (also /.well-known/posture)
//	POST /posture/v1/session  Claim     -> Claimed     binds a device key to a session
//	POST /posture/v1/enroll   Enroll    -> Enrolled    certificate for the device key, and whom to obey
//	GET  /posture/v1/policy/{etag}      -> Policy      immutable, cacheable, signed by the authority
//	POST /posture/v1/report   Report    -> Verdict     signed by the device key
//	GET  /posture/v1/events?session_id=&after=  -> Events   long poll
//	GET  /posture/v1/update?session_id=&version= -> Build   a newer build, settings
//	GET  /agent/{file}                  -> octets      builds, scripts: known by their digest
//
// A Claim and a Report are signed as bytes: the header Sallyport-Signature holds the
// ECDSA P-256 signature (ASN.1, base64url without padding) over SHA-256 of
// "sallyport-report-v1\n" + path + "\n" + body; a GET of events or updates signs
// path?query with an empty body. The key is the one the Claim carries.
// The agent reports facts; the appliance alone says what they mean.
package report

import "time"

// Version is the document version this package speaks.
const Version = 1

// Paths of the interface, and the header that carries a signature.
const (
	PathDiscovery       = "/auth/discovery"
	PathWellKnown       = "/.well-known/posture"
	PathGateway         = "/portal/gateway"
	PathSession         = "/posture/v1/session"
	PathPolicy          = "/posture/v1/policy/" // + etag
	PathReport          = "/posture/v1/report"
	PathEvents          = "/posture/v1/events"
	PathUpdate          = "/posture/v1/update"
	PathFile            = "/agent/" // + name: agents, scripts
	HeaderSignature     = "Sallyport-Signature"
	MediaType           = "application/json"
	signatureContext    = "sallyport-report-v1\n"
	QuerySessionID      = "sessionId" // in the redirect URL, as the field spells it
	QueryTicket         = "ticket"    // in the redirect URL
	QueryEventSessionID = "session_id"
	QueryEventAfter     = "after"
	QueryUpdateVersion  = "version" // beside QueryEventSessionID
)

// Discovery answers an agent that looks for its appliance.
type Discovery struct {
	V         int       `json:"v"`
	Appliance string    `json:"appliance"`
	Time      time.Time `json:"time"`
	API       string    `json:"api"` // path prefix, "/posture/v1"

	Authority string `json:"authority,omitempty"` // its key: SubjectPublicKeyInfo, DER, base64url
	Vouch     string `json:"vouch,omitempty"`     // the authority's signature over the key of this HTTPS certificate
}

// System describes the endpoint, as the agent sees it.
type System struct {
	OS        string `json:"os"` // windows, linux, macos
	OSName    string `json:"os_name,omitempty"`
	OSVersion string `json:"os_version,omitempty"`
	Arch      string `json:"arch,omitempty"`
	Hostname  string `json:"hostname,omitempty"`
	Domain    string `json:"domain,omitempty"`
	User      string `json:"user,omitempty"`
}

// Agent names the program that reports.
type Agent struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Kind    string `json:"kind,omitempty"` // agent, temporal

	// FailedBuild tells in words of a newer build that was tried here and taken back.
	FailedBuild string `json:"failed_build,omitempty"`
}

// Claim binds a device key to a session: by the single-use ticket of the redirect
// URL, or by address and MAC together. SessionID alone proves nothing.
type Claim struct {
	V         int      `json:"v"`
	SessionID string   `json:"session_id,omitempty"` // audit-session-id, from the redirect URL
	Ticket    string   `json:"ticket,omitempty"`
	MACs      []string `json:"macs,omitempty"`
	IPs       []string `json:"ips,omitempty"`
	Key       string   `json:"key"` // device public key: SubjectPublicKeyInfo, DER, base64url

	// Certificate of the key by the appliance's authority, when the device has enrolled.
	Certificate string `json:"certificate,omitempty"`

	BootID string `json:"boot_id,omitempty"`
	Agent  Agent  `json:"agent"`
	System System `json:"system"`
}

// Claimed answers a Claim.
type Claimed struct {
	V          int    `json:"v"`
	SessionID  string `json:"session_id"`
	Assurance  string `json:"assurance"` // address-mac, ticket-elsewhere, ticket, key
	Status     string `json:"status"`    // posture status as the appliance holds it
	Epoch      uint64 `json:"epoch"`
	Nonce      string `json:"nonce"` // for the next report
	Seq        uint64 `json:"seq"`   // the next report carries a greater one
	PolicyETag string `json:"policy_etag"`
	HeartbeatS int    `json:"heartbeat_s"`
}

// Policy tells the agent what to collect and what to do about it.
type Policy struct {
	V            int           `json:"v"`
	ETag         string        `json:"etag"`
	Collect      []string      `json:"collect"` // kinds of fact: KindUSB ...
	Probe        *Probe        `json:"probe,omitempty"`
	USB          *USBControl   `json:"usb,omitempty"`
	HeartbeatS   int           `json:"heartbeat_s"`
	Requirements []Requirement `json:"requirements"`

	// Publishers are whose signatures actions may name. An agent believes them of a policy
	// that its authority has signed.
	Publishers []Publisher `json:"publishers,omitempty"`
}

// Requirement is what one requirement asks of the endpoint.
type Requirement struct {
	Name        string   `json:"name"`
	Enforcement string   `json:"enforcement"` // mandatory, optional, audit
	Conditions  []string `json:"conditions"`  // names, for people
	Remediation *Action  `json:"remediation,omitempty"`
}

// What caused a report.
const (
	TriggerInitial    = "initial"
	TriggerEvent      = "event"
	TriggerPeriodic   = "periodic"
	TriggerRemediated = "remediated"
)

// Report is all that the agent sends at once. A retry is the same bytes again.
type Report struct {
	V          int            `json:"v"`
	SessionID  string         `json:"session_id"`
	Seq        uint64         `json:"seq"` // strictly increasing per device and session
	Nonce      string         `json:"nonce"`
	PolicyETag string         `json:"policy_etag,omitempty"`
	BootID     string         `json:"boot_id,omitempty"`
	MonoMS     int64          `json:"mono_ms,omitempty"`
	Wall       time.Time      `json:"wall"` // data, never trusted as time
	Trigger    string         `json:"trigger"`
	Agent      Agent          `json:"agent"`
	System     System         `json:"system"`
	Facts      Facts          `json:"facts"`
	Actions    []ActionResult `json:"actions,omitempty"`
}

// Facts are raw observations. A nil group was not collected: conditions on it cannot tell.
// The groups besides USB are in facts.go.
type Facts struct {
	USB         *USB         `json:"usb,omitempty"`
	Files       *Files       `json:"files,omitempty"`
	Registry    *Registry    `json:"registry,omitempty"`
	Services    *Services    `json:"services,omitempty"`
	Processes   *Processes   `json:"processes,omitempty"`
	Packages    *Packages    `json:"packages,omitempty"`
	Patch       *Patch       `json:"patch,omitempty"`
	Encryption  *Encryption  `json:"encryption,omitempty"`
	Firewall    *Firewall    `json:"firewall,omitempty"`
	AntiMalware *AntiMalware `json:"antimalware,omitempty"`
	Hardware    *Hardware    `json:"hardware,omitempty"`
	Scripts     *Scripts     `json:"scripts,omitempty"`
}

// USB is every USB device with at least one storage interface (class 08), and why the
// list may be incomplete.
type USB struct {
	Devices []USBDevice `json:"devices"`
	Error   string      `json:"error,omitempty"` // set: the collector could not look everywhere
}

// States of a USB storage device.
const (
	USBActive    = "active"                // the endpoint can use it
	USBBlocked   = "blocked"               // the agent holds it blocked, and verified it
	USBProtected = "protected_system_disk" // backs the running system; never blocked
)

// USBDevice is one device with a storage interface.
type USBDevice struct {
	Bus          string   `json:"bus,omitempty"`
	Port         string   `json:"port"` // "2-1.4"
	VID          string   `json:"vid,omitempty"`
	PID          string   `json:"pid,omitempty"`
	Serial       string   `json:"serial,omitempty"`
	Manufacturer string   `json:"manufacturer,omitempty"`
	Product      string   `json:"product,omitempty"`
	Ifaces       []string `json:"ifaces"` // "08/06/50", hexadecimal as in sysfs
	Driver       string   `json:"driver,omitempty"`
	Disks        []string `json:"disks,omitempty"` // "sda"
	Mounts       []string `json:"mounts,omitempty"`
	Connect      string   `json:"connect,omitempty"` // hotplug, hardwired, unknown
	State        string   `json:"state"`
}

// ActionResult says how an action ended.
type ActionResult struct {
	ID     string `json:"id"`
	Result string `json:"result"`          // done, failed, refused, pending
	Error  string `json:"error,omitempty"` // why it was not done, or in words what was
}

// Verdict answers a Report.
type Verdict struct {
	V            int       `json:"v"`
	SessionID    string    `json:"session_id"`
	Status       string    `json:"status"`
	Epoch        uint64    `json:"epoch"`
	DecisionID   string    `json:"decision_id"`
	Nonce        string    `json:"nonce"`  // for the next report
	NextS        int       `json:"next_s"` // report again at the latest after so many seconds
	PolicyETag   string    `json:"policy_etag"`
	Actions      []Action  `json:"actions,omitempty"`
	Message      string    `json:"message,omitempty"` // for the person
	Requirements []Outcome `json:"requirements,omitempty"`
}

// Outcome is how one requirement came out.
type Outcome struct {
	Policy      string   `json:"policy"`
	Requirement string   `json:"requirement"`
	Enforcement string   `json:"enforcement"`
	Status      string   `json:"status"` // passed, failed, skipped
	Passed      []string `json:"passed,omitempty"`
	Failed      []string `json:"failed,omitempty"`
	Skipped     []string `json:"skipped,omitempty"`
	Reason      string   `json:"reason,omitempty"`
}

// Kinds of event that the appliance sends to a waiting agent.
const (
	EventRecheck = "recheck" // report now
	EventPolicy  = "policy"  // fetch the policy again, then report
	EventStatus  = "status"  // the session's posture status changed
	EventEnd     = "end"     // the session ended: un-block, claim again when redirected
)

// Event is one thing the agent should know.
type Event struct {
	Seq     uint64 `json:"seq"`
	Kind    string `json:"kind"`
	Status  string `json:"status,omitempty"`
	Epoch   uint64 `json:"epoch,omitempty"`
	ETag    string `json:"policy_etag,omitempty"`
	Message string `json:"message,omitempty"`
}

// Events answers a long poll; After is what the next poll asks for.
type Events struct {
	V      int     `json:"v"`
	After  uint64  `json:"after"`
	Events []Event `json:"events"`
}

// Problem is the body of every answer that is not 2xx (RFC 9457 in short).
type Problem struct {
	Status  int    `json:"status"`
	Code    string `json:"code"` // stable word: stale-nonce, ticket-used, unknown-session ...
	Detail  string `json:"detail"`
	Retry   int    `json:"retry_after_s,omitempty"`
	Nonce   string `json:"nonce,omitempty"` // with stale-nonce: the one to use now
	Session string `json:"session_id,omitempty"`
}

// Error makes a Problem an error.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// Codes of a Problem.
const (
	CodeMalformed       = "malformed"
	CodeTooLarge        = "too-large"
	CodeVersion         = "version"
	CodeUnknownSession  = "unknown-session"
	CodeTicketUnknown   = "ticket-unknown" // not a ticket of this session, or expired
	CodeTicketUsed      = "ticket-used"
	CodeNotBound        = "not-bound" // the key is not bound to this session
	CodeBadSignature    = "bad-signature"
	CodeStaleNonce      = "stale-nonce"
	CodeReplay          = "replay" // a sequence number that was used for other bytes
	CodeAddressMismatch = "address-mismatch"
	CodeBusy            = "busy"        // try again after Retry seconds
	CodeStorage         = "storage"     // the appliance cannot keep it now
	CodeSessionEnded    = "session-end" // the session is over
	CodeNotFound        = "not-found"   // no such path, document or file
	CodeMethod          = "method"      // the path is there, for another method
	CodeSlow            = "slow"        // the body took too long
	CodeInternal        = "internal"    // a fault of the appliance
	CodeRevoked         = "revoked"     // the device was lost or stolen: nothing of it is believed
	CodeCertificate     = "certificate" // the device certificate is not of this authority, not of this key, or over
)
