package collect

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/windows/registry"

	"sallyport/netio/report"
)

// plant makes a key of HKLM with values, and takes it away afterwards.
func plant(t *testing.T, path string, values map[string]any) {
	t.Helper()
	k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, path, registry.ALL_ACCESS)
	if err != nil {
		t.Skipf("the registry cannot be written here: %v", err)
	}
	defer k.Close()
	t.Cleanup(func() { registry.DeleteKey(registry.LOCAL_MACHINE, path) })
	for name, value := range values {
		switch v := value.(type) {
		case string:
			err = k.SetStringValue(name, v)
		case uint32:
			err = k.SetDWordValue(name, v)
		case []string:
			err = k.SetStringsValue(name, v)
		case []byte:
			err = k.SetBinaryValue(name, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRegistry(t *testing.T) {
	const path = `SOFTWARE\SallyportTest`
	plant(t, path, map[string]any{"": "default", "Text": "a", "Number": uint32(4), "List": []string{"x", "y"}, "Raw": []byte{1, 0xff}})
	for _, c := range []struct{ value, kind, data string }{
		{"Text", "string", "a"}, {"Number", "number", "4"}, {"List", "strings", "x\ny"}, {"Raw", "binary", "01ff"},
	} {
		s := &survey{probe: report.Probe{Registry: []report.RegistryProbe{{Hive: "HKLM", Key: path, Value: c.value}}}}
		if got := registryItems(context.Background(), s).Items[0]; got.State != report.StatePresent || got.Type != c.kind || got.Data != c.data {
			t.Errorf("%s: %+v", c.value, got)
		}
	}
	s := &survey{probe: report.Probe{Registry: []report.RegistryProbe{{Hive: "HKLM", Key: path}, {Hive: "HKLM", Key: path, Default: true},
		{Hive: "HKLM", Key: path, Value: "None"}, {Hive: "HKLM", Key: path + `\None`}}}}
	got := registryItems(context.Background(), s).Items
	for i, want := range []string{report.StatePresent, report.StatePresent, report.StateAbsent, report.StateAbsent} {
		if got[i].State != want {
			t.Errorf("%d: %+v, want %s", i, got[i], want)
		}
	}
	if got[1].Data != "default" {
		t.Errorf("%+v", got[1])
	}
}

func TestUninstall(t *testing.T) {
	plant(t, uninstall+`\SallyportTest`, map[string]any{"DisplayName": "Sallyport Test", "DisplayVersion": "1.2", "Publisher": "Us"})
	s := &survey{probe: report.Probe{Packages: []string{"sallyport*", "no such program"}}}
	got := packages(context.Background(), s).Items
	if got[0].State != report.StateInstalled || got[0].Version != "1.2" || got[1].State != report.StateAbsent {
		t.Errorf("%+v", got)
	}
}

func TestFirewallProfiles(t *testing.T) {
	for _, profile := range []string{"DomainProfile", "StandardProfile", "PublicProfile"} {
		plant(t, firewallDomains+profile, map[string]any{"EnableFirewall": uint32(1)})
	}
	if p := firewall(context.Background(), &survey{}).Products[0]; len(p.Profiles) != 3 || p.Profiles[2] != "public on" || p.State == report.StateUnknown {
		t.Errorf("%+v", p)
	}
	plant(t, firewallDomains+"PublicProfile", map[string]any{"EnableFirewall": uint32(0)})
	if p := firewall(context.Background(), &survey{}).Products[0]; p.State != report.StateOff {
		t.Errorf("%+v", p)
	}
}

func TestProcessesAndServices(t *testing.T) {
	exe, err := os.Executable()
	must(t, err)
	s := &survey{probe: report.Probe{Processes: []string{filepath.Base(exe), "no-such.exe"}, Services: []string{"no such service"}}}
	if got := processes(context.Background(), s).Items; got[0].State != report.StateRunning || got[1].State != report.StateAbsent {
		t.Errorf("%+v", got)
	}
	if got := services(context.Background(), s); got.Error == "" && got.Items[0].State != report.StateAbsent {
		t.Errorf("%+v", got)
	}
}

func TestSystemFile(t *testing.T) {
	s := &survey{probe: report.Probe{Files: []report.FileProbe{{Root: report.RootSystem32, Path: "kernel32.dll", Want: []string{report.WantVersion, report.WantSHA256}}}}}
	if got := files(context.Background(), s).Items[0]; got.State != report.StatePresent || got.Version == "" || len(got.SHA256) != 64 {
		t.Errorf("%+v", got)
	}
	if p := patch(context.Background(), s); p.Build == "" {
		t.Errorf("%+v", p)
	}
}

func TestBitLockerStates(t *testing.T) {
	for _, c := range []struct {
		protection, conversion uint32
		want                   string
	}{{1, 1, report.VolumeEncrypted}, {0, 1, report.VolumeSuspended}, {0, 0, report.VolumePlain}, {0, 2, report.VolumePending}, {2, 1, report.VolumeEncrypted}, {0, 4, report.VolumePartly}} {
		if got := (encryptable{DriveLetter: "C:", ProtectionStatus: c.protection, ConversionStatus: c.conversion}).volume().State; got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	for state, want := range map[uint32]string{0x41100: report.StateOn, 0x61000: report.StateOn, 0x60000: report.StateOff} {
		if got := (protector{DisplayName: "x", ProductState: state}).product().State; got != want {
			t.Errorf("%x: %s", state, got)
		}
	}
}

// TestUSBByDrivers: what the registry says that the two drivers drive. Wine's configuration
// manager answers no question for a device: what may be the system's own disk then counts as
// that.
func TestUSBByDrivers(t *testing.T) {
	if got := USB("/"); got.Error != "" {
		t.Fatalf("nothing is driven: %+v", got)
	}
	plant(t, servicesKey+`USBSTOR\Enum`, map[string]any{"Count": uint32(2), "0": `USB\VID_0781&PID_5581\4C530001`, "1": `USB\VID_0951&PID_16A6\6&1a2b&0&3`})
	plant(t, servicesKey+`UASPStor\Enum`, map[string]any{"Count": uint32(1), "0": `USB\VID_174C&PID_55AA\MSFT30X`})
	plant(t, instancesKey+`USB\VID_0781&PID_5581\4C530001`, map[string]any{"LocationInformation": "Port_#0002.Hub_#0001"})
	state := report.USBActive
	if _, _, err := DevNode(`USB\VID_0000&PID_0000\NONE`); err != nil {
		t.Logf("devices cannot be looked up here: %v", err)
		state = report.USBProtected
	}
	got := USB("/")
	if (got.Error == "") != (state == report.USBActive) || len(got.Devices) != 3 {
		t.Fatalf("%+v", got)
	}
	d := got.Devices[0]
	if d.Port != "Port_#0002.Hub_#0001" || d.VID != "0781" || d.PID != "5581" || d.Serial != "4C530001" || d.Ifaces[0] != "08/06/50" || d.State != state {
		t.Errorf("%+v", d)
	}
	for _, d := range got.Devices[1:] {
		if d.VID == "0951" && d.Serial != "" || d.VID == "174c" && d.Ifaces[0] != "08/06/62" {
			t.Errorf("%+v", d)
		}
	}
	r := report.Report{V: report.Version, SessionID: "s", Seq: 1, Nonce: "n", Trigger: report.TriggerEvent, Agent: report.Agent{Name: "a"}, Facts: report.Facts{USB: got.Report()}}
	body, err := r.Encode()
	must(t, err)
	if _, err := report.DecodeReport(body); err != nil {
		t.Errorf("the appliance would refuse it: %v", err)
	}
	plant(t, servicesKey+`USBSTOR\Enum`, map[string]any{"Count": uint32(3)})
	if got := USB("/"); got.Error == "" {
		t.Error("a list that is shorter than it says is believed")
	}
}

// TestVolumes: those of this system have names, and its own disks can be told or the reason
// why not. A policy that denies everything is seen.
func TestVolumes(t *testing.T) {
	all, err := thisMachine{}.volumes()
	t.Logf("%+v %v", all, err)
	if len(all) == 0 && err == nil {
		t.Error("a system without volumes, and no reason")
	}
	for _, v := range all {
		if !strings.HasPrefix(v.name, `\\?\Volume{`) || strings.HasSuffix(v.name, `\`) {
			t.Errorf("%+v", v)
		}
		for _, point := range v.points {
			if !strings.HasSuffix(point, `\`) || strings.ContainsRune(point, 0) {
				t.Errorf("%q", point)
			}
		}
	}
	disks, err := thisMachine{}.system()
	t.Log(disks, err)
	if len(disks) == 0 && err == nil {
		t.Error("a system on no disk, and no reason")
	}
	if (thisMachine{}).denied() {
		t.Error("a policy where there is none")
	}
	plant(t, policyKey, map[string]any{"Deny_All": uint32(1)})
	if !(thisMachine{}).denied() {
		t.Error("a policy that denies all is not seen")
	}
}

// TestHardware: what the registry and the kernel tell, and that a question for WMI ends.
func TestHardware(t *testing.T) {
	plant(t, biosKey, map[string]any{"SystemManufacturer": "Sallyport Test ", "BIOSVersion": "1.2"})
	attributes := []string{"manufacturer", "bios-version", "board", "cpu", "cpus", "memory", "secure-boot", "serial", "nonsense"}
	got := map[string]report.HardwareItem{}
	for _, item := range hardware(context.Background(), &survey{probe: report.Probe{Hardware: attributes}}).Items {
		t.Logf("%+v", item)
		got[item.Attribute] = item
	}
	for name, want := range map[string]string{"manufacturer": "Sallyport Test", "bios-version": "1.2"} {
		if got[name].Value != want {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
	for _, name := range []string{"cpus", "memory"} {
		if n, err := strconv.Atoi(got[name].Value); err != nil || n < 1 {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
	if got["nonsense"].State != report.StateUnknown || got["serial"].State == report.StatePresent && got["serial"].Value == "" {
		t.Errorf("%+v", got)
	}
}
