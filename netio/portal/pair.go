package portal

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The pair that the appliance makes for itself when none is configured.
const (
	tlsDirectory     = "tls"
	certificateFile  = "portal.crt"
	keyFile          = "portal.key"
	pairLifetime     = 825 * 24 * time.Hour // what Apple's systems accept of a private issuer
	pairRenewBefore  = 30 * 24 * time.Hour
	pairOrganization = "Sallyport"
	pairBackdate     = time.Hour // clocks of endpoints are behind
)

// pair is where certificate and key are, and whether the files are ours to write.
type pair struct {
	certificate, key string
	own              bool
	names            []string // of the appliance; only for an own pair
	common           string   // the first of them, for people
}

func newPair(cfg *Config, listen netip.AddrPort) *pair {
	if cfg.Certificate != "" {
		return &pair{certificate: cfg.Certificate, key: cfg.Key}
	}
	dir := filepath.Join(cfg.StateDir, tlsDirectory)
	names := append([]string{cfg.Name}, cfg.Names...)
	if a := listen.Addr().Unmap(); a.IsLoopback() || a.IsUnspecified() {
		names = append(names, "localhost", "127.0.0.1", "::1")
	}
	return &pair{
		certificate: filepath.Join(dir, certificateFile), key: filepath.Join(dir, keyFile),
		own: true, names: distinctNames(names), common: commonName(cfg.Name),
	}
}

// commonName has at most 64 characters (RFC 5280 appendix A, ub-common-name); agents and
// browsers read the other names.
func commonName(name string) string {
	if list := distinctNames([]string{name}); len(list) > 0 && len(list[0]) <= 64 {
		return list[0]
	}
	return pairOrganization
}

// distinctNames are host names and addresses, lower case, sorted, without doubles.
func distinctNames(names []string) []string {
	var out []string
	for _, n := range names {
		n = strings.ToLower(strings.TrimSuffix(strings.Trim(n, "[]"), "."))
		if a, err := netip.ParseAddr(n); err == nil {
			n = a.Unmap().WithZone("").String()
		}
		if n != "" {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// load returns the pair, and makes or renews it first when it is our own and has to be.
// renewed says so.
func (p *pair) load(now time.Time) (cert *tls.Certificate, renewed bool, err error) {
	if !p.own {
		cert, err = readPair(p.certificate, p.key)
		return cert, false, err
	}
	cert, err = readPair(p.certificate, p.key)
	switch {
	case err == nil && !ours(cert.Leaf):
		return cert, false, nil // somebody put his own there: his to renew
	case err == nil && p.fits(cert.Leaf, now):
		return cert, false, os.Chmod(p.key, 0o600)
	}
	if err := p.mayWrite(); err != nil {
		return nil, false, err
	}
	if err := p.make(now); err != nil {
		return nil, false, err
	}
	cert, err = readPair(p.certificate, p.key)
	return cert, true, err
}

func readPair(certificate, key string) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("portal: certificate %s with key %s: %w", certificate, key, err)
	}
	return &cert, nil
}

// ours says whether this appliance signed a certificate for itself.
func ours(leaf *x509.Certificate) bool {
	return slices.Equal(leaf.Subject.Organization, []string{pairOrganization}) &&
		leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil
}

// mayWrite refuses to write over a certificate that is not ours.
func (p *pair) mayWrite() error {
	text, err := os.ReadFile(p.certificate)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("portal: %w", err)
	}
	if block, _ := pem.Decode(text); block != nil {
		if leaf, err := x509.ParseCertificate(block.Bytes); err == nil && ours(leaf) {
			return nil
		}
	}
	return fmt.Errorf("portal: %s is not a certificate of this appliance and does not work with %s; remove it to get a new one", p.certificate, p.key)
}

// fits says whether our own certificate is in date and for exactly our names.
func (p *pair) fits(leaf *x509.Certificate, now time.Time) bool {
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter.Add(-pairRenewBefore)) {
		return false
	}
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return slices.Equal(distinctNames(names), p.names)
}

// make writes a new certificate. A sound key is kept, so that agents that know it keep
// knowing the appliance.
func (p *pair) make(now time.Time) error {
	if err := os.MkdirAll(filepath.Dir(p.key), 0o755); err != nil {
		return fmt.Errorf("portal: %w", err)
	}
	key, err := p.ownKey()
	if err != nil {
		return err
	}
	der, err := selfSigned(key, p.common, p.names, now)
	if err != nil {
		return fmt.Errorf("portal: self-signed certificate: %w", err)
	}
	return writeWhole(p.certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// ownKey reads our key, or makes one where there is none. A key that cannot be read as
// one is not overwritten: it may be somebody's.
func (p *pair) ownKey() (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(p.key)
	if err == nil {
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("portal: %s is not a PEM key; remove it to get a new one", p.key)
		}
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("portal: %s: %w; remove it to get a new one", p.key, err)
		}
		key, ok := parsed.(*ecdsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("portal: %s is a %T, not ECDSA; remove it to get a new one", p.key, parsed)
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("portal: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	return key, writeWhole(p.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func selfSigned(key *ecdsa.PrivateKey, common string, names []string, now time.Time) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: common, Organization: []string{pairOrganization}},
		NotBefore:    now.Add(-pairBackdate), NotAfter: now.Add(pairLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// Not a certificate authority: who trusts it trusts this appliance, nothing more.
		BasicConstraintsValid: true,
	}
	for _, n := range names {
		if a, err := netip.ParseAddr(n); err == nil {
			c.IPAddresses = append(c.IPAddresses, a.AsSlice())
		} else {
			c.DNSNames = append(c.DNSNames, n)
		}
	}
	return x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
}

// writeWhole makes a file that is whole or not there, with its mode from the beginning.
func writeWhole(name string, content []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return fmt.Errorf("portal: %w", err)
	}
	_, err = bytes.NewReader(content).WriteTo(f)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("portal: %s: %w", name, err), os.Remove(f.Name()))
	}
	return nil
}

// stamp changes whenever one of the two files does.
func (p *pair) stamp() string {
	var b strings.Builder
	for _, name := range []string{p.certificate, p.key} {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintf(&b, "%d %d;", info.ModTime().UnixNano(), info.Size())
		}
	}
	return b.String()
}
