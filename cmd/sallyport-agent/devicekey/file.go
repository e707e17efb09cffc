package devicekey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"sallyport/cmd/sallyport-agent/keep"
)

// keyFile holds the device key: PKCS #8 in PEM.
const keyFile = "device.key"

const keyBlock = "PRIVATE KEY"

// loadFile reads the device key, or makes one the first time. A key that others can read
// is refused, since it proves nothing any more.
func loadFile(dir keep.Dir) (*ecdsa.PrivateKey, error) {
	path := dir.Path(keyFile)
	block, err := readBlock(path, keyBlock)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("device key: %s holds no key on P-256; move it away to have a new one made", path)
	}
	return key, nil
}

func makeKey(dir keep.Dir) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	return key, dir.Write(keyFile, pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), keep.Private)
}

// readBlock reads a file that only the agent may read, of one PEM block of a kind.
func readBlock(path, kind string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a plain file; move it away to have a new key made", path)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("others may read %s (mode %04o); if nobody has, chmod 600, else remove it to have a new one made", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s has no PEM block %q; move it away to have a new key made", path, kind)
	}
	return block.Bytes, nil
}
