package remedy

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"

	"sallyport/netio/report"
)

// Limits of scripts that answer a question.
const (
	askWithin  = 8 * time.Second  // all together, less than the look that they are part of
	answerFor  = 10 * time.Minute // what a script said is believed for so long
	answersMax = 128
	answerMax  = 1000 // octets of output that are told
)

// answer is what a script said.
type answer struct {
	fact report.Script
	at   time.Time
}

// Ask runs scripts that answer a question: by the rules of script.run, one after the other.
// What one said a short while ago is said again.
func (t *Tools) Ask(ctx context.Context, probes []report.ScriptProbe, fetch Fetch) *report.Scripts {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	t.asking.Lock()
	defer t.asking.Unlock()
	out := &report.Scripts{Items: []report.Script{}}
	now := time.Now()
	for _, p := range probes {
		known, ok := t.answers[p.SHA256]
		if !ok || now.Sub(known.at) >= answerFor {
			known = answer{t.ask(ctx, &p, fetch), now}
			if len(t.answers) >= answersMax {
				clear(t.answers)
			}
			if known.fact.State == report.StatePresent {
				t.answers[p.SHA256] = known
			}
		}
		known.fact.Name = p.Name
		out.Items = append(out.Items, known.fact)
	}
	return out
}

// Forget has every script asked anew: something may have been mended.
func (t *Tools) Forget() {
	t.asking.Lock()
	defer t.asking.Unlock()
	clear(t.answers)
}

func (t *Tools) ask(ctx context.Context, p *report.ScriptProbe, fetch Fetch) report.Script {
	fact := report.Script{Name: p.Name, SHA256: p.SHA256, State: report.StateUnknown}
	a := &report.Action{Verb: report.VerbScript, Target: p.Name, SHA256: p.SHA256, Signature: p.Signature}
	if fact.Reason = t.refused(a); fact.Reason != "" {
		return fact
	}
	text, no := fetched(ctx, a, fetch)
	if no.Result != "" {
		fact.Reason = no.Detail
		return fact
	}
	var said, aside tail
	err, no := t.runScript(ctx, p.Name, text, nil, &said, &aside)
	var status *exec.ExitError
	switch {
	case no.Result != "":
		fact.Reason = no.Detail
	case ctx.Err() != nil:
		fact.Reason = "it took too long and was ended"
	case err != nil && (!errors.As(err, &status) || status.ExitCode() < 0):
		fact.Reason = err.Error()
	default:
		fact.State = report.StatePresent
		if status != nil {
			fact.Exit = status.ExitCode()
		}
		octets := said.octets
		fact.Output = strings.ToValidUTF8(strings.TrimSpace(string(octets[max(0, len(octets)-answerMax):])), "\ufffd")
	}
	return fact
}
