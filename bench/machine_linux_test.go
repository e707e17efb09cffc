package bench

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// motherOf, in the environment, makes this test program start a server, stop it, say its
// process id, and wait to be killed.
const motherOf = "SALLYPORT_BENCH_MOTHER_OF"

// mother is that program.
func mother(program string) error {
	cmd := exec.Command(program, "60")
	if err := startOn(-1, cmd); err != nil {
		return err
	}
	if err := pause(cmd.Process.Pid); err != nil {
		return err
	}
	fmt.Println("pid", cmd.Process.Pid)
	return cmd.Wait()
}

// TestServersEndWithUs: nothing goes on after a generator that was killed, not even a
// server that was stopped because it had no turn.
func TestServersEndWithUs(t *testing.T) {
	m := exec.Command(os.Args[0])
	m.Env = append(os.Environ(), motherOf+"=sleep")
	out, err := m.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	for text, buf := "", make([]byte, 1024); pid == 0; {
		n, err := out.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, text)
		}
		text += string(buf[:n])
		if _, after, ok := strings.Cut(text, "pid "); ok && strings.Contains(after, "\n") {
			line, _, _ := strings.Cut(after, "\n")
			if pid, err = strconv.Atoi(line); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := m.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = m.Wait() // it was killed
	deadline := time.Now().Add(10 * time.Second)
	for unix.Kill(pid, 0) == nil && !zombie(pid) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d goes on", pid)
		}
		time.Sleep(lookEvery)
	}
}

// zombie says whether a process has ended and only its parent does not know.
func zombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(text), ") Z ")
}
