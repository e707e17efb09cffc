package radius_test

import (
	"net/netip"
	"testing"

	"sallyport/netio/radius"
	"sallyport/netio/radius/radiustest"
)

// answer is the work of one login on the wire: gate, decode, verify, read, reveal, reply.
func answer(k *radius.Key, pkt, reply, password []byte) (int, bool) {
	n, why := radius.Gate(pkt, radius.AuthServer)
	var v radius.View
	if why != radius.Sound || v.Decode(pkt[:n]) != radius.Sound || k.VerifyRequest(&v) != radius.Sound {
		return 0, false
	}
	hidden, _ := v.Get(radius.UserPassword)
	plain, ok := k.RevealPassword(password[:0], hidden, v.Authenticator())
	session, _ := v.AVPair("audit-session-id")
	if !ok || string(plain) != "cisco" || len(session) != 24 {
		return 0, false
	}
	pairs := 0
	for range v.AVPairs() {
		pairs++
	}
	for range v.Attrs() {
		pairs++
	}
	for range v.All(radius.Class) {
		pairs++
	}
	b := radius.Begin(reply[:0], radius.AccessAccept, v.Identifier())
	b.Text(radius.UserName, "cisco")
	b.Bytes(radius.Class, session)
	b.AVPair("url-redirect-acl", "ACL_WEBAUTH_REDIRECT")
	b.AVPair("url-redirect", "https://posture-1.example.com:8443/portal/gateway?sessionId=", "0a3042ca0001d00056e2dce3")
	b.U32(radius.SessionTimeout, 3600)
	b.Addr(radius.FramedIPAddress, netip.AddrFrom4([4]byte{10, 0, 0, 1}))
	b.TaggedU32(radius.TunnelType, 1, radius.TunnelTypeVLAN)
	b.Copy(&v, radius.ProxyState)
	out, err := k.SealReply(&b, v.Authenticator())
	return len(out) + pairs, err == nil
}

// TestLoginAllocatesNothing pins the promise of the package comment.
func TestLoginAllocatesNothing(t *testing.T) {
	k := radiustest.Key(t, "a secret of some length")
	pkt, reply, password := asaRequest(t, k), make([]byte, 0, radius.PacketMax), make([]byte, 0, radius.PasswordMax)
	if n := testing.AllocsPerRun(200, func() {
		if _, ok := answer(k, pkt, reply, password); !ok {
			t.Fatal("not answered")
		}
	}); n != 0 {
		t.Errorf("a login allocates %v times", n)
	}
}

// TestAccountingAndCoAAllocateNothing covers the digested requests and their replies.
func TestAccountingAndCoAAllocateNothing(t *testing.T) {
	k := radiustest.Key(t, "a secret of some length")
	request, reply := make([]byte, 0, radius.PacketMax), make([]byte, 0, radius.PacketMax)
	var v radius.View
	for _, codes := range [][2]radius.Code{
		{radius.AccountingRequest, radius.AccountingResponse}, {radius.CoARequest, radius.CoANAK},
	} {
		if n := testing.AllocsPerRun(200, func() {
			b := radius.Begin(request, codes[0], 9)
			b.U32(radius.EventTimestamp, 1457706211)
			b.AVPair("audit-session-id", "0a3042ca0001d00056e2dce3")
			pkt, err := k.SealRequest(&b)
			if err != nil || v.Decode(pkt) != radius.Sound || k.VerifyRequest(&v) != radius.Sound {
				t.Fatal(err)
			}
			asked := v.Authenticator()
			b = radius.Begin(reply, codes[1], 9)
			b.U32(radius.ErrorCause, 503)
			pkt, err = k.SealReply(&b, asked)
			if err != nil || v.Decode(pkt) != radius.Sound || k.VerifyResponse(&v, asked) != radius.Sound {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s allocates %v times", codes[0], n)
		}
	}
}
