package report

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"
)

// The authority is a key of the appliance that stays when its HTTPS certificate changes. An
// agent learns it when it enrols, and from then on takes orders from nobody else:
//
//	POST /posture/v1/enroll  Enroll -> Enrolled   signed by the bound key; certificate and authority
//	Discovery.Vouch          the authority's signature over the HTTPS certificate's key
//	GET  /posture/v1/policy  headers Sallyport-Issued and Sallyport-Signature, by the authority
const (
	PathEnroll   = "/posture/v1/enroll"
	HeaderIssued = "Sallyport-Issued" // whole number that never goes down, near the Unix time of signing

	policyContext = "sallyport-policy-v1\n"
	vouchContext  = "sallyport-appliance-v1\n"

	// EnrollBytesMax and EnrolledBytesMax bound the documents; a request and a
	// certificate on P-256 have 300 to 700 octets.
	EnrollBytesMax   = 8 << 10
	EnrolledBytesMax = 16 << 10

	certificateTextMax = 4096 // base64url of DER
)

// Enroll asks for a certificate of the device key that is bound to the session.
type Enroll struct {
	V         int    `json:"v"`
	SessionID string `json:"session_id"`
	CSR       string `json:"csr"` // PKCS #10 (RFC 2986), DER, base64url; signed by the bound key

	// Certificate is the one that the key has now: what it says goes over into the new one.
	Certificate string `json:"certificate,omitempty"`
}

// Enrolled answers an Enroll.
type Enrolled struct {
	V           int    `json:"v"`
	Certificate string `json:"certificate"` // of the device key, X.509, DER, base64url
	Authority   string `json:"authority"`   // the certificate of the authority that signed it
}

func (e *Enroll) fields(w *walker) {
	w.need("session_id", e.SessionID)
	w.token("session_id", e.SessionID, SessionIDMax)
	w.need("csr", e.CSR)
	w.plain("csr", e.CSR, certificateTextMax)
	w.plain("certificate", e.Certificate, certificateTextMax)
}

func (e *Enrolled) fields(w *walker) {
	w.need("certificate", e.Certificate)
	w.plain("certificate", e.Certificate, certificateTextMax)
	w.need("authority", e.Authority)
	w.plain("authority", e.Authority, certificateTextMax)
}

// DecodeEnroll reads an Enroll.
func DecodeEnroll(body []byte) (*Enroll, error) {
	d := new(Enroll)
	return whole(d, decode(body, EnrollBytesMax, "enroll", d, &d.V))
}

// DecodeEnrolled reads the answer to an Enroll.
func DecodeEnrolled(body []byte) (*Enrolled, error) {
	d := new(Enrolled)
	return whole(d, decode(body, EnrolledBytesMax, "enrolled", d, &d.V))
}

// EncodeDER is how documents carry a certificate or a request.
func EncodeDER(der []byte) string { return base64url.EncodeToString(der) }

// ParseRequest reads a certificate request: signed, and for a key on P-256. It returns the
// key as ParseKey does. The error is a *Problem.
func ParseRequest(text string) (spki []byte, err error) {
	der, err := decodeText(text)
	if err != nil {
		return nil, malformed("csr: not base64url without padding")
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, malformed("csr: not a certificate request")
	}
	if _, err := publicKey(csr.RawSubjectPublicKeyInfo); err != nil {
		return nil, malformed("csr: %v", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, badSignature("the certificate request is not signed by its key")
	}
	return csr.RawSubjectPublicKeyInfo, nil
}

// ParseCertificate reads a certificate whose key is on P-256. The error is a *Problem.
func ParseCertificate(text string) (*x509.Certificate, error) {
	der, err := decodeText(text)
	if err != nil {
		return nil, malformed("certificate: not base64url without padding")
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, malformed("certificate: not an X.509 certificate")
	}
	if _, err := publicKey(cert.RawSubjectPublicKeyInfo); err != nil {
		return nil, malformed("certificate: %v", err)
	}
	return cert, nil
}

// SignPolicy is the value of Sallyport-Signature for a policy document that is given out at
// path with Sallyport-Issued. The error is for a key that is not on P-256.
func SignPolicy(key *ecdsa.PrivateKey, path string, issued uint64, document []byte) (string, error) {
	return signAs(key, policyDigest(path, issued, document))
}

// VerifyPolicy checks what SignPolicy made, with the authority's SubjectPublicKeyInfo.
func VerifyPolicy(authority []byte, path string, issued uint64, document []byte, signature string) error {
	return verifyAs(authority, policyDigest(path, issued, document), signature)
}

func policyDigest(path string, issued uint64, document []byte) []byte {
	h := sha256.New()
	h.Write([]byte(policyContext + path + "\n" + strconv.FormatUint(issued, 10) + "\n"))
	h.Write(document)
	return h.Sum(nil)
}

// Vouch signs the key (SubjectPublicKeyInfo, of any kind) of an HTTPS certificate as the
// appliance's own.
func Vouch(key *ecdsa.PrivateKey, spki []byte) (string, error) {
	return signAs(key, vouchDigest(spki))
}

// VerifyVouch checks what Vouch made.
func VerifyVouch(authority, spki []byte, signature string) error {
	return verifyAs(authority, vouchDigest(spki), signature)
}

func vouchDigest(spki []byte) []byte {
	sum := sha256.Sum256(append([]byte(vouchContext), spki...))
	return sum[:]
}

func signAs(key *ecdsa.PrivateKey, digest []byte) (string, error) {
	if key == nil || key.Curve != elliptic.P256() {
		return "", fmt.Errorf("report: sign: the authority's key must be on P-256")
	}
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest)
	if err != nil {
		return "", fmt.Errorf("report: sign: %w", err)
	}
	return base64url.EncodeToString(sig), nil
}

func verifyAs(authority, digest []byte, signature string) error {
	if signature == "" || len(signature) > signatureTextMax {
		return badSignature("the authority's signature is missing")
	}
	raw, err := decodeText(strings.TrimSpace(signature))
	if err != nil || len(raw) > signatureMax {
		return badSignature("the authority's signature is not base64url of an ECDSA signature")
	}
	pub, err := publicKey(authority)
	if err != nil {
		return badSignature("authority: %v", err)
	}
	if !ecdsa.VerifyASN1(pub, digest, raw) {
		return badSignature("the authority's signature does not fit")
	}
	return nil
}
