package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// DecodeClaim reads a Claim. Like every Decode function of this package it judges the
// size first, then the structure (UTF-8, depth, no name twice, nothing after the
// document), the version, and the length, count and characters of every field it knows;
// fields it does not know are passed over. The error is a *Problem with CodeTooLarge,
// CodeVersion or CodeMalformed whose Detail names the field.
func DecodeClaim(body []byte) (*Claim, error) {
	d := new(Claim)
	return whole(d, decode(body, ClaimBytesMax, "claim", d, &d.V))
}

// DecodeClaimed reads the answer to a Claim.
func DecodeClaimed(body []byte) (*Claimed, error) {
	d := new(Claimed)
	return whole(d, decode(body, ClaimedBytesMax, "claimed", d, &d.V))
}

// DecodeReport reads a Report.
func DecodeReport(body []byte) (*Report, error) {
	d := new(Report)
	return whole(d, decode(body, ReportBytesMax, "report", d, &d.V))
}

// DecodeVerdict reads the answer to a Report. Verbs of actions may be unknown: the agent
// refuses to carry those out and says so in its next report.
func DecodeVerdict(body []byte) (*Verdict, error) {
	d := new(Verdict)
	return whole(d, decode(body, VerdictBytesMax, "verdict", d, &d.V))
}

// DecodePolicy reads a Policy.
func DecodePolicy(body []byte) (*Policy, error) {
	d := new(Policy)
	return whole(d, decode(body, PolicyBytesMax, "policy", d, &d.V))
}

// DecodeDiscovery reads a Discovery.
func DecodeDiscovery(body []byte) (*Discovery, error) {
	d := new(Discovery)
	return whole(d, decode(body, DiscoveryBytesMax, "discovery", d, &d.V))
}

// DecodeEvents reads the answer to a long poll. Kinds of event may be unknown.
func DecodeEvents(body []byte) (*Events, error) {
	d := new(Events)
	return whole(d, decode(body, EventsBytesMax, "events", d, &d.V))
}

// DecodeProblem reads the body of an answer that is not 2xx. It has no version, so that
// any agent can read it.
func DecodeProblem(body []byte) (*Problem, error) {
	d := new(Problem)
	return whole(d, decode(body, ProblemBytesMax, "problem", d, nil))
}

// whole leaves no half-read document to anybody.
func whole[T any](d *T, p *Problem) (*T, error) {
	if p != nil {
		return nil, p
	}
	return d, nil
}

// document is anything with fields to judge.
type document interface{ fields(*walker) }

func decode(body []byte, bytesMax int, what string, doc document, version *int) *Problem {
	if len(body) > bytesMax {
		return tooLarge("the %s has more than %d octets", what, bytesMax)
	}
	if p := checkStructure(body); p != nil {
		return p
	}
	err := json.Unmarshal(body, doc)
	if err != nil && version != nil {
		// A document of another version may have other types: that is said first.
		only := struct{ V int }{Version}
		if json.Unmarshal(body, &only) == nil {
			*version = only.V
		}
	}
	switch {
	case version != nil && *version != Version:
		return &Problem{Status: http.StatusBadRequest, Code: CodeVersion,
			Detail: fmt.Sprintf("v: the %s has version %d, this side speaks %d", what, *version, Version)}
	case err != nil:
		return malformed("%s", typeError(err))
	}
	var w walker
	doc.fields(&w)
	return w.problem
}

// typeError says which field holds what it should not.
func typeError(err error) string {
	var wrong *json.UnmarshalTypeError
	var when *time.ParseError
	switch {
	case errors.As(err, &wrong):
		return fmt.Sprintf("%s: a JSON %s stands where %s should", wrong.Field, wrong.Value, kind(wrong))
	case errors.As(err, &when):
		return fmt.Sprintf("%.80q is not a time as RFC 3339 writes it", when.Value)
	}
	return err.Error()
}

// kind is the wanted type in the words of JSON.
func kind(wrong *json.UnmarshalTypeError) string {
	switch wrong.Type.Kind().String() {
	case "struct":
		return "an object"
	case "slice":
		return "an array"
	case "string":
		return "a string"
	case "uint64":
		return "a whole number from 0"
	default:
		return "a whole number"
	}
}

func malformed(format string, args ...any) *Problem {
	return &Problem{Status: http.StatusBadRequest, Code: CodeMalformed, Detail: fmt.Sprintf(format, args...)}
}

func tooLarge(format string, args ...any) *Problem {
	return &Problem{Status: http.StatusRequestEntityTooLarge, Code: CodeTooLarge, Detail: fmt.Sprintf(format, args...)}
}
