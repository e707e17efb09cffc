package collect

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"sallyport/netio/report"
)

// TestHardware: what a tree of the kernel's files says, what it has not, and what nobody
// knows of.
func TestHardware(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{
		"sys/class/dmi/id/sys_vendor": "LENOVO\n", "sys/class/dmi/id/product_serial": "PF-1234\n",
		"proc/cpuinfo":                         "processor\t: 0\nmodel name\t: A CPU @ 2.5GHz\n\nprocessor\t: 1\nmodel name\t: A CPU @ 2.5GHz\n",
		"proc/meminfo":                         "MemTotal:       16281236 kB\nMemFree: 1 kB\n",
		"sys/class/tpm/tpm0/tpm_version_major": "2\n", secureBoot: "\x06\x00\x00\x00\x01",
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]report.HardwareItem{
		"manufacturer": {State: report.StatePresent, Value: "LENOVO"}, "serial": {State: report.StatePresent, Value: "PF-1234"},
		"model": {State: report.StateAbsent}, "cpu": {State: report.StatePresent, Value: "A CPU @ 2.5GHz"},
		"cpus": {State: report.StatePresent, Value: "2"}, "memory": {State: report.StatePresent, Value: "15899"},
		"tpm": {State: report.StatePresent, Value: "2.0"}, "secure-boot": {State: report.StatePresent, Value: "on"},
		"colour": {State: report.StateUnknown, Reason: "this agent knows of no attribute colour"},
	}
	s := NewSurveyor(root)
	p := &report.Policy{Collect: []string{report.KindHardware}, Probe: &report.Probe{}}
	for attribute := range want {
		p.Probe.Hardware = append(p.Probe.Hardware, attribute)
	}
	f := s.Survey(context.Background(), p)
	if f.Hardware == nil || len(f.Hardware.Items) != len(want) {
		t.Fatalf("%+v", f.Hardware)
	}
	for _, got := range f.Hardware.Items {
		w := want[got.Attribute]
		if w.Attribute = got.Attribute; got != w {
			t.Errorf("%+v, want %+v", got, w)
		}
	}
	for _, attribute := range report.HardwareAttributes() {
		if _, why := hardwareValue("/", attribute); why == "this agent knows of no attribute "+attribute {
			t.Errorf("%s may be asked for, and nobody looks", attribute)
		}
	}
	if _, why := hardwareValue(t.TempDir(), "memory"); why == "" {
		t.Error("a machine without memory")
	}
}
