package console

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"sallyport/netio/report"
	"sallyport/ops/clock"
)

// object is a row of a test.
type object = map[string]any

// fake is a Source and an Operator of made-up rows.
type fake struct {
	mu       sync.Mutex // guards the following
	log      []object
	sessions []object
	wake     chan struct{}
	verbs    []string
	fail     error // what every method returns
}

var storyStart = time.Date(2016, 3, 11, 15, 57, 39, 598e6, time.UTC)

func newFake() *fake {
	f := &fake{wake: make(chan struct{})}
	f.sessions = []object{
		{"session_id": "0a3042ca0001d00056e2dce3", "state": "live", "identity": "cisco", "endpoint_id": "00:0c:29:c9:d9:37", "macs": []string{"00:0c:29:c9:d9:37"},
			"os": "windows", "network_device": "BSNS-ASA5515-11", "nas_address": "10.48.66.202", "ip_address": "10.10.10.10", "tunnel_group": "RA", "method": "pap",
			"authenticated": true, "calling_station_id": "10.229.16.34", "acct_session_id": "9F5CC5C0", "version": 7, "epoch": 2,
			"posture":       object{"status": "Compliant", "since": storyStart.Add(8 * time.Minute), "assurance": "ticket", "agent": "sallyport-agent 0.1", "decision_id": "01535d1a-0000002a"},
			"authorization": object{"profile": "PermitAccess", "rule": "Compliant_Devices_Access", "text": "ACS:CiscoSecure-Defined-ACL=#ACSACL#-IP-PERMIT_ALL_TRAFFIC-57f6b0d3"},
			"last_change":   object{"kind": "push", "profile": "PermitAccess", "outcome": "ack", "confirmation": "confirmed", "attempts": 1, "at": storyStart.Add(8*time.Minute + time.Second)},
			"next":          []object{{"at": storyStart.Add(23 * time.Minute), "clock": "report_by", "then": "the agent is lost: the endpoint becomes Pending"}},
			"timeline":      []object{{"at": storyStart.Add(8 * time.Minute), "change": 1, "what": "sent CoA-Request 4", "attributes": []string{"Cisco-AVPair = subscriber:command=<b>"}}},
			"accounting":    object{"session_time": 442, "in_octets": 18408, "out_octets": 14696},
			"started":       storyStart, "last_seen": storyStart.Add(9 * time.Minute)},
		{"session_id": "0a3042ca0001e00056e2dd10", "state": "live", "identity": "<script>alert(1)</script>", "endpoint_id": "00:0c:29:aa:bb:cc", "network_device": "BSNS-ASA5515-11",
			"ip_address": "10.10.10.11", "version": 3, "hostname": "WIN7-PC",
			"posture":       object{"status": "Compliant", "judged": "NonCompliant", "in_grace": true, "agent_kind": "temporal", "failed": []string{"USB_Check"}, "facts": object{"usb_storage": "in-use"}},
			"authorization": object{"profile": "Posture_Redirect", "rule": "Posture_Unknown"}, "change": object{"kind": "push", "profile": "Posture_Redirect", "reason": "posture NonCompliant"},
			"started": storyStart, "last_seen": storyStart.Add(8 * time.Minute)},
	}
	f.add(object{"kind": "authentication", "status": "pass", "details": "Authentication succeeded", "identity": "cisco", "endpoint_id": "00:0c:29:c9:d9:37",
		"authentication_policy": "internal", "authorization_policy": "Posture_Unknown", "authorization_profile": "Posture_Redirect", "network_device": "BSNS-ASA5515-11",
		"posture_status": "Pending", "server": "posture-1", "session_id": "0a3042ca0001d00056e2dce3", "elapsed": 0.0004})
	f.add(object{"kind": "authentication", "status": "fail", "details": "Authentication failed", "reason": "wrong password", "identity": "<img src=x onerror=alert(1)>",
		"endpoint_id": "00:0c:29:aa:bb:cc", "network_device": "BSNS-ASA5515-11", "server": "posture-1", "repeat_count": 4, "fold_id": "7"})
	f.add(object{"kind": "posture", "status": "pass", "details": "Received a posture report from an endpoint", "identity": "cisco", "endpoint_id": "00:0c:29:c9:d9:37",
		"authorization_policy": "Compliant_Devices_Access", "authorization_profile": "PermitAccess", "ip_address": "10.10.10.10", "network_device": "BSNS-ASA5515-11",
		"posture_status": "Compliant", "server": "posture-1", "session_id": "0a3042ca0001d00056e2dce3", "decision_id": "01535d1a-0000002a"})
	f.add(object{"kind": "coa", "status": "pass", "details": "CoA acknowledged", "identity": "cisco", "endpoint_id": "00:0c:29:c9:d9:37", "authorization_profile": "PermitAccess",
		"ip_address": "10.10.10.10", "network_device": "BSNS-ASA5515-11", "posture_status": "Compliant", "server": "posture-1", "session_id": "0a3042ca0001d00056e2dce3",
		"sent": "CoA-Request id 4\n  Cisco-AVPair audit-session-id=0a3042ca0001d00056e2dce3", "answered": "CoA-ACK after 3 ms"})
	return f
}

// add appends a row to the live log.
func (f *fake) add(row object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.log) + 1
	row["number"] = n
	row["time"] = storyStart.Add(time.Duration(n) * 528 * time.Millisecond)
	if row["decision_id"] == nil {
		row["decision_id"] = fmt.Sprintf("01535d1a-%08x", n)
	}
	f.log = append(f.log, row)
	close(f.wake)
	f.wake = make(chan struct{})
}

func (f *fake) Status() Row {
	return object{"appliance": "posture-1.example.com", "version": "0.1", "config_revision": "5e0c1f", "sessions_live": 2, "coa_open": 1, "journal": "ok",
		"recording": object{"file": "state/day.jsonl", "events": 12, "octets": 2048, "dropped": 5}, "shadow": object{"events": 3},
		"posture": map[string]int{"Compliant": 1, "NonCompliant": 1}}
}

func (f *fake) Counters() Row { return object{"radius_drops": 6, "repeat_counter": 3} }

func text(row object, key string) string {
	s, _ := row[key].(string)
	return s
}

func fields(row object) *Fields {
	f := &Fields{SessionID: text(row, "session_id"), Identity: text(row, "identity"), EndpointID: text(row, "endpoint_id"), IPAddress: text(row, "ip_address"),
		NetworkDevice: text(row, "network_device"), PostureStatus: text(row, "posture_status"), AuthorizationPolicy: text(row, "authorization_policy"),
		AuthorizationProfile: text(row, "authorization_profile"), Status: text(row, "status"), Kind: text(row, "kind")}
	if p, ok := row["posture"].(object); ok {
		f.PostureStatus, f.Status = text(p, "status"), text(row, "state")
	}
	return f
}

func (f *fake) Sessions(_ context.Context, filter *Filter, limit int, emit func(Row) error) error {
	f.mu.Lock()
	rows, fail := append([]object(nil), f.sessions...), f.fail
	f.mu.Unlock()
	n := 0
	for _, s := range rows {
		if filter.Match(fields(s)) && (limit == 0 || n < limit) {
			n++
			if err := emit(s); err != nil {
				return err
			}
		}
	}
	return fail
}

func (f *fake) Session(id string) (Row, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sessions {
		if s["session_id"] == id {
			return s, true
		}
	}
	return nil, false
}

func (f *fake) LiveLog(ctx context.Context, after uint64, limit int, follow bool, filter *Filter, emit func(uint64, Row) error) error {
	for first := true; ; first = false {
		f.mu.Lock()
		var rows []object
		for i := after; i < uint64(len(f.log)); i++ {
			if filter.Match(fields(f.log[i])) {
				rows = append(rows, f.log[i])
			}
		}
		after = max(after, uint64(len(f.log)))
		wake, fail := f.wake, f.fail
		f.mu.Unlock()
		if first {
			rows = rows[max(0, len(rows)-limit):]
		}
		for _, row := range rows {
			if err := emit(uint64(row["number"].(int)), row); err != nil {
				return err
			}
		}
		if !follow || fail != nil {
			return fail
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil
		}
	}
}

func (f *fake) Report(_ context.Context, q ReportQuery, emit func(Row) error) error {
	at := storyStart.Add(8 * time.Minute)
	if at.Before(q.Since) || q.DecisionID != "" && q.DecisionID != "01535d1a-0000002a" {
		return nil
	}
	common := object{"logged_at": at, "identity": "cisco", "endpoint_id": "00:0c:29:c9:d9:37", "ip_address": "10.10.10.10", "location": "All Locations", "endpoint_os": "Windows 7 Ultimate 64-bit"}
	more := map[string]object{
		ReportCondition: {"posture": "Compliant", "policy": "Windows 7 USB check", "enforcement_type": "mandatory", "condition_status": "Passed", "condition_name": "USB_Check"},
		ReportEndpoint:  {"status": "Compliant", "details": "01535d1a-0000002a", "pra_action": "continue", "agent": "sallyport-agent 0.1", "message": "Received a posture report from an endpoint"},
		ReportDetail: {"decision_id": "01535d1a-0000002a", "posture_status": "Compliant", "session_id": "0a3042ca0001d00056e2dce3", "network_device": "BSNS-ASA5515-11",
			"agent": "sallyport-agent 0.1", "pra_action": "continue", "pra_interval": 900, "pra_grace": 60, "user_agreement_status": "NotEnabled", "system_name": "WIN7-PC", "system_user": "Win7",
			"message": "Received a posture report from an endpoint", "trigger": "remediated", "coa": "push PermitAccess", "assurance": "ticket", "authorization_policy": "Compliant_Devices_Access", "authorization_profile": "PermitAccess",
			"policies": []object{{"policy": "Windows 7 USB check", "name": "USB_Block", "enforcement_type": "mandatory", "status": "passed", "passed_conditions": []string{"USB_Check"}}},
			"usb":      []object{{"port": "2-1.4", "vid": "0781", "pid": "5567", "manufacturer": "SanDisk", "product": "Cruzer <b>Blade</b>", "serial": "4C530001", "ifaces": []string{"08/06/50"}, "state": "blocked"}}},
	}[q.Kind]
	for k, v := range more {
		common[k] = v
	}
	if !q.Filter.Match(fields(common)) {
		return nil
	}
	return emit(common)
}

func (f *fake) verb(ctx context.Context, what string) (Row, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.verbs = append(f.verbs, what+" by "+Caller(ctx))
	return object{"done": what, "text": "because of <b>" + what + "</b>"}, f.fail
}

func (f *fake) Reauthenticate(ctx context.Context, id string) (Row, error) {
	return f.verb(ctx, "reauth "+id)
}
func (f *fake) Disconnect(ctx context.Context, id string) (Row, error) {
	return f.verb(ctx, "disconnect "+id)
}

func (f *fake) TestNAS(ctx context.Context, nas string, emit func(Row) error) error {
	for _, step := range []string{"sent", "answered"} {
		row, err := f.verb(ctx, "test "+nas+" "+step)
		if err != nil {
			return err
		}
		if err := emit(row); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) Folded(_ context.Context, id string, emit func(Row) error) error {
	if id != "7" {
		return &report.Problem{Status: 404, Code: "unknown-fold"}
	}
	return emit(f.log[1])
}

func (f *fake) Shadow() (Row, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return object{"decisions": 3, "from": "5e0c1f", "to": "77aa01", "events": 3, "changed": 2, "changed_sessions": 1, "groups": []object{{"decisions": 2, "sessions": 1,
		"before": object{"rule": "Compliant_Devices_Access", "profile": "PermitAccess", "posture": "Compliant"}, "after": object{"rule": "<i>New", "profile": "DenyAccess", "posture": "Compliant"},
		"example": "0a3042ca0001d00056e2dce3"}}}, f.fail == nil
}

func (f *fake) Reload(ctx context.Context, request json.RawMessage) (Row, error) {
	return f.verb(ctx, "reload "+string(request))
}

func (f *fake) Explain(ctx context.Context, request json.RawMessage) (Row, error) {
	return f.verb(ctx, "explain "+string(request))
}

// openConsole opens both doors of a fake.
func openConsole(t *testing.T, f *fake) (s *Server, client *Client) {
	t.Helper()
	socket := t.TempDir() + "/control.sock"
	s, err := Open(Config{Appliance: "posture-1.example.com", Address: "127.0.0.1:0", Socket: socket, Source: f, Operator: f,
		Clock: clock.NewManual(storyStart.Add(10 * time.Minute))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s, NewClient(socket)
}

var errBusy = &report.Problem{Status: 503, Code: report.CodeBusy, Detail: "try again", Retry: 3}
