package report

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

// certified is a device as it comes out of a certificate.
func certified(t *testing.T, names []*url.URL) (*x509.Certificate, Device) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "device"}, URIs: names, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, DeviceOf(cert)
}

// TestProofsInCertificate: what is put in comes out, whatever a user is called.
func TestProofsInCertificate(t *testing.T) {
	var d Device
	for i, user := range []string{"cisco", `EXAMPLE\ana`, "josé/../x", "a?b#c%2f", "mac/x", " "} {
		d = d.With(Proof{User: user, Session: fmt.Sprintf("s:%d", i)})
	}
	d = d.With(Proof{MAC: "00:0c:29:c9:d9:37", Session: "0a3042ca0001d00056e2dce3"})
	if _, got := certified(t, d.URIs()); !reflect.DeepEqual(got, d) || len(d.Proofs) != 7 {
		t.Errorf("%+v\nbecame\n%+v", d, got)
	}
}

// TestProofsAreFew: the first proof of an endpoint stays, the oldest endpoints go, and the
// certificate stays below what a claim may carry.
func TestProofsAreFew(t *testing.T) {
	d := Device{}.With(Proof{MAC: "00:00:00:00:00:01", Session: "s1"}).With(Proof{MAC: "00:00:00:00:00:01", Session: "s2"})
	if len(d.Proofs) != 1 || d.Proofs[0].Session != "s1" {
		t.Errorf("%+v", d)
	}
	for _, p := range []Proof{{}, {MAC: "00:00:00:00:00:02"}, {Session: "s"}} {
		if got := d.With(p); len(got.Proofs) != 1 {
			t.Errorf("%+v counts as a proof", p)
		}
	}
	for i := range 20 {
		d = d.With(Proof{MAC: fmt.Sprintf("00:00:00:00:01:%02x", i), Session: strings.Repeat("s", SessionIDMax)})
	}
	if n := len(d.Proofs); n != proofsMax || d.Proofs[n-1].MAC != "00:00:00:00:01:13" {
		t.Errorf("%d proofs: %+v", n, d)
	}
	for i := range 20 {
		d = d.With(Proof{User: strings.Repeat("é", 126) + fmt.Sprint(i), Session: "s"})
	}
	cert, _ := certified(t, d.URIs())
	if text := EncodeDER(cert.Raw); len(d.Proofs) == 0 || len(text) > certificateTextMax {
		t.Errorf("%d proofs in %d octets, more than %d", len(d.Proofs), len(text), certificateTextMax)
	}
	if d = d.With(Proof{User: strings.Repeat("é", 2000), Session: "s"}); len(d.Proofs) != 0 {
		t.Errorf("a name that no certificate has room for: %+v", d)
	}
}

// TestOtherNamesAreNoProofs: only those of the one shape count.
func TestOtherNamesAreNoProofs(t *testing.T) {
	var names []*url.URL
	for _, s := range []string{"https://example.com/mac/x/s", "sallyport:mac/x", "sallyport:mac/x/s/t", "sallyport:mac//s", "sallyport:mac/x/",
		"sallyport:other/x/s", "sallyport:user/%zz/s", "urn:mac/x/s"} {
		kind, rest, _ := strings.Cut(s, ":")
		names = append(names, &url.URL{Scheme: kind, Opaque: rest})
	}
	names[0] = &url.URL{Scheme: "https", Host: "example.com", Path: "/mac/x/s"}
	if _, d := certified(t, append(names[:6:6], names[7:]...)); len(d.Proofs) != 0 {
		t.Errorf("%+v", d)
	}
	if d := DeviceOf(&x509.Certificate{URIs: names}); len(d.Proofs) != 0 {
		t.Errorf("%+v", d)
	}
}
