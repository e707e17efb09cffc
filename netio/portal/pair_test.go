package portal

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/ops/clock"
)

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// open makes a portal that is never started, and closes it.
func open(t *testing.T, cfg Config) (*Server, error) {
	t.Helper()
	if cfg.Address == "" {
		cfg.Address = "127.0.0.1:0"
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	s, err := New(cfg, &fakePosture{})
	if err == nil {
		t.Cleanup(func() {
			if err := s.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return s, err
}

// TestOwnPair: made on the first start, kept on the second, renewed when its time or its
// names are over, with the same key.
func TestOwnPair(t *testing.T) {
	now := clock.NewManual(testTime)
	cfg := Config{Name: "Posture-1.example.com.", Names: []string{"10.48.23.88", "portal.example.com"}, StateDir: t.TempDir(), Clock: now}
	load := func() *Server {
		t.Helper()
		s, err := open(t, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := load()
	if want := filepath.Join(cfg.StateDir, "tls", "portal.crt"); s.CertificatePath() != want {
		t.Errorf("%s, want %s", s.CertificatePath(), want)
	}
	leaf := s.certificate.Load().cert.Leaf
	for _, name := range []string{"posture-1.example.com", "portal.example.com", "10.48.23.88", "127.0.0.1", "::1", "localhost"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if len(leaf.DNSNames) != 3 || len(leaf.IPAddresses) != 3 || leaf.IsCA || leaf.Subject.CommonName != "posture-1.example.com" {
		t.Errorf("names %v %v, CA %v, subject %s", leaf.DNSNames, leaf.IPAddresses, leaf.IsCA, leaf.Subject)
	}
	key := filepath.Join(cfg.StateDir, "tls", "portal.key")
	info, err := os.Stat(key)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("key: %v, %v", info.Mode(), err)
	}
	first, secret := readFile(t, s.CertificatePath()), readFile(t, key)

	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	load()
	if !bytes.Equal(readFile(t, s.CertificatePath()), first) {
		t.Error("a second start made another certificate")
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key is %v after a start, %v", info.Mode(), err)
	}

	cfg.Names = cfg.Names[:1]
	load()
	second := readFile(t, s.CertificatePath())
	if bytes.Equal(second, first) {
		t.Error("another name, and no other certificate")
	}
	now.Advance(pairLifetime - pairRenewBefore - time.Hour)
	running := load()
	if !bytes.Equal(readFile(t, s.CertificatePath()), second) {
		t.Error("renewed too early")
	}
	now.Advance(2 * time.Hour)
	if err := running.ReloadCertificate(); err != nil {
		t.Fatal(err)
	}
	leaf = running.certificate.Load().cert.Leaf
	if bytes.Equal(readFile(t, s.CertificatePath()), second) || leaf.NotAfter.Before(now.Now().Add(pairLifetime-time.Minute)) {
		t.Errorf("not renewed: until %s", leaf.NotAfter)
	}
	if !bytes.Equal(readFile(t, key), secret) {
		t.Error("the key changed")
	}
	if left, err := filepath.Glob(filepath.Join(cfg.StateDir, "tls", ".new-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestPairWithoutLoopback: loopback names stand only where the portal listens on it.
func TestPairWithoutLoopback(t *testing.T) {
	cfg := &Config{Name: "a.example.com", StateDir: "x"}
	for _, test := range []struct {
		listen string
		want   []string
	}{
		{"192.0.2.1:8443", []string{"a.example.com"}},
		{"127.0.0.1:8443", []string{"127.0.0.1", "::1", "a.example.com", "localhost"}},
		{"[::]:8443", []string{"127.0.0.1", "::1", "a.example.com", "localhost"}},
	} {
		if got := newPair(cfg, netip.MustParseAddrPort(test.listen)).names; !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.listen, got, test.want)
		}
	}
}

// foreign writes the pair of somebody else.
func foreign(t *testing.T, certificate, key string) {
	t.Helper()
	k := newKey(t)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "operator"}, DNSNames: []string{"operator.example.com"},
		NotBefore: testTime.Add(-time.Hour), NotAfter: testTime.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOperatorsPair: files of the operator are served, taken up when replaced, and
// never written, even when they are in the place of ours, expired, or broken.
func TestOperatorsPair(t *testing.T) {
	dir := t.TempDir()
	crt, key := filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key")
	foreign(t, crt, key)
	now := clock.NewManual(testTime)
	s, err := open(t, Config{Name: "a", Certificate: crt, Key: key, StateDir: filepath.Join(dir, "state"), Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	if s.CertificatePath() != crt {
		t.Errorf("certificate %s", s.CertificatePath())
	}
	before := s.certificate.Load().cert.Leaf
	foreign(t, crt, key)
	replaced := readFile(t, crt)
	now.Advance(pairLifetime)
	if err := s.ReloadCertificate(); err != nil {
		t.Fatal(err)
	}
	if s.certificate.Load().cert.Leaf.Equal(before) {
		t.Error("the replaced certificate is not in use")
	}
	if err := os.WriteFile(key, []byte("half a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := s.certificate.Load()
	if err := s.ReloadCertificate(); err == nil || !strings.Contains(err.Error(), key) {
		t.Errorf("a broken key: %v", err)
	}
	if s.certificate.Load() != in || !bytes.Equal(readFile(t, crt), replaced) {
		t.Error("a broken key changed something")
	}
	if _, err := os.Stat(filepath.Join(dir, "state", "tls")); err == nil {
		t.Error("a pair was made although one is configured")
	}
}

// TestForeignPairInOurPlace: whoever puts his own pair into the state directory keeps it.
func TestForeignPairInOurPlace(t *testing.T) {
	state := t.TempDir()
	crt, key := filepath.Join(state, "tls", "portal.crt"), filepath.Join(state, "tls", "portal.key")
	foreign(t, crt, key)
	text := readFile(t, crt)
	now := clock.NewManual(testTime.Add(48 * time.Hour)) // it is expired, too
	s, err := open(t, Config{Name: "a", StateDir: state, Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ReloadCertificate(); err != nil {
		t.Fatal(err)
	}
	if s.certificate.Load().cert.Leaf.Subject.CommonName != "operator" {
		t.Error("it is not in use")
	}
	for name, spoil := range map[string]string{"no key": key, "another key": key} {
		if name == "no key" {
			err = os.Remove(spoil)
		} else {
			foreign(t, filepath.Join(state, "x.crt"), key)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, Config{Name: "a", StateDir: state, Clock: now}); err == nil || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !bytes.Equal(readFile(t, crt), text) {
		t.Error("it was written over")
	}
}

// TestConfigFaults: what New cannot work with, it says.
func TestConfigFaults(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		cfg  Config
		want string
	}{
		"no name":           {Config{StateDir: dir}, "no name"},
		"half a pair":       {Config{Name: "a", Certificate: bad}, "come together"},
		"nowhere to put it": {Config{Name: "a"}, "state directory"},
		"no such address":   {Config{Name: "a", StateDir: dir, Address: "256.0.0.1:1"}, "256.0.0.1"},
		"not a certificate": {Config{Name: "a", Certificate: bad, Key: bad}, bad},
		"state is a file":   {Config{Name: "a", StateDir: bad}, bad},
	} {
		if _, err := open(t, test.cfg); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if _, err := New(Config{Name: "a", StateDir: dir}, nil); err == nil {
		t.Error("a portal without posture")
	}
}

// TestKeyOfSomebody: a key file that is not ours to read as one is not overwritten.
func TestKeyOfSomebody(t *testing.T) {
	state := t.TempDir()
	key := filepath.Join(state, "tls", "portal.key")
	if err := os.MkdirAll(filepath.Dir(key), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"not PEM", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if err := os.WriteFile(key, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, Config{Name: "a", StateDir: state}); err == nil || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%q: %v", text, err)
		}
		if string(readFile(t, key)) != text {
			t.Error("the key was written over")
		}
	}
}
