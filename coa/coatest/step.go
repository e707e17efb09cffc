package coatest

import (
	"fmt"
	"strings"
	"time"

	"sallyport/netio/radius"
	"sallyport/netio/radius/dictionary"
)

// Direction says which way a step goes, seen from the ASA.
type Direction string

// The directions. Inside is something that the ASA does by itself.
const (
	Sent     Direction = "->"
	Received Direction = "<-"
	Inside   Direction = "--"
)

// Step is one thing that happened, in words.
type Step struct {
	At         time.Time
	NAS        string
	Direction  Direction
	Peer       string   // address of the other end; empty for Inside
	Packet     string   // Access-Request, HTTP GET …; empty for Inside
	Session    string   // audit-session-id, where one is known
	Note       string   // what is special: "again", "dropped: bad_authenticator"
	Attributes []string // Name = value, in the packet's order, secrets hidden
}

// String is the step in one line, without its attributes.
func (s Step) String() string {
	words := []string{s.At.UTC().Format("15:04:05.000"), s.NAS, string(s.Direction)}
	for _, word := range []string{s.Peer, s.Packet} {
		if word != "" {
			words = append(words, word)
		}
	}
	line := strings.Join(words, " ")
	if s.Note != "" {
		line += ": " + s.Note
	}
	return line
}

// step completes a step and hands it to the listener, one at a time.
func (a *ASA) step(s Step) {
	if a.config.Log == nil {
		return
	}
	s.At, s.NAS = a.clock.Now(), a.config.Name
	a.logging.Lock()
	defer a.logging.Unlock()
	a.config.Log(s)
}

// packet is a step about a packet.
func (a *ASA) packet(d Direction, peer fmt.Stringer, v *radius.View, session, note string) {
	if a.config.Log == nil {
		return
	}
	lines := strings.Split(strings.TrimSpace(dictionary.Format(v)), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	a.step(Step{Direction: d, Peer: peer.String(), Packet: v.Code().String(), Session: session, Note: note,
		Attributes: lines[1:]})
}

// inside is a step that no packet belongs to.
func (a *ASA) inside(session, format string, args ...any) {
	a.step(Step{Direction: Inside, Session: session, Note: fmt.Sprintf(format, args...)})
}
