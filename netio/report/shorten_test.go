package report

import (
	"strings"
	"testing"
	"time"
)

// TestEncodeShortens: a report that is too long loses its largest groups, says so, and
// can be read; what it is mostly about stays.
func TestEncodeShortens(t *testing.T) {
	long := strings.Repeat("x", 1000)
	r := Report{V: Version, SessionID: "s", Seq: 1, Nonce: "n", Wall: time.Unix(0, 0).UTC(), Trigger: TriggerEvent, Agent: Agent{Name: "a"}}
	r.Facts.USB = &USB{Devices: []USBDevice{{Port: "2-1", Ifaces: []string{"08/06/50"}, State: USBActive}}}
	r.Facts.Files, r.Facts.Packages = &Files{}, &Packages{}
	r.Facts.Patch = &Patch{Pending: 7}
	for range 2 * factsMax {
		r.Facts.Files.Items = append(r.Facts.Files.Items, File{Path: long, State: StateUnknown, Reason: long + "\n" + long})
		r.Facts.Packages.Items = append(r.Facts.Packages.Items, Package{Probe: "p", Name: long, State: StateInstalled})
		r.Facts.Patch.Updates = append(r.Facts.Patch.Updates, Update{Name: long})
	}
	body, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if len(body) > ReportBytesMax {
		t.Fatalf("%d octets", len(body))
	}
	got, err := DecodeReport(body)
	if err != nil {
		t.Fatal(err)
	}
	if f := got.Facts.Files; len(f.Items) != 0 || f.Error != tooMuch {
		t.Errorf("files: %d items, %q", len(f.Items), f.Error)
	}
	if p := got.Facts.Packages; len(p.Items) != factsMax || p.Error == "" {
		t.Errorf("packages: %d items, %q", len(p.Items), p.Error)
	}
	if p := got.Facts.Patch; p.Pending != 7 || p.Error != "" {
		t.Errorf("patch: %+v", p)
	}
	if len(got.Facts.USB.Devices) != 1 {
		t.Error("the USB device is lost")
	}
}

// TestShortenEnds: whatever groups there are, each is emptied once.
func TestShortenEnds(t *testing.T) {
	f := Facts{USB: &USB{Devices: make([]USBDevice, 1)}, Files: &Files{Items: make([]File, 1)}, Registry: &Registry{Items: make([]RegistryItem, 1)},
		Services: &Services{Items: make([]Service, 1)}, Processes: &Processes{Items: make([]Process, 1)}, Packages: &Packages{Items: make([]Package, 1)},
		Patch: &Patch{Updates: make([]Update, 1)}, Encryption: &Encryption{Volumes: make([]Volume, 1)},
		Firewall: &Firewall{Products: make([]Product, 1)}, AntiMalware: &AntiMalware{Products: make([]Product, 1)}}
	for n := 0; f.shorten(); n++ {
		if last := f.USB.Error != ""; last != (n == 9) || n > 9 {
			t.Fatalf("step %d: USB emptied: %v", n, last)
		}
	}
	if f.USB.Error == "" || f.AntiMalware.Error == "" {
		t.Errorf("%+v", f)
	}
}
