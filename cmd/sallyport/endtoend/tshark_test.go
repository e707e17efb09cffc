package endtoend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sallyport/coa/coatest"
	"sallyport/netio/radius"
	"sallyport/ops/secret"
)

// capture is tshark listening on loopback.
type capture struct {
	t      *testing.T
	file   string
	ports  []int // of RADIUS
	secret string
	marker *net.UDPConn
	said   bytes.Buffer // complete when done is closed
	cmd    *exec.Cmd
	done   chan struct{}
}

// listen captures the packets of some UDP ports until stop. It skips the test where
// tshark is missing or may not capture.
func listen(t *testing.T, ports ...int) *capture {
	t.Helper()
	program, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed; Debian package tshark has it")
	}
	c := &capture{t: t, file: filepath.Join(t.TempDir(), "capture.pcapng"), ports: ports, secret: sharedSecret, done: make(chan struct{})}
	c.marker, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	t.Cleanup(func() { c.marker.Close() })
	var filter []string
	for _, p := range append(slices.Clone(ports), c.marker.LocalAddr().(*net.UDPAddr).Port) {
		filter = append(filter, fmt.Sprintf("udp port %d", p))
	}
	c.cmd = exec.Command(program, "-i", "lo", "-f", strings.Join(filter, " or "), "-w", c.file, "-q")
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

// mark sends a datagram of its own until the file holds it: tshark says that it captures
// before it does, and keeps what it has captured for a while.
func (c *capture) mark(text string) {
	c.t.Helper()
	eventually(c.t, text, func() bool {
		select {
		case <-c.done:
			c.t.Skipf("tshark cannot capture on this machine; it needs the right to (root, or group wireshark): %s", strings.TrimSpace(c.said.String()))
		default:
		}
		_, err := c.marker.WriteTo([]byte(text), c.marker.LocalAddr())
		must(c.t, err)
		b, _ := os.ReadFile(c.file)
		return bytes.Contains(b, []byte(text))
	})
}

func (c *capture) stop() {
	c.t.Helper()
	c.mark("the capture ends")
	must(c.t, c.cmd.Process.Signal(syscall.SIGINT))
	<-c.done
}

// decode has tshark read the capture with the shared secret, so that it verifies what it
// can, and returns what it prints about the packets that fit a display filter.
func (c *capture) decode(filter string, args ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args = append([]string{"-r", c.file, "-Y", filter, "-o", "radius.shared_secret:" + c.secret, "-o", "radius.validate_authenticator:TRUE"}, args...)
	for _, p := range c.ports {
		args = append(args, "-d", fmt.Sprintf("udp.port==%d,radius", p))
	}
	var out, fault bytes.Buffer
	cmd := exec.CommandContext(ctx, c.cmd.Path, args...)
	cmd.Stdout, cmd.Stderr = &out, &fault
	if err := cmd.Run(); err != nil {
		c.t.Fatalf("tshark %q: %v: %s", args, err, fault.String())
	}
	return out.String()
}

// fields are fields of every packet that fits, a line each.
func (c *capture) fields(filter string, names ...string) []string {
	c.t.Helper()
	args := []string{"-T", "fields"}
	for _, n := range names {
		args = append(args, "-e", n)
	}
	return strings.FieldsFunc(c.decode(filter, args...), func(r rune) bool { return r == '\n' })
}

// What the appliance sends, and what tshark has to say against a packet: warnings
// (0x600000) and errors. Below are chats about ports that traceroute uses too.
const (
	answers    = "radius.code in {2,3,5,11}"
	ours       = "radius.code in {2,3,5,11,40,43}"
	complaints = "_ws.expert.severity >= 0x600000 || _ws.malformed || radius.invalid_length || radius.authenticator.invalid == 1"
)

// TestTshark: an independent dissector reads everything that the appliance sends without
// a complaint, and agrees with every authenticator that it can check: those of answers to
// Access-Requests and Accounting-Requests.
func TestTshark(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	c := listen(t, int(a.auth().Port()), int(a.acct().Port()), a.coa)
	everyPacket(t, a)
	// A datagram that is wrong shows that tshark would complain.
	newNAS(t, "127.0.0.1").send(a.auth(), []byte("\x01\x07\x00\x1b0123456789abcdef\x01\x06nemo\x01"))
	c.stop()

	if got := c.fields(complaints, "radius.code", "radius.id"); !slices.Equal(got, []string{"1\t7"}) {
		t.Errorf("tshark complains about packets (code, identifier) %q, want 1 7 alone:\n%s", got, c.decode(complaints, "-V"))
	}
	counts := map[string]int{}
	for _, line := range c.fields(ours, "frame.number", "radius.code", "radius.avp.type") {
		frame, rest, _ := strings.Cut(line, "\t")
		code, types, _ := strings.Cut(rest, "\t")
		counts[code]++
		if code != "5" && types != "80" && !strings.HasPrefix(types, "80,") {
			t.Errorf("frame %s of code %s does not begin with Message-Authenticator: types %s", frame, code, types)
		}
	}
	for code, want := range map[string]int{"2": 5, "3": 1, "5": 5, "11": 3, "40": 1, "43": 2} {
		if counts[code] < want {
			t.Errorf("%d packets of code %s were captured, want %d", counts[code], code, want)
		}
	}
	// tshark knows no Status-Server, so it cannot check the two answers to that.
	if valid, all := len(c.fields(answers+" && radius.authenticator.valid == 1", "frame.number")), len(c.fields(answers, "frame.number")); valid != all-2 {
		t.Errorf("%d of %d authenticators are right", valid, all)
	}
	c.secret = "another secret"
	if wrong, all := len(c.fields("radius.authenticator.invalid == 1", "frame.number")), len(c.fields(answers, "frame.number")); wrong < all-2 {
		t.Errorf("with another secret %d of %d authenticators are wrong", wrong, all)
	}
}

// everyPacket has the appliance send one of each kind, the Disconnect-Request last.
func everyPacket(t *testing.T, a *appliance) {
	t.Helper()
	asa, err := coatest.NewASA(coatest.ASAConfig{Name: "asa", Secret: secret.New([]byte(sharedSecret)), AuthServer: a.auth(), AcctServer: a.acct(),
		CoAListen: fmt.Sprintf("127.0.0.1:%d", a.coa), MessageAuthenticator: true, RequireMessageAuthenticator: true})
	must(t, err)
	defer asa.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	long, err := asa.Login(ctx, "long", "cisco", coatest.Endpoint{PublicIP: netip.MustParseAddr("10.62.145.45")})
	must(t, err)
	if got := len(long.Authorization().DACL); got != longEntries {
		t.Fatalf("%d entries of the long ACL came, want %d", got, longEntries)
	}
	if _, err := asa.Login(ctx, "cisco", "guess", coatest.Endpoint{}); !errors.As(err, new(*coatest.RejectedError)) {
		t.Fatalf("a wrong password: %v", err)
	}
	session, err := asa.Login(ctx, "cisco", "cisco", coatest.Endpoint{})
	must(t, err)
	must(t, session.Interim(ctx))
	n := newNAS(t, "127.0.0.1")
	n.status(a.auth(), radius.AccessAccept)
	n.status(a.acct(), radius.AccountingResponse)
	d := a.device()
	d.bind(session.Authorization().RedirectURL)
	d.compliant()
	must(t, session.WaitFor(ctx, coatest.Access.Full))
	d.send(d.document("active"))
	must(t, session.WaitFor(ctx, coatest.Access.Redirected))
	must(t, long.Logout(ctx))
	if out, fault, code := a.run("coa", "disconnect", session.AuditSessionID()); code != 0 {
		t.Fatalf("disconnect: %s%s", out, fault)
	}
}
