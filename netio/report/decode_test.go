package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what the decoders say of the vectors as their golden output")

// vectorKey is a key of no device.
const vectorKey = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li_hp_m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q"

// decoders by the word that begins a vector.
var decoders = map[string]func([]byte) (document, error){
	"claim":     func(b []byte) (document, error) { return DecodeClaim(b) },
	"claimed":   func(b []byte) (document, error) { return DecodeClaimed(b) },
	"report":    func(b []byte) (document, error) { return DecodeReport(b) },
	"verdict":   func(b []byte) (document, error) { return DecodeVerdict(b) },
	"policy":    func(b []byte) (document, error) { return DecodePolicy(b) },
	"discovery": func(b []byte) (document, error) { return DecodeDiscovery(b) },
	"events":    func(b []byte) (document, error) { return DecodeEvents(b) },
	"update":    func(b []byte) (document, error) { return DecodeBuild(b) },
	"enroll":    func(b []byte) (document, error) { return DecodeEnroll(b) },
	"enrolled":  func(b []byte) (document, error) { return DecodeEnrolled(b) },
	"problem":   func(b []byte) (document, error) { return DecodeProblem(b) },
}

// vectors calls run with every vector of every file: document, body, and the name of
// the file. What run returns belongs below the vector.
func vectors(tb testing.TB, run func(file, doc string, body []byte) string) {
	tb.Helper()
	files, err := filepath.Glob("testdata/*.vec")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no vectors: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		var out strings.Builder
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "\t") {
				continue // what was said last time
			}
			out.WriteString(line)
			if line = strings.TrimSuffix(line, "\n"); line == "" || line[0] == '#' {
				continue
			}
			doc, body, _ := strings.Cut(line, " ")
			body = strings.NewReplacer("KEY", vectorKey, "LONG", strings.Repeat("x", 5000)).Replace(body)
			if said := run(file, doc, []byte(body)); said != "" {
				fmt.Fprintf(&out, "\t%s\n", said)
			}
		}
		if t, golden := tb.(*testing.T); golden {
			compare(t, file, text, out.String())
		}
	}
}

func compare(t *testing.T, file string, want []byte, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	w, g := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			t.Errorf("%s:%d:\n got %s\nwant %s", file, i+1, g[i], w[i])
			return
		}
	}
	if len(w) != len(g) {
		t.Errorf("%s: %d lines, want %d; -rewrite writes them", file, len(g), len(w))
	}
}

func TestVectors(t *testing.T) {
	vectors(t, func(file, doc string, body []byte) string {
		d, err := decoders[doc](body)
		if err != nil {
			return "refused: " + describe(err)
		}
		again, err := json.Marshal(d)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		return "read: " + strings.ReplaceAll(string(again), vectorKey, "KEY")
	})
}

func describe(err error) string {
	var p *Problem
	if !errors.As(err, &p) {
		return "not a Problem: " + err.Error()
	}
	return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail)
}

// TestTruncatedIsRefused cuts good documents everywhere.
func TestTruncatedIsRefused(t *testing.T) {
	vectors(discard{t}, func(file, doc string, body []byte) string {
		if _, err := decoders[doc](body); err != nil {
			return ""
		}
		for n := range len(bytes.TrimRight(body, " ")) {
			if _, err := decoders[doc](body[:n]); err == nil {
				t.Fatalf("%s: accepted %d of %d octets of %s", file, n, len(body), body)
			}
		}
		return ""
	})
}

// discard is a testing.TB that is no *testing.T, so that no golden output is compared.
type discard struct{ testing.TB }

// TestSizeBeforeDecoding: a body one octet over its limit is refused although it is
// good otherwise, and one at its limit is read.
func TestSizeBeforeDecoding(t *testing.T) {
	limits := map[string]int{"claim": ClaimBytesMax, "claimed": ClaimedBytesMax, "report": ReportBytesMax,
		"verdict": VerdictBytesMax, "policy": PolicyBytesMax, "discovery": DiscoveryBytesMax,
		"events": EventsBytesMax, "update": BuildBytesMax, "problem": ProblemBytesMax, "enroll": EnrollBytesMax, "enrolled": EnrolledBytesMax}
	seen := map[string]bool{}
	vectors(discard{t}, func(file, doc string, body []byte) string {
		if _, err := decoders[doc](body); err != nil || seen[doc] {
			return ""
		}
		seen[doc] = true
		full := append(bytes.Clone(body), bytes.Repeat([]byte{' '}, limits[doc]-len(body))...)
		if _, err := decoders[doc](full); err != nil {
			t.Errorf("%s of %d octets: %v", doc, len(full), err)
		}
		if _, err := decoders[doc](append(full, ' ')); err == nil || !strings.Contains(err.Error(), CodeTooLarge) {
			t.Errorf("%s of %d octets: %v", doc, len(full)+1, err)
		}
		return ""
	})
	if len(seen) != len(limits) {
		t.Errorf("vectors have good documents of %d kinds, want %d", len(seen), len(limits))
	}
}

// good is a report with everything at its limit.
func good() *Report {
	r := &Report{V: Version, SessionID: strings.Repeat("s", SessionIDMax), Seq: 9, Nonce: strings.Repeat("n", tokenMax),
		Trigger: TriggerEvent, Agent: Agent{Name: "a"}, System: System{OS: "linux"}, Facts: Facts{USB: &USB{}}}
	for range devicesMax {
		d := USBDevice{Port: "1-1", Serial: strings.Repeat("é", usbTextMax/2), Product: strings.Repeat("p", usbTextMax),
			Manufacturer: strings.Repeat("m", usbTextMax), State: USBActive, Disks: []string{"sda"}, Mounts: []string{"/m"}}
		for range ifacesMax / 8 {
			d.Ifaces = append(d.Ifaces, "08/06/50")
		}
		r.Facts.USB.Devices = append(r.Facts.USB.Devices, d)
	}
	return r
}

func encode(t testing.TB, doc any) []byte {
	t.Helper()
	body, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestCounts: one thing too many is refused by the name of its list.
func TestCounts(t *testing.T) {
	body := encode(t, good())
	if _, err := DecodeReport(body); err != nil {
		t.Fatalf("a report of %d octets with everything at its limit: %v", len(body), err)
	}
	for field, spoil := range map[string]func(*Report){
		"facts.usb.devices":           func(r *Report) { r.Facts.USB.Devices = append(r.Facts.USB.Devices, r.Facts.USB.Devices[0]) },
		"facts.usb.devices[2].ifaces": func(r *Report) { grow(&r.Facts.USB.Devices[2].Ifaces, ifacesMax+1, "08/06/50") },
		"facts.usb.devices[3].disks":  func(r *Report) { grow(&r.Facts.USB.Devices[3].Disks, nodesMax+1, "sda") },
		"facts.usb.devices[4].mounts": func(r *Report) { grow(&r.Facts.USB.Devices[4].Mounts, nodesMax+1, "/m") },
		"facts.usb.devices[5].serial": func(r *Report) { r.Facts.USB.Devices[5].Serial += "x" },
		"session_id":                  func(r *Report) { r.SessionID += "s" },
		"nonce":                       func(r *Report) { r.Nonce += "n" },
		"actions":                     func(r *Report) { r.Actions = make([]ActionResult, actionsMax+1) },
	} {
		r := good()
		spoil(r)
		_, err := DecodeReport(encode(t, r))
		if err == nil || !strings.HasPrefix(err.Error(), CodeTooLarge+": "+field+":") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func grow(list *[]string, n int, with string) {
	for len(*list) < n {
		*list = append(*list, with)
	}
}

// TestStructureIsBounded: few octets cannot make many values, known field or not.
func TestStructureIsBounded(t *testing.T) {
	items := func(n int) string { return strings.Repeat("{},", n-1) + "{}" }
	names := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"x%d":0`, i)
		}
		return b.String()
	}
	for _, test := range []struct{ body, want string }{
		{`{"v":1,"facts":{"usb":{"devices":[` + items(itemsMax+1) + `]}}}`, "an array has more than 1024 items"},
		{`{"v":1,"facts":{"usb":{"devices":[` + items(itemsMax) + `]}}}`, "missing or empty"},
		{`{"v":1` + names(namesMax) + `}`, "an object has more than 64 names"},
		{`{"v":1` + names(namesMax-1) + `}`, "missing or empty"},
		{strings.Repeat(`{"a":`, 200_00) + "1" + strings.Repeat("}", 200_00), "exceeded max depth"},
		{strings.Repeat("[", 100_000), "not JSON"},
		{"{\"v\":1,\"nonce\":\"\xff\"}", "not UTF-8"},
	} {
		if _, err := DecodeReport([]byte(test.body)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.60s: %v, want %q", test.body, err, test.want)
		}
	}
}

// TestTidyIsAccepted: whatever collectors found, after Tidy the appliance reads it, and
// a report within the bounds is left as it is.
func TestTidyIsAccepted(t *testing.T) {
	r := good()
	r.Tidy()
	if !reflect.DeepEqual(r, good()) {
		t.Error("Tidy changed a report that was within its bounds")
	}
	bad := "\x1b[2J\u202e\xff" + strings.Repeat("é", 5000)
	r.System = System{OS: "linux", OSName: bad, OSVersion: bad, Hostname: bad, Domain: bad, User: bad}
	r.Actions = []ActionResult{{ID: "a", Result: "failed", Error: bad}}
	r.Facts.USB.Devices = r.Facts.USB.Devices[:3]
	d := &r.Facts.USB.Devices[1]
	d.VID, d.PID, d.Serial, d.Manufacturer, d.Product, d.Driver = bad, bad, bad, bad, bad, bad
	grow(&d.Disks, 500, "sda")
	grow(&d.Mounts, 500, bad)
	r.Tidy()
	body := encode(t, r)
	got, err := DecodeReport(body)
	if err != nil {
		t.Fatal(err)
	}
	if s := got.Facts.USB.Devices[1].Serial; !strings.HasPrefix(s, "\ufffd[2J\ufffd\ufffdéé") || len(s) > usbTextMax {
		t.Errorf("serial became %q", s)
	}
	for range devicesMax {
		r.Facts.USB.Devices = append(r.Facts.USB.Devices, USBDevice{Port: "2", Ifaces: []string{"08/06/50"}, State: USBActive})
	}
	r.Tidy()
	if _, err := DecodeReport(encode(t, r)); err != nil || r.Facts.USB.Error == "" {
		t.Errorf("too many devices: %v, error %q", err, r.Facts.USB.Error)
	}
	c := &Claim{V: Version, Key: vectorKey, Agent: Agent{Name: "a"}, System: System{User: bad}}
	grow(&c.MACs, 100, "00:0c:29:31:9d:0e")
	c.Tidy()
	if _, err := DecodeClaim(encode(t, c)); err != nil {
		t.Error(err)
	}
}
