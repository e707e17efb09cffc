package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/cmd/sallyport-agent/devicekey"
	"sallyport/cmd/sallyport-agent/devicekey/swtpmtest"
	"sallyport/cmd/sallyport-agent/uplink/uplinktest"
)

// TestKeyInTPM: an agent claims, enrols and reports with a key that is in the TPM, and again
// after a restart; a TPM that was cleared brings a new key, and that is enrolled anew.
func TestKeyInTPM(t *testing.T) {
	tpm, s := swtpmtest.Start(t), newSite(t)
	auth, err := uplinktest.NewAuthority()
	must(t, err)
	s.appliance.SetAuthority(auth)
	s.login("S1", "T1")
	s.args = append(s.args, "--tpm", tpm.Socket())
	assess := func(in string) string {
		t.Helper()
		if code, text := s.once(); code != 0 {
			t.Fatalf("%d: %s", code, text)
		}
		st := s.status()
		if st.DeviceKey.In != in || st.Enrolment == nil || st.Enrolment.Until.IsZero() || st.Enrolment.Problem != "" {
			t.Fatalf("%+v, %+v", st.DeviceKey, st.Enrolment)
		}
		saved, err := os.ReadFile(filepath.Join(s.state, "device.tpm"))
		must(t, err)
		return string(saved)
	}
	first := assess(devicekey.TPM)
	if _, err := os.Stat(filepath.Join(s.state, "device.key")); err == nil {
		t.Error("there is a key in a file too")
	}
	if assess(devicekey.TPM) != first {
		t.Error("another key after a restart")
	}
	tpm.Clear()
	s.login("S2", "T2")
	if assess(devicekey.TPM) == first {
		t.Error("the key came back")
	}

	tpm.Off()
	if code, text := s.once("--device-key", "tpm"); code != 2 || !strings.Contains(text, "there is no TPM at "+tpm.Socket()) {
		t.Errorf("%d: %s", code, text)
	}
	s.login("S3", "T3")
	assess(devicekey.File)
	if st := s.status(); !strings.Contains(st.DeviceKey.Why, "there is no TPM") {
		t.Errorf("%+v", st.DeviceKey)
	}
}
