package usbtest

// The serial line carries JSON, one object a line. This machine asks, the guest answers
// with the same number; events come in between, as the guest's kernel sends them.

// request asks the guest to do something; see verbs in guest_linux_test.go.
type request struct {
	ID   int      `json:"id"`
	Verb string   `json:"verb"`
	Args []string `json:"args,omitempty"`
}

// message is what the guest says: the answer to a request, or an event.
type message struct {
	ID    int      `json:"id,omitempty"`
	Lines []string `json:"lines,omitempty"`
	Error string   `json:"error,omitempty"`
	Event *uevent  `json:"event,omitempty"`
}

// uevent is one of the guest's kernel.
type uevent struct {
	At        int64  `json:"at"` // the guest's monotonic clock, nanoseconds
	Action    string `json:"action"`
	Path      string `json:"path"`
	Subsystem string `json:"subsystem"`
	Type      string `json:"type,omitempty"`
	Interface string `json:"interface,omitempty"` // "8/6/80", decimal
}
