package bench

import (
	"bytes"
	"testing"

	"sallyport/netio/radius"
)

// TestVerifier: whichever way a reply is verified, any octet that is not as it was sent
// shows, and so does another request.
func TestVerifier(t *testing.T) {
	v := verifierOf(t)
	request, err := newMaker(&Scenario{Kind: KindAuth, Users: 1, Sessions: 1, NASes: 1}, v.key).request(nil, 0, 0, 7)
	if err != nil {
		t.Fatal(err)
	}
	right := reply(t, v.key, request)
	authenticator := radius.Authenticator(request[4:])
	sound := func(data []byte, n uint64) bool {
		var view radius.View
		return view.Decode(data) == radius.Sound && v.sound(&view, data, &authenticator, n)
	}
	for _, n := range []uint64{1, wholeFirst + 1, wholeEvery * wholeFirst} {
		if !sound(right, n) || !sound(append(bytes.Clone(right), 0, 0), n) { // padding, RFC 2865 section 3
			t.Fatalf("reply %d is right and not sound", n)
		}
		for i := range right {
			wrong := bytes.Clone(right)
			wrong[i] ^= 0x10
			if sound(wrong, n) {
				t.Fatalf("reply %d is sound with another octet %d", n, i)
			}
		}
		authenticator[3]++
		if sound(right, n) {
			t.Fatalf("reply %d answers another request", n)
		}
		authenticator[3]--
	}
	if n := testing.AllocsPerRun(100, func() { sound(right, wholeFirst+1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
