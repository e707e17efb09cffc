package posture

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/engine/expr"
	"sallyport/netio/report"
	"sallyport/sessions"
)

// aPolicy asks for the absence of storage in several ways, so that a stick can only hurt.
const aPolicy = `
  conditions:
    None: {usb: {mass-storage: absent}}
    Known: {usb: {mass-storage: absent, allow: ["0951:1666", "0781:5581:S1"]}}
    All: {usb: {mass-storage: absent, system-disk: count}}
  remediations: {Block: {usb: block, message: block it}}
  requirements:
    None: {conditions: [None], remediation: Block}
    Known: {os: [windows, linux], conditions: [Known], cannot-tell: skip}
    All: {os: [linux], conditions: [All, None]}
  policy:
    - {rule: a, when: '"staff" in session.groups', requirements: [{name: None}]}
    - {rule: b, requirements: [{name: Known}, {name: All, enforcement: optional}]}
    - {rule: c, os: [linux], when: 'session.nas == "vpn"', requirements: [{name: All}]}
`

var anyDevice = rapid.Custom(func(t *rapid.T) report.USBDevice {
	return report.USBDevice{
		Port: rapid.SampledFrom([]string{"1-1", "1-2", "2-1.4", ""}).Draw(t, "port"),
		VID:  rapid.SampledFrom([]string{"0951", "0781", "DEAD", ""}).Draw(t, "vid"),
		PID:  rapid.SampledFrom([]string{"1666", "5581", ""}).Draw(t, "pid"),

		Serial:  rapid.SampledFrom([]string{"S1", "S2", ""}).Draw(t, "serial"),
		Ifaces:  rapid.SampledFrom([][]string{{"08/06/50"}, {"08/06/62"}, {"06/01/01"}, {"03/01/01", "08/06/50"}, nil}).Draw(t, "ifaces"),
		State:   rapid.SampledFrom([]string{report.USBActive, report.USBBlocked, report.USBProtected, "other"}).Draw(t, "state"),
		Product: rapid.SampledFrom([]string{"", "Stick"}).Draw(t, "product"),
	}
})

func anyInput(t *rapid.T) Input {
	in := Input{Session: expr.Input{
		OS:     rapid.SampledFrom([]string{"windows", "linux", "macos", "", "android"}).Draw(t, "os"),
		NAS:    rapid.SampledFrom([]string{"vpn", "switch"}).Draw(t, "nas"),
		Groups: rapid.SampledFrom([][]string{nil, {"staff"}, {"guests", "staff"}}).Draw(t, "groups"),
	}, FactsAt: now}
	switch rapid.IntRange(0, 9).Draw(t, "facts") {
	case 0: // no report
	case 1:
		in.Facts = &report.Facts{}
	default:
		in.Facts = usb(rapid.SliceOfN(anyDevice, 0, 6).Draw(t, "devices")...)
		in.Facts.USB.Error = rapid.SampledFrom([]string{"", "", "", "no permission"}).Draw(t, "error")
	}
	return in
}

// TestOrderOfDevicesDoesNotMatter: nothing of an assessment depends on it.
func TestOrderOfDevicesDoesNotMatter(t *testing.T) {
	p := policy(t, aPolicy)
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		before := p.Assess(now, in)
		if in.Facts == nil || in.Facts.USB == nil {
			return
		}
		shuffled := *in.Facts.USB
		shuffled.Devices = rapid.Permutation(in.Facts.USB.Devices).Draw(t, "order")
		in.Facts = &report.Facts{USB: &shuffled}
		if after := p.Assess(now, in); !reflect.DeepEqual(before, after) {
			t.Fatalf("%+v\n%+v", before, after)
		}
	})
}

// TestActiveStickNeverHelps: one more stick in use makes no assessment better.
func TestActiveStickNeverHelps(t *testing.T) {
	p := policy(t, aPolicy)
	failed := func(a *Assessment) int {
		n := 0
		for _, r := range a.Rules {
			n += len(r.Failed)
		}
		return n
	}
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		if in.Facts == nil || in.Facts.USB == nil {
			return
		}
		before := p.Assess(now, in)
		more := *in.Facts.USB
		more.Devices = append(append([]report.USBDevice(nil), more.Devices...), stick())
		more.Devices[len(more.Devices)-1].VID = "beef"
		in.Facts = &report.Facts{USB: &more}
		after := p.Assess(now, in)
		if before.Status == sessions.NonCompliant && after.Status != sessions.NonCompliant || failed(&after) < failed(&before) {
			t.Fatalf("%+v\n%+v", before, after)
		}
	})
}

// TestBlockingNeverHurts: a device held blocked is as good as one that is not there,
// but for the offer to give it back.
func TestBlockingNeverHurts(t *testing.T) {
	p := policy(t, aPolicy)
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		if in.Facts == nil || in.Facts.USB == nil {
			return
		}
		before := p.Assess(now, in)
		more := *in.Facts.USB
		d := anyDevice.Draw(t, "blocked")
		d.State = report.USBBlocked
		more.Devices = append(append([]report.USBDevice(nil), more.Devices...), d)
		in.Facts = &report.Facts{USB: &more}
		after := p.Assess(now, in)
		if before.Status != after.Status || !reflect.DeepEqual(before.Rules, after.Rules) {
			t.Fatalf("%+v\n%+v", before, after)
		}
	})
}

// TestCompliantMeansJudged: nobody is Compliant without a fresh report, and the status
// follows from the mandatory requirements alone.
func TestCompliantMeansJudged(t *testing.T) {
	p := policy(t, aPolicy)
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		at := now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 100}).Draw(t, "minutes")) * time.Minute)
		a := p.Assess(at, in)
		applies := p.Applies(&in)
		mandatoryFailed := false
		for _, r := range a.Rules {
			mandatoryFailed = mandatoryFailed || r.Enforcement == "mandatory" && r.Status == Failed
			if (r.Status == Passed) != (r.Reason == "") {
				t.Fatalf("%+v", r)
			}
		}
		want := sessions.Compliant
		switch {
		case !applies:
			want = sessions.NotApplicable
		case in.Facts == nil:
			want = sessions.Pending
		case mandatoryFailed:
			want = sessions.NonCompliant
		}
		if a.Status != want || (len(a.Rules) > 0) != applies {
			t.Fatalf("%v, want %v: %+v", a.Status, want, a)
		}
		if stale := at.Sub(now) > p.reportValid; stale && a.Status == sessions.Compliant {
			for _, r := range a.Rules {
				if r.Enforcement == "mandatory" {
					t.Fatalf("compliant by old facts: %+v", r)
				}
			}
		}
	})
}

// TestRememberedMatchIsEvaluatedMatch: the memory changes nothing but the time it takes.
func TestRememberedMatchIsEvaluatedMatch(t *testing.T) {
	p := policy(t, aPolicy)
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		if got, want := p.match(&in.Session), p.evaluate(&in.Session); !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v\n%+v", got, want)
		}
	})
}

// TestMemoryIsBounded: users that a policy tells apart do not pile up.
func TestMemoryIsBounded(t *testing.T) {
	p := policy(t, strings.Replace(reference, `endpoint.os == "windows"`, `session.user == "a"`, 1))
	for i := range 3 * memoMax {
		in := on("linux", nil)
		in.Session.User = fmt.Sprint("user ", i)
		p.Applies(&in)
	}
	if n := len(p.memo.known); n > memoMax {
		t.Errorf("%d kinds of endpoint are remembered", n)
	}
}

// TestLoginPathAllocatesNothing: a login asks whether the policy applies.
func TestLoginPathAllocatesNothing(t *testing.T) {
	p := policy(t, enforcements)
	in := on("windows", nil)
	in.Session.Groups = []string{"staff"}
	p.Applies(&in)
	if n := testing.AllocsPerRun(1000, func() { p.Applies(&in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// largePolicy has 200 requirements with a condition each.
func largePolicy() string {
	var conditions, requirements, rules strings.Builder
	for i := range 200 {
		fmt.Fprintf(&conditions, "    C%d: {usb: {mass-storage: absent, allow: [\"%04x:0001\", \"%04x:0002\"]}}\n", i, i, i)
		fmt.Fprintf(&requirements, "    R%d: {conditions: [C%d]}\n", i, i)
		fmt.Fprintf(&rules, "{name: R%d},", i)
	}
	return "\n  conditions:\n" + conditions.String() + "  requirements:\n" + requirements.String() +
		"  policy:\n    - {rule: all, requirements: [" + rules.String() + "]}\n"
}

// BenchmarkAssess judges 1,000 facts by 200 requirements: a few devices in use among
// many that are held blocked.
func BenchmarkAssess(b *testing.B) {
	p := policy(b, largePolicy())
	rng := rand.New(rand.NewPCG(1, 2))
	devices := make([]report.USBDevice, 1000)
	for i := range devices {
		devices[i] = stick()
		devices[i].VID = fmt.Sprintf("%04x", rng.IntN(1<<16))
		devices[i].State = report.USBBlocked
		if i%250 == 0 {
			devices[i].State = report.USBActive
		}
	}
	in := on("windows", usb(devices...))
	b.ReportAllocs()
	for b.Loop() {
		p.Assess(now, in)
	}
}

// BenchmarkApplies is what a login costs.
func BenchmarkApplies(b *testing.B) {
	p := policy(b, enforcements)
	in := on("windows", nil)
	b.ReportAllocs()
	for b.Loop() {
		p.Applies(&in)
	}
}
