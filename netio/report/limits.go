package report

// Sizes of documents in octets, judged before anything is decoded. A reader takes one
// octet more than the limit from the network and then knows.
const (
	ClaimBytesMax     = 16 << 10  // addresses, a key, what the system is: under 4 KiB in practice
	ReportBytesMax    = 256 << 10 // 64 devices with every USB text at its limit need about 180 KiB; see Encode
	ClaimedBytesMax   = 4 << 10   // nine short fields
	VerdictBytesMax   = 256 << 10 // as large as the policy whose outcome it tells
	PolicyBytesMax    = 256 << 10 // 256 requirements with a message each
	EventsBytesMax    = 64 << 10  // one long-poll answer; what does not fit waits for the next poll
	DiscoveryBytesMax = 4 << 10   // four short fields
	ProblemBytesMax   = 8 << 10   // one sentence
	BuildBytesMax     = 16 << 10  // a digest, a signature, some lines of settings
)

// Structure of any document, known fields or not.
const (
	depthMax = 16   // the deepest field of version 1 is at 6; unknown ones have room
	namesMax = 64   // of one object; the largest of version 1 has 13
	nameLen  = 64   // octets of a name
	itemsMax = 1024 // of one array: few octets of input make no large slice
)

// Counts of things in a document.
const (
	addressesMax    = 64   // MACs or addresses in a claim
	devicesMax      = 64   // USB storage devices
	ifacesMax       = 256  // interfaces of one device, over all alternate settings
	nodesMax        = 64   // disks or mounts of one device
	allowMax        = 256  // devices that one action leaves alone
	factsMax        = 128  // items of one other group of facts, or of one list of a probe
	pathsMax        = 16   // files one process name runs from
	actionsMax      = 64   // asked for, or answered, at once
	requirementsMax = 256  // in a policy
	outcomesMax     = 1024 // a requirement may stand in several policy rules
	conditionsMax   = 64   // of one requirement
	collectMax      = 64   // kinds of fact
	argumentsMax    = 32   // of a program that is launched
	eventsMax       = 256  // in one long-poll answer
	PublishersMax   = 16   // in a policy
)

// Lengths of fields in octets of UTF-8.
const (
	SessionIDMax = 64   // the redirect URL that carries it has 234 in all
	tokenMax     = 128  // nonces, tickets, entity tags, identifiers of ours: at most 512 bits as text
	wordMax      = 64   // words of closed or growing sets
	nameMax      = 256  // names that people give: requirements, rules, hosts, users
	addressMax   = 64   // a MAC of 20 octets, an IPv6 address with its zone
	usbTextMax   = 512  // 126 characters of a USB string descriptor (USB 2.0 section 9.6.7) in UTF-8
	allowTextMax = 1024 // a device that is left alone, as a rule of several words
	pathMax      = 1024 // a mount point
	reasonMax    = 1024 // an error or a reason in a sentence
	dataMax      = 1024 // a value of the registry
	messageMax   = 4096 // text for the person, may have lines
)

// secondsMax bounds what the appliance may ask the agent to wait.
const secondsMax = 7 * 24 * 3600

// No list that may be full is refused for its structure.
const _ = uint(itemsMax - max(addressesMax, devicesMax, ifacesMax, nodesMax, factsMax, actionsMax,
	requirementsMax, outcomesMax, conditionsMax, collectMax, argumentsMax, eventsMax, PublishersMax))
