package core

import (
	"time"

	"sallyport/netio/report"
)

// Event is something that happened outside.
type Event interface{ event() }

// Effect is something to do outside.
type Effect interface{ effect() }

// What went wrong, in a Failed event.
const (
	DoingClaim  = "claim"
	DoingPolicy = "policy"
	DoingReport = "report"
	DoingPoll   = "poll"
)

type (
	// Started begins everything.
	Started struct{}
	// Tick says that the time Next gave has come.
	Tick struct{}
	// NetworkChanged says that links, addresses or routes are others now.
	NetworkChanged struct{}
	// Resumed says that the machine slept: what was due meanwhile is due now.
	Resumed struct{}
	// DevicesChanged says that the USB storage may be another one now.
	DevicesChanged struct{}
	// Facts answers Collect.
	Facts struct{ report.Facts }
	// Surveyed answers Survey.
	Surveyed struct {
		ETag  string
		Facts report.Facts
	}
	// Found answers Search: an appliance whose certificate is trusted. SessionID and
	// Ticket come from a redirect and are empty without one.
	Found struct {
		Gen                          uint64
		Appliance, SessionID, Ticket string
	}
	// NotFound answers Search: none, and why.
	NotFound struct {
		Gen uint64
		Err string
	}
	// Claimed answers Claim; Seq is at least the last number this device ever used in
	// the session.
	Claimed struct {
		Gen uint64
		report.Claimed
	}
	// PolicyFetched answers FetchPolicy.
	PolicyFetched struct {
		Gen    uint64
		Policy report.Policy
	}
	// Judged answers Send.
	Judged struct {
		Gen, Seq uint64
		Verdict  report.Verdict
	}
	// Heard answers Poll.
	Heard struct {
		Gen    uint64
		Events report.Events
	}
	// Failed answers Claim, FetchPolicy, Send or Poll. Problem is what the appliance
	// said; nil when it could not be reached or understood.
	Failed struct {
		Gen     uint64
		Doing   string
		Seq     uint64 // of the report, for DoingReport
		Problem *report.Problem
		Err     string
	}
	// Struck says that a device which just appeared was taken away by Reflex's action, as
	// it was until then. ActionEnded with the action's number follows.
	Struck struct {
		Action report.Action
		Device report.USBDevice
	}
	// ActionEnded answers Run.
	ActionEnded struct{ Result report.ActionResult }
	// Unblocked answers Unblock; Err is empty when all was given back.
	Unblocked struct{ Err string }
)

type (
	// Search looks for the appliance.
	Search struct{ Gen uint64 }
	// Claim binds the device key to the session. Ticket and SessionID may be empty.
	Claim struct {
		Gen                          uint64
		Appliance, SessionID, Ticket string
	}
	// FetchPolicy gets the policy of an ETag.
	FetchPolicy struct {
		Gen             uint64
		Appliance, ETag string
	}
	// Collect looks at USB storage.
	Collect struct{}
	// Survey looks at all else that a policy asks for, which may take its time.
	Survey struct {
		Policy    report.Policy
		Appliance string
	}
	// Send posts a report. Its number has to be on the disk before it leaves. The same
	// Body comes again when it is retried.
	Send struct {
		Gen, Seq             uint64
		Appliance, SessionID string
		Body                 []byte
	}
	// Poll waits for events after a number. A new Poll replaces the one before.
	Poll struct {
		Gen                  uint64
		Appliance, SessionID string
		After                uint64
	}
	// Run carries an action out. Reflex: the facts that Collect gave last are of now, so
	// that nobody has to look again. Appliance is who asked.
	Run struct {
		Action    report.Action
		Reflex    bool
		Appliance string
	}
	// Unblock gives back all that is blocked.
	Unblock struct{ Why string }
	// Renew asks what this agent should be, and replaces it by a newer build.
	Renew struct{ Appliance, SessionID string }
	// Show tells the person something.
	Show struct{ Text string }
	// Abandon gives up what is under way for links before Gen.
	Abandon struct{ Gen uint64 }
)

func (Started) event()        {}
func (Tick) event()           {}
func (NetworkChanged) event() {}
func (Resumed) event()        {}
func (DevicesChanged) event() {}
func (Facts) event()          {}
func (Surveyed) event()       {}
func (Found) event()          {}
func (NotFound) event()       {}
func (Claimed) event()        {}
func (PolicyFetched) event()  {}
func (Judged) event()         {}
func (Heard) event()          {}
func (Failed) event()         {}
func (Struck) event()         {}
func (ActionEnded) event()    {}
func (Unblocked) event()      {}

func (Search) effect()      {}
func (Claim) effect()       {}
func (FetchPolicy) effect() {}
func (Collect) effect()     {}
func (Survey) effect()      {}
func (Send) effect()        {}
func (Poll) effect()        {}
func (Run) effect()         {}
func (Unblock) effect()     {}
func (Renew) effect()       {}
func (Show) effect()        {}
func (Abandon) effect()     {}

// View is what the agent believes, for `status`.
type View struct {
	Phase        string                `json:"phase"`
	Since        time.Time             `json:"since"` // of Phase
	Appliance    string                `json:"appliance,omitempty"`
	SessionID    string                `json:"session_id,omitempty"`
	Assurance    string                `json:"assurance,omitempty"`
	Status       string                `json:"status,omitempty"` // the appliance's
	StatusSince  time.Time             `json:"status_since,omitzero"`
	Epoch        uint64                `json:"epoch,omitempty"`
	DecisionID   string                `json:"decision_id,omitempty"`
	Requirements []report.Outcome      `json:"requirements,omitempty"`
	Message      string                `json:"message,omitempty"`
	ReportAt     time.Time             `json:"report_at,omitzero"` // the last that was answered
	Trigger      string                `json:"trigger,omitempty"`
	NextAt       time.Time             `json:"next_at,omitzero"`
	PolicyETag   string                `json:"policy_etag,omitempty"`
	Others       *report.Facts         `json:"others,omitempty"`  // but USB, as last looked at
	Problem      string                `json:"problem,omitempty"` // what is in the way now
	ProblemSince time.Time             `json:"problem_since,omitzero"`
	USB          *report.USB           `json:"usb,omitempty"`
	Actions      []report.ActionResult `json:"actions,omitempty"` // last results
}

// View says what the agent believes now.
func (a *Agent) View() View {
	v := a.view
	v.Phase, v.Since, v.NextAt = a.phase.String(), a.since, a.beatAt
	v.Appliance = a.link.appliance
	if a.facts != nil {
		v.USB = a.facts.USB
	}
	v.Others = a.others
	if a.policy != nil {
		v.PolicyETag = a.policy.ETag
	}
	return v
}

// Settled says that there is a verdict and nothing more to do about it now: what `once`
// waits for. An action that is to be repeated later does not count.
func (a *Agent) Settled() bool {
	return a.phase == Bound && a.everJudged && a.sending == nil && a.want == "" &&
		len(a.running) == 0 && len(a.results) == 0 && !a.collecting && !a.surveying && a.fetching == "" && digest(a.offered()) == a.judged
}

// note remembers what is in the way; an empty text: nothing any more.
func (a *Agent) note(problem string) {
	if a.view.Problem != problem {
		a.view.Problem, a.view.ProblemSince = problem, a.now
	}
	if problem == "" {
		a.view.ProblemSince = time.Time{}
	}
}

// show tells the person something, once until a verdict comes that has nothing to say.
func (a *Agent) show(text string) {
	if text == "" || a.shown[text] {
		return
	}
	a.shown[text] = true
	a.emit(Show{Text: text})
}
