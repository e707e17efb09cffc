package devicekey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"testing"

	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/netio/report"
)

func stateDir(t *testing.T) keep.Dir {
	t.Helper()
	dir, err := keep.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestKeyIsMadeOnceAndForOneself(t *testing.T) {
	dir := stateDir(t)
	first, err := loadFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := loadFile(dir)
	if err != nil || !again.Equal(first) {
		t.Fatalf("another key after a restart: %v", err)
	}
	info, err := os.Stat(dir.Path(keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if _, err := report.ParseKey(report.MarshalKey(&first.PublicKey)); err != nil {
		t.Error(err)
	}
}

func TestBadKeysAreRefused(t *testing.T) {
	wrongCurve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(wrongCurve)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"readable by all": {"x", 0o644, "others may read"},
		"by the group":    {"x", 0o640, "others may read"},
		"empty":           {"", 0o600, "no PEM block"},
		"certificate":     {"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", 0o600, "no PEM block"},
		"garbage":         {"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", 0o600, "no key on P-256"},
		"other curve":     {string(pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})), 0o600, "no key on P-256"},
	} {
		dir := stateDir(t)
		if err := os.WriteFile(dir.Path(keyFile), []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir.Path(keyFile), c.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := loadFile(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := stateDir(t)
	if err := os.Symlink("/dev/null", dir.Path(keyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := loadFile(dir); err == nil || !strings.Contains(err.Error(), "not a plain file") {
		t.Error(err)
	}
}
