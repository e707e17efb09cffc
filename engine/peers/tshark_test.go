package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sallyport/coa/coatest/freeradius"
	"sallyport/engine"
)

// capture is tshark listening on loopback to some UDP ports.
type capture struct {
	t       *testing.T
	program string
	file    string
	ports   []uint16 // of RADIUS
	marker  *net.UDPConn
	cmd     *exec.Cmd
	said    bytes.Buffer // complete when done is closed
	done    chan struct{}
}

// listen captures until stop. It skips the test where tshark is missing or may not capture.
func listen(t *testing.T, ports ...uint16) *capture {
	t.Helper()
	program, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed; Debian package tshark has it")
	}
	c := &capture{t: t, program: program, file: filepath.Join(t.TempDir(), "lo.pcapng"), ports: ports, done: make(chan struct{})}
	c.marker, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	t.Cleanup(func() { c.marker.Close() })
	filter := "udp port " + strconv.Itoa(c.marker.LocalAddr().(*net.UDPAddr).Port)
	for _, p := range ports {
		filter += fmt.Sprintf(" or udp port %d", p)
	}
	c.cmd = exec.Command(program, "-i", "lo", "-f", filter, "-w", c.file)
	c.cmd.Stderr = &c.said
	must(t, c.cmd.Start())
	go func() {
		defer close(c.done)
		_ = c.cmd.Wait() // what it said tells more
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // it may have ended
		<-c.done
	})
	c.mark("the capture begins")
	return c
}

// mark sends a datagram until the file holds it. That tshark says "Capturing" is not
// enough: it says so before it does, and writes what it has captured later.
func (c *capture) mark(text string) {
	c.t.Helper()
	eventually(c.t, text, func() bool {
		select {
		case <-c.done:
			c.t.Skipf("tshark cannot capture on lo here; it needs the right to (root, or group wireshark): %s", strings.TrimSpace(c.said.String()))
		default:
		}
		_, err := c.marker.WriteTo([]byte(text), c.marker.LocalAddr())
		must(c.t, err)
		b, err := os.ReadFile(c.file)
		return err == nil && bytes.Contains(b, []byte(text))
	})
}

func (c *capture) stop() {
	c.t.Helper()
	c.mark("the capture ends")
	must(c.t, c.cmd.Process.Signal(syscall.SIGINT))
	<-c.done
}

// frame is what tshark makes of one packet.
type frame struct {
	number, source, target string
	code                   string
	types                  []string // of the attributes, in order
	severities, messages   []string // of what tshark remarks
	malformed              bool
	valid, invalid         bool // the Response Authenticator, where tshark can tell
}

// fieldNames in the order of frame.
var fieldNames = []string{"frame.number", "udp.srcport", "udp.dstport", "radius.code", "radius.avp.type", "_ws.expert.severity", "_ws.expert.message",
	"_ws.malformed", "radius.authenticator.valid", "radius.authenticator.invalid"}

// read has tshark print what it captured, with a shared secret for what can be verified.
func (c *capture) read(secret string, args ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args = append([]string{"-r", c.file, "-o", "radius.shared_secret:" + secret, "-o", "radius.validate_authenticator:TRUE"}, args...)
	for _, p := range c.ports {
		args = append(args, "-d", fmt.Sprintf("udp.port==%d,radius", p))
	}
	var fault bytes.Buffer
	cmd := exec.CommandContext(ctx, c.program, args...)
	cmd.Stderr = &fault
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("tshark %q: %v: %s", args, err, fault.String())
	}
	return string(out)
}

// decode is every packet that was captured, without the marks.
func (c *capture) decode(secret string) (frames []frame) {
	c.t.Helper()
	args := []string{"-T", "fields", "-E", "separator=/t", "-E", "aggregator=|"}
	for _, name := range fieldNames {
		args = append(args, "-e", name)
	}
	var ports []string
	for _, p := range c.ports {
		ports = append(ports, strconv.Itoa(int(p)))
	}
	for line := range strings.Lines(c.read(secret, args...)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != len(fieldNames) {
			c.t.Fatalf("tshark printed %d fields, want %d: %q", len(f), len(fieldNames), line)
		}
		if !slices.Contains(ports, f[1]) && !slices.Contains(ports, f[2]) {
			continue // a mark
		}
		split := func(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == '|' }) }
		frames = append(frames, frame{number: f[0], source: f[1], target: f[2], code: f[3], types: split(f[4]), severities: split(f[5]),
			messages: split(f[6]), malformed: f[7] != "", valid: f[8] == "1", invalid: f[9] == "1"})
	}
	return frames
}

// severityWarning is tshark's: errors are above it, notes and chats below.
const severityWarning = 0x600000

// faults are what tshark has against a packet.
func (f *frame) faults(t *testing.T) (all []string) {
	t.Helper()
	if f.code == "" {
		all = append(all, "it does not read as RADIUS")
	}
	if f.malformed {
		all = append(all, "malformed")
	}
	if f.invalid {
		all = append(all, "the authenticator is wrong")
	}
	worst := uint64(0)
	for _, s := range f.severities {
		n, err := strconv.ParseUint(s, 0, 32)
		must(t, err)
		worst = max(worst, n)
	}
	if worst >= severityWarning {
		all = append(all, fmt.Sprintf("severity %#x: %q", worst, f.messages))
	}
	return all
}

// TestTsharkReadsEverything: an independent dissector has no complaint about anything that
// the appliance sends, agrees with its authenticators, and finds Message-Authenticator in
// front of every answer to an Access-Request.
func TestTsharkReadsEverything(t *testing.T) {
	t.Parallel()
	server := freeradius.Start(t, freeradius.Options{Secret: sharedSecret, Sessions: []string{auditID}})
	a := newAppliance(t, options{coaPort: server.CoA.Port()})
	c := listen(t, a.auth().Port(), a.acct().Port(), server.CoA.Port())
	everyPacket(t, a)
	// Something that is wrong shows that tshark would complain: a User-Name beyond the end.
	_, err := c.marker.WriteTo([]byte("\x02\x07\x00\x1b0123456789abcdef\x01\x09nemo!"), net.UDPAddrFromAddrPort(a.acct()))
	must(t, err)
	c.stop()

	auth, acct, dynamic := fmt.Sprint(a.auth().Port()), fmt.Sprint(a.acct().Port()), fmt.Sprint(server.CoA.Port())
	counts, verified, unchecked := map[string]int{}, 0, map[string]bool{}
	var others []string
	for _, f := range c.decode(sharedSecret) {
		faults := f.faults(t)
		if f.code == "12" {
			unchecked[f.source] = true // tshark knows no Status-Server, and pairs no answer with it
		}
		if f.source != auth && f.source != acct && f.target != dynamic {
			others = append(others, faults...)
			continue
		}
		counts[f.code]++
		if len(faults) > 0 {
			t.Errorf("frame %s of code %s: %q", f.number, f.code, faults)
		}
		if f.code != "5" && (len(f.types) == 0 || f.types[0] != "80") {
			t.Errorf("frame %s of code %s does not begin with Message-Authenticator: types %q", f.number, f.code, f.types)
		}
		switch {
		case f.valid:
			verified++
		case f.target != dynamic && !unchecked[f.target]:
			t.Errorf("frame %s of code %s has an authenticator that tshark cannot make sense of", f.number, f.code)
		}
	}
	// Accept: two logins, the end of the ACL, Status-Server. Challenge: the ACL, 300
	// entries of which about 70 have room in a packet.
	// More than that are answers to a peer that was too impatient.
	for code, want := range map[string]int{"2": 4, "3": 1, "5": 4, "11": 4, "40": 1, "43": 1} {
		if counts[code] < want {
			t.Errorf("%d packets of code %s were captured, want %d", counts[code], code, want)
		}
	}
	t.Logf("of the packets of others tshark says %q", others)
	if !slices.ContainsFunc(others, func(s string) bool { return strings.HasPrefix(s, "severity") }) {
		t.Error("tshark does not complain about the packet that is wrong")
	}
	// That a value has the wrong length or an attribute no name is no complaint to tshark:
	// it says so in the text.
	for line := range strings.Lines(c.read(sharedSecret, "-V", "-Y", fmt.Sprintf("udp.srcport in {%s,%s} || udp.dstport == %s", auth, acct, dynamic))) {
		if strings.Contains(line, "AVP: ") && (strings.Contains(line, "wrong length") || strings.Contains(line, "Unknown-Attribute")) {
			t.Errorf("an attribute of the appliance: %s", strings.TrimSpace(line))
		}
	}
	wrong := 0
	for _, f := range c.decode("another secret") {
		if f.invalid && (f.source == auth || f.source == acct) {
			wrong++
		}
	}
	if verified == 0 || wrong != verified {
		t.Errorf("with another secret %d authenticators are wrong, want %d", wrong, verified)
	}
}

// everyPacket has the appliance send one of each kind.
func everyPacket(t *testing.T, a *appliance) {
	t.Helper()
	radclient(t, a.auth(), "auth", freeradius.ErrRefused, login("cisco", "guess", auditID)...)
	compliant(t, a, auditID)
	a.settled(auditID)
	name := aclNamed.FindStringSubmatch(radclient(t, a.auth(), "auth", nil, login("long", "cisco", "0a3042ca0001e00056e2dce4")...))
	if name == nil {
		t.Fatal("the Accept names no ACL")
	}
	downloadAll(t, a, name[1])
	for _, kind := range []string{"Start", "Interim-Update", "Stop"} {
		radclient(t, a.acct(), "acct", nil, "Acct-Status-Type = "+kind, `Acct-Session-Id = "63815AB0"`, `User-Name = "long"`,
			"NAS-IP-Address = 127.0.0.1", `Cisco-AVPair = "audit-session-id=0a3042ca0001e00056e2dce4"`)
	}
	radclient(t, a.auth(), "status", nil, "Message-Authenticator = 0x00")
	radclient(t, a.acct(), "status", nil, "Message-Authenticator = 0x00")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var after engine.SessionView
	must(t, a.console.Post(ctx, "/api/v1/coa/disconnect/"+auditID, nil, func(row json.RawMessage) error { return json.Unmarshal(row, &after) }))
	if after.State != "ended" || after.LastChange == nil || after.LastChange.Outcome != "ack" {
		t.Fatalf("disconnected: %+v", after)
	}
}
