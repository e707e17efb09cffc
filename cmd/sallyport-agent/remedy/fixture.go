package remedy

import (
	"fmt"
	"time"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/ops/usbfixture"
)

// answerDeadline bounds the wait for a pretended kernel, and answerStep is between looks.
const (
	answerDeadline = 5 * time.Second
	answerStep     = time.Millisecond
)

// fixtureKernel asks the pretended kernel of a usbfixture.Tree, so that a root other
// than "/" never touches a mount of this machine.
type fixtureKernel struct{ root string }

func (k fixtureKernel) call(verb, arg string) error {
	deadline := time.Now().Add(answerDeadline)
	answer, err := usbfixture.Call(k.root, verb+" "+arg, func() bool {
		time.Sleep(answerStep)
		return time.Now().Before(deadline)
	})
	switch {
	case err != nil:
		return err
	case answer == "busy":
		return ErrBusy
	case answer != "ok":
		return fmt.Errorf("the fixture answered %q", answer)
	}
	return nil
}

func (k fixtureKernel) Sync(m collect.Mount) error { return k.call("syncfs", m.Point) }

func (k fixtureKernel) Unmount(m collect.Mount) error { return k.call("umount", m.Point) }

func (k fixtureKernel) Detach(m collect.Mount) error { return k.call("detach", m.Point) }

func (k fixtureKernel) End(m collect.Mount, kill bool) error {
	verb := "end"
	if kill {
		verb = "kill"
	}
	_ = k.call(verb, m.Point) // what is left in use is looked at again
	return nil
}

func (k fixtureKernel) UnmountElsewhere(map[string]bool) error { return nil }

func (k fixtureKernel) Claim(name string) (func(), error) {
	return func() {}, k.call("claim", "/dev/"+name)
}

func (k fixtureKernel) Holders(collect.Mount) []string { return nil }
