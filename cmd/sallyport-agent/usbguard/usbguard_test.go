package usbguard

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"sallyport/cmd/sallyport-agent/usbguard/usbguardtest"
	"sallyport/ops/usbfixture"
)

// watched is a guard on a bus, with what it told.
type watched struct {
	*Guard
	changed atomic.Int64
	taken   chan string
}

func watch(t *testing.T, connect func(context.Context) (*dbus.Conn, error), running bool) *watched {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w := &watched{taken: make(chan string, 16)}
	w.Guard = Watch(ctx, Config{Connect: connect, Running: func() bool { return running }, Changed: func() { w.changed.Add(1) },
		Taken: func(port string) { w.taken <- port }, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	return w
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never happened: %s", what)
		}
	}
}

func (w *watched) wantRules(t *testing.T, want bool, problem string) {
	t.Helper()
	eventually(t, "the state", func() bool {
		rules, why := w.State()
		return rules == want && strings.Contains(why, problem) && (why == "") == (problem == "")
	})
}

func tree(t *testing.T) (*usbfixture.Tree, string) {
	t.Helper()
	f, err := usbfixture.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	port, err := f.Plug(usbfixture.Stick{})
	if err != nil {
		t.Fatal(err)
	}
	return f, port
}

var ctx = context.Background()

// TestDaemonComesAndGoes: without a daemon nobody is asked and none is started; one that
// appears rules at once, and its end is seen.
func TestDaemonComesAndGoes(t *testing.T) {
	connect := usbguardtest.Bus(t)
	f, port := tree(t)
	w := watch(t, connect, true)
	w.wantRules(t, false, "does not run")
	if _, err := w.Block(ctx, port, "0781:5581"); !errors.Is(err, ErrAway) {
		t.Errorf("without a daemon: %v", err)
	}
	d := usbguardtest.Start(t, connect, f.Root())
	w.wantRules(t, true, "")
	before := w.changed.Load()
	d.Stop()
	w.wantRules(t, false, "does not run")
	if w.changed.Load() == before {
		t.Error("nobody was told that it went")
	}
	again := usbguardtest.Start(t, connect, f.Root())
	w.wantRules(t, true, "")
	again.Stop()
	nobus := watch(t, func(context.Context) (*dbus.Conn, error) { return nil, errors.New("no bus") }, true)
	nobus.wantRules(t, false, "no bus")
	if rules, why := watch(t, func(context.Context) (*dbus.Conn, error) { return nil, errors.New("no bus") }, false).State(); rules || why != "" {
		t.Errorf("neither bus nor daemon: %t %q", rules, why)
	}
}

// TestBlockAndAllow: a device is found by its port and kind; what somebody else decided is
// told apart from what was asked for here, and a device that is let in is not touched.
func TestBlockAndAllow(t *testing.T) {
	connect := usbguardtest.Bus(t)
	f, port := tree(t)
	d := usbguardtest.Start(t, connect, f.Root())
	w := watch(t, connect, true)
	w.wantRules(t, true, "")
	id := deviceID(t, w, port)
	allowing := func(ctx context.Context, port, id string) (bool, error) { return false, w.Allow(ctx, port, id) }
	for _, step := range []struct {
		what string
		do   func(context.Context, string, string) (bool, error)
		id   string
		want uint32
		fail string
	}{
		{"another kind at the port", w.Block, "dead:beef", usbguardtest.Allow, "does not list"},
		{"block", w.Block, strings.ToUpper(id), usbguardtest.Block, ""},
		{"block what is blocked", w.Block, id, usbguardtest.Block, ""},
		{"allow", allowing, id, usbguardtest.Allow, ""},
		{"allow what is allowed", allowing, id, usbguardtest.Allow, ""},
	} {
		held, err := step.do(ctx, port, step.id)
		if held != (step.what == "block what is blocked") {
			t.Errorf("%s: held %t", step.what, held)
		}
		if (err == nil) != (step.fail == "") || err != nil && !strings.Contains(err.Error(), step.fail) {
			t.Errorf("%s: %v", step.what, err)
		}
		if got := d.Target(port); got != step.want {
			t.Errorf("%s: target %d, want %d", step.what, got, step.want)
		}
	}
	if got := d.Calls(); !reflect.DeepEqual(got, []string{"block " + port, "allow " + port}) {
		t.Errorf("asked for %q", got)
	}
	d.Refuse("not authorized")
	if _, err := w.Block(ctx, port, id); err == nil || !strings.Contains(err.Error(), "not authorized") {
		t.Errorf("refused: %v", err)
	}
	d.Refuse("")
	d.Decide(port, usbguardtest.Reject)
	if got := <-w.taken; got != port {
		t.Errorf("taken at %q", got)
	}
	if err := w.Allow(ctx, port, id); err != nil || d.Target(port) != usbguardtest.Reject {
		t.Errorf("a device that is rejected was let in: %v", err)
	}
	if len(w.taken) != 0 {
		t.Errorf("%q, by nobody else", <-w.taken)
	}
}

// TestOrderOfDecisions: the daemon tells of decisions in the order in which they were made.
func TestOrderOfDecisions(t *testing.T) {
	g := &Guard{asked: map[decision]int{{5, block}: 1, {7, allow}: 2}}
	for _, c := range []struct {
		d           decision
		mine, older bool
	}{
		{decision{5, allow}, false, true}, // the daemon's own, of when the device came
		{decision{6, block}, false, false},
		{decision{5, block}, true, false},
		{decision{5, block}, false, false}, // said again by somebody else
		{decision{7, allow}, true, false},
		{decision{7, block}, false, true},
		{decision{7, allow}, true, false},
		{decision{7, block}, false, false},
	} {
		if mine, older := g.account(c.d); mine != c.mine || older != c.older {
			t.Errorf("%+v: mine %t, older %t", c.d, mine, older)
		}
	}
	if len(g.asked) != 0 {
		t.Errorf("left: %v", g.asked)
	}
}

// TestDeviceThatIsNotKnownYet: the kernel tells everybody at once, and the daemon may be slower.
func TestDeviceThatIsNotKnownYet(t *testing.T) {
	connect := usbguardtest.Bus(t)
	f, port := tree(t)
	d := usbguardtest.Start(t, connect, f.Root())
	w := watch(t, connect, true)
	w.wantRules(t, true, "")
	id := deviceID(t, w, port)
	d.Overlook(port, 3)
	if held, err := w.Block(ctx, port, id); held || err != nil || d.Target(port) != usbguardtest.Block {
		t.Errorf("held %t, %v, target %d", held, err, d.Target(port))
	}
}

// deviceID is vendor and product of the device at a port, as the daemon lists it.
func deviceID(t *testing.T, w *watched, port string) string {
	t.Helper()
	var list []struct {
		ID   uint32
		Rule string
	}
	if err := w.conn.Object(service, devicesPath).Call(devicesIface+".listDevices", 0, "match").Store(&list); err != nil {
		t.Fatal(err)
	}
	for _, one := range list {
		if d := describe(one.ID, one.Rule); d.port == port {
			return d.id
		}
	}
	t.Fatalf("%s is not listed: %v", port, list)
	return ""
}

// TestDescribe reads rules as the daemon writes them, and as a hostile device would like
// them to be read.
func TestDescribe(t *testing.T) {
	for rule, want := range map[string]device{
		`allow id 0781:5581 serial "4C53" name "Ultra" hash "x=" parent-hash "y=" via-port "2-1.4" with-interface 08:06:50`: {target: allow, id: "0781:5581", port: "2-1.4"},
		`block id 1d6b:0002 serial "" name "a \" via-port \"1-1" via-port "usb1" with-interface { 09:00:00 08:06:50 }`:      {target: block, id: "1d6b:0002", port: "usb1"},
		`reject id 1:2 name "via-port" via-port "2-2"`:                                                                      {target: reject, id: "1:2", port: "2-2"},
		`reject id 1:2 name "x\\" via-port "2-2"`:                                                                           {target: reject, id: "1:2", port: "2-2"},
		`allow id 1:2 name "allow id 3:4" via-port "2-2"`:                                                                   {target: allow, id: "1:2", port: "2-2"},
		`device id 1:2 name "unfinished via-port `:                                                                          {target: reject, id: "1:2"},
		`allow via-port`: {target: allow},
		``:               {target: reject},
	} {
		if got := describe(0, rule); got != want {
			t.Errorf("%s\nis %+v, want %+v", rule, got, want)
		}
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add(`allow id 0781:5581 name "a\"b" via-port "2-1"`)
	f.Fuzz(func(t *testing.T, rule string) {
		d := describe(1, rule)
		if len(d.port) > len(rule) || len(d.id) > len(rule) || d.target > reject {
			t.Errorf("%+v", d)
		}
	})
}
