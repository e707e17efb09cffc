package engine

import (
	"context"
	"net"
	"strings"
	"testing"

	"sallyport/coa"
	"sallyport/coa/coatest"
	"sallyport/netio/console"
)

// TestRehearsalOfSilence: a closed port, another secret and a NAS without a word are told
// apart by what the sockets hear, in words that say what to do.
func TestRehearsalOfSilence(t *testing.T) {
	stranger := coatest.NewScript(t, "another secret of the same length!")
	silent, silentPort := script(t)
	silent.Silent(100)
	held, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	closed := held.LocalAddr().(*net.UDPAddr).Port
	held.Close()
	for name, c := range map[string]struct {
		port        int
		words, sign string
	}{
		"closed":         {closed, "port " + itoa(closed) + " is closed there: another port", "port " + itoa(closed) + ": closed (ICMP port unreachable)"},
		"silent":         {silentPort, "takes packets without a word: another secret for CoA", "port 33434: closed"},
		"another secret": {int(stranger.Addr().Port()), "takes packets without a word: another secret for CoA", "nothing comes back"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.port)
			var got rehearsal
			err := operator{e: r.e}.TestNAS(context.Background(), "asa", func(row console.Row) error { got = row.(rehearsal); return nil })
			if err != nil || got.Sound || got.Outcome != "silent" || !strings.Contains(got.Meaning, c.words) || !strings.Contains(strings.Join(got.Signs, "; "), c.sign) {
				t.Errorf("%+v %v, want %q", got, err, c.words)
			}
		})
	}
}

// TestJudgeSilence: each combination of signs, the own port first.
func TestJudgeSilence(t *testing.T) {
	at := func(signs ...coa.Sign) (found []probed) {
		for i, s := range signs {
			found = append(found, probed{port: []uint16{1700, 3799, 33434}[i], sign: s})
		}
		return found
	}
	for _, c := range []struct {
		found []probed
		words string
	}{
		{at(coa.Closed, coa.Answered, coa.Closed), "wrong port: port 3799 answers, port 1700 does not. Set coa: {port: 3799}"},
		{at(coa.Nothing, coa.Unverified, coa.Nothing), "wrong port: port 3799"},
		{at(coa.Closed, coa.Closed, coa.Closed), "port 1700 is closed there"},
		{at(coa.Unreachable, coa.Unreachable, coa.Unreachable), "cannot be reached from here"},
		{at(coa.Unverified, coa.Closed, coa.Closed), "wrong secret: it answers"},
		{at(coa.Nothing, coa.Closed, coa.Nothing), "the NAS is there"},
		{at(coa.Nothing, coa.Nothing, coa.Nothing), "nothing comes back from any port"},
		{at(coa.Answered, coa.Closed, coa.Closed), "answered a probe and not the change"},
	} {
		if got := judgeSilence(c.found); !strings.Contains(got, c.words) {
			t.Errorf("%v: %q, want %q", c.found, got, c.words)
		}
	}
}
