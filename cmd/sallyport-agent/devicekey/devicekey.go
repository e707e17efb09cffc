// Package devicekey is the key by which an appliance knows this device: ECDSA on P-256, made
// here. Where there is a TPM 2.0 it is made there and never leaves it; elsewhere it is a file
// that only the agent may read.
//
//	device.key   the key itself, PKCS #8 in PEM
//	device.tpm   what the TPM needs to have its key back, of no use to another one
//
// A key that is there stays, so that a device does not turn into another one.
package devicekey

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"sallyport/cmd/sallyport-agent/keep"
)

// Where the key may be kept.
const (
	Auto = "auto" // a key that is there; else in the TPM, and where that does not work in a file
	TPM  = "tpm"  // in the TPM or nowhere
	File = "file" // no TPM is asked
)

// Place says where the key is.
type Place struct {
	In  string `json:"in"`            // TPM or File
	Why string `json:"why,omitempty"` // why not in the TPM; empty when none was to be asked
}

// String is the place in words.
func (p Place) String() string {
	switch {
	case p.In == TPM:
		return "in the TPM, which it cannot leave"
	case p.Why != "":
		return "in a file: " + p.Why
	}
	return "in a file"
}

// Load gives the device key, made when there is none. kept is Auto, TPM or File; device is
// the TPM's device, or the socket of one in software. The error names the file, or what the
// TPM said, and the way out.
func Load(dir keep.Dir, kept, device string, log *slog.Logger) (crypto.Signer, Place, error) {
	inFile, err := exists(dir, keyFile)
	if err != nil {
		return nil, Place{}, err
	}
	inTPM, err := exists(dir, tpmFile)
	if err != nil {
		return nil, Place{}, err
	}
	var why string
	switch {
	case kept == File:
	case kept == Auto && inFile && !inTPM:
		why = staysInFile(device)
	default:
		key, err := fromTPM(dir, inTPM, device, log)
		if err == nil {
			return key, Place{In: TPM}, nil
		}
		if kept == TPM || errors.Is(err, errDamaged) {
			return nil, Place{}, fmt.Errorf("device key: %w", err)
		}
		why = err.Error()
		log.Warn("the device key is kept in a file", "reason", why)
	}
	key, err := loadFile(dir)
	if err != nil {
		return nil, Place{}, err
	}
	return key, Place{In: File, Why: why}, nil
}

// Close lets the TPM go, if key is in one. It may be used again.
func Close(key crypto.Signer) {
	if k, ok := key.(*tpmKey); ok {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.close()
	}
}

func exists(dir keep.Dir, name string) (bool, error) {
	_, err := os.Lstat(dir.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("device key: %w", err)
	}
	return true, nil
}

func staysInFile(device string) string {
	tpm, err := openTPM(device)
	if err != nil {
		return err.Error()
	}
	_ = tpm.Close()
	return "it was there before the TPM was asked; device-key = tpm has another one made in the TPM"
}

func noTPM(device string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no TPM at %s", device)
	}
	return fmt.Errorf("the TPM cannot be opened: %w", err)
}
