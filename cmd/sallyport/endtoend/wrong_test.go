package endtoend

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"sallyport/netio/radius"
)

// cut is a packet that ends early and says so in its length.
func cut(pkt []byte, n int) []byte {
	short := bytes.Clone(pkt[:n])
	binary.BigEndian.PutUint16(short[2:], uint16(n))
	return short
}

// with is a packet whose octet at has another value.
func with(pkt []byte, at int, value byte) []byte {
	changed := bytes.Clone(pkt)
	changed[at] = value
	return changed
}

// TestWrongPackets: whatever is not a packet of a NAS that we know gets no answer, is
// counted by its reason, and the appliance lives.
func TestWrongPackets(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	n := newNAS(t, "127.0.0.1")
	login := n.pap("cisco", "cisco", auditID, nil)
	record := n.accounting(acctStart, "63815AAF", auditID, "172.16.31.10")

	// Each is followed by a Status-Server whose answer must be the first that comes.
	t.Run("cut", func(t *testing.T) { truncated(t, a, n, login, record) })
	for _, c := range []struct {
		name   string
		from   string
		to     netip.AddrPort
		pkt    []byte
		reason string // of the NAS's drops
	}{
		{"attribute length 0", "127.0.0.1", a.auth(), with(login, 39, 0), "attribute_length"},
		{"attribute length 1", "127.0.0.1", a.auth(), with(login, 39, 1), "attribute_length"},
		{"attribute type 0", "127.0.0.1", a.auth(), with(login, 38, 0), "attribute_type"},
		{"attribute beyond the end", "127.0.0.1", a.auth(), with(login, 39, 255), "attribute_overrun"},
		{"attribute length 0 in accounting", "127.0.0.1", a.acct(), with(record, 21, 0), "attribute_length"},
		{"length above 4096", "127.0.0.1", a.auth(), with(login, 2, 0x11), "bad_length"},
		{"wrong Message-Authenticator", "127.0.0.1", a.auth(), with(login, 25, login[25]^1), "bad_message_authenticator"},
		{"changed after it was signed", "127.0.0.1", a.auth(), with(login, len(login)-1, login[len(login)-1]^1), "bad_message_authenticator"},
		{"wrong Request Authenticator", "127.0.0.1", a.acct(), with(record, 4, record[4]^1), "bad_authenticator"},
		{"unknown code", "127.0.0.1", a.auth(), with(login, 0, 99), "unknown_code"},
		{"an answer", "127.0.0.1", a.auth(), with(login, 0, byte(radius.AccessAccept)), "wrong_code"},
		{"accounting at the other port", "127.0.0.1", a.auth(), record, "wrong_code"},
		{"login at the other port", "127.0.0.1", a.acct(), login, "wrong_code"},
		{"no Message-Authenticator where one must be", "127.0.0.2", a.auth(), n.bare(), "no_message_authenticator"},
		{"no credentials", "127.0.0.1", a.auth(), cut(login, radius.HeaderLen), "no_credentials"},
		{"an ACL that nobody asked for properly", "127.0.0.1", a.auth(), n.pap("#ACSACL#-IP-LONG-0", "", "", nil), "acl_download_unauthentic"},
		{"4097 octets", "127.0.0.1", a.auth(), append(bytes.Clone(login), make([]byte, radius.PacketMax+1-len(login))...), "oversize"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			name := map[string]string{"127.0.0.1": "asa", "127.0.0.2": "strict"}[c.from]
			before, sender := a.drops(name, c.reason), newNAS(t, c.from)
			sender.send(c.to, c.pkt)
			sender.lives(a, c.to)
			if got := a.drops(name, c.reason) - before; got != 1 {
				t.Errorf("%d drops of %s for %s were counted, want 1", got, name, c.reason)
			}
		})
	}
	t.Run("stranger", func(t *testing.T) {
		newNAS(t, "127.0.0.77").send(a.auth(), login)
		eventually(t, "a drop for an unknown NAS", func() bool { return a.drops("", "unknown_nas") == 1 })
	})
	t.Run("nothing", func(t *testing.T) {
		n.send(a.auth(), nil)
		n.lives(a, a.auth())
		if got := a.metric(`udp_total\{event="empty"\}`); got != 1 {
			t.Errorf("%v empty datagrams were counted, want 1", got)
		}
	})
	if got := a.metric(`udp_total\{event="panics"\}`); got != 0 || strings.Contains(a.log(), "panic") {
		t.Errorf("%v panics", got)
	}
	if v := n.exchange(a.auth(), n.pap("cisco", "cisco", auditID, nil)); v.Code() != radius.AccessAccept {
		t.Errorf("after all that a login gets %s", v.Code())
	}
}

// truncated sends the packets cut at every length, first as the network would cut them,
// then with a length that fits.
func truncated(t *testing.T, a *appliance, n *nas, login, record []byte) {
	for _, c := range []struct {
		to  netip.AddrPort
		pkt []byte
	}{{a.auth(), login}, {a.acct(), record}} {
		before := a.metric(`radius_drops_total\{nas="asa",reason="(short|truncated)"\}`)
		for i := 1; i < len(c.pkt); i++ {
			n.send(c.to, c.pkt[:i])
		}
		n.lives(a, c.to)
		if got := int(a.metric(`radius_drops_total\{nas="asa",reason="(short|truncated)"\}`) - before); got != len(c.pkt)-1 {
			t.Errorf("%d of %d cut packets were counted", got, len(c.pkt)-1)
		}
		before = a.metric(`radius_drops_total\{nas="asa",reason="[a-z_]+"\}`)
		for i := radius.HeaderLen; i < len(c.pkt); i++ {
			n.send(c.to, cut(c.pkt, i))
		}
		n.lives(a, c.to)
		if got := int(a.metric(`radius_drops_total\{nas="asa",reason="[a-z_]+"\}`) - before); got != len(c.pkt)-radius.HeaderLen {
			t.Errorf("%d of %d shortened packets were counted", got, len(c.pkt)-radius.HeaderLen)
		}
	}
}

// lives wants a Status-Server to be answered before anything that was sent earlier.
func (n *nas) lives(a *appliance, at netip.AddrPort) {
	n.t.Helper()
	want := radius.AccessAccept
	if at == a.acct() {
		want = radius.AccountingResponse
	}
	n.status(at, want)
}

// bare is a login without a Message-Authenticator.
func (n *nas) bare() []byte {
	n.t.Helper()
	b := radius.BeginWith(nil, radius.AccessRequest, 200, false)
	b.Text(radius.UserName, "cisco")
	b.Password(n.key, []byte("cisco"))
	return n.seal(&b)
}

// TestUnknownState: a login with a State that nobody gave out is judged by its password;
// an ACL download with one is refused, and does not begin anew.
func TestUnknownState(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	n := newNAS(t, "127.0.0.1")
	state := func(b *radius.Builder) { b.Bytes(radius.State, []byte("a State that nobody gave out")) }
	if v := n.exchange(a.auth(), n.pap("cisco", "cisco", auditID, state)); v.Code() != radius.AccessAccept {
		t.Error(v.Code())
	}
	if v := n.exchange(a.auth(), n.pap("cisco", "guess", auditID, state)); v.Code() != radius.AccessReject {
		t.Error(v.Code())
	}
	v := n.exchange(a.auth(), n.pap("long", "cisco", auditID[:23]+"4", nil))
	name, ok := v.AVPair("ACS:CiscoSecure-Defined-ACL")
	if !ok {
		t.Fatal("no ACL is named")
	}
	download := func(more func(*radius.Builder)) *radius.View {
		b := n.request(radius.AccessRequest)
		b.Text(radius.UserName, string(name))
		b.AVPair("aaa:service", "ip_admission")
		b.AVPair("aaa:event", "acl-download")
		if more != nil {
			more(&b)
		}
		return n.exchange(a.auth(), n.seal(&b))
	}
	if v := download(state); v.Code() != radius.AccessReject {
		t.Errorf("with an unknown State: %s", v.Code())
	}
	first := download(nil)
	given, _ := first.Get(radius.State)
	if first.Code() != radius.AccessChallenge || len(given) == 0 {
		t.Fatalf("%s with %d octets of State", first.Code(), len(given))
	}
	forged := with(given, 3, given[3]^1)
	if v := download(func(b *radius.Builder) { b.Bytes(radius.State, forged) }); v.Code() != radius.AccessReject {
		t.Errorf("with a forged State: %s", v.Code())
	}
	if v := download(func(b *radius.Builder) { b.Bytes(radius.State, given) }); v.Code() != radius.AccessChallenge {
		t.Errorf("with the State that was given: %s", v.Code())
	}
}
