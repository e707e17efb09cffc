package endtoend

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"sallyport/netio/radius"
	"sallyport/netio/radius/radiustest"
)

// nas is a NAS that sends what a test wants, from one address and port.
type nas struct {
	t    *testing.T
	key  *radius.Key
	conn *net.UDPConn
	next byte
}

func newNAS(t *testing.T, from string) *nas {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0)))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return &nas{t: t, key: radiustest.Key(t, sharedSecret), conn: conn}
}

// request begins a request with a new identifier.
func (n *nas) request(code radius.Code) radius.Builder {
	n.next++
	return radius.Begin(nil, code, n.next)
}

func (n *nas) seal(b *radius.Builder) []byte {
	n.t.Helper()
	pkt, err := n.key.SealRequest(b)
	must(n.t, err)
	return pkt
}

// pap is a login. more may add to it; nil: nothing.
func (n *nas) pap(user, password, audit string, more func(*radius.Builder)) []byte {
	b := n.request(radius.AccessRequest)
	b.Text(radius.UserName, user)
	b.Password(n.key, []byte(password))
	b.Text(radius.CallingStationID, "10.229.16.34")
	b.U32(radius.NASPortType, 5)
	b.AVPair("mdm-tlv", "device-platform=linux-64")
	b.AVPair("mdm-tlv", "device-mac=00-0c-29-c9-d9-37")
	b.Addr(radius.NASIPAddress, netip.MustParseAddr("127.0.0.1"))
	b.AVPair("audit-session-id", audit)
	if more != nil {
		more(&b)
	}
	return n.seal(&b)
}

// Values of Acct-Status-Type (RFC 2866 section 5.1).
const (
	acctStart   = 1
	acctStop    = 2
	acctInterim = 3
)

func (n *nas) accounting(kind uint32, acct, audit, address string) []byte {
	b := n.request(radius.AccountingRequest)
	b.U32(radius.AcctStatusType, kind)
	b.Text(radius.AcctSessionID, acct)
	b.Text(radius.UserName, "cisco")
	b.AVPair("audit-session-id", audit)
	b.Addr(radius.FramedIPAddress, netip.MustParseAddr(address))
	b.U32(radius.AcctInputOctets, 1000)
	return n.seal(&b)
}

func (n *nas) send(to netip.AddrPort, pkt []byte) {
	n.t.Helper()
	_, err := n.conn.WriteToUDPAddrPort(pkt, to)
	must(n.t, err)
}

// receive waits for one datagram; nil when none came in time.
func (n *nas) receive() []byte {
	n.t.Helper()
	pkt, err := n.read(patience)
	must(n.t, err)
	return pkt
}

func (n *nas) read(wait time.Duration) ([]byte, error) {
	if err := n.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return nil, err
	}
	buf := make([]byte, radius.PacketMax+1)
	got, _, err := n.conn.ReadFromUDPAddrPort(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, nil
	}
	return buf[:got], err
}

// try is one exchange with somebody who may be gone; it may be called by any goroutine.
func (n *nas) try(to netip.AddrPort, pkt []byte) (reply []byte, err error) {
	if _, err := n.conn.WriteToUDPAddrPort(pkt, to); err != nil {
		return nil, err
	}
	return n.read(2 * time.Second)
}

// exchange sends one request and returns its verified reply.
func (n *nas) exchange(to netip.AddrPort, pkt []byte) *radius.View {
	n.t.Helper()
	n.send(to, pkt)
	return n.verified(pkt, n.receive())
}

func (n *nas) verified(request, reply []byte) *radius.View {
	n.t.Helper()
	if reply == nil {
		n.t.Fatal("no reply")
	}
	var q, v radius.View
	if why := q.Decode(request); why != radius.Sound {
		n.t.Fatalf("the test's own request: %s", why)
	}
	if why := v.Decode(reply); why != radius.Sound {
		n.t.Fatalf("reply: %s", why)
	}
	if why := n.key.VerifyResponse(&v, q.Authenticator()); why != radius.Sound {
		n.t.Fatalf("reply: %s", why)
	}
	if v.Identifier() != q.Identifier() {
		n.t.Fatalf("identifier %d, want %d", v.Identifier(), q.Identifier())
	}
	if v.Code() != radius.AccountingResponse && reply[20] != byte(radius.MessageAuthenticator) {
		n.t.Fatalf("%s does not begin with Message-Authenticator", v.Code())
	}
	return &v
}

// status asks for life and wants to be answered, before anything else comes: whatever
// was sent before it from this socket got no answer.
func (n *nas) status(to netip.AddrPort, want radius.Code) {
	n.t.Helper()
	b := n.request(radius.StatusServer)
	pkt := n.seal(&b)
	if v := n.exchange(to, pkt); v.Code() != want {
		n.t.Fatalf("Status-Server was answered with %s", v.Code())
	}
}

// get fetches a page.
func get(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	must(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, answer.Status)
	}
	return string(text)
}

// metric is the sum of the samples whose name and labels match the expression.
func (a *appliance) metric(expression string) (sum float64) {
	a.t.Helper()
	lines := regexp.MustCompile(`(?m)^sallyport_`+expression+` (\S+)$`).FindAllStringSubmatch(get(a.t, "http://"+a.bound.Metrics+"/metrics"), -1)
	for _, line := range lines {
		v, err := strconv.ParseFloat(line[len(line)-1], 64)
		must(a.t, err)
		sum += v
	}
	return sum
}

// drops counts the packets of a NAS that were dropped for a reason.
func (a *appliance) drops(nas, reason string) int {
	a.t.Helper()
	return int(a.metric(`radius_drops_total\{nas="` + nas + `",reason="` + reason + `"\}`))
}

// same says whether two replies are the same octets.
func same(a, b []byte) bool { return a != nil && bytes.Equal(a, b) }
