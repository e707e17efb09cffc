package engine

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"sallyport/engine/record"
	"sallyport/netio/radius"
)

var reloads = flag.Int("reloads", 100, "how many reloads are to leave nothing behind")

// resources are what a leak shows in.
type resources struct {
	heap                    uint64
	goroutines, descriptors int
}

func measure() (r resources) {
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r.heap, r.goroutines = m.HeapAlloc, runtime.NumGoroutine()
	if open, err := os.ReadDir("/proc/self/fd"); err == nil { // else this system has none
		r.descriptors = len(open)
	}
	return r
}

// reloading reloads n times beside the test, each time with what edit makes of the
// configuration, and calls meanwhile until it is done.
func (r *rig) reloading(n int, edit func(i int) string, meanwhile func()) {
	r.t.Helper()
	done := make(chan error, 1)
	go func() {
		for i := range n {
			r.write("sallyport.yaml", edit(i))
			if err := r.e.Reload(); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				r.t.Fatal(err)
			}
			return
		default:
			meanwhile()
		}
	}
}

// TestReloadsLeaveNothingBehind: memory, goroutines and descriptors are after many reloads
// what they were after a few, with a recording and a shadow, while packets flow.
func TestReloadsLeaveNothingBehind(t *testing.T) {
	r := newRig(t, 1)
	text := read(t, r.dir+"/sallyport.yaml")
	r.write("shadow.yaml", text)
	edit := func(i int) string {
		return strings.Replace(text, "authorization:\n", fmt.Sprintf("records: {recording: {file: day.jsonl, megabytes: 8}}\nshadow: {file: shadow.yaml}\nsessions: {max: %d}\nauthorization:\n", 1000+i%2), 1)
	}
	packets := 0
	login := func() {
		if v := r.exchange(asaAddr, 0, r.pap("cisco", "cisco", fmt.Sprintf("%s%x", audit[:22], 16+packets%64))); v.Code() != radius.AccessAccept {
			t.Fatal(v.Code())
		}
		packets++
	}
	warm := min(*reloads, 50)
	r.reloading(warm, edit, login)
	settled := func() resources {
		r.idle()
		return measure()
	}
	before, begun := settled(), time.Now()
	r.reloading(*reloads, edit, login)
	took := time.Since(begun)
	const slack = 4 << 20 // what packets and rows leave in memories of bounded size
	var after resources
	for deadline := time.Now().Add(10 * time.Second); ; {
		after = settled()
		if after.heap <= before.heap+slack && after.goroutines <= before.goroutines && after.descriptors <= before.descriptors || time.Now().After(deadline) {
			break
		}
	}
	if after.heap > before.heap+slack || after.goroutines > before.goroutines || after.descriptors > before.descriptors {
		t.Errorf("%+v after %d reloads, %+v after %d", before, warm, after, warm+*reloads)
	}
	t.Logf("%d reloads in %s, %d packets meanwhile: %+v -> %+v", *reloads, took.Round(time.Millisecond), packets, before, after)
}

// TestNoPacketIsJudgedByHalfAPolicy: while two configurations that have nothing in common
// take turns, every packet is answered, and by one of them: its rule, its profile, and both
// halves of what that says.
func TestNoPacketIsJudgedByHalfAPolicy(t *testing.T) {
	_, port := script(t)
	r := newRig(t, port)
	text := read(t, r.dir+"/sallyport.yaml")
	edit := func(i int) string {
		letter := string(rune('A' + i%2))
		return strings.NewReplacer(
			"Posture_Unknown,", "Rule_"+letter+",", "profile: Posture_Redirect}", "profile: Profile_"+letter+"}",
			"Posture_Redirect: {", "Profile_"+letter+": {attributes: {Reply-Message: ["+letter+"]}, session-timeout: "+fmt.Sprint(10+i%2)+"m, ",
		).Replace(text)
	}
	r.write("sallyport.yaml", edit(0))
	if err := r.e.Reload(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	packets := 0
	r.reloading(40, edit, func() {
		packets++
		v := r.exchange(asaAddr, 0, r.pap("cisco", "cisco", fmt.Sprintf("%s%x", audit[:22], 16+packets%64)))
		letter, _ := v.Get(radius.ReplyMessage)
		timeout, _ := v.Get(radius.SessionTimeout)
		url, _ := v.AVPair("url-redirect")
		want := map[string]uint32{"A": 600, "B": 660}[string(letter)]
		if v.Code() != radius.AccessAccept || want == 0 || !bytes.Equal(timeout, binary.BigEndian.AppendUint32(nil, want)) || len(url) == 0 {
			t.Fatalf("%s: message %q, timeout %x, redirect %q", v.Code(), letter, timeout, url)
		}
		seen[string(letter)]++
	})
	if seen["A"] == 0 || seen["B"] == 0 || seen["A"]+seen["B"] != packets {
		t.Errorf("%d packets, answered by %v", packets, seen)
	}
	rows := 0
	for _, d := range r.rows() {
		if d.Kind != record.KindAuth {
			continue
		}
		rows++
		if d.AuthorizationPolicy[len("Rule_"):] != d.AuthorizationProfile[len("Profile_"):] {
			t.Errorf("%+v", d)
		}
	}
	if rows < packets { // the live log keeps more than these
		t.Errorf("%d rows of %d packets", rows, packets)
	}
	t.Logf("%d packets over 40 reloads: %v", packets, seen)
}
