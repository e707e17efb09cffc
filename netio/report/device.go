package report

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
)

// Device is what a device certificate says of its key besides that it was enrolled: in
// which sessions it proved to be the endpoint's. Each proof is one URI among the subject's
// alternative names (RFC 5280 section 4.2.1.6), its parts escaped as path segments are:
//
//	sallyport:mac/00:0c:29:c9:d9:37/0a3042ca0001d00056e2dce3
//	sallyport:user/cisco/0a3042ca0001d00056e2dce3
type Device struct {
	Proofs []Proof // oldest first
}

// Proof says for whom a key proved itself, and in which session. One of MAC and User is
// set: the user counts where the NAS tells no MAC.
type Proof struct {
	MAC     string // aa:bb:cc:dd:ee:ff, as the NAS told it
	User    string
	Session string // audit-session-id
}

// AssuranceKey is what a Claimed says when the device certificate counted: an enrolled key of
// this endpoint.
const AssuranceKey = "key"

const (
	proofScheme  = "sallyport"
	proofMAC     = "mac"
	proofUser    = "user"
	proofsMax    = 8    // a laptop with its docks; the oldest go first
	proofTextMax = 1800 // octets of them, so that the certificate stays below its limit
)

// With is the device with one proof more. For whom there is one already stays as it is:
// the older session says more.
func (d Device) With(p Proof) Device {
	if p.MAC == "" && p.User == "" || p.Session == "" ||
		slices.ContainsFunc(d.Proofs, func(o Proof) bool { return o.MAC == p.MAC && o.User == p.User }) {
		return d
	}
	d.Proofs = append(slices.Clone(d.Proofs), p)
	size := func() (n int) {
		for _, u := range d.URIs() {
			n += len(u.String())
		}
		return n
	}
	for len(d.Proofs) > proofsMax || len(d.Proofs) > 1 && size() > proofTextMax {
		d.Proofs = d.Proofs[1:]
	}
	if size() > proofTextMax {
		d.Proofs = nil
	}
	return d
}

// URIs are the names that a certificate carries.
func (d Device) URIs() []*url.URL {
	var list []*url.URL
	for _, p := range d.Proofs {
		kind, name := proofMAC, p.MAC
		if name == "" {
			kind, name = proofUser, p.User
		}
		list = append(list, &url.URL{Scheme: proofScheme, Opaque: kind + "/" + url.PathEscape(name) + "/" + url.PathEscape(p.Session)})
	}
	return list
}

// DeviceOf reads a certificate that was verified already. Other names are passed over.
func DeviceOf(cert *x509.Certificate) Device {
	var d Device
	for _, u := range cert.URIs {
		parts := strings.Split(u.Opaque, "/")
		if u.Scheme != proofScheme || len(parts) != 3 || len(d.Proofs) == proofsMax {
			continue
		}
		name, err := url.PathUnescape(parts[1])
		session, err2 := url.PathUnescape(parts[2])
		if err != nil || err2 != nil || name == "" || session == "" {
			continue
		}
		switch parts[0] {
		case proofMAC:
			d.Proofs = append(d.Proofs, Proof{MAC: name, Session: session})
		case proofUser:
			d.Proofs = append(d.Proofs, Proof{User: name, Session: session})
		}
	}
	return d
}

// DeviceName is what a device is called by its key (SubjectPublicKeyInfo): the first 24
// hexadecimal digits of its SHA-256.
func DeviceName(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:12])
}
