package recipe

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// sniffed begins each packet that radsniff shows; its attributes follow, indented.
var sniffed = regexp.MustCompile(`^\S+ \S+ \(\d+\) (CoA-Request|Disconnect-Request) Id (\d+) `)

// TestRadsniffDecodesEveryRecipe: FreeRADIUS's own decoder, with its dictionaries, reads
// every kind of change of every recipe out of a capture file, knows each attribute by
// name, and shows as many as were sent. Like tshark it checks no authenticator of these.
func TestRadsniffDecodesEveryRecipe(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("radsniff")
	if err != nil {
		t.Skip("radsniff is not installed; Debian package freeradius-utils has it")
	}
	name, changes := recorded(t)
	command := exec.Command(program, "-x", "-I", name, "-s", "secret")
	command.Env = append(os.Environ(), "TZ=UTC")
	out, err := command.CombinedOutput()
	if !strings.Contains(string(out), "Done sniffing") { // its status is 1 at the end of every file
		t.Fatalf("radsniff: %v: %s", err, out)
	}
	codes := map[byte]string{40: "Disconnect-Request", 43: "CoA-Request"}
	var shown []string
	for line := range strings.Lines(string(out)) {
		switch m := sniffed.FindStringSubmatch(line); {
		case m != nil:
			shown = append(shown, m[1]+" "+m[2]+" ")
		case len(shown) > 0 && strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, "\tAuthenticator-Field = "):
			shown[len(shown)-1] += "|"
			if strings.HasPrefix(line, "\tAttr-") {
				t.Errorf("radsniff has no name for %s", strings.TrimSpace(line))
			}
		case strings.Contains(line, "** error **") || strings.Contains(line, "ERROR"):
			t.Errorf("radsniff says: %s", line)
		}
	}
	if len(shown) != len(changes) {
		t.Fatalf("radsniff shows %d packets of %d: %s", len(shown), len(changes), out)
	}
	for i, pkt := range changes {
		if want := fmt.Sprintf("%s %d %s", codes[pkt[0]], pkt[1], strings.Repeat("|", attributes(t, pkt))); shown[i] != want {
			t.Errorf("packet %d: radsniff shows %s, want %s", i, shown[i], want)
		}
	}
	for _, want := range []string{`Cisco-AVPair = "coa-push=true"`, `Cisco-AVPair = "subscriber:command=reauthenticate"`, "ASA-VLAN = 663",
		`Tunnel-Private-Group-Id:0 = "663"`, `Event-Timestamp = "Mar 11 2016 14:57:54 UTC"`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("radsniff does not show %s", want)
		}
	}
}
