package record

import (
	"encoding/json"
	"time"

	"sallyport/netio/report"
)

// Messages of a posture record, as the field's own reports word them.
const (
	PostureMessage      = "Received a posture report from an endpoint"
	PostureEventMessage = "Received a posture report from an endpoint after a change on it"
)

// Posture is one judged report as it is kept in the journal. The three posture reports
// are views of it.
type Posture struct {
	DecisionID    string             `json:"decision_id"`
	LoggedAt      time.Time          `json:"logged_at"`
	Status        string             `json:"posture_status"`
	Identity      string             `json:"identity"`
	EndpointID    string             `json:"endpoint_id"`
	IPAddress     string             `json:"ip_address"`
	Location      string             `json:"location"`
	SessionID     string             `json:"session_id"`
	NetworkDevice string             `json:"network_device"`
	EndpointOS    string             `json:"endpoint_os"`
	Agent         string             `json:"agent"`
	PRAAction     string             `json:"pra_action"`
	PRAEnforced   bool               `json:"pra_enforcement"`
	PRAInterval   int                `json:"pra_interval"`
	PRAGrace      int                `json:"pra_grace"`
	UserAgreement string             `json:"user_agreement_status"`
	Message       string             `json:"message"`
	Trigger       string             `json:"trigger"`
	CoA           string             `json:"coa,omitempty"` // the change that followed
	SystemName    string             `json:"system_name,omitempty"`
	SystemDomain  string             `json:"system_domain,omitempty"`
	SystemUser    string             `json:"system_user,omitempty"`
	Assurance     string             `json:"assurance"`
	Epoch         uint64             `json:"epoch"`
	Rule          string             `json:"authorization_policy"`
	Profile       string             `json:"authorization_profile"`
	Revision      string             `json:"config_revision"`
	Policies      []PosturePolicy    `json:"policies"`
	USB           []report.USBDevice `json:"usb,omitempty"`
}

// PosturePolicy is one line of the detail report: one requirement of one rule.
type PosturePolicy struct {
	Policy      string   `json:"policy"`
	Name        string   `json:"name"`
	Enforcement string   `json:"enforcement_type"`
	Status      string   `json:"status"`
	Passed      []string `json:"passed_conditions"`
	Failed      []string `json:"failed_conditions"`
	Skipped     []string `json:"skipped_conditions"`
	Reason      string   `json:"reason,omitempty"`
}

// ConditionRow is one line of "Posture Assessment by Condition".
type ConditionRow struct {
	LoggedAt        time.Time `json:"logged_at"`
	Posture         string    `json:"posture"`
	Identity        string    `json:"identity"`
	EndpointID      string    `json:"endpoint_id"`
	IPAddress       string    `json:"ip_address"`
	Location        string    `json:"location"`
	EndpointOS      string    `json:"endpoint_os"`
	Policy          string    `json:"policy"`
	Enforcement     string    `json:"enforcement_type"`
	ConditionStatus string    `json:"condition_status"`
	ConditionName   string    `json:"condition_name"`
}

// EndpointRow is one line of "Posture Assessment by Endpoint".
type EndpointRow struct {
	LoggedAt   time.Time `json:"logged_at"`
	Status     string    `json:"status"`
	DecisionID string    `json:"details"`
	PRAAction  string    `json:"pra_action"`
	Identity   string    `json:"identity"`
	EndpointID string    `json:"endpoint_id"`
	IPAddress  string    `json:"ip_address"`
	EndpointOS string    `json:"endpoint_os"`
	Agent      string    `json:"agent"`
	Message    string    `json:"message"`
}

// ReadPosture decodes a record of the journal.
func ReadPosture(b []byte) (*Posture, error) {
	p := &Posture{}
	return p, json.Unmarshal(b, p)
}

// ByCondition is the record as lines of the report by condition.
func (p *Posture) ByCondition() []ConditionRow {
	var rows []ConditionRow
	for _, q := range p.Policies {
		for _, group := range []struct {
			status string
			names  []string
		}{{"Passed", q.Passed}, {"Failed", q.Failed}, {"Skipped", q.Skipped}} {
			for _, name := range group.names {
				rows = append(rows, ConditionRow{
					LoggedAt: p.LoggedAt, Posture: p.Status, Identity: p.Identity, EndpointID: p.EndpointID,
					IPAddress: p.IPAddress, Location: p.Location, EndpointOS: p.EndpointOS, Policy: q.Policy,
					Enforcement: q.Enforcement, ConditionStatus: group.status, ConditionName: name,
				})
			}
		}
	}
	return rows
}

// ByEndpoint is the record as one line of the report by endpoint.
func (p *Posture) ByEndpoint() EndpointRow {
	return EndpointRow{
		LoggedAt: p.LoggedAt, Status: p.Status, DecisionID: p.DecisionID, PRAAction: p.PRAAction,
		Identity: p.Identity, EndpointID: p.EndpointID, IPAddress: p.IPAddress, EndpointOS: p.EndpointOS,
		Agent: p.Agent, Message: p.Message,
	}
}
