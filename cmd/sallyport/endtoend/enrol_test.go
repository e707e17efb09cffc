package endtoend

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"sallyport/engine/record"
	"sallyport/netio/radius"
	"sallyport/netio/report"
)

// enrol has the device key certified.
func (d *device) enrol() {
	d.t.Helper()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, d.key)
	must(d.t, err)
	body, err := json.Marshal(&report.Enroll{V: report.Version, SessionID: d.id, CSR: report.EncodeDER(csr), Certificate: d.certificate})
	must(d.t, err)
	status, answer := d.post(report.PathEnroll, body)
	if status != http.StatusOK {
		d.t.Fatalf("enrol: %d %s", status, answer)
	}
	enrolled, err := report.DecodeEnrolled(answer)
	must(d.t, err)
	d.certificate = enrolled.Certificate
}

// from has the device connect from an address of loopback.
func (d *device) from(address string) *device {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	d.http.Transport.(*http.Transport).DialContext = dialer.DialContext
	return d
}

// TestEnrolledDevice: rules see session.assurance "key" when a device comes again whose key
// was enrolled in an earlier session, and so do sessions and explain. Whoever steals tickets
// of the endpoint and enrols with them never gets that far.
func TestEnrolledDevice(t *testing.T) {
	t.Parallel()
	a := newAppliance(t, `session.posture == "Compliant"'`, `session.posture == "Compliant" && session.assurance == "key"'`,
		`'session.posture != "Compliant"'`, `'session.posture != "Compliant" || session.assurance != "key"'`)
	n := newNAS(t, "127.0.0.1")
	const endpoint, thiefs = "127.0.0.41", "127.0.0.66"
	login := func(audit string) string {
		t.Helper()
		return n.redirectedAs(a, audit, func(b *radius.Builder) { b.Addr(radius.FramedIPAddress, netip.MustParseAddr(endpoint)) })
	}
	wants := func(id, assurance, profile string) {
		t.Helper()
		s := a.session(id)
		text, _, _ := a.run("sessions", id)
		row := a.row(func(d *record.Decision) bool { return d.Kind == record.KindPosture && d.SessionID == id })
		if s.Posture.Assurance != assurance || row.AuthorizationProfile != profile || !strings.Contains(text, assurance) {
			t.Errorf("session %s: assurance %q, profile %q; want %q and %q\n%s", id, s.Posture.Assurance, row.AuthorizationProfile, assurance, profile, text)
		}
	}
	d := a.device().from(endpoint)
	if got := d.bind(login("0a3042ca0002d00056e2dce1")); got != "ticket" {
		t.Errorf("the first session is bound by %s", got)
	}
	d.enrol()
	d.compliant()
	wants(d.id, "ticket", "Posture_Redirect")

	if got := d.bind(login("0a3042ca0002d00056e2dce2")); got != "key" {
		t.Errorf("the second session is bound by %s", got)
	}
	d.compliant()
	wants(d.id, "key", "FullAccess")
	if out, fault, code := a.run("explain", d.id); code != 0 || !strings.Contains(out, "Compliant_Devices_Access") || !strings.Contains(out, "session.assurance") {
		t.Errorf("explain: %d %s%s", code, out, fault)
	}

	thief := a.device().from(thiefs)
	for _, audit := range []string{"0a3042ca0002d00056e2dce3", "0a3042ca0002d00056e2dce4"} {
		for range 2 { // with the certificate of before, and with the one that the ticket gave
			if got := thief.bind(login(audit)); got != "ticket" {
				t.Errorf("a stolen ticket of %s binds by %s", audit, got)
			}
			thief.enrol()
		}
		thief.compliant()
		wants(audit, "ticket", "Posture_Redirect")
	}
	cert, err := report.ParseCertificate(thief.certificate)
	must(t, err)
	if proofs := report.DeviceOf(cert).Proofs; len(proofs) != 0 {
		t.Errorf("the thief's certificate says %+v", proofs)
	}
}
