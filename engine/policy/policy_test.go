package policy

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/coa"
	"sallyport/coa/recipe"
	"sallyport/engine/authz"
)

var rewrite = flag.Bool("rewrite", false, "write what check says of the fixtures as golden output")

// unpack writes the files of a fixture, each below a line "-- name --", and returns the
// fixture without its golden output, that output, and the directory.
func unpack(t testing.TB, name string) (body, want, dir string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	body, want, _ = strings.Cut(string(data), "-- want --\n")
	var file string
	files := map[string]string{}
	for line := range strings.SplitAfterSeq(body, "\n") {
		title, ok := strings.CutPrefix(line, "-- ")
		if found, end := strings.CutSuffix(title, " --\n"); ok && end {
			file = found
		} else if file != "" {
			files[file] += line
		}
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return body, want, dir
}

// TestCheckSays loads whole configurations, policy tests included; the part want of a
// fixture is what check prints, as text and as JSON.
func TestCheckSays(t *testing.T) {
	fixtures, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(fixtures) == 0 {
		t.Fatal("no fixtures", err)
	}
	for _, name := range fixtures {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			body, want, dir := unpack(t, name)
			o := Check(filepath.Join(dir, "sallyport.yaml"))
			got := strings.ReplaceAll(o.Text()+o.JSON(), dir+"/", "")
			if (o.ExitCode() == ExitSound) != (o.Snapshot != nil) {
				t.Errorf("exit code %d with snapshot %v", o.ExitCode(), o.Snapshot != nil)
			}
			if *rewrite {
				if err := os.WriteFile(name, []byte(body+"-- want --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

func TestUnreadableHasItsOwnStatus(t *testing.T) {
	o := Check(filepath.Join(t.TempDir(), "none.yaml"))
	if o.ExitCode() != ExitUnreadable || o.Snapshot != nil {
		t.Errorf("%d %v", o.ExitCode(), o.Faults)
	}
}

// TestNASBySource: the longest prefix that fits, a single address before all.
func TestNASBySource(t *testing.T) {
	_, _, dir := unpack(t, "testdata/nases.txt")
	s, _, faults := Load(filepath.Join(dir, "sallyport.yaml"))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"192.0.2.1": "one", "192.0.2.2": "small", "192.0.2.200": "large", "198.51.100.1": "", "2001:db8::1": "six", "2001:db9::1": "",
	} {
		got := ""
		if n := s.NAS(netip.MustParseAddr(address)); n != nil {
			got = n.Name
		}
		if got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	a := netip.MustParseAddr("192.0.2.1")
	if n := testing.AllocsPerRun(100, func() { s.NAS(a) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestCoATarget: what the file says of how a NAS is told arrives where it is told, and the
// address to send from is of the NAS's family.
func TestCoATarget(t *testing.T) {
	_, _, dir := unpack(t, "testdata/coa.txt")
	s, _, faults := Load(filepath.Join(dir, "sallyport.yaml"))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	address := netip.MustParseAddr
	if want := []netip.Addr{address("192.0.2.98"), address("192.0.2.99"), address("2001:db8::99")}; !slices.Equal(s.CoASources, want) {
		t.Errorf("sources %v, want %v", s.CoASources, want)
	}
	own := coa.NAS{Name: "own", Fallback: recipe.FallbackDisconnect, ConfirmWithin: 45 * time.Second, InFlightMax: 7, RateMax: 11,
		Retry: coa.Retransmission{Initial: 3 * time.Second, CountMax: 2}}
	others := coa.Retransmission{Initial: 2 * time.Second, CountMax: 4}
	for from, want := range map[string]coa.NAS{
		"192.0.2.1":   {Name: "plain", Addr: netip.MustParseAddrPort("192.0.2.1:1700"), Retry: others},
		"2001:db8::1": {Name: "plain", Addr: netip.MustParseAddrPort("[2001:db8::1]:1700"), Retry: others},
		"192.0.2.2":   {Addr: netip.MustParseAddrPort("192.0.2.2:3799"), Source: address("192.0.2.99")},
		"2001:db8::2": {Addr: netip.MustParseAddrPort("[2001:db8::2]:3799"), Source: address("2001:db8::99")},
		"192.0.2.3":   {Name: "four", Addr: netip.MustParseAddrPort("192.0.2.3:3799"), Source: address("192.0.2.98"), Retry: others},
		"2001:db8::3": {Name: "four", Addr: netip.MustParseAddrPort("[2001:db8::3]:3799"), Retry: others},
	} {
		if want.Name == "" {
			at, source := want.Addr, want.Source
			want = own
			want.Addr, want.Source = at, source
		}
		got := *s.NAS(address(from)).CoATarget(address(from))
		if got.Key == nil || got.Recipe == nil {
			t.Errorf("%s: no key or no recipe", from)
		}
		got.Key, got.Recipe = nil, nil
		if got != want {
			t.Errorf("%s: got %+v, want %+v", from, got, want)
		}
	}
}

// TestOffer: the first provisioning rule that matches.
func TestOffer(t *testing.T) {
	_, _, dir := unpack(t, "testdata/offers.txt")
	s, _, faults := Load(filepath.Join(dir, "sallyport.yaml"))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		in   authz.Input
		want string
	}{
		{authz.Input{OS: "windows"}, "agent-windows"},
		{authz.Input{OS: "windows", Groups: []string{"testers"}}, "windows-next"},
		{authz.Input{OS: "linux"}, "agent-linux"},
		{authz.Input{OS: "android"}, ""},
		{authz.Input{}, ""},
	} {
		got := ""
		if r := s.Offer(&one.in); r != nil {
			got = r.Name
		}
		if got != one.want {
			t.Errorf("%+v: %q, want %q", one.in, got, one.want)
		}
	}
}
