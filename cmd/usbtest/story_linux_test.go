package usbtest

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/coa/coatest"
)

// quick is the run that is a part of every test of the tree.
var quick = flag.Bool("quick", false, "a few cycles, no strict mode and no reboot; what the clock on the wall says is told and not judged")

// cycles is how often a stick is plugged in and pulled; quickCycles, in a quick run.
const (
	cycles      = 50
	quickCycles = 5
)

// cycleTime gives the appliance room for a cycle's reports: it takes one a second of a
// session, and what comes faster would be measured waiting.
const cycleTime = 3500 * time.Millisecond

// Limits on what is measured.
const (
	blockWithin      = 100 * time.Millisecond // from the kernel's event to the driver being gone
	quarantineWithin = time.Second            // from plugging in to the NAS's CoA-ACK
)

// world is a machine with an agent, the appliance, and the session between them.
type world struct {
	*testing.T
	m         *machine
	a         *appliance
	session   *coatest.ASASession
	arguments []string
	key       string // as the TPM gave it out; empty without one
}

// TestAgentOnARealKernel is one machine from its start to its end; each part leaves it
// as it found it.
func TestAgentOnARealKernel(t *testing.T) {
	w := &world{T: t, m: newMachine(t)}
	w.a = newAppliance(t)
	w.session = w.a.login()
	w.arguments = w.a.agentArguments(w.m, w.session)
	w.m.do("start", w.arguments...)
	w.compliant(time.Time{})
	parts := []struct {
		name string
		run  func(*world)
	}{
		{"system disk", (*world).systemDisk},
		{"key in the TPM", (*world).keyInTPM},
		{"plug, quarantine, blocked, pull", (*world).manyTimes},
		{"UAS", (*world).uas},
		{"behind a hub", (*world).hub},
		{"a keyboard types", (*world).keyboard},
		{"composite device", (*world).composite},
		{"data written before is intact", (*world).data},
		{"crash, un-block", (*world).crash},
		{"another session", (*world).again},
		{"strict mode", (*world).strict},
		{"reboot", (*world).reboot},
	}
	if *quick {
		parts = parts[:len(parts)-2]
	}
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) {
			w.T, w.m.t, w.a.t = t, t, t
			defer func() { w.T, w.m.t, w.a.t = nil, nil, nil }()
			part.run(w)
			if t.Failed() {
				t.Logf("the agent said:\n%s", w.m.agentLog())
			}
		})
		w.T, w.m.t, w.a.t = t, t, t
	}
}

// compliant waits until a report since a moment was judged so.
func (w *world) compliant(since time.Time) (at time.Time) {
	w.Helper()
	w.m.wait("Compliant", func() (ok bool) { at, ok = w.a.judged(since, "Compliant"); return ok })
	return at
}

// systemDisk: the root of the machine is on USB. It is told as protected and not touched.
func (w *world) systemDisk() {
	status := w.m.text("/state/status.json")
	if !strings.Contains(status, "protected_system_disk") {
		w.Errorf("the system disk is not protected: %s", status)
	}
	if on := w.m.on("SYSTEM01"); w.m.authorized(on) != "1" {
		w.Errorf("the interface of the system disk, %q, is not authorized", on)
	}
	w.m.do("write", "/etc/proof", "the root can be written")
}

// keyInTPM: the agent found the kernel's TPM device by itself, and everything that it signs
// from here on, the TPM signs.
func (w *world) keyInTPM() {
	if w.m.tpm == nil {
		w.Skip("no swtpm here: make deps installs it; the device key is a file")
	}
	w.key = w.m.text("/state/device.tpm")
	status := w.m.text("/state/status.json")
	if w.key == "" || w.m.text("/state/device.key") != "" || !strings.Contains(status, `"in": "tpm"`) {
		w.Errorf("the key is not in the TPM: %s\n%s", status, w.m.agentLog())
	}
}

// hop is one step of the story, by the clock of this machine.
type hop struct {
	name string
	took []time.Duration
}

func (w *world) manyTimes() {
	before := w.leftovers()
	stick := w.m.newStick("stick", "1", false)
	hops := []hop{{name: "plug -> kernel's event"}, {name: "event -> report at the appliance"}, {name: "report -> CoA-Request at the NAS"},
		{name: "CoA-Request -> CoA-ACK"}, {name: "plug -> CoA-ACK"}}
	var blocks []time.Duration
	pace := time.NewTicker(cycleTime)
	defer pace.Stop()
	times := cycles
	if *quick {
		times = quickCycles
	}
	for range times {
		<-pace.C
		mark, plugged := w.m.mark(), time.Now()
		stick.plug()
		added := w.m.first(mark, "the interface of the stick", storageAdded)
		gone := w.m.first(mark, "the stick is blocked", storageUnbound)
		blocks = append(blocks, time.Duration(gone.At-added.At))
		moments := []time.Time{plugged, added.here}
		var at time.Time
		w.m.wait("NonCompliant", func() (ok bool) { at, ok = w.a.judged(plugged, "NonCompliant"); return ok })
		moments = append(moments, at)
		for _, want := range []func(*coatest.Step) bool{coaOf(coatest.Received, "CoA-Request"), coaOf(coatest.Sent, "CoA-ACK")} {
			w.m.wait("CoA", func() (ok bool) { at, ok = w.a.step(moments[2], want); return ok })
			moments = append(moments, at)
		}
		for i := range hops[:4] {
			hops[i].took = append(hops[i].took, moments[i+1].Sub(moments[i]))
		}
		hops[4].took = append(hops[4].took, moments[4].Sub(plugged))
		w.compliant(moments[2])
		if disks := w.m.since(mark, diskAdded); len(disks) > 0 {
			w.Errorf("a disk appeared: %v", disks[0].uevent)
		}
		pulled := time.Now()
		stick.pull()
		w.m.first(mark, "the stick is gone", storageRemoved)
		w.compliant(pulled)
	}
	if after := w.leftovers(); !slices.Equal(before, after) {
		w.Errorf("%d cycles left something behind:\nbefore %v\nafter  %v", times, before, after)
	}
	for _, h := range hops {
		w.Logf("%-34s %s", h.name, spread(h.took))
	}
	w.Logf("%-34s %s", "event -> blocked, in the machine", spread(blocks))
	figure(w.T, "event_to_block_p99_ms", percentile(blocks, 99), blockWithin)
	if *quick {
		w.Logf("insert_to_quarantine is told and not judged: %d cycles on a machine that tests other things too", times)
		return
	}
	figure(w.T, "insert_to_quarantine_p99_ms", percentile(hops[4].took, 99), quarantineWithin)
}

// leftovers is what could be left behind in the machine: disks, what is written down,
// files the agent has open, but not its connections.
func (w *world) leftovers() []string {
	w.Helper()
	left := w.m.disks()
	left = append(left, fmt.Sprint(strings.Contains(w.m.text("/state/blocked.json"), "devnum")))
	for _, pid := range w.m.do("glob", "/proc/[0-9]*/exe") {
		dir := strings.TrimSuffix(pid, "/exe")
		if strings.HasPrefix(w.m.text(dir+"/cmdline"), "/agent") {
			left = append(left, w.m.do("links", dir+"/fd/*")...)
		}
	}
	return left
}

func percentile(all []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, (len(sorted)*p+99)/100-1)]
}

// spread shows a distribution by the places that say most, and as a histogram with
// limits that double.
func spread(all []time.Duration) string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }
	bars := map[int]int{}
	most := 0
	for _, d := range all {
		n := 0
		for limit := time.Millisecond; d > limit && n < 12; limit *= 2 {
			n++
		}
		bars[n]++
		most = max(most, n)
	}
	var histogram strings.Builder
	for n := range most + 1 {
		if bars[n] > 0 {
			fmt.Fprintf(&histogram, " <=%d:%d", 1<<n, bars[n])
		}
	}
	return fmt.Sprintf("p50 %s  p99 %s  worst %s ms  |%s", ms(percentile(all, 50)), ms(percentile(all, 99)), ms(percentile(all, 100)), histogram.String())
}

// figure prints a line for scripts, past the test's own log, and fails when it is missed.
func figure(t *testing.T, name string, value, limit time.Duration) {
	t.Helper()
	verdict := "ok"
	if value > limit {
		verdict = "MISSED"
		t.Errorf("%s is %s, more than %s", name, value, limit)
	}
	fmt.Fprintf(os.Stdout, "FIGURE %s %.1f ms <= %d %s\n", name, float64(value.Microseconds())/1000, limit.Milliseconds(), verdict)
}
