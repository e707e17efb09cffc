package coatest

import (
	"testing"

	"sallyport/netio/radius"
	"sallyport/netio/radius/radiustest"
)

// FuzzUnderstand: whatever decodes makes an authorization that can be told, and a change
// of nothing changes nothing.
func FuzzUnderstand(f *testing.F) {
	key := radiustest.Key(f, shared)
	for _, pair := range []string{"url-redirect=x", "ip:inacl#1=permit ip any any", "ip:inacl#-1=", "ip:inacl#99999999999999999999=x", "coa-push=true", "="} {
		b := radius.Begin(nil, radius.CoARequest, 1)
		b.VendorText(radius.VendorCisco, radius.CiscoAVPair, pair)
		b.VendorU32(radius.VendorASA, radius.ASAVLAN, 663)
		pkt, err := key.SealRequest(&b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(pkt)
	}
	f.Fuzz(func(t *testing.T, pkt []byte) {
		var v radius.View
		if v.Decode(pkt) != radius.Sound {
			return
		}
		access, _ := understand(&v)
		if access.String() == "" || access.Full() && access.Redirected() {
			t.Errorf("%+v", access)
		}
		if merged := merge(access, Access{}); merged.String() != access.String() {
			t.Errorf("a change of nothing made %s of %s", merged, access)
		}
		(&ASA{}).unsupported(&v)
	})
}
