package console

import (
	"encoding/json"
	"time"
)

// The rows as the pages need them, found by the keys of the engine's JSON.

type statusRow struct {
	Appliance string         `json:"appliance"`
	Version   string         `json:"version"`
	Revision  string         `json:"config_revision"`
	Started   time.Time      `json:"started"`
	Live      int            `json:"sessions_live"`
	OpenCoA   int            `json:"coa_open"`
	Posture   map[string]int `json:"posture"`
	Journal   string         `json:"journal"`
	Recording *recordingRow  `json:"recording"`
	Shadow    *shadowRow     `json:"shadow"`
}

type recordingRow struct {
	File    string `json:"file"`
	Octets  uint64 `json:"octets"`
	Events  uint64 `json:"events"`
	Dropped uint64 `json:"dropped"`
	Fault   string `json:"fault"`
}

type shadowRow struct {
	From     string       `json:"from"`
	To       string       `json:"to"`
	Events   int          `json:"events"`
	Changed  int          `json:"changed"`
	Sessions int          `json:"changed_sessions"`
	Dropped  uint64       `json:"dropped"`
	Groups   []shadowPart `json:"groups"`
}

type shadowPart struct {
	Before   outcomeRow `json:"before"`
	After    outcomeRow `json:"after"`
	Count    int        `json:"decisions"`
	Sessions int        `json:"sessions"`
	First    time.Time  `json:"first"`
	Example  string     `json:"example"`
}

type outcomeRow struct {
	Rule    string `json:"rule"`
	Profile string `json:"profile"`
	Posture string `json:"posture"`
}

type countersRow struct {
	MisconfiguredSupplicants uint64 `json:"misconfigured_supplicants"`
	MisconfiguredNAS         uint64 `json:"misconfigured_network_devices"`
	RADIUSDrops              uint64 `json:"radius_drops"`
	StoppedResponding        uint64 `json:"client_stopped_responding"`
	RepeatCounter            uint64 `json:"repeat_counter"`
}

type logRow struct {
	Missed               uint64    `json:"missed"` // the only key of a row that stands for lost ones
	Number               uint64    `json:"number"`
	ID                   string    `json:"decision_id"`
	Time                 time.Time `json:"time"`
	Kind                 string    `json:"kind"`
	Status               string    `json:"status"`
	Details              string    `json:"details"`
	Reason               string    `json:"reason"`
	RepeatCount          uint64    `json:"repeat_count"`
	Identity             string    `json:"identity"`
	EndpointID           string    `json:"endpoint_id"`
	AuthenticationPolicy string    `json:"authentication_policy"`
	AuthorizationPolicy  string    `json:"authorization_policy"`
	RulePosition         string    `json:"rule_position"`
	AuthorizationProfile string    `json:"authorization_profile"`
	IPAddress            string    `json:"ip_address"`
	NetworkDevice        string    `json:"network_device"`
	DevicePort           string    `json:"device_port"`
	IdentityGroup        string    `json:"identity_group"`
	PostureStatus        string    `json:"posture_status"`
	Server               string    `json:"server"`
	SessionID            string    `json:"session_id"`
	Epoch                uint64    `json:"epoch"`
	Revision             string    `json:"config_revision"`
	Elapsed              float64   `json:"elapsed"`
	Sent                 string    `json:"sent"`
	Answered             string    `json:"answered"`
	FoldID               string    `json:"fold_id"`
}

type sessionRow struct {
	SessionID        string    `json:"session_id"`
	AuditSessionID   string    `json:"audit_session_id"`
	State            string    `json:"state"`
	Identity         string    `json:"identity"`
	Groups           []string  `json:"groups"`
	Method           string    `json:"method"`
	Authenticated    bool      `json:"authenticated"`
	EndpointID       string    `json:"endpoint_id"`
	MACs             []string  `json:"macs"`
	OS               string    `json:"os"`
	NetworkDevice    string    `json:"network_device"`
	NASAddress       string    `json:"nas_address"`
	DevicePort       string    `json:"device_port"`
	CallingStationID string    `json:"calling_station_id"`
	CalledStationID  string    `json:"called_station_id"`
	TunnelGroup      string    `json:"tunnel_group"`
	AcctSessionID    string    `json:"acct_session_id"`
	IPAddress        string    `json:"ip_address"`
	IPv6Address      string    `json:"ipv6_address"`
	Epoch            uint64    `json:"epoch"`
	Started          time.Time `json:"started"`
	LastSeen         time.Time `json:"last_seen"`
	Ended            time.Time `json:"ended"`
	EndCause         string    `json:"end_cause"`
	Hostname         string    `json:"hostname"`
	Domain           string    `json:"domain"`
	OSVersion        string    `json:"os_version"`
	Posture          struct {
		Status     string    `json:"status"`
		Judged     string    `json:"judged"`
		InGrace    bool      `json:"in_grace"`
		Continued  bool      `json:"continued"`
		Logoff     bool      `json:"logoff"`
		Since      time.Time `json:"since"`
		Assurance  string    `json:"assurance"`
		Agent      string    `json:"agent"`
		AgentKind  string    `json:"agent_kind"`
		ReportAt   time.Time `json:"report_at"`
		ValidUntil time.Time `json:"valid_until"`
		Failed     []string  `json:"failed"`
		Facts      factsRow  `json:"facts"`
		DecisionID string    `json:"decision_id"`
	} `json:"posture"`
	Authorization struct {
		Profile string `json:"profile"`
		Rule    string `json:"rule"`
		Text    string `json:"text"`
		Doubt   bool   `json:"doubt"`
	} `json:"authorization"`
	Change     *changeRow     `json:"change"`
	LastChange *settledRow    `json:"last_change"`
	Accounting *accountingRow `json:"accounting"`
	Next       []nextRow      `json:"next"`
	Timeline   []stepRow      `json:"timeline"`
}

type factsRow struct {
	Storage     string `json:"usb_storage"`
	Firewall    string `json:"firewall"`
	AntiMalware string `json:"antimalware"`
	Encryption  string `json:"encryption"`
	Updates     string `json:"updates"`
}

type nextRow struct {
	At   time.Time `json:"at"`
	Name string    `json:"clock"`
	Then string    `json:"then"`
}

type stepRow struct {
	At         time.Time `json:"at"`
	Serial     uint64    `json:"change"`
	What       string    `json:"what"`
	Attributes []string  `json:"attributes"`
}

// whyRow is the part of an explanation that a page shows.
type whyRow struct {
	Text string `json:"text"`
}

type changeRow struct {
	Kind    string    `json:"kind"`
	Profile string    `json:"profile"`
	Reason  string    `json:"reason"`
	Made    time.Time `json:"made"`
}

type settledRow struct {
	Kind     string    `json:"kind"`
	Profile  string    `json:"profile"`
	Outcome  string    `json:"outcome"`
	Cause    string    `json:"error_cause"`
	Attempts uint32    `json:"attempts"`
	At       time.Time `json:"at"`

	Confirmation string `json:"confirmation"`
}

type accountingRow struct {
	Started     time.Time `json:"started"`
	Stopped     time.Time `json:"stopped"`
	SessionTime float64   `json:"session_time"`
	InOctets    uint64    `json:"in_octets"`
	OutOctets   uint64    `json:"out_octets"`
}

type conditionRow struct {
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

type endpointRow struct {
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

type detailRow struct {
	DecisionID    string      `json:"decision_id"`
	LoggedAt      time.Time   `json:"logged_at"`
	Status        string      `json:"posture_status"`
	Identity      string      `json:"identity"`
	EndpointID    string      `json:"endpoint_id"`
	IPAddress     string      `json:"ip_address"`
	Location      string      `json:"location"`
	SessionID     string      `json:"session_id"`
	NetworkDevice string      `json:"network_device"`
	EndpointOS    string      `json:"endpoint_os"`
	Agent         string      `json:"agent"`
	PRAAction     string      `json:"pra_action"`
	PRAEnforced   bool        `json:"pra_enforcement"`
	PRAInterval   float64     `json:"pra_interval"`
	PRAGrace      float64     `json:"pra_grace"`
	UserAgreement string      `json:"user_agreement_status"`
	Message       string      `json:"message"`
	Trigger       string      `json:"trigger"`
	CoA           string      `json:"coa"`
	SystemName    string      `json:"system_name"`
	SystemDomain  string      `json:"system_domain"`
	SystemUser    string      `json:"system_user"`
	Assurance     string      `json:"assurance"`
	Rule          string      `json:"authorization_policy"`
	Profile       string      `json:"authorization_profile"`
	Policies      []policyRow `json:"policies"`
	USB           []usbRow    `json:"usb"`
}

type policyRow struct {
	Policy      string   `json:"policy"`
	Name        string   `json:"name"`
	Enforcement string   `json:"enforcement_type"`
	Status      string   `json:"status"`
	Passed      []string `json:"passed_conditions"`
	Failed      []string `json:"failed_conditions"`
	Skipped     []string `json:"skipped_conditions"`
	Reason      string   `json:"reason"`
}

type usbRow struct {
	Port         string   `json:"port"`
	VID          string   `json:"vid"`
	PID          string   `json:"pid"`
	Manufacturer string   `json:"manufacturer"`
	Product      string   `json:"product"`
	Serial       string   `json:"serial"`
	Ifaces       []string `json:"ifaces"`
	Mounts       []string `json:"mounts"`
	State        string   `json:"state"`
}

// convert makes one of the above of a row.
func convert(row Row, into any) error {
	b, err := json.Marshal(row)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// rowOf is convert for a type.
func rowOf[T any](row Row) (v T, err error) {
	err = convert(row, &v)
	return v, err
}
