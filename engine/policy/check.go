package policy

import (
	"encoding/json"
	"fmt"
	"strings"

	"sallyport/ops/config"
)

// Exit statuses of a check.
const (
	ExitSound      = 0
	ExitFaults     = 1
	ExitUnreadable = 2 // the file itself cannot be read
)

// Outcome is what Check found. Snapshot is nil when there are faults.
type Outcome struct {
	File     string
	Snapshot *Snapshot
	Warnings config.Warnings
	Faults   config.Faults
}

// Check loads a configuration exactly as the appliance does.
func Check(path string) Outcome {
	o := Outcome{File: path}
	o.Snapshot, o.Warnings, o.Faults = Load(path)
	return o
}

// ExitCode is the status that the process ends with.
func (o *Outcome) ExitCode() int {
	switch {
	case o.Faults.Unreadable():
		return ExitUnreadable
	case len(o.Faults) > 0:
		return ExitFaults
	}
	return ExitSound
}

// Text is every warning, every fault and a closing line, for people.
func (o *Outcome) Text() string {
	var b strings.Builder
	b.WriteString(o.Warnings.String())
	if len(o.Faults) > 0 {
		b.WriteString(o.Faults.Error() + "\n")
		return b.String()
	}
	r := o.result()
	fmt.Fprintf(&b, "%s: sound. Revision %s; %s, %s, %s, %s; %s passed.\n", o.File, r.Revision,
		amount(r.NAS, "NAS", "NASes"), amount(r.Users, "user", "users"), amount(r.Rules, "authorization rule", "authorization rules"),
		amount(r.PostureRules, "posture rule", "posture rules"), amount(r.Tests, "policy test", "policy tests"))
	return b.String()
}

// JSON is one object a line: warnings, faults, and the result.
func (o *Outcome) JSON() string {
	line, err := json.Marshal(o.result())
	if err != nil { // numbers and strings always encode
		return ""
	}
	return o.Warnings.JSON() + o.Faults.JSON() + string(line) + "\n"
}

// result is the closing line of a check as an object.
type result struct {
	Kind         string `json:"kind"`
	File         string `json:"file"`
	Sound        bool   `json:"sound"`
	Warnings     int    `json:"warnings"`
	Faults       int    `json:"faults"`
	Revision     string `json:"revision,omitempty"`
	NAS          int    `json:"nas,omitempty"`
	Users        int    `json:"users,omitempty"`
	Rules        int    `json:"authorization_rules,omitempty"`
	PostureRules int    `json:"posture_rules,omitempty"`
	Tests        int    `json:"tests_passed,omitempty"`
}

func (o *Outcome) result() result {
	r := result{Kind: "result", File: o.File, Sound: len(o.Faults) == 0, Warnings: len(o.Warnings), Faults: len(o.Faults)}
	if o.Snapshot == nil {
		return r
	}
	c := o.Snapshot.Config
	r.Revision, r.NAS, r.Tests = o.Snapshot.Revision, len(c.NAS), len(c.Tests)
	r.Rules, r.PostureRules = len(c.Authorization.Rules)+len(c.Authorization.Exceptions), len(c.Posture.Policy)
	for _, s := range c.Identity.Stores {
		r.Users += len(s.Users)
	}
	return r
}

func amount(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
