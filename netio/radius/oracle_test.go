package radius_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	oracle "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"
	"layeh.com/radius/vendors/microsoft"

	"sallyport/netio/radius"
	"sallyport/ops/secret"
)

// seeded prints its seed, so that a failure can be had again.
func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func octets(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func newKey(t testing.TB, s []byte) *radius.Key {
	t.Helper()
	k, err := radius.NewKey(secret.New(s))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// attribute is what both codecs must agree on.
type attribute struct {
	typ   byte
	value string
}

func ofView(v *radius.View) (out []attribute) {
	for t, value := range v.Attrs() {
		out = append(out, attribute{byte(t), string(value)})
	}
	return out
}

func ofOracle(p *oracle.Packet) (out []attribute) {
	for _, avp := range p.Attributes {
		out = append(out, attribute{byte(avp.Type), string(avp.Attribute)})
	}
	return out
}

// independentHMAC is RFC 3579 section 3.2 with the standard library.
func independentHMAC(pkt []byte, at int, authenticator []byte, secret []byte) []byte {
	c := bytes.Clone(pkt)
	copy(c[4:20], authenticator)
	clear(c[at : at+16])
	h := hmac.New(md5.New, secret)
	h.Write(c)
	return h.Sum(nil)
}

// TestOracleReadsOurRequests: what the Builder writes, the oracle reads the same, its
// authenticator check agrees, and Message-Authenticator is that of crypto/hmac.
func TestOracleReadsOurRequests(t *testing.T) {
	r := seeded(t)
	codes := []radius.Code{radius.AccessRequest, radius.AccountingRequest, radius.CoARequest, radius.DisconnectRequest}
	for range 500 {
		shared := octets(r, 1+r.IntN(100))
		k, code := newKey(t, shared), codes[r.IntN(len(codes))]
		b := radius.BeginWith(nil, code, byte(r.Uint32()), r.IntN(2) == 0)
		password := octets(r, r.IntN(129))
		if code == radius.AccessRequest { // the others have no authenticator to hide it with
			b.Password(k, password)
		}
		fill(r, &b)
		pkt, err := k.SealRequest(&b)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := oracle.Parse(pkt, shared)
		if err != nil {
			t.Fatalf("%v: %x", err, pkt)
		}
		var ours radius.View
		if why := ours.Decode(pkt); why != radius.Sound {
			t.Fatal(why)
		}
		if fmt.Sprint(ofView(&ours)) != fmt.Sprint(ofOracle(theirs)) {
			t.Fatalf("ours %q\ntheirs %q", ofView(&ours), ofOracle(theirs))
		}
		if !oracle.IsAuthenticRequest(pkt, shared) {
			t.Fatalf("the oracle refuses %s %x", code, pkt)
		}
		if why := k.VerifyRequest(&ours); why != radius.Sound {
			t.Fatal(why)
		}
		if got := rfc2865.UserPassword_Get(theirs); code == radius.AccessRequest && !bytes.Equal(got, untilNUL(password)) {
			t.Fatalf("password %x, the oracle reads %x", password, got)
		}
		checkHMAC(t, &ours, code, shared)
	}
}

// untilNUL is how the oracle ends a password; ours keeps inner zeros and cuts the tail.
func untilNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

func checkHMAC(t *testing.T, v *radius.View, code radius.Code, shared []byte) {
	t.Helper()
	mac, ok := v.Get(radius.MessageAuthenticator)
	if !ok {
		return
	}
	a := v.Authenticator()
	if code != radius.AccessRequest {
		a = radius.Authenticator{}
	}
	if want := independentHMAC(v.Bytes(), 22, a[:], shared); !bytes.Equal(mac, want) {
		t.Fatalf("Message-Authenticator %x, crypto/hmac says %x", mac, want)
	}
}

func fill(r *rand.Rand, b *radius.Builder) {
	for range r.IntN(12) {
		switch r.IntN(7) {
		case 0:
			b.Bytes(radius.Type(3+r.IntN(76)), octets(r, 1+r.IntN(60)))
		case 1:
			b.U32(radius.NASPort, r.Uint32())
		case 2:
			b.Addr(radius.NASIPAddress, netip.AddrFrom4([4]byte(octets(r, 4))))
		case 3:
			b.Vendor(r.Uint32()>>8, byte(r.Uint32()), octets(r, 1+r.IntN(100)))
		case 4:
			b.AVPair("audit-session-id", fmt.Sprintf("%x", octets(r, 12)))
		case 5:
			b.TaggedText(radius.TunnelPrivateGroupID, byte(r.IntN(32)), "663")
		case 6:
			b.Text(radius.UserName, fmt.Sprintf("user %d", r.Uint32()))
		}
	}
}

// TestWeReadTheOraclesRequests is the other direction, with replies in both.
func TestWeReadTheOraclesRequests(t *testing.T) {
	r := seeded(t)
	for range 500 {
		shared := octets(r, 1+r.IntN(80))
		k := newKey(t, shared)
		p := oracle.New(oracle.CodeAccessRequest, shared)
		password := bytes.ReplaceAll(octets(r, 1+r.IntN(128)), []byte{0}, []byte{1})
		name, port := fmt.Sprintf("%x", octets(r, 1+r.IntN(60))), r.Uint32()
		rfc2865.UserName_SetString(p, name)
		if err := rfc2865.UserPassword_Set(p, password); err != nil {
			t.Fatal(err)
		}
		rfc2865.NASPort_Set(p, rfc2865.NASPort(port))
		rfc2865.NASIPAddress_Set(p, net.IPv4(10, 48, 66, 202))
		rfc2869.NASPortID_SetString(p, "GigabitEthernet0/4")
		pkt, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		var v radius.View
		if why := v.Decode(pkt); why != radius.Sound {
			t.Fatal(why)
		}
		hidden, _ := v.Get(radius.UserPassword)
		got, ok := k.RevealPassword(nil, hidden, v.Authenticator())
		gotPort, _ := v.U32(radius.NASPort)
		gotIP, _ := v.Addr(radius.NASIPAddress)
		if !ok || !bytes.Equal(got, password) || v.Text(radius.UserName) != name || gotPort != port ||
			gotIP != netip.MustParseAddr("10.48.66.202") || v.Text(radius.NASPortID) != "GigabitEthernet0/4" {
			t.Fatalf("password %x %v, name %s, port %d, address %s", got, ok, v.Text(radius.UserName), gotPort, gotIP)
		}
		checkReply(t, r, k, p, shared)
	}
}

// checkReply has each side answer the oracle's request and the other one judge it.
func checkReply(t *testing.T, r *rand.Rand, k *radius.Key, request *oracle.Packet, shared []byte) {
	t.Helper()
	asked := radius.Authenticator(request.Authenticator)
	b := radius.Begin(nil, radius.AccessAccept, request.Identifier)
	b.Bytes(radius.Class, octets(r, 30))
	ours, err := k.SealReply(&b, asked)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := request.Encode()
	if err != nil || !oracle.IsAuthenticResponse(ours, encoded, shared) {
		t.Fatalf("%v: the oracle refuses our reply %x", err, ours)
	}
	if want := independentHMAC(ours, 22, asked[:], shared); !bytes.Equal(ours[22:38], want) {
		t.Fatalf("Message-Authenticator %x, crypto/hmac says %x", ours[22:38], want)
	}
	reply := request.Response(oracle.CodeAccessReject)
	rfc2865.ReplyMessage_SetString(reply, "no")
	theirs, err := reply.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var v radius.View
	if why := v.Decode(theirs); why != radius.Sound {
		t.Fatal(why)
	}
	if why := k.VerifyResponse(&v, asked); why != radius.Sound {
		t.Fatalf("we refuse the oracle's reply: %s", why)
	}
	asked[3] ^= 1
	if why := k.VerifyResponse(&v, asked); why != radius.WhyBadAuthenticator {
		t.Fatalf("another request's reply: %s", why)
	}
}

// TestSaltedAgainstTheOracle: MPPE keys hidden by one side are read by the other.
func TestSaltedAgainstTheOracle(t *testing.T) {
	r := seeded(t)
	for range 200 {
		shared := octets(r, 1+r.IntN(40))
		k, plain := newKey(t, shared), octets(r, 32)
		p := oracle.New(oracle.CodeAccessAccept, shared)
		asked := radius.Authenticator(p.Authenticator)
		hidden, ok := k.HideSalted(nil, plain, uint16(r.Uint32()), asked)
		if !ok {
			t.Fatal("does not fit")
		}
		theirs, _, err := oracle.TunnelPassword(hidden, shared, asked[:])
		if err != nil || !bytes.Equal(theirs, plain) {
			t.Fatalf("%v: the oracle reads %x, want %x", err, theirs, plain)
		}
		if err := microsoft.MSMPPERecvKey_Set(p, plain); err != nil {
			t.Fatal(err)
		}
		vsa, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		var v radius.View
		v.Decode(vsa)
		value, _ := v.Vendor(radius.VendorMicrosoft, radius.MSMPPERecvKey)
		if ours, ok := k.RevealSalted(nil, value, asked); !ok || !bytes.Equal(ours, plain) {
			t.Fatalf("we read %x %v, want %x", ours, ok, plain)
		}
	}
}
