package radius_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"sallyport/netio/radius"
	"sallyport/netio/radius/dictionary"
	"sallyport/netio/radius/radiustest"
)

// seeds are the packets of testdata and one of an ASA.
func seeds(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/*.vec")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		for _, block := range radiustest.Blocks(f, file) {
			if pkt, err := radiustest.Octets(block.Input[1:]); err == nil {
				f.Add(pkt)
			}
		}
	}
	f.Add(asaRequest(f, radiustest.Key(f, "secret")))
}

// FuzzDecode: no packet can make an accessor fail, and the attributes of a sound one
// are exactly its octets.
func FuzzDecode(f *testing.F) {
	seeds(f)
	k := radiustest.Key(f, "secret")
	f.Fuzz(func(t *testing.T, pkt []byte) {
		before := bytes.Clone(pkt)
		var v radius.View
		for role := radius.AuthServer; role <= radius.AcctClient+1; role++ {
			radius.Gate(pkt, role)
		}
		if v.Decode(pkt) != radius.Sound {
			if v.Bytes() != nil {
				t.Fatal("a dropped packet is kept")
			}
			return
		}
		var again []byte
		for typ, value := range v.Attrs() {
			again = append(append(again, byte(typ), byte(len(value)+2)), value...)
		}
		if !bytes.Equal(again, v.Bytes()[radius.HeaderLen:]) {
			t.Fatalf("attributes %x, packet %x", again, v.Bytes())
		}
		for typ := range 256 {
			v.U32(radius.Type(typ))
			v.Addr(radius.Type(typ))
			v.Prefix(radius.Type(typ))
		}
		for range v.AVPairs() {
		}
		k.VerifyRequest(&v)
		k.VerifyResponse(&v, v.Authenticator())
		if hidden, ok := v.Get(radius.UserPassword); ok {
			k.RevealPassword(nil, hidden, v.Authenticator())
			k.RevealSalted(nil, hidden, v.Authenticator())
		}
		dictionary.Format(&v)
		if !bytes.Equal(before, pkt) {
			t.Fatal("reading changed the packet")
		}
	})
}

// FuzzVSA: a Vendor-Specific is opaque, or its attributes fill it exactly.
func FuzzVSA(f *testing.F) {
	for _, block := range radiustest.Blocks(f, "testdata/vendor.vec") {
		if pkt, err := radiustest.Octets(block.Input[1:]); err == nil && len(pkt) > 22 {
			f.Add(pkt[22:])
		}
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		sum, vendor := 0, uint32(0)
		for vt, v := range radius.VendorAttributes(value) {
			sum += 2 + len(v)
			vendor = vt.Vendor
		}
		if sum != 0 && sum+4 != len(value) {
			t.Fatalf("%d octets of attributes in %x", sum, value)
		}
		if len(value) == 0 || len(value) > radius.ValueMax {
			return
		}
		b := radius.Begin(nil, radius.AccessRequest, 1)
		b.Bytes(radius.VendorSpecific, value)
		pkt, err := radiustest.Key(t, "s").SealRequest(&b)
		var v radius.View
		if err != nil || v.Decode(pkt) != radius.Sound {
			t.Fatal(err)
		}
		inView := 0
		for vt, v := range v.VendorAttrs() {
			inView += 2 + len(v)
			if vt.Vendor != vendor {
				t.Fatalf("vendor %d, want %d", vt.Vendor, vendor)
			}
		}
		if inView != sum {
			t.Fatalf("%d octets in the View, %d outside", inView, sum)
		}
	})
}

// FuzzEncode: whatever is put in comes out again, or the Builder says what did not fit.
func FuzzEncode(f *testing.F) {
	f.Add(byte(1), []byte("nemo"), uint32(9), byte(1), "url-redirect", "https://x")
	f.Add(byte(25), bytes.Repeat([]byte{0}, 253), uint32(3076), byte(25), "", "")
	f.Add(byte(24), bytes.Repeat([]byte{255}, 254), uint32(1<<24), byte(0), "a=b", "c=d")
	k := radiustest.Key(f, "secret")
	f.Fuzz(func(t *testing.T, typ byte, value []byte, vendor uint32, vtype byte, name, pair string) {
		if typ == 0 || typ == byte(radius.MessageAuthenticator) || typ == byte(radius.VendorSpecific) {
			return
		}
		b := radius.Begin(nil, radius.AccessAccept, 3)
		b.Bytes(radius.Type(typ), value)
		b.Vendor(vendor, vtype, value)
		b.AVPair(name, pair)
		pkt, err := k.SealReply(&b, radius.Authenticator{1})
		fits := len(value) <= radius.VendorMax && len(name)+1+len(pair) <= radius.VendorMax
		if fits != (err == nil) {
			t.Fatalf("fits %v, error %v", fits, err)
		}
		if err != nil {
			return
		}
		var v radius.View
		if why := v.Decode(pkt); why != radius.Sound {
			t.Fatal(why)
		}
		if why := k.VerifyResponse(&v, radius.Authenticator{1}); why != radius.Sound {
			t.Fatal(why)
		}
		got, ok := v.Get(radius.Type(typ))
		vgot, vok := v.Vendor(vendor, vtype)
		samePair := vendor == radius.VendorCisco && vtype == radius.CiscoAVPair
		if ok != (len(value) > 0) || !bytes.Equal(got, value) || !samePair && (vok != ok || !bytes.Equal(vgot, value)) {
			t.Fatalf("%x %v, vendor %x %v, want %x", got, ok, vgot, vok, value)
		}
	})
}
