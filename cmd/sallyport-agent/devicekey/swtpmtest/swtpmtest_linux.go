// Package swtpmtest is a TPM 2.0 to test with: a real one in software, swtpm, behind a socket.
package swtpmtest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
)

// started bounds how long swtpm may take until it answers; some milliseconds are usual.
const started = 10 * time.Second

// TPM is one, with a state that outlives its restart.
type TPM struct {
	t       testing.TB
	program string
	dir     string
	daemon  *exec.Cmd
}

// Start makes a new TPM. Without swtpm the test is skipped.
func Start(t testing.TB) *TPM {
	t.Helper()
	program, err := exec.LookPath("swtpm")
	if err != nil {
		t.Skip("no swtpm here: install Debian's swtpm")
	}
	dir, err := os.MkdirTemp("", "tpm") // short, for a socket's name has 107 octets
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &TPM{t: t, program: program, dir: dir}
	t.Cleanup(m.Off)
	m.On()
	return m
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Socket is where it answers.
func (m *TPM) Socket() string { return filepath.Join(m.dir, "tpm") }

// On starts it, when it is off.
func (m *TPM) On() {
	m.t.Helper()
	m.daemon = exec.Command(m.program, "socket", "--tpm2", "--tpmstate", "dir="+m.dir, "--server", "type=unixio,path="+m.Socket(),
		"--ctrl", "type=unixio,path="+filepath.Join(m.dir, "control"), "--flags", "not-need-init,startup-clear")
	must(m.t, m.daemon.Start())
	for deadline := time.Now().Add(started); ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("unix", m.Socket())
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("swtpm does not answer: %v", err)
		}
	}
}

// Off takes its power away: what was loaded is lost, what it keeps stays.
func (m *TPM) Off() {
	if m.daemon != nil {
		_ = m.daemon.Process.Kill()
		_ = m.daemon.Wait()
		m.daemon = nil
	}
	_ = os.Remove(m.Socket())
}

// Clear gives it a new owner, as its reset in the firmware does: all keys of before are void.
func (m *TPM) Clear() {
	m.t.Helper()
	tpm, err := linuxudstpm.Open(m.Socket())
	must(m.t, err)
	_, err = tpm2.Clear{AuthHandle: tpm2.TPMRHPlatform}.Execute(tpm)
	must(m.t, err)
}

// Own sets the owner's password.
func (m *TPM) Own(password string) {
	m.t.Helper()
	tpm, err := linuxudstpm.Open(m.Socket())
	must(m.t, err)
	_, err = tpm2.HierarchyChangeAuth{AuthHandle: tpm2.TPMRHOwner, NewAuth: tpm2.TPM2BAuth{Buffer: []byte(password)}}.Execute(tpm)
	must(m.t, err)
}
