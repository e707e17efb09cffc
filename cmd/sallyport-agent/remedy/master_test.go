package remedy

import (
	"context"
	"io"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/cmd/sallyport-agent/usbguard"
	"sallyport/cmd/sallyport-agent/usbguard/usbguardtest"
	"sallyport/netio/report"
	"sallyport/ops/usbfixture"
)

// guarded is a bench on a machine where USBGuard rules.
type guarded struct {
	*bench
	daemon *usbguardtest.Daemon
	guard  *usbguard.Guard
	taken  chan error
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	connect := usbguardtest.Bus(t)
	b := &guarded{bench: newBench(t), taken: make(chan error, 16)}
	b.daemon = usbguardtest.Start(t, connect, b.tree.Root())
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	b.guard = usbguard.Watch(ctx, usbguard.Config{Connect: connect, Running: func() bool { return true }, Changed: func() {},
		Taken: func(port string) { b.taken <- b.Taken(port) }, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	b.With(b.guard, nil)
	b.until("the daemon is seen", b.guard.Rules)
	return b
}

func (b *guarded) until(what string, done func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("it never happened: %s", what)
		}
	}
}

func (b *guarded) wantCalls(want ...string) {
	b.t.Helper()
	if got := b.daemon.Calls(); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		b.t.Fatalf("USBGuard was asked to %q, want %q", got, want)
	}
}

// TestMasterIsDriven: a stick is blocked through USBGuard and let in through it, also by an
// agent that was started again.
func TestMasterIsDriven(t *testing.T) {
	b := newGuarded(t)
	port := b.plug(usbfixture.Stick{Mount: "/media/s"}.Device())
	b.want(b.Block(ctx, nil), Done, "")
	b.wantStates(port + "=" + report.USBBlocked)
	b.wantCalls("block " + port)
	if lost := b.tree.Losses(); len(lost) > 0 {
		t.Errorf("lost: %q", lost)
	}
	b.want(b.Block(ctx, nil), Done, "")
	b.restart(bootID)
	b.With(b.guard, nil)
	b.want(b.Unblock(ctx), Done, "")
	b.wantStates(port + "=" + report.USBActive)
	b.wantCalls("block "+port, "allow "+port)
	if e := b.list.Entries(); len(e) != 0 {
		t.Errorf("left in the list: %+v", e)
	}
}

// TestMasterHearsOfAReflex: a stick is away before USBGuard is asked, and a reflex does not
// wait for it.
func TestMasterHearsOfAReflex(t *testing.T) {
	b := newGuarded(t)
	port := b.plug(usbfixture.Stick{}.Device())
	outcome, struck := b.Strike(ctx, port+":1.0", nil, func(collect.Device) {
		b.wantCalls()
		if b.tree.Driver(port+":1.0") != "" && b.tree.Authorized(port+":1.0") {
			t.Error("its interface is still there")
		}
	})
	if !struck || outcome.Result != Done {
		t.Fatalf("%+v %t", outcome, struck)
	}
	b.wantCalls("block " + port)
	b.wantStates(port + "=" + report.USBBlocked)
}

// TestMasterTellsLate: USBGuard tells that it let a stick in when that was blocked here
// already. That is no word against it.
func TestMasterTellsLate(t *testing.T) {
	b := newGuarded(t)
	port := b.plug(usbfixture.Stick{}.Device())
	outcome, struck := b.Strike(ctx, port+":1.0", nil, func(collect.Device) {
		b.daemon.Decide(port, usbguardtest.Allow)
		if err := <-b.taken; err != nil {
			t.Error(err)
		}
		b.daemon.Decide(port, usbguardtest.Allow) // and this may be heard of when it is handed over
	})
	if !struck || outcome.Result != Done {
		t.Fatalf("%+v %t", outcome, struck)
	}
	b.wantCalls("block " + port)
	b.want(b.Unblock(ctx), Done, "")
	b.wantStates(port + "=" + report.USBActive)
	b.wantCalls("block "+port, "allow "+port)
}

// TestMasterHasBlockedItMeanwhile: then it is not ours, and stays out.
func TestMasterHasBlockedItMeanwhile(t *testing.T) {
	b := newGuarded(t)
	port := b.plug(usbfixture.Stick{}.Device())
	outcome, struck := b.Strike(ctx, port+":1.0", nil, func(collect.Device) { b.daemon.Decide(port, usbguardtest.Block) })
	if !struck || outcome.Result != Done || len(b.list.Entries()) != 0 {
		t.Fatalf("%+v %t %+v", outcome, struck, b.list.Entries())
	}
	b.want(b.Unblock(ctx), Done, "")
	b.wantStates(port + "=" + report.USBBlocked)
	b.wantCalls()
}

// TestMasterKeepsKeyboards: USBGuard knows whole devices alone, so one that is more than
// storage is not handed over.
func TestMasterKeepsKeyboards(t *testing.T) {
	b := newGuarded(t)
	port := b.plug(usbfixture.Composite())
	b.want(b.Block(ctx, nil), Done, "")
	b.wantStates(port + "=" + report.USBBlocked)
	b.wantCalls()
	b.want(b.Unblock(ctx), Done, "")
	b.wantStates(port + "=" + report.USBActive)
}

// TestMasterThatRefuses, or is gone: the stick is blocked all the same, and comes back.
func TestMasterThatRefuses(t *testing.T) {
	b := newGuarded(t)
	port := b.plug(usbfixture.Stick{}.Device())
	b.daemon.Refuse("not authorized")
	b.want(b.Block(ctx, nil), Done, "")
	b.wantStates(port + "=" + report.USBBlocked)
	b.daemon.Decide(port, usbguardtest.Allow) // a word about what it does not hold
	<-b.taken
	b.want(b.Unblock(ctx), Done, "") // it holds nothing blocked, and needs no word
	b.wantStates(port + "=" + report.USBActive)
	b.daemon.Refuse("")

	b.want(b.Block(ctx, nil), Done, "")
	b.wantCalls("block " + port)
	b.daemon.Stop()
	b.until("the daemon is gone", func() bool { return !b.guard.Rules() })
	b.wantStates(port + "=" + report.USBBlocked)
	b.want(b.Unblock(ctx), Done, "")
	b.wantStates(port + "=" + report.USBActive)
}

// TestMasterDecidesOtherwise: what USBGuard had blocked before is not given back, and what
// its administrator decides about is his from then on.
func TestMasterDecidesOtherwise(t *testing.T) {
	b := newGuarded(t)
	port := b.plug(usbfixture.Stick{}.Device())
	b.daemon.Decide(port, usbguardtest.Block)
	<-b.taken
	b.until("it is blocked", func() bool { return b.states() == port+"="+report.USBBlocked })
	b.want(b.Block(ctx, nil), Done, "")
	b.want(b.Unblock(ctx), Done, "")
	b.wantStates(port + "=" + report.USBBlocked)
	b.wantCalls()

	b.daemon.Decide(port, usbguardtest.Allow)
	<-b.taken
	b.until("its disk is back", func() bool { // the interfaces come and go before that
		all := collect.USB(b.tree.Root()).Devices
		return len(all) == 1 && all[0].State == report.USBActive && len(all[0].Disks) > 0
	})
	b.want(b.Block(ctx, nil), Done, "")
	b.daemon.Decide(port, usbguardtest.Block)
	if err := <-b.taken; err != nil || len(b.list.Entries()) != 0 {
		t.Errorf("%v, %+v", err, b.list.Entries())
	}
	b.want(b.Unblock(ctx), Done, "")
	b.wantStates(port + "=" + report.USBBlocked)
	b.wantCalls("block " + port)
}
