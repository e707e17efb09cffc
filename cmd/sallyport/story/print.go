package story

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport/coa/coatest"
	"sallyport/engine/record"
)

// printer tells the story: a line a step for people, or a JSON object.
type printer struct {
	out   io.Writer
	json  bool
	width int
	begun time.Time
}

// since is the story's clock, in seconds.
func (p *printer) since(at time.Time) float64 { return at.Sub(p.begun).Seconds() }

func (p *printer) object(kind string, values map[string]any) {
	all := map[string]any{"kind": kind}
	maps.Copy(all, values)
	line := json.NewEncoder(p.out)
	line.SetEscapeHTML(false)
	_ = line.Encode(all) // a reader who went away misses nothing that matters
}

// note prints something that is no step.
func (p *printer) note(kind, text string, values map[string]any) {
	if p.json {
		p.object(kind, values)
		return
	}
	fmt.Fprintln(p.out, text)
}

// titleWidth is the width of the longest title.
var titleWidth = func() (widest int) {
	for _, one := range story() {
		widest = max(widest, utf8.RuneCountInString(one.title))
	}
	return widest
}()

// step prints one step that was seen.
func (p *printer) step(n int, one step, got seen) {
	if p.json {
		p.object("step", map[string]any{"number": n, "step": one.key, "title": one.title, "observed": true,
			"time": got.at.UTC(), "elapsed": p.since(got.at), "sent": got.sent, "answered": got.answered})
		return
	}
	head := fmt.Sprintf("%7.3fs  %-*s  ", p.since(got.at), titleWidth, one.title)
	fmt.Fprintln(p.out, head+p.sides(got, p.width-utf8.RuneCountInString(head)))
}

// sides is what both sides said, in so many columns: two fifths for the question, the
// rest for the answer, and what one does not need for the other.
func (p *printer) sides(got seen, room int) string {
	const between = "  =>  "
	if p.width <= 0 {
		return got.sent + between + got.answered
	}
	room = max(room-len(between), 20)
	sent, answered := utf8.RuneCountInString(got.sent), utf8.RuneCountInString(got.answered)
	left := max(room*2/5, room-answered)
	return shorten(got.sent, left) + between + shorten(got.answered, room-min(left, sent))
}

func shorten(text string, room int) string {
	runes := []rune(text)
	if len(runes) <= room {
		return text
	}
	return string(runes[:max(room-1, 0)]) + "…"
}

// summary prints every step with a tick or a cross, and the result.
func (p *printer) summary(steps []step, told []seen, err error) {
	if p.json {
		result := map[string]any{"result": "complete", "steps": len(steps), "observed": len(told), "elapsed": p.since(time.Now())}
		if err != nil {
			result["result"], result["error"] = "incomplete", err.Error()
			if len(told) < len(steps) {
				result["missing"] = steps[len(told)].key
			}
		}
		p.object("result", result)
		return
	}
	fmt.Fprintf(p.out, "\n     %-*s  SEEN AFTER\n", titleWidth, "STEP")
	for i, one := range steps {
		if i < len(told) {
			fmt.Fprintf(p.out, "%2d ✓ %-*s  %9.3fs\n", i+1, titleWidth, one.title, p.since(told[i].at))
		} else {
			fmt.Fprintf(p.out, "%2d ✗ %-*s  %10s\n", i+1, titleWidth, one.title, "not seen")
		}
	}
	fmt.Fprintf(p.out, "%d of %d steps seen in order, in %.3fs\n", len(told), len(steps), p.since(time.Now()))
}

// telling are the attributes that the story is about. They stand first, so that a narrow
// terminal shows them.
var telling = []string{"User-Name=", "url-redirect-acl=", "url-redirect=", "ACS:CiscoSecure-Defined-ACL=", "ip:inacl#", "audit-session-id="}

func rank(attribute string) int {
	for i, prefix := range telling {
		if strings.HasPrefix(attribute, prefix) {
			return i
		}
	}
	return len(telling)
}

// packetWords is a packet of the ASA in words: its name and what tells this one from
// others, without what proves it and what the endpoint says about its make.
func packetWords(step *coatest.Step) string {
	var parts []string
	for _, line := range step.Attributes {
		name, value, _ := strings.Cut(line, " = ")
		if plain, err := strconv.Unquote(value); err == nil {
			value = plain
		}
		switch {
		case name == "Message-Authenticator", name == "Event-Timestamp", strings.HasPrefix(value, "mdm-tlv="):
		case name == "Cisco-AVPair":
			parts = append(parts, value)
		default:
			parts = append(parts, name+"="+value)
		}
	}
	if len(parts) == 0 {
		return step.Packet
	}
	slices.SortStableFunc(parts, func(a, b string) int { return rank(a) - rank(b) })
	return step.Packet + " (" + strings.Join(parts, ", ") + ")"
}

// reportWords is a posture report in words.
func reportWords(p *record.Posture) string {
	words := "report, " + p.Trigger + ": "
	if len(p.USB) == 0 {
		return words + "no USB storage"
	}
	var devices []string
	for _, d := range p.USB {
		text := fmt.Sprintf("%s %s at port %s %s", d.Manufacturer, d.Product, d.Port, d.State)
		if len(d.Mounts) > 0 {
			text += ", mounted at " + strings.Join(d.Mounts, " ")
		}
		devices = append(devices, strings.TrimSpace(text))
	}
	return words + strings.Join(devices, "; ")
}
