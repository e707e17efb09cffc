package portal

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport/netio/report"
)

func csrOf(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return report.EncodeDER(der)
}

// send posts a body that signer has signed.
func (b *bench) send(path string, body []byte, signer *ecdsa.PrivateKey) *answer {
	b.t.Helper()
	signature, err := report.Sign(signer, path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	req := b.request(http.MethodPost, path, body)
	req.Header.Set(report.HeaderSignature, signature)
	return b.do(req)
}

// enrol sends a request of key for a session, signed by signer.
func (b *bench) enrol(session, csr string, signer *ecdsa.PrivateKey) *answer {
	b.t.Helper()
	return b.send(report.PathEnroll, encode(b.t, &report.Enroll{V: report.Version, SessionID: session, CSR: csr}), signer)
}

// TestEnrolment: the bound key, and no other, gets a certificate of the authority that
// discovery names and that vouches for the HTTPS certificate.
func TestEnrolment(t *testing.T) {
	b := bound(t, nil)
	a := b.enrol(testSession, csrOf(t, b.key), b.key)
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	enrolled, err := report.DecodeEnrolled(a.body)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := report.ParseCertificate(enrolled.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := report.ParseCertificate(enrolled.Authority)
	if err != nil {
		t.Fatal(err)
	}
	if !b.key.PublicKey.Equal(cert.PublicKey) || cert.CheckSignatureFrom(authority) != nil || cert.IsCA || !authority.IsCA {
		t.Errorf("the certificate is not one of the device: %v by %v", cert.Subject, cert.Issuer)
	}
	d, err := report.DecodeDiscovery(b.get(report.PathDiscovery).body)
	if err != nil {
		t.Fatal(err)
	}
	if spki, err := base64.RawURLEncoding.DecodeString(d.Authority); err != nil || string(spki) != string(authority.RawSubjectPublicKeyInfo) {
		t.Error("discovery names another authority", err)
	}
	if err := report.VerifyVouch(authority.RawSubjectPublicKeyInfo, b.server.certificate.Load().cert.Leaf.RawSubjectPublicKeyInfo, d.Vouch); err != nil {
		t.Error(err)
	}
	before := b.server.Stats().Refused
	for name, a := range map[string]*answer{
		"a request for another key": b.enrol(testSession, csrOf(t, newKey(t)), b.key),
		"signed by another key":     b.enrol(testSession, csrOf(t, b.key), newKey(t)),
		"another session":           b.enrol("ffffffffffffffffffffffff", csrOf(t, b.key), b.key),
		"no request":                b.enrol(testSession, "AAAA", b.key),
	} {
		if a.status/100 != 4 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	after := b.server.Stats().Refused
	for _, reason := range []string{"device-certificate", "signature", "unknown-session", "malformed"} {
		if after[reason] != before[reason]+1 {
			t.Errorf("%s is counted %d times, want once", reason, after[reason]-before[reason])
		}
	}
}

// TestWhatACertificateSays: what the appliance can prove of the endpoint stands in it, goes
// over into the next one, and comes back with a claim; what somebody else signed does not.
func TestWhatACertificateSays(t *testing.T) {
	b := bound(t, nil)
	first := report.Proof{MAC: "00:0c:29:c9:d9:37", Session: "one"}
	enrolled := func(proof report.Proof, with string) string {
		t.Helper()
		b.posture.mu.Lock()
		b.posture.proof = proof
		b.posture.mu.Unlock()
		a := b.send(report.PathEnroll, encode(t, &report.Enroll{V: report.Version, SessionID: testSession, CSR: csrOf(t, b.key), Certificate: with}), b.key)
		if a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		doc, err := report.DecodeEnrolled(a.body)
		if err != nil {
			t.Fatal(err)
		}
		return doc.Certificate
	}
	claimed := func(certificate string) report.Device {
		t.Helper()
		body := encode(t, &report.Claim{V: report.Version, SessionID: testSession, Ticket: testTicket, Key: report.MarshalKey(&b.key.PublicKey),
			Certificate: certificate, Agent: report.Agent{Name: "test"}, System: report.System{OS: "linux"}})
		if a := b.send(report.PathSession, body, b.key); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		b.posture.mu.Lock()
		defer b.posture.mu.Unlock()
		if (b.posture.device == nil) != (certificate == "") {
			t.Fatalf("a claim with the certificate %.10q brought %v", certificate, b.posture.device)
		}
		if b.posture.device == nil {
			return report.Device{}
		}
		return *b.posture.device
	}
	if d := claimed(""); d.Proofs != nil {
		t.Errorf("a claim without: %+v", d)
	}
	if d := claimed(enrolled(report.Proof{}, "")); d.Proofs != nil {
		t.Errorf("nothing was proved: %+v", d)
	}
	one := enrolled(first, "")
	both := enrolled(report.Proof{User: "ana", Session: "two"}, one)
	if d := claimed(both); len(d.Proofs) != 2 || d.Proofs[0] != first {
		t.Errorf("%+v", d)
	}
	other, err := openAuthority(t.TempDir(), "elsewhere", testTime)
	if err != nil {
		t.Fatal(err)
	}
	for what, a := range map[string]*authority{"another authority": other, "another key": b.server.authority} {
		spki := spkiOf(t, b.key)
		if a != other {
			spki = spkiOf(t, newKey(t))
		}
		der, err := a.certify(spki, report.Device{}.With(first), testTime)
		if err != nil {
			t.Fatal(err)
		}
		body := encode(t, &report.Enroll{V: report.Version, SessionID: testSession, CSR: csrOf(t, b.key), Certificate: report.EncodeDER(der)})
		if a := b.send(report.PathEnroll, body, b.key); a.status != http.StatusForbidden || !strings.Contains(string(a.body), report.CodeCertificate) {
			t.Errorf("enrolment with a certificate of %s: %d %s", what, a.status, a.body)
		}
	}
}

// TestForgedDeviceCertificates: a claim carries a certificate of this authority for its own
// key, in date, or none.
func TestForgedDeviceCertificates(t *testing.T) {
	b := bound(t, nil)
	spki, otherSPKI := spkiOf(t, b.key), spkiOf(t, newKey(t))
	issue := func(a *authority, spki []byte, at time.Time) string {
		der, err := a.certify(spki, report.Device{}, at)
		if err != nil {
			t.Fatal(err)
		}
		return report.EncodeDER(der)
	}
	other, err := openAuthority(t.TempDir(), "elsewhere", testTime)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ certificate, want string }{
		"good":               {issue(b.server.authority, spki, testTime), ""},
		"none":               {"", ""},
		"another authority":  {issue(other, spki, testTime), "not signed by the authority"},
		"another key":        {issue(b.server.authority, otherSPKI, testTime), "another key"},
		"over":               {issue(b.server.authority, spki, testTime.Add(-2*deviceLifetime)), "valid from"},
		"not yet":            {issue(b.server.authority, spki, testTime.Add(48*time.Hour)), "valid from"},
		"the HTTPS one":      {report.EncodeDER(b.server.certificate.Load().cert.Leaf.Raw), "another key"},
		"the authority's":    {report.EncodeDER(b.server.authority.cert.Raw), "another key"},
		"no certificate":     {"AAAA", "not an X.509"},
		"something too long": {strings.Repeat("A", 4097), "at most"},
	} {
		body := encode(t, &report.Claim{V: report.Version, SessionID: testSession, Ticket: testTicket, Key: report.MarshalKey(&b.key.PublicKey),
			Certificate: test.certificate, Agent: report.Agent{Name: "test"}, System: report.System{OS: "linux"}})
		a := b.send(report.PathSession, body, b.key)
		if (a.status == http.StatusOK) != (test.want == "") || !strings.Contains(string(a.body), test.want) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if n := b.server.Stats().Refused["device-certificate"]; n != 7 {
		t.Errorf("%d are counted, want 7", n)
	}
}

// TestPolicyIsSigned, with a number that never goes down: not by a clock that is set back,
// and not by a restart.
func TestPolicyIsSigned(t *testing.T) {
	state := t.TempDir()
	policy := func(b *bench) uint64 {
		t.Helper()
		a := b.get(report.PathPolicy + testETag)
		issued, err := strconv.ParseUint(a.header.Get(report.HeaderIssued), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		spki, _ := base64.RawURLEncoding.DecodeString(b.server.authority.spki)
		if err := report.VerifyPolicy(spki, report.PathPolicy+testETag, issued, a.body, a.header.Get(report.HeaderSignature)); err != nil {
			t.Error(err)
		}
		return issued
	}
	b := start(t, func(c *Config, _ *fakePosture) { c.StateDir = state })
	first := policy(b)
	b.clock.Advance(time.Minute)
	if second := policy(b); second != first+60 {
		t.Errorf("%d a minute after %d", second, first)
	}
	again := start(t, func(c *Config, _ *fakePosture) { c.StateDir = state }) // its clock is a minute behind
	if third := policy(again); third < first+60 {
		t.Errorf("%d after a restart, and %d before", third, first+60)
	}
	if again.server.authority.spki != b.server.authority.spki {
		t.Error("another authority after a restart")
	}
	for _, name := range []string{authorityKey, authorityTime} {
		if info, err := os.Stat(filepath.Join(state, authorityDir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if err := os.WriteFile(filepath.Join(state, authorityDir, authorityTime), []byte("soon"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openAuthority(state, "x", testTime); err == nil || !strings.Contains(err.Error(), authorityTime) {
		t.Errorf("a broken number: %v", err)
	}
}
