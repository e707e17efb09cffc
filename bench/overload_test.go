package bench

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// moments makes a series of so many moments, each as the function says.
func moments(n int, what func(i int) Moment) Series {
	s := Series{Width: 50 * time.Millisecond}
	for i := range n {
		s.Moments = append(s.Moments, what(i))
	}
	return s
}

// TestJudgeOverload: goodput is what was answered while the flood came, from the load and
// from the flood; recovery begins where two moments in a row are well.
func TestJudgeOverload(t *testing.T) {
	const from, to = 20, 50 // moments of the flood: 1 s to 2.5 s
	for _, test := range []struct {
		name     string
		wellFrom int
		recovery float64
	}{
		{"at once", to, 0},
		{"after a while", to + 7, 0.35},
		{"never", 1000, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &Result{Series: moments(90, func(i int) Moment {
				switch {
				case i < from || i >= test.wellFrom || i == to+3: // one good moment alone is luck
					return Moment{Due: 1000, Answered: 1000, Replies: 1000, P99: 500}
				case i < to:
					return Moment{Due: 1000, Answered: 100, Replies: 100, P99: 90_000}
				}
				return Moment{Due: 1000, Answered: 900, Replies: 900, P99: 500}
			})}
			r.Storm = &Flooded{Offered: 980_000, Series: moments(30, func(int) Moment { return Moment{Replies: 4700} })}
			got := judgeOverload(r, &Knee{Rate: 100_000})
			want := Overload{Times: 10, Goodput: 96_000, Ratio: 0.96, Recovery: test.recovery, Begin: 1, End: 2.5}
			if *got != want {
				t.Fatalf("%+v, want %+v", *got, want)
			}
		})
	}
}

// TestOverloadObjectives: less than was to be offered proves nothing.
func TestOverloadObjectives(t *testing.T) {
	r := &Result{Scenario: *scenario("overload"), Counts: Counts{Requests: 1}, Overload: &Overload{Times: 6.3, Ratio: 0.5, Recovery: -1}}
	r.judge()
	text := strings.Join(r.Missed, "\n")
	for _, want := range []string{"6.3 times the knee, 10 were", "goodput: 0.500", "recovery"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
}

// TestFailoverMovesToTheSecondNAS: the server gets warm from one address and is measured
// from another.
func TestFailoverMovesToTheSecondNAS(t *testing.T) {
	b := newTable(t, &Scenario{NASes: 2, Ports: 4, Window: 8, Sessions: 10, Failover: true, Count: 32, Time: time.Minute})
	ids := [2]map[string]bool{{}, {}}
	for nas := range 2 {
		b.l.only = nas
		b.begin()
		for !b.l.done() {
			for _, one := range b.step() {
				if b.l.ports[one.port].nas != nas {
					t.Fatalf("NAS %d sent, want %d", b.l.ports[one.port].nas, nas)
				}
				ids[nas][auditOf(t, one.data)] = true
				b.answer(one)
			}
			b.now++
		}
	}
	if len(ids[0]) != 10 || len(ids[1]) != 10 {
		t.Fatal(ids)
	}
	for id := range ids[0] {
		if ids[1][id] {
			t.Fatalf("session %s is of both NASes", id)
		}
	}
	if a, b := nasSource(0), nasSource(1); a == b || !netip.MustParsePrefix("127.0.0.0/8").Contains(a) {
		t.Fatal(a, b)
	}
}
