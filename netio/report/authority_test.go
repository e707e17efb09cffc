package report

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"strings"
	"testing"
)

func keyAndSPKI(t *testing.T, curve elliptic.Curve) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key := newKey(t, curve)
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key, spki
}

// TestPolicySignature: whatever is changed of what was signed, it does not fit any more.
func TestPolicySignature(t *testing.T) {
	key, spki := keyAndSPKI(t, elliptic.P256())
	_, other := keyAndSPKI(t, elliptic.P256())
	_, wide := keyAndSPKI(t, elliptic.P384())
	const path, document = PathPolicy + "e1", `{"v":1}`
	good, err := SignPolicy(key, path, 7, []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	request, err := Sign(key, path, []byte("7\n"+document))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		authority       []byte
		path            string
		issued          uint64
		document, given string
		want            string
	}{
		"good":                     {spki, path, 7, document, good, ""},
		"another key":              {other, path, 7, document, good, "does not fit"},
		"another curve":            {wide, path, 7, document, good, "not a key on P-256"},
		"another policy":           {spki, PathPolicy + "e2", 7, document, good, "does not fit"},
		"later than it was":        {spki, path, 8, document, good, "does not fit"},
		"another document":         {spki, path, 7, document + " ", good, "does not fit"},
		"octets moved to the path": {spki, path + "\n7", 7, document, good, "does not fit"},
		"no signature":             {spki, path, 7, document, "", "missing"},
		"long signature":           {spki, path, 7, document, strings.Repeat("A", 200), "missing"},
		"no base64url":             {spki, path, 7, document, "+/", "not base64url"},
		"a signature of a request": {spki, path, 7, document, request, "does not fit"},
		"no key":                   {nil, path, 7, document, good, "SubjectPublicKeyInfo"},
	} {
		err := VerifyPolicy(test.authority, test.path, test.issued, []byte(test.document), test.given)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	vouch, err := Vouch(key, other)
	if err != nil || VerifyVouch(spki, other, vouch) != nil {
		t.Fatal("a vouch does not fit", err)
	}
	if VerifyVouch(spki, wide, vouch) == nil || VerifyVouch(other, other, vouch) == nil || VerifyVouch(spki, other, good) == nil {
		t.Error("a vouch fits another key")
	}
	if _, err := SignPolicy(nil, path, 1, nil); err == nil {
		t.Error("signed without a key")
	}
}

// TestParseRequest: only a request that its own P-256 key has signed.
func TestParseRequest(t *testing.T) {
	request := func(curve elliptic.Curve) ([]byte, []byte) {
		key, spki := keyAndSPKI(t, curve)
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		if err != nil {
			t.Fatal(err)
		}
		return der, spki
	}
	der, spki := request(elliptic.P256())
	if got, err := ParseRequest(EncodeDER(der)); err != nil || string(got) != string(spki) {
		t.Fatal(got, err)
	}
	wide, _ := request(elliptic.P384())
	forged := append([]byte(nil), der...)
	forged[len(forged)-1] ^= 1
	for name, text := range map[string]string{"another curve": EncodeDER(wide), "signature broken": EncodeDER(forged), "cut": EncodeDER(der[:40]), "no base64": "+", "empty": ""} {
		if _, err := ParseRequest(text); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
