package report

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
)

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestSignature: what was signed verifies, and nothing else does.
func TestSignature(t *testing.T) {
	key, other := newKey(t, elliptic.P256()), newKey(t, elliptic.P256())
	spki, err := ParseKey(MarshalKey(&key.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	another, err := ParseKey(MarshalKey(&other.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"v":1}`)
	sig, err := Sign(key, PathReport, body)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(spki, PathReport, body, sig); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"another key":       Verify(another, PathReport, body, sig),
		"no key":            Verify(nil, PathReport, body, sig),
		"cut key":           Verify(spki[:90], PathReport, body, sig),
		"another path":      Verify(spki, PathSession, body, sig),
		"another body":      Verify(spki, PathReport, []byte(`{"v":2}`), sig),
		"body moved up":     Verify(spki, PathReport+"\n{", []byte(`"v":1}`), sig),
		"no signature":      Verify(spki, PathReport, body, ""),
		"padded":            Verify(spki, PathReport, body, sig+"="),
		"cut":               Verify(spki, PathReport, body, sig[:len(sig)-4]),
		"octets after it":   Verify(spki, PathReport, body, sig+"AAAA"),
		"far too long":      Verify(spki, PathReport, body, strings.Repeat("A", 5000)),
		"newline within it": Verify(spki, PathReport, body, sig[:10]+"\n"+sig[10:]),
	} {
		if p, ok := err.(*Problem); !ok || p.Code != CodeBadSignature || p.Status != 403 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Sign(newKey(t, elliptic.P384()), "/", nil); err == nil {
		t.Error("signed with P-384")
	}
	if _, err := Sign(nil, "/", nil); err == nil {
		t.Error("signed with no key")
	}
	if _, err := Sign(key, "/\n", nil); err == nil {
		t.Error("signed a path with a newline")
	}
}

// TestSignatureIsAsWritten holds the package comment to its word with nothing of ours.
func TestSignatureIsAsWritten(t *testing.T) {
	key := newKey(t, elliptic.P256())
	sum := sha256.Sum256([]byte("sallyport-report-v1\n/posture/v1/events?session_id=s&after=0\n"))
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(spki, "/posture/v1/events?session_id=s&after=0", nil, base64.RawURLEncoding.EncodeToString(sig)); err != nil {
		t.Error(err)
	}
}

func TestKeys(t *testing.T) {
	good := MarshalKey(&newKey(t, elliptic.P256()).PublicKey)
	if MarshalKey(&newKey(t, elliptic.P384()).PublicKey) != "" || MarshalKey(nil) != "" {
		t.Error("marshalled a key that is not on P-256")
	}
	p384, err := x509.MarshalPKIXPublicKey(&newKey(t, elliptic.P384()).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	offCurve, err := base64url.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	offCurve[90] ^= 1
	for name, text := range map[string]string{
		"empty":         "",
		"cut":           good[:121],
		"longer":        good + "A",
		"P-384":         base64url.EncodeToString(p384),
		"off the curve": base64url.EncodeToString(offCurve),
		"not base64url": strings.Repeat("+", keyTextLen),
		"line end":      good[:60] + "\n" + good[60:121],
		"nonsense":      strings.Repeat("A", keyTextLen),
	} {
		_, err := ParseKey(text)
		if p, ok := err.(*Problem); !ok || p.Code != CodeMalformed || !strings.HasPrefix(p.Detail, "key: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
