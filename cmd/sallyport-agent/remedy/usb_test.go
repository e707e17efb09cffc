package remedy

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/netio/report"
	"sallyport/ops/clock"
	"sallyport/ops/usbfixture"
)

// bench is a fixture tree with a blocker working on it.
type bench struct {
	*USB
	t    *testing.T
	tree *usbfixture.Tree
	dir  keep.Dir
	told chan string
}

const bootID = "5e1f0c6a"

func newBench(t *testing.T) *bench {
	t.Helper()
	tree, err := usbfixture.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := keep.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, tree: tree, dir: dir, told: make(chan string, 16)}
	t.Cleanup(func() {
		tree.Close()
		if err := tree.Err(); err != nil {
			t.Errorf("fixture: %v", err)
		}
	})
	b.restart(bootID)
	return b
}

// restart is a new agent process with the same state directory.
func (b *bench) restart(boot string) {
	b.t.Helper()
	list, err := LoadList(b.dir, boot, clock.System{})
	if err != nil {
		b.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	b.USB = NewUSB(b.tree.Root(), KernelOf(b.tree.Root()), list, log, func(text string) { b.told <- text })
	b.grace, b.retry = 60*time.Millisecond, 5*time.Millisecond
}

func (b *bench) plug(d usbfixture.Device) string {
	b.t.Helper()
	port, err := b.tree.Attach(d)
	if err != nil {
		b.t.Fatal(err)
	}
	return port
}

func (b *bench) want(got Outcome, result, detail string) {
	b.t.Helper()
	if got.Result != result || !strings.Contains(got.Detail, detail) {
		b.t.Fatalf("%+v, want %s with %q", got, result, detail)
	}
}

func (b *bench) states() string {
	b.t.Helper()
	var states []string
	for _, d := range collect.USB(b.tree.Root()).Devices {
		states = append(states, d.Port+"="+d.State)
	}
	return strings.Join(states, " ")
}

func (b *bench) wantStates(want string) {
	b.t.Helper()
	if got := b.states(); got != want {
		b.t.Fatalf("states %q, want %q", got, want)
	}
}

var ctx = context.Background()

// TestBlockAndUnblock: each kind of stick is blocked, the disk is gone, nothing that
// was mounted is lost, and it all comes back.
func TestBlockAndUnblock(t *testing.T) {
	for name, device := range map[string]usbfixture.Device{
		"bulk-only": usbfixture.Stick{Mount: "/media/s"}.Device(),
		"uas":       usbfixture.Stick{UAS: true, Mount: "/media/s"}.Device(),
		"composite": usbfixture.Composite(),
		"phone":     usbfixture.Phone(),
		"slots":     usbfixture.CardReader(),
		"whole disk": {VID: "1", PID: "2", Interfaces: []usbfixture.Interface{{Alternates: []usbfixture.Class{usbfixture.BulkOnly},
			Driver: "usb-storage", Disks: []usbfixture.Disk{{Mount: "/a"}, {Mount: "/a/b"}}}}},
		"two interfaces": {VID: "1", PID: "2", Interfaces: []usbfixture.Interface{
			{Alternates: []usbfixture.Class{usbfixture.BulkOnly}, Driver: "usb-storage", Disks: []usbfixture.Disk{{}}},
			{Alternates: []usbfixture.Class{usbfixture.HIDBoot}, Driver: "usbhid"},
			{Alternates: []usbfixture.Class{usbfixture.Floppy}, Driver: "usb-storage", Disks: []usbfixture.Disk{{}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			port := b.plug(device)
			b.want(b.Block(ctx, nil), Done, "")
			b.wantStates(port + "=" + report.USBBlocked)
			if lost := b.tree.Losses(); len(lost) > 0 {
				t.Errorf("lost: %q", lost)
			}
			for _, i := range []string{port + ":1.0", port + ":1.1"} { // siblings live on
				if b.tree.Driver(i) == "usb-storage" || strings.Contains(i, ":1.0") && name == "composite" && b.tree.Driver(i) != "usbhid" {
					t.Errorf("%s has driver %q", i, b.tree.Driver(i))
				}
			}
			b.want(b.Block(ctx, nil), Done, "") // again changes nothing
			b.want(b.Unblock(ctx), Done, "")
			b.wantStates(port + "=" + report.USBActive)
			if e := b.list.Entries(); len(e) != 0 {
				t.Errorf("left in the list: %+v", e)
			}
		})
	}
}

// TestQuiesceBeforeTakingAway: written out, unmounted newest first, claimed.
func TestQuiesceBeforeTakingAway(t *testing.T) {
	b := newBench(t)
	b.plug(usbfixture.Stick{Mount: "/media/a"}.Device())
	if err := b.tree.Mount("sda1", "/media/a/again", ""); err != nil {
		t.Fatal(err)
	}
	b.want(b.Block(ctx, nil), Done, "")
	want := []string{"syncfs /media/a/again", "umount /media/a/again", "syncfs /media/a", "umount /media/a", "claim /dev/sda1"}
	if got := b.tree.Calls(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestUnpartitionedAndMapped: what a volume on the stick carries is unmounted, and the
// volume, not the partition below it, has to be free.
func TestUnpartitionedAndMapped(t *testing.T) {
	b := newBench(t)
	b.plug(usbfixture.Stick{}.Device())
	if err := b.tree.Map("dm-0", []string{"sda1"}, map[string]string{"dm/name": "luks-1"}); err != nil {
		t.Fatal(err)
	}
	if err := b.tree.Mount("dm-0", "/media/secret", ""); err != nil {
		t.Fatal(err)
	}
	b.want(b.Block(ctx, nil), Done, "")
	if got := b.tree.Calls(); !slices.Equal(got, []string{"syncfs /media/secret", "umount /media/secret", "claim /dev/dm-0"}) {
		t.Errorf("%q", got)
	}
}

// TestBusyTellsWaitsAndGivesUp: nothing is taken away while a file is open.
func TestBusyTellsWaitsAndGivesUp(t *testing.T) {
	b := newBench(t)
	port := b.plug(usbfixture.Stick{Mount: "/media/s"}.Device())
	b.tree.Hold("/media/s")
	b.want(b.Block(ctx, nil), Failed, "still in use after 60ms: /media/s: in use")
	b.wantStates(port + "=" + report.USBActive)
	if len(b.told) != 1 || len(b.list.Entries()) != 0 || !b.tree.Authorized(port+":1.0") {
		t.Errorf("told %d times, list %+v", len(b.told), b.list.Entries())
	}
	if text := <-b.told; !strings.Contains(text, "SanDisk Ultra at 2-1 is being blocked, but it is in use") {
		t.Errorf("told %q", text)
	}
}

func TestBusyThenClosed(t *testing.T) {
	b := newBench(t)
	b.grace = 10 * time.Second
	port := b.plug(usbfixture.Stick{Mount: "/media/s"}.Device())
	b.tree.Hold("/media/s")
	go func() {
		<-b.told
		b.tree.Release("/media/s")
	}()
	b.want(b.Block(ctx, nil), Done, "")
	b.wantStates(port + "=" + report.USBBlocked)
}

func TestUnpluggedWhileWaiting(t *testing.T) {
	b := newBench(t)
	b.grace = 10 * time.Second
	port := b.plug(usbfixture.Stick{Mount: "/media/s"}.Device())
	b.tree.Hold("/media/s")
	failed := make(chan error, 1)
	go func() {
		<-b.told
		failed <- b.tree.Unplug(port)
	}()
	b.want(b.Block(ctx, nil), Done, "")
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

func TestStoppedWhileWaiting(t *testing.T) {
	b := newBench(t)
	b.grace = 10 * time.Second
	b.plug(usbfixture.Stick{Mount: "/media/s"}.Device())
	b.tree.Hold("/media/s")
	c, stop := context.WithCancel(ctx)
	go func() {
		<-b.told
		stop()
	}()
	b.want(b.Block(c, nil), Failed, "context canceled")
}

// TestNeverTheSystemDisk: root on LVM on a USB disk, beside an ordinary stick.
func TestNeverTheSystemDisk(t *testing.T) {
	b := newBench(t)
	system := b.plug(usbfixture.Stick{}.Device())
	if err := b.tree.Map("dm-0", []string{"sda1"}, map[string]string{"dm/name": "vg-root"}); err != nil {
		t.Fatal(err)
	}
	if err := b.tree.Mount("dm-0", "/", ""); err != nil {
		t.Fatal(err)
	}
	stick := b.plug(usbfixture.Stick{Mount: "/media/s"}.Device())
	b.want(b.Block(ctx, nil), Done, "SanDisk Ultra at 2-1 backs the running system")
	b.wantStates(system + "=" + report.USBProtected + " " + stick + "=" + report.USBBlocked)
	if got := b.tree.Calls(); slices.Contains(got, "umount /") {
		t.Errorf("%q", got)
	}
	if err := b.tree.Unplug(stick); err != nil {
		t.Fatal(err)
	}
	b.want(b.Block(ctx, nil), Refused, "SanDisk Ultra at 2-1 backs the running system")
}

// TestOnlyWhatWasBlockedHere: an interface that somebody else took away stays away.
func TestOnlyWhatWasBlockedHere(t *testing.T) {
	b := newBench(t)
	theirs := b.plug(usbfixture.Stick{Serial: "THEIRS"}.Device())
	if err := os.WriteFile(filepath.Join(b.tree.Root(), devicesDir, theirs+":1.0", "authorized"), []byte("0"), 0o644); err != nil {
		t.Fatal(err)
	}
	if !b.wait(ctx, 5*time.Second, func() bool { return b.states() == theirs+"="+report.USBBlocked }) {
		t.Fatal("the fixture did not act")
	}
	ours := b.plug(usbfixture.Stick{Serial: "OURS"}.Device())
	b.want(b.Block(ctx, nil), Done, "")
	b.want(b.Unblock(ctx), Done, "")
	b.wantStates(theirs + "=" + report.USBBlocked + " " + ours + "=" + report.USBActive)
}

// TestReplugIsForgotten: the entry of the old attachment is not used for the new one,
// even in the same port and with the same serial number.
func TestReplugIsForgotten(t *testing.T) {
	b := newBench(t)
	port := b.plug(usbfixture.Stick{}.Device())
	b.want(b.Block(ctx, nil), Done, "")
	if err := b.tree.Unplug(port); err != nil {
		t.Fatal(err)
	}
	b.plug(usbfixture.Stick{}.Device())
	b.wantStates(port + "=" + report.USBActive)
	b.want(b.Unblock(ctx), Done, "")
	if data, err := os.ReadFile(b.dir.Path(listFile)); err != nil || len(b.list.Entries()) != 0 || bytes.Contains(data, []byte("devnum")) {
		t.Errorf("%v %s", err, data)
	}
}

// TestRestartGivesBack: after a crash the list is read back; after a new start of the
// system it says nothing.
func TestRestartGivesBack(t *testing.T) {
	for boot, want := range map[string]string{bootID: report.USBActive, "another": report.USBBlocked} {
		b := newBench(t)
		port := b.plug(usbfixture.Stick{}.Device())
		b.want(b.Block(ctx, nil), Done, "")
		b.restart(boot)
		b.want(b.Unblock(ctx), Done, "")
		b.wantStates(port + "=" + want)
	}
}

// TestWrittenDownFirst: when it cannot be written down, nothing is taken away.
func TestWrittenDownFirst(t *testing.T) {
	b := newBench(t)
	port := b.plug(usbfixture.Stick{}.Device())
	if err := os.MkdirAll(b.dir.Path(listFile+"/in-the-way"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.want(b.Block(ctx, nil), Failed, "cannot keep blocked.json")
	b.wantStates(port + "=" + report.USBActive)
}

// TestBlockedIsVerified: a kernel that does not act is not believed.
func TestBlockedIsVerified(t *testing.T) {
	b := newBench(t)
	b.plug(usbfixture.Stick{}.Device())
	b.verify = 30 * time.Millisecond
	b.kernel = silent{}
	if err := b.tree.Close(); err != nil {
		t.Fatal(err)
	}
	b.want(b.Block(ctx, nil), Failed, "still usable 30ms after it was de-authorized")
	if len(b.list.Entries()) != 1 {
		t.Error("what was tried is not in the list, so it would never be given back")
	}
}

// silent is a kernel that says yes.
type silent struct{}

func (silent) Sync(collect.Mount) error               { return nil }
func (silent) Unmount(collect.Mount) error            { return nil }
func (silent) UnmountElsewhere(map[string]bool) error { return nil }
func (silent) Claim(string) (func(), error)           { return func() {}, nil }
func (silent) Holders(collect.Mount) []string         { return nil }
func (silent) Detach(collect.Mount) error             { return nil }
func (silent) End(collect.Mount, bool) error          { return nil }

// heldElsewhere is a kernel where somebody nobody can see uses one disk.
type heldElsewhere struct {
	silent
	released *int
}

func (k heldElsewhere) Claim(name string) (func(), error) {
	if name == "sdb" {
		return nil, ErrBusy
	}
	return func() { *k.released++ }, nil
}

// TestAClaimThatFailsLetsGoOfTheOthers.
func TestAClaimThatFailsLetsGoOfTheOthers(t *testing.T) {
	b := newBench(t)
	port := b.plug(usbfixture.Device{VID: "1", PID: "2", Interfaces: []usbfixture.Interface{{Alternates: []usbfixture.Class{usbfixture.BulkOnly},
		Driver: "usb-storage", Disks: []usbfixture.Disk{{}, {}}}}})
	released := 0
	b.kernel, b.grace = heldElsewhere{released: &released}, 0
	b.want(b.Block(ctx, nil), Failed, "sdb: in use")
	b.wantStates(port + "=" + report.USBActive)
	if released != 1 {
		t.Errorf("%d claims released, want 1", released)
	}
}

func TestNothingToDo(t *testing.T) {
	b := newBench(t)
	b.plug(usbfixture.Keyboard())
	b.want(b.Block(ctx, nil), Done, "")
	b.want(b.Unblock(ctx), Done, "")
	if _, err := os.Stat(b.dir.Path(listFile)); err == nil {
		t.Error("a list was written for nothing")
	}
}

// TestWithoutAKernel is what other systems do.
func TestWithoutAKernel(t *testing.T) {
	b := newBench(t)
	b.kernel = nil
	b.want(b.Block(ctx, nil), Refused, "not implemented on this system in this build")
	b.want(b.Unblock(ctx), Refused, "not implemented on this system in this build")
}

// TestCannotLook: when the devices cannot be read, that is a failure and the list stays.
func TestCannotLook(t *testing.T) {
	b := newBench(t)
	b.plug(usbfixture.Stick{}.Device())
	b.want(b.Block(ctx, nil), Done, "")
	if err := os.Rename(filepath.Join(b.tree.Root(), "proc/self"), filepath.Join(b.tree.Root(), "proc/hidden")); err != nil {
		t.Fatal(err)
	}
	b.want(b.Block(ctx, nil), Failed, "cannot tell what is mounted")
	if len(b.list.Entries()) != 1 {
		t.Error("the list was emptied because nothing could be seen")
	}
}

// TestTornListIsVoid: the list is not synced, so a loss of power may tear it; afterwards
// nothing is blocked anyway.
func TestTornListIsVoid(t *testing.T) {
	dir, err := keep.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, torn := range []string{"", "{", `{"v":1,"boot_id":"b","blocked":[{"port":"2-`} {
		if err := os.WriteFile(dir.Path(listFile), []byte(torn), 0o600); err != nil {
			t.Fatal(err)
		}
		if l, err := LoadList(dir, bootID, clock.System{}); err != nil || len(l.Entries()) != 0 {
			t.Errorf("%q: %v", torn, err)
		}
	}
}

// TestAllowedStickIsLeftAlone: what the policy does not count is not blocked beside what
// it counts.
func TestAllowedStickIsLeftAlone(t *testing.T) {
	b := newBench(t)
	good := b.plug(usbfixture.Stick{VID: "0951", PID: "1666", Serial: "A"}.Device())
	bad := b.plug(usbfixture.Stick{VID: "0951", PID: "1666", Serial: "B"}.Device())
	b.want(b.Block(ctx, []string{"0951:1666:A"}), Done, "")
	b.wantStates(good + "=" + report.USBActive + " " + bad + "=" + report.USBBlocked)
}
