package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

type sessionsCmd struct {
	target
	ID     string   `arg:"" optional:"" help:"Show one session with everything that is known of it."`
	JSON   bool     `name:"json" help:"One JSON object a line."`
	Follow bool     `help:"Go on showing the session's rows of the live log, or all of them."`
	All    bool     `help:"Ended sessions that are still kept, too."`
	Filter []string `help:"Only rows that match, such as network_device=asa or posture_status=Pending; * stands for anything." placeholder:"KEY=VALUE"`
}

var sessionColumns = []column{{"SESSION", "session_id", 24}, {"STATE", "state", 5}, {"IDENTITY", "identity", 16}, {"ENDPOINT", "endpoint_id", 17},
	{"ADDRESS", "ip_address", 15}, {"NAS", "network_device", 18}, {"POSTURE", "posture.status", 13},
	{"PROFILE", "authorization.profile", 20}, {"STARTED", "started", 23}, {"VALID UNTIL", "posture.valid_until", 0}}

// Run shows the sessions.
func (c *sessionsCmd) Run() error {
	ctl, err := c.dial()
	if err != nil {
		return err
	}
	if c.ID != "" {
		return c.one(ctl)
	}
	q, err := filters(c.Filter)
	if err != nil {
		return err
	}
	if c.All {
		q.Set("status", "*")
	}
	if err := ctl.each(http.MethodGet, "/api/v1/sessions", q, nil, rows(c.JSON, sessionColumns)); err != nil || !c.Follow {
		return err
	}
	return (&livelogCmd{JSON: c.JSON, Follow: true, Last: 1}).run(ctl, url.Values{})
}

func (c *sessionsCmd) one(ctl *control) error {
	show := printLines
	if !c.JSON {
		show = printSession
	}
	if err := ctl.each(http.MethodGet, "/api/v1/sessions/"+url.PathEscape(c.ID), nil, nil, show); err != nil {
		return err
	}
	if !c.JSON || c.Follow {
		fmt.Println()
		return (&livelogCmd{JSON: c.JSON, Follow: c.Follow, Last: 1000}).run(ctl, url.Values{"session_id": {c.ID}})
	}
	return nil
}

// printSession prints a session, and behind it what happens to it next, and what was sent
// about it and answered.
func printSession(line []byte) error {
	var row struct {
		Next []struct {
			At    time.Time `json:"at"`
			Clock string    `json:"clock"`
			Then  string    `json:"then"`
		} `json:"next"`
		Timeline []struct {
			At         time.Time `json:"at"`
			Serial     uint64    `json:"change"`
			What       string    `json:"what"`
			Attributes []string  `json:"attributes"`
		} `json:"timeline"`
	}
	if err := decode(line, &row); err != nil {
		return err
	}
	for _, last := range []string{`,"timeline":[`, `,"next":[`} { // the last two of the object
		if at := bytes.Index(line, []byte(last)); at >= 0 {
			line = append(line[:at:at], '}')
		}
	}
	if err := printWords(line); err != nil {
		return err
	}
	var out strings.Builder
	if len(row.Next) > 0 {
		fmt.Fprintln(&out, "\nWhat happens by itself, and when:")
	}
	for _, c := range row.Next {
		fmt.Fprintf(&out, "  %s  %-11s  %s\n", c.At.Local().Format("2006-01-02 15:04:05"), c.Clock, c.Then)
	}
	if len(row.Timeline) > 0 {
		fmt.Fprintln(&out, "\nChanges of authorization, as they went:")
	}
	for _, s := range row.Timeline {
		fmt.Fprintf(&out, "  %s  #%d  %s\n", s.At.Local().Format("15:04:05.000"), s.Serial, s.What)
		for _, a := range s.Attributes {
			fmt.Fprintf(&out, "      %s\n", a)
		}
	}
	_, err := fmt.Fprint(os.Stdout, out.String())
	return err
}

func rows(asJSON bool, columns []column) func([]byte) error {
	if asJSON {
		return printLines
	}
	return (&table{out: os.Stdout, columns: columns}).row
}

// filters reads KEY=VALUE words.
func filters(words []string) (url.Values, error) {
	q := url.Values{}
	for _, w := range words {
		key, value, ok := bytes.Cut([]byte(w), []byte("="))
		if !ok {
			return nil, fmt.Errorf("--filter %s: want KEY=VALUE, such as network_device=asa", w)
		}
		q.Set(string(key), string(value))
	}
	return q, nil
}

type livelogCmd struct {
	target
	JSON   bool     `name:"json" help:"One JSON object a line."`
	Follow bool     `short:"f" help:"Go on as decisions are made."`
	Last   int      `default:"20" help:"How many of the newest rows to begin with."`
	Filter []string `help:"Only rows that match, such as identity=cisco or status=fail." placeholder:"KEY=VALUE"`
	Open   string   `help:"Every failure that the rows with this FOLD stand for." placeholder:"FOLD"`
}

var livelogColumns = []column{{"TIME", "time", 23}, {"STATUS", "status", 7}, {"KIND", "kind", 14}, {"IDENTITY", "identity", 14},
	{"ENDPOINT ID", "endpoint_id", 17}, {"AUTHENTICATION", "authentication_policy", 15}, {"AUTHORIZATION", "authorization_policy", 24},
	{"PROFILES", "authorization_profile", 18}, {"IP ADDRESS", "ip_address", 15}, {"NETWORK DEVICE", "network_device", 16},
	{"POSTURE", "posture_status", 13}, {"REPEAT", "repeat_count", 6}, {"FOLD", "fold_id", 4}, {"DETAILS", "details", 0}, {"REASON", "reason", 0}}

// Run shows the live log.
func (c *livelogCmd) Run() error {
	ctl, err := c.dial()
	if err != nil {
		return err
	}
	if c.Open != "" {
		return ctl.each(http.MethodGet, "/api/v1/livelog/folded/"+url.PathEscape(c.Open), nil, nil, rows(c.JSON, livelogColumns))
	}
	q, err := filters(c.Filter)
	if err != nil {
		return err
	}
	return c.run(ctl, q)
}

func (c *livelogCmd) run(ctl *control, q url.Values) error {
	q.Set("limit", strconv.Itoa(c.Last))
	if c.Follow {
		q.Set("follow", "true")
	} else if !c.JSON && len(q) == 1 {
		if err := counters(ctl); err != nil {
			return err
		}
	}
	return ctl.each(http.MethodGet, "/api/v1/livelog", q, nil, rows(c.JSON, livelogColumns))
}

// counters prints the counters that stand above the live log.
func counters(ctl *control) error {
	return ctl.each(http.MethodGet, "/api/v1/status", nil, nil, func(line []byte) error {
		var s struct {
			Counters map[string]int64 `json:"counters"`
		}
		if err := json.Unmarshal(line, &s); err != nil {
			return err
		}
		_, err := fmt.Printf("Misconfigured supplicants %d   Misconfigured network devices %d   RADIUS drops %d   Client stopped responding %d   Repeat counter %d\n\n",
			s.Counters["misconfigured_supplicants"], s.Counters["misconfigured_network_devices"], s.Counters["radius_drops"],
			s.Counters["client_stopped_responding"], s.Counters["repeat_counter"])
		return err
	})
}

type reportCmd struct {
	Kind string `arg:"" enum:"condition,endpoint,detail" help:"condition, endpoint or detail."`
	target
	JSON  bool   `name:"json" help:"One JSON object a line."`
	Since string `help:"From this moment on: RFC 3339, a date, or a span such as 24h." default:"24h" placeholder:"T"`
}

var reportColumns = map[string][]column{
	"condition": {{"LOGGED AT", "logged_at", 23}, {"POSTURE", "posture", 13}, {"IDENTITY", "identity", 14}, {"ENDPOINT ID", "endpoint_id", 17},
		{"IP ADDRESS", "ip_address", 15}, {"LOCATION", "location", 13}, {"ENDPOINT OS", "endpoint_os", 16}, {"POLICY", "policy", 20},
		{"ENFORCEMENT", "enforcement_type", 11}, {"CONDITION STATUS", "condition_status", 16}, {"CONDITION NAME", "condition_name", 0}},
	"endpoint": {{"LOGGED AT", "logged_at", 23}, {"STATUS", "status", 13}, {"DETAILS", "details", 25}, {"PRA ACTION", "pra_action", 10},
		{"IDENTITY", "identity", 14}, {"ENDPOINT ID", "endpoint_id", 17}, {"IP ADDRESS", "ip_address", 15}, {"ENDPOINT OS", "endpoint_os", 16},
		{"AGENT", "agent", 22}, {"MESSAGE", "message", 0}},
}

// Run shows one of the three posture reports.
func (c *reportCmd) Run() error {
	since, err := moment(c.Since, time.Now())
	if err != nil {
		return err
	}
	ctl, err := c.dial()
	if err != nil {
		return err
	}
	show := rows(c.JSON, reportColumns[c.Kind])
	if c.Kind == "detail" && !c.JSON {
		show = printDetail
	}
	return ctl.each(http.MethodGet, "/api/v1/reports/"+c.Kind, url.Values{"since": {since.Format(time.RFC3339)}}, nil, show)
}

// moment reads a time as people write it.
func moment(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--since %s: want a span such as 24h, a date such as 2026-01-31, or 2026-01-31T09:14:00Z", s)
}

type coaCmd struct {
	Reauth     reauthCmd     `cmd:"" help:"Make the NAS ask again for a session."`
	Disconnect disconnectCmd `cmd:"" help:"End a session."`
	Test       coaTestCmd    `cmd:"" help:"Rehearse with a NAS: a change of a session that cannot exist, and what the answer means."`
}

// coaTarget is what the three have in common.
type coaTarget struct {
	Target string `arg:"" help:"Session id; for test the name of a NAS."`
	target
	JSON bool `name:"json" help:"One JSON object a line."`
}

func (c *coaTarget) post(verb string) error {
	ctl, err := c.dial()
	if err != nil {
		return err
	}
	show := printWords
	if c.JSON {
		show = printLines
	}
	return ctl.each(http.MethodPost, "/api/v1/coa/"+verb+"/"+url.PathEscape(c.Target), nil, nil, show)
}

type (
	reauthCmd     struct{ coaTarget }
	disconnectCmd struct{ coaTarget }
	coaTestCmd    struct{ coaTarget }
)

// Run makes the NAS ask again.
func (c *reauthCmd) Run() error { return c.post("reauth") }

// Run ends a session.
func (c *disconnectCmd) Run() error { return c.post("disconnect") }

// Run rehearses with a NAS. The exit code is 1 when its answer is not the good one.
func (c *coaTestCmd) Run() error {
	ctl, err := c.dial()
	if err != nil {
		return err
	}
	if !c.JSON {
		fmt.Fprintf(os.Stderr, "Asking %s for a change of a session that cannot exist; silence takes half a minute.\n", c.Target)
	}
	sound := false
	err = ctl.each(http.MethodPost, "/api/v1/coa/test/"+url.PathEscape(c.Target), nil, nil, func(line []byte) error {
		var row struct {
			Sound bool `json:"sound"`
		}
		if err := decode(line, &row); err != nil {
			return err
		}
		sound = row.Sound
		if c.JSON {
			return printLines(line)
		}
		return printWords(line)
	})
	if err == nil && !sound {
		return exit{1, fmt.Errorf("changes of authorization do not reach %s as they should", c.Target)}
	}
	return err
}

type statusCmd struct {
	target
	JSON bool `name:"json" help:"One JSON object."`
}

// Run shows the appliance's status.
func (c *statusCmd) Run() error {
	ctl, err := c.dial()
	if err != nil {
		return err
	}
	show := printWords
	if c.JSON {
		show = printLines
	}
	return ctl.each(http.MethodGet, "/api/v1/status", nil, nil, show)
}
