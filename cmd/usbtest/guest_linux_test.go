package usbtest

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guest is process 1 of the machine in QEMU.
type guest struct {
	line *os.File // the serial line to the tests

	writing sync.Mutex // one message at a time on line

	agent *exec.Cmd
	held  map[string]*os.File
	began time.Time
}

// guestMain never returns: a kernel whose process 1 ends panics.
func guestMain() {
	os.Setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin") // as a service has it
	g := &guest{held: map[string]*os.File{}, began: time.Now()}
	if err := g.boot(); err != nil {
		fmt.Println("BOOT FAILED:", err)
		unix.Sync()
		unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
	g.serve()
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// boot loads the modules and moves to the disk on USB as the root.
func (g *guest) boot() error {
	for _, m := range [][3]string{{"proc", "/proc", "proc"}, {"sysfs", "/sys", "sysfs"}, {"devtmpfs", "/dev", "devtmpfs"}} {
		if err := unix.Mount(m[0], m[1], m[2], 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	if err := loadModules("/modules"); err != nil {
		return err
	}
	if err := g.openLine("/dev/ttyS1"); err != nil {
		return err
	}
	// The disk is there a moment before it can be opened.
	var mounted error
	if await(20*time.Second, func() bool { mounted = mountRoot(); return mounted == nil }) != nil {
		return fmt.Errorf("mount the root: %w", mounted)
	}
	if err := copyFile("/agent", "/root/agent"); err != nil {
		return err
	}
	for _, dir := range []string{"proc", "sys", "dev", "tmp", "mnt", "etc", "state"} {
		if err := os.MkdirAll("/root/"+dir, 0o755); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if err := unix.Mount(dir, "/root"+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", dir, err)
		}
	}
	if err := errors.Join(os.Chdir("/root"), unix.Mount(".", "/", "", unix.MS_MOVE, ""), unix.Chroot("."), os.Chdir("/")); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := unix.Mount("tmpfs", "/tmp", "tmpfs", 0, ""); err != nil {
		return err
	}
	if err := os.WriteFile("/etc/os-release", []byte("NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n"), 0o644); err != nil {
		return err
	}
	if err := network(); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	return g.listen()
}

func mountRoot() error {
	if !exists("/dev/sda") {
		return errors.New("the system disk does not appear")
	}
	return unix.Mount("/dev/sda", "/root", "ext4", 0, "")
}

func loadModules(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		flags := 0
		if !strings.HasSuffix(e.Name(), ".ko") {
			flags = unix.MODULE_INIT_COMPRESSED_FILE
		}
		err = unix.FinitModule(int(f.Fd()), "", flags)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	return nil
}

// openLine opens the serial line without the kernel's line editing.
func (g *guest) openLine(tty string) error {
	f, err := os.OpenFile(tty, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	g.line = f
	return unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t)
}

// network gives the first card the address that QEMU's user network expects.
func network() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	for _, step := range []struct {
		card    string
		address [4]byte
		request uint
	}{
		{"eth0", [4]byte{10, 0, 2, 15}, unix.SIOCSIFADDR},
		{"eth0", [4]byte{255, 255, 255, 0}, unix.SIOCSIFNETMASK},
		{"lo", [4]byte{127, 0, 0, 1}, unix.SIOCSIFADDR},
	} {
		ifr, err := unix.NewIfreq(step.card)
		if err != nil {
			return err
		}
		if err := ifr.SetInet4Addr(step.address[:]); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(s, step.request, ifr); err != nil {
			return err
		}
		ifr.SetUint16(unix.IFF_UP)
		if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr); err != nil {
			return err
		}
	}
	return nil
}

// listen sends every message of the kernel to the tests from now on.
func (g *guest) listen() error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return err
	}
	if err := unix.Bind(s, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 16<<10)
		for {
			n, err := unix.Read(s, buf)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				g.say(message{Error: "uevents ended: " + err.Error()})
				return
			}
			ev := uevent{At: time.Since(g.began).Nanoseconds()}
			for i, field := range strings.Split(string(buf[:n]), "\x00") {
				if key, value, ok := strings.Cut(field, "="); i > 0 && ok {
					switch key {
					case "ACTION":
						ev.Action = value
					case "DEVPATH":
						ev.Path = value
					case "SUBSYSTEM":
						ev.Subsystem = value
					case "DEVTYPE":
						ev.Type = value
					case "INTERFACE":
						ev.Interface = value
					}
				}
			}
			if ev.Subsystem == "usb" || ev.Subsystem == "block" {
				g.say(message{Event: &ev})
			}
		}
	}()
	return nil
}

func (g *guest) say(m message) {
	b, err := json.Marshal(m)
	if err != nil {
		b = []byte(`{"error":"` + err.Error() + `"}`)
	}
	g.writing.Lock()
	defer g.writing.Unlock()
	g.line.Write(append(b, '\n'))
}

// serve answers until it is told to power off.
func (g *guest) serve() {
	g.say(message{ID: -1, Lines: []string{"ready"}})
	in := bufio.NewReader(g.line)
	for {
		text, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var r request
		if err := json.Unmarshal(text, &r); err != nil {
			g.say(message{Error: err.Error()})
			continue
		}
		if r.Verb == "poweroff" {
			return
		}
		lines, err := g.do(r.Verb, append(r.Args, "", "", ""))
		m := message{ID: r.ID, Lines: lines}
		if err != nil {
			m.Error = err.Error()
		}
		g.say(m)
	}
}

// do carries out a verb; missing arguments are empty.
func (g *guest) do(verb string, args []string) ([]string, error) {
	switch verb {
	case "start": // environment by name=value, then arguments of the agent
		return nil, g.start(args)
	case "end": // by a signal; answers with the exit code
		return g.end(args[0])
	case "spawn": // a program that stays, its words in /tmp/NAME.log; answers with the process id
		return spawn(args)
	case "exec": // a program that ends; answers with its output
		out, err := exec.Command(args[0], words(args[1:])...).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		return strings.Split(string(out), "\n"), nil
	case "signal": // to a process
		return nil, signal(args[0], args[1])
	case "read":
		b, err := os.ReadFile(args[0])
		return strings.Split(string(b), "\n"), err
	case "write":
		return nil, os.WriteFile(args[0], []byte(args[1]), 0o600)
	case "bytes":
		b, err := hex.DecodeString(args[1])
		if err == nil {
			err = os.WriteFile(args[0], b, 0o600)
		}
		return nil, err
	case "blank": // a file of so many MiB
		n, err := strconv.ParseInt(args[1], 10, 64)
		if err == nil {
			err = os.WriteFile(args[0], make([]byte, n<<20), 0o600)
		}
		return nil, err
	case "mkdir":
		return nil, os.MkdirAll(args[0], 0o755)
	case "link":
		return nil, os.Symlink(args[0], args[1])
	case "glob":
		return filepath.Glob(args[0])
	case "links": // what they point to, sorted; sockets left out
		return links(args[0])
	case "mount":
		return nil, unix.Mount(args[0], args[1], args[2], 0, "")
	case "umount":
		return nil, unix.Unmount(args[0], 0)
	case "hold": // writes to a file and keeps it open, nothing synced
		return nil, g.hold(args[0], args[1])
	case "drop":
		f := g.held[args[0]]
		delete(g.held, args[0])
		return nil, f.Close()
	case "key": // waits for a key of an input device whose name contains the text
		return key(args[0])
	case "press": // what a HID gadget tells its host
		return nil, press(args[0], args[1])
	case "elsewhere": // a process with a mount namespace of its own, as a container has
		return elsewhere()
	}
	return nil, fmt.Errorf("no such verb %q", verb)
}

func links(pattern string) ([]string, error) {
	names, err := filepath.Glob(pattern)
	var targets []string
	for _, name := range names {
		if target, err := os.Readlink(name); err == nil && !strings.HasPrefix(target, "socket:") {
			targets = append(targets, target)
		}
	}
	slices.Sort(targets)
	return targets, err
}

// words are the arguments that are not empty.
func words(args []string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "" })
}

func spawn(args []string) ([]string, error) {
	log, err := os.Create("/tmp/" + filepath.Base(args[0]) + ".log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(args[0], words(args[1:])...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go cmd.Wait() // how it ended nobody asks
	return []string{strconv.Itoa(cmd.Process.Pid)}, nil
}

func signal(process, number string) error {
	pid, err := strconv.Atoi(process)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.Signal(n))
}

func (g *guest) start(args []string) error {
	log, err := os.OpenFile("/tmp/agent.log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	g.agent = exec.Command("/agent")
	g.agent.Args = append(g.agent.Args, words(args)...)
	g.agent.Stdout, g.agent.Stderr = log, log
	return g.agent.Start()
}

func (g *guest) end(signal string) ([]string, error) {
	number, err := strconv.Atoi(signal)
	if err == nil {
		err = g.agent.Process.Signal(syscall.Signal(number))
	}
	if err != nil {
		return nil, err
	}
	g.agent.Wait() // the exit code says it
	return []string{strconv.Itoa(g.agent.ProcessState.ExitCode())}, nil
}

func (g *guest) hold(name, text string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	g.held[name] = f
	_, err = f.WriteString(text)
	return err
}

// keyPatience is how long a key press may take through an emulated controller.
const keyPatience = 5 * time.Second

// key waits for the first key event (input_event of linux/input.h: two words of time,
// then type, code and value) of the device.
func key(name string) ([]string, error) {
	names, err := filepath.Glob("/sys/class/input/event*")
	if err != nil {
		return nil, err
	}
	for _, dir := range names {
		b, _ := os.ReadFile(dir + "/device/name")
		if !strings.Contains(string(b), name) {
			continue
		}
		f, err := os.OpenFile("/dev/input/"+filepath.Base(dir), os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if err := f.SetReadDeadline(time.Now().Add(keyPatience)); err != nil {
			return nil, err
		}
		ev := make([]byte, 24)
		for {
			if _, err := io.ReadFull(f, ev); err != nil {
				return nil, err
			}
			if binary.LittleEndian.Uint16(ev[16:]) == 1 { // EV_KEY
				return []string{strconv.Itoa(int(binary.LittleEndian.Uint16(ev[18:])))}, nil
			}
		}
	}
	return nil, fmt.Errorf("no input device is named %q", name)
}

// press sends one report of a boot keyboard with a key down, then one with none, again
// and again while somebody may still be opening the device.
func press(gadget, code string) error {
	n, err := strconv.Atoi(code)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(gadget, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	go func() {
		defer f.Close()
		for range 20 {
			f.Write([]byte{0, 0, byte(n), 0, 0, 0, 0, 0})
			f.Write(make([]byte, 8))
			time.Sleep(100 * time.Millisecond)
		}
	}()
	return nil
}

// elsewhere starts this program again in a mount namespace of its own, private, where it
// waits for ever; it answers with its process id.
func elsewhere() ([]string, error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{waitVariable + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return []string{strconv.Itoa(cmd.Process.Pid)}, nil
}

// waitVariable makes this program wait for ever instead of testing.
const waitVariable = "SALLYPORT_USB_WAIT"

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func await(within time.Duration, done func() bool) error {
	for deadline := time.Now().Add(within); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return os.ErrDeadlineExceeded
		}
	}
	return nil
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}
