package usbtest

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	kernelVariable = "SALLYPORT_USB_KERNEL"
	emulator       = "qemu-system-x86_64"

	bootPatience = 120 * time.Second // without hardware virtualisation a boot was seen to take 10 s
	patience     = 30 * time.Second
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(waitVariable) != "":
		select {}
	case os.Getpid() == 1:
		guestMain()
	}
	flag.Parse()
	os.Exit(m.Run())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// machine is a guest in QEMU.
type machine struct {
	t    *testing.T
	dir  string
	qemu *exec.Cmd
	tpm  *exec.Cmd // swtpm, of which the machine thinks as of a chip; nil without
	line net.Conn
	qmp  *json.Encoder

	mu      sync.Mutex // guards what follows
	next    int
	answers map[int]chan message
	events  []seenEvent
	changed chan struct{}
	control chan map[string]json.RawMessage // answers of QMP
	deleted []string                        // devices that QEMU says are gone
}

// seenEvent is an event of the guest's kernel and when it was known here.
type seenEvent struct {
	uevent
	here time.Time
}

// newMachine boots a guest whose system disk is new.
func newMachine(t *testing.T) *machine {
	t.Helper()
	m := prepareMachine(t)
	m.boot()
	return m
}

func prepareMachine(t *testing.T) *machine {
	t.Helper()
	kernel := os.Getenv(kernelVariable)
	if kernel == "" {
		t.Skip("no kernel: make test-usb, and in short make test before this, unpack one and name it in " + kernelVariable)
	}
	for _, program := range []string{emulator, "modinfo", "mkfs.ext4", "debugfs", "e2fsck"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: make test-usb installs it", program)
		}
	}
	m := &machine{t: t, dir: t.TempDir()}
	agent := m.path("agent")
	build(t, "build", "-trimpath", "-o", agent, "sallyport/cmd/sallyport-agent")
	image, modules, err := kernelOf(kernel)
	must(t, err)
	must(t, os.Symlink(image, m.path("kernel")))
	writeBoot(t, m.path("initrd"), modules, agent)
	newDisk(t, m.path("system"), 64)
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

// boot starts QEMU and waits until process 1 answers. After powerOff it may be called
// again: what is on the disks is still there.
func (m *machine) boot() {
	m.t.Helper()
	m.answers, m.events, m.deleted = map[int]chan message{}, nil, nil
	m.changed, m.control = make(chan struct{}), make(chan map[string]json.RawMessage, 16)
	begun := time.Now()
	listen := func(name string) net.Listener {
		os.Remove(m.path(name))
		l, err := net.Listen("unix", m.path(name))
		must(m.t, err)
		return l
	}
	line, qmp := listen("line"), listen("qmp")
	defer line.Close()
	defer qmp.Close()
	m.qemu = exec.Command(emulator, "-accel", "tcg", "-icount", "shift=1", "-M", "q35", "-cpu", "max", "-m", "512", "-nodefaults", "-no-reboot", "-display", "none",
		"-serial", "file:"+m.path("console"), "-chardev", "socket,id=line,path="+m.path("line"), "-serial", "chardev:line",
		"-qmp", "unix:"+m.path("qmp"), "-device", "qemu-xhci,id=hc,p2=8,p3=8",
		"-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net",
		"-drive", "if=none,id=system,format=raw,file="+m.path("system"), "-device", "usb-storage,id=systemdisk,bus=hc.0,port=8,drive=system,serial=SYSTEM01",
		"-kernel", m.path("kernel"), "-initrd", m.path("initrd"), "-append", "console=ttyS0 quiet panic=-1 rdinit=/init net.ifnames=0")
	m.addTPM()
	m.qemu.Stderr = os.Stderr
	must(m.t, m.qemu.Start())
	m.t.Cleanup(m.kill)
	accept := func(l net.Listener) net.Conn {
		must(m.t, l.(*net.UnixListener).SetDeadline(time.Now().Add(bootPatience)))
		c, err := l.Accept()
		must(m.t, err)
		return c
	}
	m.line = accept(line)
	ready := make(chan message, 1)
	m.answers[-1] = ready
	go m.hear(m.line)
	q := accept(qmp)
	m.qmp = json.NewEncoder(q)
	go m.hearControl(q)
	m.qmpDo("qmp_capabilities", nil)
	m.waitFor("process 1 of the machine answers", bootPatience, func() bool { return len(ready) > 0 || m.qemuEnded() })
	if m.qemuEnded() {
		m.fatal("the machine ended instead of starting")
	}
	m.t.Logf("the machine is up after %s", time.Since(begun).Round(10*time.Millisecond))
}

// addTPM gives the machine a TPM, when swtpm is here. It keeps its state from one start of the
// machine to the next.
func (m *machine) addTPM() {
	m.t.Helper()
	program, err := exec.LookPath("swtpm")
	if err != nil {
		return
	}
	must(m.t, os.MkdirAll(m.path("tpm"), 0o700))
	socket := m.path("tpm/socket")
	os.Remove(socket)
	m.tpm = exec.Command(program, "socket", "--tpm2", "--tpmstate", "dir="+m.path("tpm"), "--ctrl", "type=unixio,path="+socket, "--terminate")
	must(m.t, m.tpm.Start())
	m.waitFor("swtpm listens", bootPatience, func() bool { return exists(socket) })
	m.qemu.Args = append(m.qemu.Args, "-chardev", "socket,id=tpm,path="+socket, "-tpmdev", "emulator,id=chip,chardev=tpm", "-device", "tpm-tis,tpmdev=chip")
}

func (m *machine) fatal(format string, args ...any) {
	m.t.Helper()
	console, _ := os.ReadFile(m.path("console"))
	m.t.Fatalf(format+"\nconsole:\n%s", append(args, tail(string(console), 30))...)
}

func tail(text string, lines int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (m *machine) kill() {
	if m.qemu != nil {
		m.qemu.Process.Kill() // it may have ended
		m.qemu.Wait()
		m.qemu = nil
	}
	if m.tpm != nil {
		m.tpm.Process.Kill()
		m.tpm.Wait()
		m.tpm = nil
	}
}

// powerOff ends the guest in order, so that its disks may be looked at.
func (m *machine) powerOff() {
	m.t.Helper()
	must(m.t, json.NewEncoder(m.line).Encode(request{Verb: "poweroff"}))
	m.wait("the machine is off", func() bool { return m.qemu.ProcessState != nil || m.qemuEnded() })
	m.qemu.Wait()
	m.kill()
}

// qemuEnded is true when QEMU closed the control connection.
func (m *machine) qemuEnded() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.deleted, "qemu")
}

// hear reads the serial line.
func (m *machine) hear(from net.Conn) {
	in := bufio.NewReader(from)
	for {
		text, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		here := time.Now()
		var msg message
		if json.Unmarshal(text, &msg) != nil {
			continue // a line that began before the guest's terminal was raw
		}
		m.mu.Lock()
		if msg.Event != nil {
			m.events = append(m.events, seenEvent{*msg.Event, here})
			m.wake()
		} else if c := m.answers[msg.ID]; c != nil {
			c <- msg
			delete(m.answers, msg.ID)
		}
		m.mu.Unlock()
	}
}

// wake tells all who wait. REQUIRES: mu.
func (m *machine) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *machine) hearControl(from net.Conn) {
	in := json.NewDecoder(from)
	for {
		var msg map[string]json.RawMessage
		if err := in.Decode(&msg); err != nil {
			m.mu.Lock()
			m.deleted = append(m.deleted, "qemu")
			m.wake()
			m.mu.Unlock()
			return
		}
		switch {
		case msg["return"] != nil, msg["error"] != nil:
			m.control <- msg
		case string(msg["event"]) == `"DEVICE_DELETED"`:
			var data struct{ Device string }
			if json.Unmarshal(msg["data"], &data) == nil {
				m.mu.Lock()
				m.deleted = append(m.deleted, data.Device)
				m.wake()
				m.mu.Unlock()
			}
		}
	}
}

type args map[string]any

// qmpDo carries out one command of QEMU's.
func (m *machine) qmpDo(command string, arguments args) {
	m.t.Helper()
	if arguments == nil {
		arguments = args{}
	}
	must(m.t, m.qmp.Encode(args{"execute": command, "arguments": arguments}))
	select {
	case answer := <-m.control:
		if answer["error"] != nil {
			m.t.Fatalf("QEMU: %s %v: %s", command, arguments, answer["error"])
		}
	case <-time.After(patience):
		m.fatal("QEMU does not answer %s", command)
	}
}

// try asks the guest to do something.
func (m *machine) try(verb string, arguments ...string) ([]string, error) {
	m.t.Helper()
	c := make(chan message, 1)
	m.mu.Lock()
	m.next++
	id := m.next
	m.answers[id] = c
	m.mu.Unlock()
	must(m.t, json.NewEncoder(m.line).Encode(request{ID: id, Verb: verb, Args: arguments}))
	select {
	case msg := <-c:
		if msg.Error != "" {
			return msg.Lines, fmt.Errorf("guest: %s %v: %s", verb, arguments, msg.Error)
		}
		return msg.Lines, nil
	case <-time.After(patience):
		m.fatal("the guest does not answer %s %v", verb, arguments)
	}
	return nil, nil
}

func (m *machine) do(verb string, arguments ...string) []string {
	m.t.Helper()
	lines, err := m.try(verb, arguments...)
	must(m.t, err)
	return lines
}

// text is a file of the guest, without its last line end; empty when it is not there.
func (m *machine) text(name string) string {
	m.t.Helper()
	lines, err := m.try("read", name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// wait looks whenever something happened, and every 20 ms.
func (m *machine) wait(what string, done func() bool) {
	m.t.Helper()
	m.waitFor(what, patience, done)
}

func (m *machine) waitFor(what string, within time.Duration, done func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(within); !done(); {
		if time.Now().After(deadline) {
			log := "(it has not started)"
			if within == patience {
				log = m.agentLog()
			}
			m.fatal("not within %s: %s\nagent:\n%s", within, what, log)
		}
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		select {
		case <-changed:
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (m *machine) agentLog() string {
	if m.qemu == nil || m.qemuEnded() {
		return "(the machine is off)"
	}
	return tail(m.text("/tmp/agent.log"), 40)
}

// mark is a place in the list of events.
func (m *machine) mark() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.events)
}

// since are the events after a mark that are wanted.
func (m *machine) since(mark int, wanted func(*uevent) bool) []seenEvent {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []seenEvent
	for _, e := range m.events[mark:] {
		if wanted(&e.uevent) {
			found = append(found, e)
		}
	}
	return found
}

// first waits for an event after a mark.
func (m *machine) first(mark int, what string, wanted func(*uevent) bool) seenEvent {
	m.t.Helper()
	var found []seenEvent
	m.wait(what, func() bool { found = m.since(mark, wanted); return len(found) > 0 })
	return found[0]
}

func (m *machine) gone(device string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.deleted, device)
}
