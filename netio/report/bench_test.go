package report

import (
	"crypto/elliptic"
	"testing"
)

// BenchmarkDecodeReport reads a report with every list and text at its limit, and one
// as an ordinary endpoint sends it.
func BenchmarkDecodeReport(b *testing.B) {
	usual := good()
	usual.Facts.USB.Devices = usual.Facts.USB.Devices[:1]
	d := &usual.Facts.USB.Devices[0]
	d.Serial, d.Product, d.Manufacturer, d.Ifaces = "4C530001", "Ultra", "SanDisk", d.Ifaces[:1]
	for name, r := range map[string]*Report{"usual": usual, "largest": good()} {
		body := encode(b, r)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeReport(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerify is what one signature costs the appliance.
func BenchmarkVerify(b *testing.B) {
	key := newKey(b, elliptic.P256())
	spki, err := ParseKey(MarshalKey(&key.PublicKey))
	if err != nil {
		b.Fatal(err)
	}
	sig, err := Sign(key, PathReport, nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := Verify(spki, PathReport, nil, sig); err != nil {
			b.Fatal(err)
		}
	}
}
