package devicekey

import (
	"os"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

// openTPM opens the kernel's device, or the socket of a TPM in software.
func openTPM(device string) (transport.TPMCloser, error) {
	info, err := os.Stat(device)
	if err != nil {
		return nil, noTPM(device, err)
	}
	open := linuxtpm.Open
	if info.Mode()&os.ModeSocket != 0 {
		open = linuxudstpm.Open
	}
	tpm, err := open(device)
	if err != nil {
		return nil, noTPM(device, err)
	}
	return tpm, nil
}
