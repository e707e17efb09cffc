package uplinktest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strconv"
	"time"

	"sallyport/netio/report"
)

// Authority is the key that agents are tied to, and what a test may have it do.
type Authority struct {
	key    *ecdsa.PrivateKey
	cert   *x509.Certificate
	Issued uint64 // of the next policy
	Silent bool   // neither vouch nor sign, as an appliance that has none
}

// NewAuthority makes one.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Agents"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{key: key, cert: cert, Issued: 1000}, err
}

// Sign makes the two headers of a policy at a path.
func (a *Authority) Sign(h http.Header, path string, document []byte) error {
	signature, err := report.SignPolicy(a.key, path, a.Issued, document)
	h.Set(report.HeaderIssued, strconv.FormatUint(a.Issued, 10))
	h.Set(report.HeaderSignature, signature)
	return err
}

// SetAuthority gives the appliance one; nil takes it away.
func (a *Appliance) SetAuthority(auth *Authority) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.authority = auth
}

// discovery answers with what the authority says of the certificate.
func (a *Appliance) discovery(w http.ResponseWriter, _ *http.Request) {
	d := report.Discovery{V: report.Version, Appliance: "posture", Time: time.Now().UTC(), API: "/posture/v1"}
	a.mu.Lock()
	auth, leaf := a.authority, a.shown
	a.mu.Unlock()
	if auth != nil && !auth.Silent {
		vouch, err := report.Vouch(auth.key, leaf.RawSubjectPublicKeyInfo)
		if err != nil {
			problem(w, err)
			return
		}
		d.Authority, d.Vouch = report.MarshalKey(&auth.key.PublicKey), vouch
	}
	answer(w, d)
}

// enroll certifies the key of the session, as long as the certificate is to live.
func (a *Appliance) enroll(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, report.EnrollBytesMax+1))
	if err != nil {
		return
	}
	doc, err := report.DecodeEnroll(body)
	if err != nil {
		problem(w, err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[doc.SessionID]
	if s == nil || a.authority == nil {
		refuse(w, &report.Problem{Status: 404, Code: report.CodeNotFound, Detail: "nothing to enrol with"})
		return
	}
	asked, err := report.ParseRequest(doc.CSR)
	if err == nil {
		err = report.Verify(s.key, r.URL.RequestURI(), body, r.Header.Get(report.HeaderSignature))
	}
	if err == nil && string(asked) != string(s.key) {
		err = fmt.Errorf("a request for another key")
	}
	if err != nil {
		problem(w, err)
		return
	}
	pub, err := x509.ParsePKIXPublicKey(asked)
	if err != nil {
		problem(w, err)
		return
	}
	life := a.DeviceLife
	if life == 0 {
		life = 365 * 24 * time.Hour
	}
	device, err := carried(doc.Certificate)
	if err != nil {
		problem(w, err)
		return
	}
	if !a.Unproved {
		device = device.With(report.Proof{User: "cisco", Session: doc.SessionID})
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "device"}, URIs: device.URIs(), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life)}
	der, err := x509.CreateCertificate(rand.Reader, c, a.authority.cert, pub, a.authority.key)
	if err != nil {
		problem(w, err)
		return
	}
	answer(w, report.Enrolled{V: report.Version, Certificate: base64.RawURLEncoding.EncodeToString(der), Authority: base64.RawURLEncoding.EncodeToString(a.authority.cert.Raw)})
}

// carried is what a device certificate says; nothing when there is none.
func carried(certificate string) (report.Device, error) {
	if certificate == "" {
		return report.Device{}, nil
	}
	cert, err := report.ParseCertificate(certificate)
	if err != nil {
		return report.Device{}, err
	}
	return report.DeviceOf(cert), nil
}

// assurance of a claim: a certificate counts that was proved in another session.
func assurance(session string, d report.Device) string {
	for _, p := range d.Proofs {
		if p.Session != session {
			return report.AssuranceKey
		}
	}
	return "ticket"
}

func (a *Appliance) policy(w http.ResponseWriter, r *http.Request) {
	text, err := json.Marshal(report.Policy{V: report.Version, ETag: r.PathValue("etag"), Collect: []string{"usb"}, HeartbeatS: 900, Requirements: []report.Requirement{}})
	a.mu.Lock()
	auth := a.authority
	a.mu.Unlock()
	if err == nil && auth != nil && !auth.Silent {
		err = auth.Sign(w.Header(), r.URL.EscapedPath(), text)
	}
	if err != nil {
		problem(w, err)
		return
	}
	w.Header().Set("Content-Type", report.MediaType)
	w.Write(text)
}
