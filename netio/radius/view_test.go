package radius_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"sallyport/netio/radius"
	"sallyport/netio/radius/dictionary"
	"sallyport/netio/radius/radiustest"
	"sallyport/ops/secret"
)

// asaRequest is what an ASA asks with, in its order of attributes.
func asaRequest(t testing.TB, k *radius.Key) []byte {
	t.Helper()
	b := radius.Begin(nil, radius.AccessRequest, 42)
	b.Text(radius.UserName, "cisco")
	b.Password(k, []byte("cisco"))
	b.U32(radius.NASPort, 0x1d000)
	b.Text(radius.CalledStationID, "10.48.66.202")
	b.Text(radius.CallingStationID, "10.62.145.44")
	b.U32(radius.NASPortType, radius.NASPortTypeVirtual)
	b.Text(radius.TunnelClientEndpoint, "10.62.145.44")
	b.AVPair("mdm-tlv", "device-platform=win")
	b.AVPair("mdm-tlv", "device-mac=00-50-56-aa-bb-cc")
	b.AVPair("mdm-tlv", "device-platform-version=10.0.19044 ")
	b.Addr(radius.NASIPAddress, netip.MustParseAddr("10.48.66.202"))
	b.AVPair("audit-session-id", "0a3042ca0001d000", "56e2dce3")
	b.VendorText(radius.VendorASA, radius.ASATunnelGroupName, "RA")
	b.VendorU32(radius.VendorASA, radius.ASAClientType, 2)
	b.AVPair("coa-push", "true")
	pkt, err := k.SealRequest(&b)
	if err != nil {
		t.Fatal(err)
	}
	return pkt
}

func view(t testing.TB, pkt []byte) *radius.View {
	t.Helper()
	v := new(radius.View)
	if why := v.Decode(pkt); why != radius.Sound {
		t.Fatal(why)
	}
	return v
}

// TestAccessors reads an ASA's request by every accessor.
func TestAccessors(t *testing.T) {
	k := radiustest.Key(t, "secret")
	v := view(t, asaRequest(t, k))
	group, _ := v.Vendor(radius.VendorASA, radius.ASATunnelGroupName)
	clientType, _ := v.VendorU32(radius.VendorASA, radius.ASAClientType)
	session, _ := v.AVPair("audit-session-id")
	push, _ := v.AVPair("coa-push")
	port, _ := v.U32(radius.NASPort)
	addr, _ := v.Addr(radius.NASIPAddress)
	endpoint, _ := v.Get(radius.TunnelClientEndpoint)
	tag, text := radius.Tag(endpoint)
	var tlv []string
	for name, value := range v.AVPairs() {
		if string(name) == "mdm-tlv" {
			tlv = append(tlv, string(value))
		}
	}
	got := fmt.Sprintf("%s %d %s %s %d %s %s %#x %s tag %d %s %q %v", v.Code(), v.Identifier(), v.Text(radius.UserName),
		group, clientType, session, push, port, addr, tag, text, tlv, v.HasMessageAuthenticator())
	want := `Access-Request 42 cisco RA 2 0a3042ca0001d00056e2dce3 true 0x1d000 10.48.66.202 tag 0 10.62.145.44 ` +
		`["device-platform=win" "device-mac=00-50-56-aa-bb-cc" "device-platform-version=10.0.19044 "] true`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, ok := v.AVPair("audit-session"); ok {
		t.Error("a name's beginning is not the name")
	}
	if _, ok := v.AVPair("coa-push=true"); ok {
		t.Error("the whole pair is not a name")
	}
	if _, ok := v.U32(radius.UserName); ok {
		t.Error("five octets are no number")
	}
	if n := v.Octets(radius.VendorSpecific); n != 222 {
		t.Errorf("%d octets of Vendor-Specific", n)
	}
}

// TestEmptyView: a View that holds nothing answers nothing.
func TestEmptyView(t *testing.T) {
	var v radius.View
	if why := v.Decode(nil); why != radius.WhyShort {
		t.Fatal(why)
	}
	k := radiustest.Key(t, "secret")
	if v.Code() != 0 || v.Identifier() != 0 || v.Has(radius.UserName) || v.Bytes() != nil || v.HasMessageAuthenticator() {
		t.Error("an empty View has contents")
	}
	for _, why := range []radius.Why{k.VerifyRequest(&v), k.VerifyResponse(&v, v.Authenticator()), k.VerifyMessageAuthenticator(&v)} {
		if why == radius.Sound && v.Has(radius.MessageAuthenticator) {
			t.Error("an empty View was verified")
		}
	}
	if why := k.VerifyResponse(&v, v.Authenticator()); why != radius.WhyBadAuthenticator {
		t.Error(why)
	}
}

// TestCutAtEveryLength: no beginning of a packet is a packet, whether its length field
// tells the truth or not.
func TestCutAtEveryLength(t *testing.T) {
	whole := asaRequest(t, radiustest.Key(t, "secret"))
	ends := map[int]bool{radius.HeaderLen: true} // lengths at which an attribute ends
	for at := radius.HeaderLen; at < len(whole); at += int(whole[at+1]) {
		ends[at] = true
	}
	for n := range whole {
		var v radius.View
		if why := v.Decode(whole[:n]); why == radius.Sound {
			t.Fatalf("accepted %d of %d octets", n, len(whole))
		}
		cut := bytes.Clone(whole[:n])
		if n >= 4 {
			cut[2], cut[3] = byte(n>>8), byte(n)
		}
		if why := v.Decode(cut); (why == radius.Sound) != ends[n] {
			t.Fatalf("%d octets, length field %d: %s", n, n, why)
		}
	}
}

// TestEveryBitCounts: a packet with any one bit changed is not verified, nor with
// another secret.
func TestEveryBitCounts(t *testing.T) {
	k, other := radiustest.Key(t, "secret"), radiustest.Key(t, "Secret")
	b := radius.Begin(nil, radius.CoARequest, 7)
	b.AVPair("audit-session-id", "0a3042ca0001d00056e2dce3")
	request, err := k.SealRequest(&b)
	if err != nil {
		t.Fatal(err)
	}
	asked := view(t, request).Authenticator()
	b = radius.Begin(nil, radius.CoANAK, 7)
	b.U32(radius.ErrorCause, radius.ErrorCauseSessionContextNotFound)
	reply, err := k.SealReply(&b, asked)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		pkt    []byte
		verify func(*radius.Key, *radius.View) radius.Why
	}{
		{request, (*radius.Key).VerifyRequest},
		{asaRequest(t, k), (*radius.Key).VerifyMessageAuthenticator},
		{reply, func(k *radius.Key, v *radius.View) radius.Why { return k.VerifyResponse(v, asked) }},
	} {
		if why := test.verify(k, view(t, test.pkt)); why != radius.Sound {
			t.Fatal(why)
		}
		if why := test.verify(other, view(t, test.pkt)); why == radius.Sound {
			t.Fatal("another secret is believed")
		}
		for bit := range 8 * len(test.pkt) {
			changed := bytes.Clone(test.pkt)
			changed[bit/8] ^= 1 << (bit % 8)
			var v radius.View
			if v.Decode(changed) == radius.Sound && test.verify(k, &v) == radius.Sound {
				t.Fatalf("bit %d of octet %d does not count", bit%8, bit/8)
			}
		}
	}
}

// TestMessageAuthenticatorLeads in whatever the appliance sends, but for accounting
// (CVE-2024-3596: first, so that no chosen prefix can stand before it).
func TestMessageAuthenticatorLeads(t *testing.T) {
	for code := radius.Code(1); code < 60; code++ {
		b := radius.Begin(nil, code, 1)
		b.Text(radius.ReplyMessage, "x")
		pkt, err := radiustest.Key(t, "s").SealReply(&b, radius.Authenticator{})
		if err != nil {
			t.Fatal(err)
		}
		first := radius.Type(pkt[radius.HeaderLen])
		accounting := code == radius.AccountingRequest || code == radius.AccountingResponse
		if (first == radius.MessageAuthenticator) == accounting {
			t.Errorf("%s begins with %s", code, first)
		}
	}
}

// TestNothingIsCutShort: what does not fit is an error that names it, and it sticks.
func TestNothingIsCutShort(t *testing.T) {
	k := radiustest.Key(t, "secret")
	long := strings.Repeat("x", 300)
	tests := []struct {
		name string
		fill func(b *radius.Builder)
		want string
	}{
		{"253 fit", func(b *radius.Builder) { b.Text(radius.ReplyMessage, long[:253]) }, ""},
		{"254", func(b *radius.Builder) { b.Text(radius.ReplyMessage, long[:254]) },
			"radius: Reply-Message has 254 octets, at most 253 fit"},
		{"octets", func(b *radius.Builder) { b.Bytes(radius.Class, []byte(long)) },
			"radius: Class has 300 octets, at most 253 fit"},
		{"vendor 247 fit", func(b *radius.Builder) { b.VendorText(9, 1, long[:247]) }, ""},
		{"vendor 248", func(b *radius.Builder) { b.VendorText(9, 1, long[:248]) },
			"radius: vendor 9 attribute 1 has 248 octets, at most 247 fit"},
		{"redirect of 234 fits", func(b *radius.Builder) { b.AVPair("url-redirect", long[:200], long[:34]) }, ""},
		{"redirect of 235", func(b *radius.Builder) { b.AVPair("url-redirect", long[:200], long[:35]) },
			"radius: Cisco-AVPair url-redirect has 248 octets, at most 247 fit"},
		{"tagged", func(b *radius.Builder) { b.TaggedText(radius.TunnelPrivateGroupID, 1, long[:253]) },
			"radius: Tunnel-Private-Group-ID has 254 octets, at most 253 fit"},
		{"password", func(b *radius.Builder) { b.Password(k, []byte(long[:129])) },
			"radius: User-Password has 129 octets, at most 128 fit"},
		{"packet", func(b *radius.Builder) {
			for b.Room() >= 255 {
				b.Text(radius.ReplyMessage, long[:253])
			}
			b.Text(radius.ReplyMessage, long[:b.Room()-1])
			b.U32(radius.SessionTimeout, 1)
		}, "radius: packet with Reply-Message has 4097 octets, at most 4096 fit"},
	}
	for _, test := range tests {
		b := radius.Begin([]byte("kept"), radius.AccessAccept, 1)
		test.fill(&b)
		b.U32(radius.SessionTimeout, 60)
		pkt, err := k.SealReply(&b, radius.Authenticator{})
		switch {
		case test.want == "" && (err != nil || !bytes.HasPrefix(pkt, []byte("kept"))):
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (err == nil || err.Error() != test.want || pkt != nil):
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
}

// TestKeyPrintsNoSecret by any verb, though fmt sees unexported fields.
func TestKeyPrintsNoSecret(t *testing.T) {
	k, err := radius.NewKey(secret.New([]byte("hunter2-hunter2")))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		out := fmt.Sprintf(verb, k) + fmt.Sprintf(verb, *k) + fmt.Sprintf(verb, struct{ k *radius.Key }{k})
		if strings.Contains(out, "hunter2") || strings.Contains(out, "68756e746572") || strings.Contains(out, "104 117 110") {
			t.Fatalf("%s prints %s", verb, out)
		}
	}
	if _, err := radius.NewKey(secret.Shared{}); err != radius.ErrEmptySecret {
		t.Fatal(err)
	}
}

// TestProxyStateIsCopiedInOrder, empty ones too (RFC 2865 section 5.33).
func TestProxyStateIsCopiedInOrder(t *testing.T) {
	pkt, err := radiustest.Octets([]string{`01 07 @@ 00*16 21 04 "p1" 01 03 "u" 21 02 21 04 "p2"`})
	if err != nil {
		t.Fatal(err)
	}
	b := radius.Begin(nil, radius.AccessReject, 7)
	b.Text(radius.ReplyMessage, "no")
	b.Copy(view(t, pkt), radius.ProxyState)
	reply, err := radiustest.Key(t, "s").SealReply(&b, radius.Authenticator{})
	if err != nil {
		t.Fatal(err)
	}
	words := dictionary.Format(view(t, reply))
	if !strings.HasSuffix(words, "Reply-Message = \"no\"\n\tProxy-State = 0x7031\n\tProxy-State = 0x\n\tProxy-State = 0x7032\n") {
		t.Error(words)
	}
}
