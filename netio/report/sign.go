package report

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Sizes that P-256 gives. A key has one encoding only, so that equal keys are equal
// octets; a signature is a DER sequence of two integers of at most 33 octets.
const (
	spkiLen          = 91
	keyTextLen       = 122
	signatureMax     = 72
	signatureTextMax = 96
)

var base64url = base64.RawURLEncoding.Strict()

// decodeText reads base64url without padding. The standard decoder passes over line
// ends, which would give one value many spellings.
func decodeText(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("line end in base64url")
	}
	return base64url.DecodeString(text)
}

// digest is what is signed. The path cannot hold a newline, so that octets cannot be
// moved between path and body.
func digest(path string, body []byte) []byte {
	h := sha256.New()
	h.Write([]byte(signatureContext + path + "\n"))
	h.Write(body)
	return h.Sum(nil)
}

// Sign returns the value of the header Sallyport-Signature for a request to path (for a
// GET with its query, as it stands in the request line) with the given body. The error
// is for a key that is not on P-256, or a path with a newline.
func Sign(key crypto.Signer, path string, body []byte) (string, error) {
	if !onP256(key) {
		return "", errors.New("report: sign: a device key must be on P-256")
	}
	if strings.Contains(path, "\n") {
		return "", errors.New("report: sign: newline in the path")
	}
	sig, err := key.Sign(rand.Reader, digest(path, body), crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("report: sign: %w", err)
	}
	return base64url.EncodeToString(sig), nil
}

func onP256(key crypto.Signer) bool {
	if key == nil {
		return false
	}
	public, ok := key.Public().(*ecdsa.PublicKey)
	return ok && public.Curve == elliptic.P256()
}

// Verify checks the signature over path and body with a key as ParseKey returns it. The
// error is a *Problem with CodeBadSignature that says what is wrong.
func Verify(spki []byte, path string, body []byte, sig string) error {
	switch {
	case sig == "":
		return badSignature("the header %s is missing", HeaderSignature)
	case len(sig) > signatureTextMax:
		return badSignature("the header %s has more than %d octets", HeaderSignature, signatureTextMax)
	case strings.Contains(path, "\n"):
		return badSignature("newline in the path")
	}
	raw, err := decodeText(sig)
	if err != nil || len(raw) > signatureMax {
		return badSignature("the header %s is not base64url of an ECDSA signature", HeaderSignature)
	}
	pub, err := publicKey(spki)
	if err != nil {
		return badSignature("%v", err)
	}
	if !ecdsa.VerifyASN1(pub, digest(path, body), raw) {
		return badSignature("the signature does not fit key, path and body")
	}
	return nil
}

func badSignature(format string, args ...any) error {
	return &Problem{Status: http.StatusForbidden, Code: CodeBadSignature, Detail: fmt.Sprintf(format, args...)}
}

// MarshalKey is the public key as Claim.Key carries it; empty when pub is not on P-256.
func MarshalKey(pub *ecdsa.PublicKey) string {
	if pub == nil || pub.Curve != elliptic.P256() {
		return ""
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return ""
	}
	return base64url.EncodeToString(der)
}

// ParseKey is the SubjectPublicKeyInfo of a key that MarshalKey wrote. It accepts P-256
// in the one usual encoding and nothing else; the error is a *Problem with
// CodeMalformed.
func ParseKey(text string) ([]byte, error) {
	if len(text) != keyTextLen {
		return nil, malformed("key: %d characters, a key on P-256 has %d", len(text), keyTextLen)
	}
	spki, err := decodeText(text)
	if err != nil {
		return nil, malformed("key: not base64url without padding")
	}
	if _, err := publicKey(spki); err != nil {
		return nil, malformed("key: %v", err)
	}
	return spki, nil
}

func publicKey(spki []byte) (*ecdsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, errors.New("not a SubjectPublicKeyInfo")
	}
	pub, ok := parsed.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return nil, errors.New("not a key on P-256")
	}
	if again, err := x509.MarshalPKIXPublicKey(pub); err != nil || !bytes.Equal(again, spki) {
		return nil, errors.New("not the usual encoding of a key on P-256")
	}
	return pub, nil
}
