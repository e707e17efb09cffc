package uplink

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/netio/report"
)

// Enrolment ties the agent to one appliance's authority for good:
//
//	before   the certificate of the HTTPS connection is trusted by Trust, and that is all
//	enrol    the bound device key gets a certificate; the authority's key is remembered
//	after    an appliance has to show that the authority vouches for its HTTPS certificate,
//	         and a policy has to be signed by it, no earlier than the newest one seen
//
// Nothing leads back but removing memory.json: an appliance that offers less than before is
// not obeyed.

// enrolTimeout is short: the first report waits for it.
const enrolTimeout = 5 * time.Second

// renewBefore is how long before its end a device certificate is asked for anew.
const renewBefore = 90 * 24 * time.Hour

// Enrolment is what the agent is tied to.
type Enrolment struct {
	Authority string    `json:"authority,omitempty"` // pin of the key, sha256:HEX; empty: not enrolled
	Until     time.Time `json:"until,omitzero"`      // end of the device certificate
	Problem   string    `json:"problem,omitempty"`   // why it is not enrolled, or not anew
}

// Enrolment tells what the agent is tied to.
func (c *Client) Enrolment() Enrolment {
	e := Enrolment{Problem: c.enrolProblem.text()}
	if a := c.cfg.Memory.Authority(); len(a) > 0 {
		e.Authority = pinText(a)
	}
	if cert := c.cfg.Memory.Certificate(); cert != nil {
		e.Until = cert.NotAfter
	}
	return e
}

func pinText(spki []byte) string {
	pin := pinOf(spki)
	return "sha256:" + hex.EncodeToString(pin[:])
}

// certificate is the device certificate for a claim; empty without one that is in date and
// of this key.
func (c *Client) certificate() string {
	cert := c.cfg.Memory.Certificate()
	if cert == nil || c.cfg.Trust.Now().After(cert.NotAfter) || !c.public.Equal(cert.PublicKey) {
		return ""
	}
	return report.EncodeDER(cert.Raw)
}

// enrol gets a certificate when there is none, or soon will be none, or the one that there
// is did not count for this endpoint. That it cannot be had is told by Enrolment and does
// not keep the agent from reporting.
func (c *Client) enrol(ctx context.Context, appliance string, claimed *report.Claimed) {
	if c.certificate() != "" && !c.wantsBetter(claimed) {
		c.enrolProblem.set("")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, enrolTimeout)
	defer cancel()
	err := c.askCertificate(ctx, appliance, claimed.SessionID)
	var p *report.Problem
	switch {
	case err == nil:
		c.enrolProblem.set("")
	case errors.As(err, &p) && p.Code == report.CodeNotFound:
		c.enrolProblem.set("the appliance does not enrol devices")
	default:
		c.enrolProblem.set(err.Error())
	}
}

// wantsBetter says whether the present certificate should be replaced: it ends soon, or what
// it says did not raise the binding of this session, and another might do so in the next
// one. That is asked once for a session.
func (c *Client) wantsBetter(claimed *report.Claimed) bool {
	cert := c.cfg.Memory.Certificate()
	if len(c.cfg.Memory.Authority()) == 0 || !c.cfg.Trust.Now().Before(cert.NotAfter.Add(-renewBefore)) {
		return true
	}
	ofThisSession := func(p report.Proof) bool { return strings.EqualFold(p.Session, claimed.SessionID) }
	if claimed.Assurance == report.AssuranceKey || slices.ContainsFunc(report.DeviceOf(cert).Proofs, ofThisSession) || c.improved.of(claimed.SessionID) != nil {
		return false
	}
	c.improved.put(claimed.SessionID, []byte{})
	return true
}

func (c *Client) askCertificate(ctx context.Context, appliance, sessionID string) error {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "sallyport-agent"}}, c.cfg.Key)
	if err != nil {
		return fmt.Errorf("certificate request: %w", err)
	}
	body, err := marshal(report.Enroll{V: report.Version, SessionID: sessionID, CSR: report.EncodeDER(csr), Certificate: c.certificate()})
	if err != nil {
		return err
	}
	answer, err := c.post(ctx, appliance, report.PathEnroll, body, report.EnrolledBytesMax)
	if err != nil {
		return err
	}
	enrolled, err := report.DecodeEnrolled(answer)
	if err != nil {
		return misunderstood(err)
	}
	cert, err := report.ParseCertificate(enrolled.Certificate)
	if err != nil {
		return misunderstood(err)
	}
	authority, err := report.ParseCertificate(enrolled.Authority)
	if err != nil {
		return misunderstood(err)
	}
	switch known := c.cfg.Memory.Authority(); {
	case len(known) > 0 && string(known) != string(authority.RawSubjectPublicKeyInfo):
		return fmt.Errorf("the appliance has another authority (%s) than this agent is tied to", pinText(authority.RawSubjectPublicKeyInfo))
	case cert.CheckSignatureFrom(authority) != nil:
		return errors.New("the device certificate is not signed by the authority that came with it")
	case !c.public.Equal(cert.PublicKey):
		return errors.New("the device certificate is of another key")
	case len(known) == 0 && string(c.offered.of(appliance)) != string(authority.RawSubjectPublicKeyInfo):
		return errors.New("the authority does not vouch for the certificate of this connection")
	}
	return c.cfg.Memory.Enrol(authority.RawSubjectPublicKeyInfo, cert.Raw)
}

// vouched judges what an appliance says of itself: once the agent is tied to an authority
// that one has to vouch for the certificate of the connection.
func (c *Client) vouched(base string, d *report.Discovery, leaf *x509.Certificate) error {
	authority := c.cfg.Memory.Authority()
	tied := len(authority) > 0
	if !tied {
		var err error
		if authority, err = base64.RawURLEncoding.DecodeString(d.Authority); err != nil {
			authority = nil
		}
	}
	if report.VerifyVouch(authority, leaf.RawSubjectPublicKeyInfo, d.Vouch) == nil {
		c.offered.put(base, authority)
		c.vouchedFor.put(string(leaf.RawSubjectPublicKeyInfo), authority)
		return nil
	}
	if tied {
		return fmt.Errorf("the authority that this agent is tied to (%s) does not vouch for it", pinText(authority))
	}
	c.offered.put(base, nil) // an older appliance, or nobody's: there is nothing to enrol with
	return nil
}

// fromOurs refuses an answer over a certificate that the authority did not vouch for.
func (c *Client) fromOurs(resp *http.Response) error {
	authority := c.cfg.Memory.Authority()
	if len(authority) == 0 {
		return nil
	}
	if resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 &&
		bytes.Equal(c.vouchedFor.of(string(resp.TLS.PeerCertificates[0].RawSubjectPublicKeyInfo)), authority) {
		return nil
	}
	return fmt.Errorf("the authority that this agent is tied to (%s) has not vouched for the certificate of this connection", pinText(authority))
}

// signedPolicy refuses a policy that the authority did not sign, or signed before another
// that was seen.
func (c *Client) signedPolicy(path string, document []byte, header http.Header) error {
	authority := c.cfg.Memory.Authority()
	if len(authority) == 0 {
		return nil
	}
	issued, err := strconv.ParseUint(header.Get(report.HeaderIssued), 10, 64)
	if err != nil {
		return errors.New("the policy is not signed, and this agent is tied to an authority")
	}
	if err := report.VerifyPolicy(authority, path, issued, document, header.Get(report.HeaderSignature)); err != nil {
		return fmt.Errorf("the policy is refused: %s", err.Error())
	}
	if seen := c.cfg.Memory.Issued(); issued < seen {
		return fmt.Errorf("the policy is refused: it was signed at %d, and one of %d was seen", issued, seen)
	}
	return c.cfg.Memory.SaveIssued(issued)
}
