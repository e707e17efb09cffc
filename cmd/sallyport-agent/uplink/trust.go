package uplink

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Pin is the SHA-256 of a certificate, or of its SubjectPublicKeyInfo.
type Pin [sha256.Size]byte

// ParsePin reads "sha256:" and 64 hexadecimal digits, with or without colons between.
func ParsePin(text string) (Pin, error) {
	digits, ok := strings.CutPrefix(strings.ToLower(text), "sha256:")
	b, err := hex.DecodeString(strings.ReplaceAll(digits, ":", ""))
	if !ok || err != nil || len(b) != len(Pin{}) {
		return Pin{}, fmt.Errorf("pin %q: want sha256: and 64 hexadecimal digits, as `openssl x509 -noout -fingerprint -sha256` prints them", text)
	}
	return Pin(b), nil
}

// Trust says which appliance may give this agent orders. One of these is enough:
//
//	a pin              the certificate or its key is known; nothing else is asked
//	Roots              a chain to an anchor given for this purpose, for the host's name;
//	                   name rules, when there are any, hold too
//	the system's roots the same, and the name fits a rule or is on the call-home list: any
//	                   site of the world has a certificate of those
//	first use          the first appliance ever met, and from then on that key alone
type Trust struct {
	Pins      []Pin
	Roots     *x509.CertPool // nil: none
	NameRules []string       // "posture.example.com", or "*.example.com" for one label more
	FirstUse  bool
	Now       func() time.Time

	named []string // hosts of the call-home list
}

// ErrNobodyTrusted says that the configuration trusts no appliance at all.
var ErrNobodyTrusted = errors.New("nothing says which appliance to trust: give --pin, --ca, --name-rule, --server or --trust-first-use")

func (t *Trust) check(servers []string) error {
	for _, s := range servers {
		t.named = append(t.named, hostOf(s))
	}
	if len(t.Pins) == 0 && t.Roots == nil && len(t.NameRules) == 0 && len(t.named) == 0 && !t.FirstUse {
		return ErrNobodyTrusted
	}
	return nil
}

// hostOf leaves the port away.
func hostOf(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		return host
	}
	return strings.Trim(s, "[]")
}

// keyPin is the pin of a certificate's public key.
func keyPin(cert *x509.Certificate) Pin { return pinOf(cert.RawSubjectPublicKeyInfo) }

func pinOf(spki []byte) Pin { return sha256.Sum256(spki) }

// verify decides about the certificates a host showed.
func (t *Trust) verify(host string, chain []*x509.Certificate, memory *Memory) error {
	if len(chain) == 0 {
		return errors.New("the appliance showed no certificate")
	}
	leaf := chain[0]
	if slices.Contains(t.Pins, keyPin(leaf)) || slices.Contains(t.Pins, Pin(sha256.Sum256(leaf.Raw))) {
		return nil
	}
	if len(t.Pins) > 0 {
		return fmt.Errorf("the certificate of %s is not the pinned one: its key is sha256:%x", host, keyPin(leaf))
	}
	err := t.verifyChain(host, chain)
	if err == nil || !t.FirstUse {
		return err
	}
	known, ok := memory.Trusted()
	if !ok || bytes.Equal(known[:], pinBytes(leaf)) {
		return nil // the first; it is remembered once it has proved to be an appliance
	}
	return fmt.Errorf("%s is not the appliance trusted on first use, and otherwise: %w", host, err)
}

func pinBytes(cert *x509.Certificate) []byte {
	p := keyPin(cert)
	return p[:]
}

// verifyChain is the usual verification, twice: with our anchors and with the system's.
func (t *Trust) verifyChain(host string, chain []*x509.Certificate) error {
	options := x509.VerifyOptions{DNSName: dnsName(host), CurrentTime: t.Now(), Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	named := slices.ContainsFunc(t.NameRules, func(rule string) bool { return matches(rule, host) })
	var why error
	if t.Roots != nil {
		options.Roots = t.Roots
		if _, why = chain[0].Verify(options); why == nil {
			if len(t.NameRules) > 0 && !named {
				return fmt.Errorf("no name rule allows %s", host)
			}
			return nil
		}
	}
	options.Roots = nil
	if _, err := chain[0].Verify(options); err != nil {
		if why == nil {
			why = err
		}
		return fmt.Errorf("the certificate of %s is not trusted: %w", host, why)
	}
	if !named && !slices.Contains(t.named, host) {
		return fmt.Errorf("%s has a certificate of the system's roots, but no name rule allows it and it is not on the call-home list", host)
	}
	return nil
}

// dnsName is how x509 wants an address written.
func dnsName(host string) string {
	if ip := net.ParseIP(host); ip != nil {
		return "[" + host + "]"
	}
	return host
}

// matches compares a host with a rule, without regard to case. A star stands for one
// whole label.
func matches(rule, host string) bool {
	rule, host = strings.ToLower(rule), strings.ToLower(strings.TrimSuffix(host, "."))
	suffix, ok := strings.CutPrefix(rule, "*")
	if !ok {
		return rule == host
	}
	label, found := strings.CutSuffix(host, suffix)
	return found && strings.HasPrefix(suffix, ".") && label != "" && !strings.Contains(label, ".")
}
