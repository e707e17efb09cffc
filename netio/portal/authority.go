package portal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"sallyport/netio/report"
)

// Files of the authority in the state directory. Appliances that serve the same endpoints
// have the same ones.
const (
	authorityDir  = "authority"
	authorityKey  = "authority.key"
	authorityCert = "authority.crt"
	authorityTime = "issued"
)

const (
	authorityLifetime = 20 * 365 * 24 * time.Hour // agents pin it; a new one means to enrol again
	deviceLifetime    = 365 * 24 * time.Hour
	issuedAhead       = 3600 // seconds that are on the disk before they are given out
)

// authority is the key that agents obey: it signs policies, device certificates, and says
// which HTTPS certificate is this appliance's.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	spki string // base64url
	file string // that holds how far issued may go

	mu      sync.Mutex // guards what follows
	issued  uint64
	ceiling uint64
}

// openAuthority reads the authority, or makes it on the first start.
func openAuthority(stateDir, name string, now time.Time) (*authority, error) {
	dir := filepath.Join(stateDir, authorityDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	key, err := (&pair{key: filepath.Join(dir, authorityKey)}).ownKey()
	if err != nil {
		return nil, err
	}
	if key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("portal: %s is not a key on P-256", filepath.Join(dir, authorityKey))
	}
	a := &authority{key: key, spki: report.MarshalKey(&key.PublicKey), file: filepath.Join(dir, authorityTime)}
	if a.cert, err = authorityCertificate(filepath.Join(dir, authorityCert), key, name, now); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(a.file)
	if err == nil {
		a.ceiling, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("portal: %s: %w", a.file, err)
	}
	a.issued = a.ceiling
	return a, nil
}

func authorityCertificate(file string, key *ecdsa.PrivateKey, name string, now time.Time) (*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err == nil {
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("portal: %s is not a PEM certificate", file)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("portal: %s: %w", file, err)
		}
		if !key.PublicKey.Equal(cert.PublicKey) {
			return nil, fmt.Errorf("portal: %s is not of the key beside it", file)
		}
		return cert, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("portal: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Agents of " + name, Organization: []string{pairOrganization}},
		NotBefore: now.Add(-pairBackdate), NotAfter: now.Add(authorityLifetime),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("portal: authority: %w", err)
	}
	if err := writeWhole(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// issue is the number for what is signed now: it never goes down, whatever the clock does
// and after a restart. Agents refuse a policy with a lower one than they have seen.
func (a *authority) issue(now time.Time) (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.issued = max(a.issued, uint64(max(now.Unix(), 0)))
	if a.issued >= a.ceiling {
		if err := writeWhole(a.file, []byte(strconv.FormatUint(a.issued+issuedAhead, 10)+"\n"), 0o600); err != nil {
			return 0, err
		}
		a.ceiling = a.issued + issuedAhead
	}
	return a.issued, nil
}

// certify makes the certificate of a device key, and what it says of the device.
func (a *authority) certify(spki []byte, d report.Device, now time.Time) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "device " + report.DeviceName(spki)}, URIs: d.URIs(),
		NotBefore: now.Add(-pairBackdate), NotAfter: now.Add(deviceLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	return x509.CreateCertificate(rand.Reader, c, a.cert, key, a.key)
}

// device verifies the certificate that somebody carries who has signed with the key; nil
// without one, or where nobody makes any.
func (s *Server) device(certificate string, spki []byte, now time.Time) (*report.Device, *refusal) {
	if certificate == "" || s.authority == nil {
		return nil, nil
	}
	cert, p := s.authority.verify(certificate, spki, now)
	if p != nil {
		return nil, &refusal{why: whyDeviceCertificate, problem: p}
	}
	d := report.DeviceOf(cert)
	return &d, nil
}

// verify reads a device certificate, or says what is wrong with it.
func (a *authority) verify(text string, spki []byte, now time.Time) (*x509.Certificate, *report.Problem) {
	no := func(format string, args ...any) (*x509.Certificate, *report.Problem) {
		return nil, &report.Problem{Status: http.StatusForbidden, Code: report.CodeCertificate, Detail: fmt.Sprintf(format, args...)}
	}
	cert, err := report.ParseCertificate(text)
	if err != nil {
		return no("%s", err.Error())
	}
	switch {
	case string(cert.RawSubjectPublicKeyInfo) != string(spki):
		return no("the certificate is of another key than the claim")
	case cert.CheckSignatureFrom(a.cert) != nil:
		return no("the certificate is not signed by the authority of this appliance; enrol again")
	case now.Before(cert.NotBefore) || now.After(cert.NotAfter):
		return no("the certificate is valid from %s to %s; enrol again", cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return cert, nil
}

// enroll gives the bound key of a session a certificate, and tells whom to obey.
func (s *Server) enroll(r *request) *refusal {
	if s.authority == nil {
		return refuse(whyNotFound, http.StatusNotFound, report.CodeNotFound, "this appliance has no state directory and so no authority")
	}
	if wait, ok := s.claims.take(origin(r.peer.Addr()), r.at); !ok {
		return tooMany(whyClaimRate, wait, "too many enrolments from this address")
	}
	body, no := s.body(r, report.EnrollBytesMax)
	if no != nil {
		return no
	}
	doc, err := report.DecodeEnroll(body)
	if err != nil {
		return refused(err)
	}
	spki, no := s.boundKey(r, doc.SessionID, body)
	if no != nil {
		return no
	}
	asked, err := report.ParseRequest(doc.CSR)
	if err != nil {
		return refused(err)
	}
	if string(asked) != string(spki) {
		return refuse(whyDeviceCertificate, http.StatusForbidden, report.CodeCertificate, "the request is for another key than the one that is bound to the session")
	}
	before, no := s.device(doc.Certificate, spki, r.at)
	if no != nil {
		return no
	}
	var device report.Device
	if before != nil {
		device = *before
	}
	if proof, ok := s.posture.Proof(doc.SessionID, r.peer); ok {
		device = device.With(proof)
	}
	der, err := s.authority.certify(spki, device, r.at)
	if err != nil {
		return s.asked(r.URL.Path, err)
	}
	s.log.Info("portal: device enrolled", "device", report.DeviceName(spki), "session", doc.SessionID, "peer", r.peer.Addr())
	s.writeJSON(r, http.StatusOK, &report.Enrolled{V: report.Version, Certificate: report.EncodeDER(der), Authority: report.EncodeDER(s.authority.cert.Raw)})
	return nil
}

// signPolicy puts the authority's signature on a policy that is given out.
func (s *Server) signPolicy(r *request, document []byte) error {
	if s.authority == nil {
		return nil
	}
	issued, err := s.authority.issue(r.at)
	if err != nil {
		return err
	}
	signature, err := report.SignPolicy(s.authority.key, r.URL.EscapedPath(), issued, document)
	if err != nil {
		return err
	}
	r.w.Header().Set(report.HeaderIssued, strconv.FormatUint(issued, 10))
	r.w.Header().Set(report.HeaderSignature, signature)
	return nil
}

// vouch is the authority's signature over the key of an HTTPS certificate.
func (s *Server) vouch(leaf *x509.Certificate) (string, error) {
	if s.authority == nil {
		return "", nil
	}
	return report.Vouch(s.authority.key, leaf.RawSubjectPublicKeyInfo)
}
