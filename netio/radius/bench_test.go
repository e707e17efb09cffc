package radius_test

import (
	"crypto/hmac"
	"crypto/md5"
	"testing"

	oracle "layeh.com/radius"

	"sallyport/netio/radius"
	"sallyport/netio/radius/radiustest"
)

// BenchmarkLogin is everything netio/radius does for one PAP login.
func BenchmarkLogin(b *testing.B) {
	k := radiustest.Key(b, "a secret of some length")
	pkt, reply, password := asaRequest(b, k), make([]byte, 0, radius.PacketMax), make([]byte, 0, radius.PasswordMax)
	b.ReportAllocs()
	for b.Loop() {
		answer(k, pkt, reply, password)
	}
}

func BenchmarkDecode(b *testing.B) {
	pkt := asaRequest(b, radiustest.Key(b, "secret"))
	b.ReportAllocs()
	for b.Loop() {
		var v radius.View
		v.Decode(pkt)
	}
}

// BenchmarkMessageAuthenticator against the standard library's ways.
func BenchmarkMessageAuthenticator(b *testing.B) {
	k := radiustest.Key(b, "a secret of some length")
	pkt := asaRequest(b, k)
	b.Run("key", func(b *testing.B) {
		var v radius.View
		v.Decode(pkt)
		b.ReportAllocs()
		for b.Loop() {
			k.VerifyMessageAuthenticator(&v)
		}
	})
	b.Run("crypto_md5_sum", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var inner [64 + 512]byte
			var outer [64 + 16]byte
			sum := md5.Sum(inner[:64+copy(inner[64:], pkt)])
			copy(outer[64:], sum[:])
			md5.Sum(outer[:])
		}
	})
	b.Run("crypto_hmac", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h := hmac.New(md5.New, []byte("a secret of some length"))
			h.Write(pkt)
			h.Sum(nil)
		}
	})
}

// BenchmarkOracleParse is the same packet read by layeh.com/radius.
func BenchmarkOracleParse(b *testing.B) {
	pkt := asaRequest(b, radiustest.Key(b, "secret"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := oracle.Parse(pkt, []byte("secret")); err != nil {
			b.Fatal(err)
		}
	}
}
