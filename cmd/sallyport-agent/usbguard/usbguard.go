// Package usbguard speaks with a USBGuard daemon, which decides on its own over whole USB
// devices, through its D-Bus service. It never starts one.
//
//	org.freedesktop.DBus   NameHasOwner, NameOwnerChanged    is one there
//	/org/usbguard1/Devices org.usbguard.Devices1
//	  listDevices("match") -> [(number, rule)]               allow id 0781:5581 ... via-port "2-1" ...
//	  applyDevicePolicy(number, target, permanent false)     allow 0, block 1, reject 2
//	  DevicePolicyApplied(number, target, rule, ...)         by whomever
//
// The rules of the daemon are not touched: what is applied lasts until the device is
// unplugged. The service asks polkit, which lets root do this.
package usbguard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	service      = "org.usbguard1"
	devicesPath  = dbus.ObjectPath("/org/usbguard1/Devices")
	devicesIface = "org.usbguard.Devices1"
	applied      = devicesIface + ".DevicePolicyApplied"
	ownerChanged = "org.freedesktop.DBus.NameOwnerChanged"
)

// Targets of a device, as USBGuard numbers them.
const (
	allow uint32 = iota
	block
	reject
)

const (
	callTimeout = 2 * time.Second  // listing and polkit took some milliseconds where they were seen
	again       = 10 * time.Second // between attempts to reach the bus
	listEvery   = 20 * time.Millisecond
	listWithin  = time.Second // for a device that came just now: the kernel told everybody at once
	signalsMax  = 64          // that wait; the daemon sends three for a device
)

// ErrAway says that no USBGuard answers on the bus.
var ErrAway = errors.New("no USBGuard answers")

// Guard is the daemon, whether or not it runs. Its methods may be called from any
// goroutine.
type Guard struct {
	cfg Config

	mu    sync.Mutex       // guards what follows
	conn  *dbus.Conn       // nil: the bus is not there
	here  bool             // the service has an owner
	why   string           // that it cannot be asked although it seems to run
	asked map[decision]int // that were asked for, and not heard of
}

// decision is about a device by its number.
type decision struct{ device, target uint32 }

// Config is what a Guard is made with. Each function may be called from any goroutine.
type Config struct {
	Connect func(ctx context.Context) (*dbus.Conn, error) // to the bus, authenticated and with a name
	Running func() bool                                   // a daemon runs, by other means than the bus
	Changed func()                                        // it came, went, or decided about a device
	Taken   func(port string)                             // somebody else decided about the device at this port
	Log     *slog.Logger
}

// Watch follows the daemon until ctx ends.
func Watch(ctx context.Context, cfg Config) *Guard {
	g := &Guard{cfg: cfg, asked: map[decision]int{}}
	go func() {
		for ctx.Err() == nil {
			err := g.follow(ctx)
			if ctx.Err() != nil {
				return
			}
			why := ""
			if cfg.Running() {
				why = "the system bus cannot be followed: " + err.Error()
			}
			g.set(nil, false, why)
			select {
			case <-ctx.Done():
			case <-time.After(again):
			}
		}
	}()
	return g
}

// State says whether the daemon rules, or why it does not although one runs.
func (g *Guard) State() (rules bool, problem string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.here, g.why
}

// Rules says whether the daemon can be asked now.
func (g *Guard) Rules() bool {
	rules, _ := g.State()
	return rules
}

// follow stays until the connection is lost.
func (g *Guard) follow(ctx context.Context) error {
	conn, err := g.cfg.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	signals := make(chan *dbus.Signal, signalsMax)
	conn.Signal(signals)
	err = errors.Join(
		conn.AddMatchSignalContext(ctx, dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, service)),
		conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(service), dbus.WithMatchInterface(devicesIface)))
	if err != nil {
		return err
	}
	var owned bool
	if err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, service).Store(&owned); err != nil {
		return err
	}
	g.owner(conn, owned)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s, ok := <-signals:
			if !ok {
				return errors.New("the connection to the bus is lost")
			}
			g.heard(conn, s)
		}
	}
}

// owner notes whether the service is there.
func (g *Guard) owner(conn *dbus.Conn, owned bool) {
	why := ""
	if !owned && g.cfg.Running() {
		why = "its D-Bus service (usbguard-dbus) does not run"
	}
	g.set(conn, owned, why)
}

func (g *Guard) set(conn *dbus.Conn, here bool, why string) {
	g.mu.Lock()
	changed := g.here != here || g.why != why
	g.conn, g.here, g.why = conn, here, why
	if !here {
		clear(g.asked)
	}
	g.mu.Unlock()
	if changed {
		g.cfg.Log.Info("USBGuard", "rules", here, "problem", why)
		g.cfg.Changed()
	}
}

func (g *Guard) heard(conn *dbus.Conn, s *dbus.Signal) {
	switch s.Name {
	case ownerChanged:
		var name, before, now string
		if dbus.Store(s.Body, &name, &before, &now) == nil && name == service {
			g.owner(conn, now != "")
		}
	case applied:
		var id, target, rule uint32
		var text string
		var attributes map[string]string
		if dbus.Store(s.Body, &id, &target, &text, &rule, &attributes) != nil {
			return
		}
		if mine, older := g.account(decision{id, target}); !mine && !older {
			if d := describe(id, text); d.port != "" {
				g.cfg.Log.Info("USBGuard decided about a device", "port", d.port, "target", target)
				g.cfg.Taken(d.port)
			}
		}
		g.cfg.Changed()
	}
}

// account says whether a decision is one that was asked for here, or was made before one that
// was asked for: the daemon tells of them in order, and of its own about a device that comes
// in when that may have been dealt with here already.
func (g *Guard) account(d decision) (mine, older bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asked[d] > 0 {
		if g.asked[d]--; g.asked[d] == 0 {
			delete(g.asked, d)
		}
		return true, false
	}
	for other := range g.asked {
		older = older || other.device == d.device
	}
	return false, older
}

// Block has the daemon block the device at a port ("2-1") with the given vendor and product
// ("0781:5581") until it is unplugged. held: it keeps it out already, and nothing was done.
func (g *Guard) Block(ctx context.Context, port, id string) (held bool, err error) {
	devices, d, err := g.find(ctx, port, id, listWithin)
	if err != nil || d.target != allow {
		return err == nil, err
	}
	return false, g.apply(ctx, devices, decision{d.number, block})
}

// Allow has the daemon let a device in that it holds blocked. One that it lets in already is
// left alone, and so is one that it rejects.
func (g *Guard) Allow(ctx context.Context, port, id string) error {
	devices, d, err := g.find(ctx, port, id, 0)
	if err != nil || d.target != block {
		return err
	}
	return g.apply(ctx, devices, decision{d.number, allow})
}

// find looks a device up, and again within a time when it is not there yet.
func (g *Guard) find(ctx context.Context, port, id string, within time.Duration) (dbus.BusObject, device, error) {
	g.mu.Lock()
	conn, here := g.conn, g.here
	g.mu.Unlock()
	if !here {
		return nil, device{}, ErrAway
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	devices := conn.Object(service, devicesPath)
	for deadline := time.Now().Add(within); ; {
		var list []struct {
			ID   uint32
			Rule string
		}
		if err := devices.CallWithContext(ctx, devicesIface+".listDevices", dbus.FlagNoAutoStart, "match").Store(&list); err != nil {
			return nil, device{}, fmt.Errorf("USBGuard cannot list devices: %w", err)
		}
		for _, one := range list {
			if d := describe(one.ID, one.Rule); d.port == port && strings.EqualFold(d.id, id) {
				return devices, d, nil
			}
		}
		if time.Now().After(deadline) {
			return nil, device{}, fmt.Errorf("USBGuard does not list %s at %s", id, port)
		}
		select {
		case <-ctx.Done():
			return nil, device{}, ctx.Err()
		case <-time.After(listEvery):
		}
	}
}

func (g *Guard) apply(ctx context.Context, devices dbus.BusObject, d decision) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	g.mu.Lock()
	g.asked[d]++ // before, since the signal may be faster than the answer
	g.mu.Unlock()
	var rule uint32
	err := devices.CallWithContext(ctx, devicesIface+".applyDevicePolicy", dbus.FlagNoAutoStart, d.device, d.target, false).Store(&rule)
	if err != nil {
		if !errors.Is(err, context.DeadlineExceeded) { // else it may still come
			g.account(d)
		}
		return fmt.Errorf("USBGuard does not apply it: %w", err)
	}
	return nil
}

// device is what a rule that describes a present device says.
type device struct {
	number   uint32
	target   uint32
	id, port string
}

var targets = map[string]uint32{"allow": allow, "block": block, "reject": reject}

// describe reads a device's rule. What the device itself says stands in quotes, escaped, and
// is never taken for a word of the rule.
func describe(number uint32, rule string) device {
	d := device{number: number, target: reject}
	words := split(rule)
	for i, w := range words {
		if w.quoted {
			continue
		}
		if t, ok := targets[w.text]; ok && i == 0 {
			d.target = t
		}
		if i+1 == len(words) {
			break
		}
		switch w.text {
		case "id":
			d.id = words[i+1].text
		case "via-port":
			d.port = words[i+1].text
		}
	}
	return d
}

type word struct {
	text   string
	quoted bool
}

// split cuts a rule into words; in quotes a backslash takes the next octet as it is.
func split(rule string) []word {
	var words []word
	for i := 0; i < len(rule); {
		switch {
		case rule[i] == ' ':
			i++
		case rule[i] == '"':
			var text []byte
			for i++; i < len(rule) && rule[i] != '"'; i++ {
				if rule[i] == '\\' && i+1 < len(rule) {
					i++
				}
				text = append(text, rule[i])
			}
			i++
			words = append(words, word{string(text), true})
		default:
			end := strings.IndexAny(rule[i:], ` "`)
			if end < 0 {
				end = len(rule) - i
			}
			words = append(words, word{rule[i : i+end], false})
			i += end
		}
	}
	return words
}
