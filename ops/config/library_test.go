package config

import (
	"crypto/ed25519"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const aLibrary = `version: "2"
products: {clamav: {names: ClamAV, classes: [anti-malware], latest: 2026-11-20}}
conditions: {AM: {anti-malware: {product: clamav, definitions: within 3d, against: latest}}}
`

// TestSignedLibrary: one that is signed comes in; one that is not, was changed, or is
// somebody else's does not.
func TestSignedLibrary(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signed := SignLibrary([]byte(aLibrary), private)
	for _, one := range []struct {
		name string
		text []byte
		key  ed25519.PublicKey
		want string
	}{
		{"signed", signed, public, ""},
		{"of another key", signed, other, "the signature is not of this key"},
		{"changed", []byte(strings.Replace(string(signed), "within 3d", "within 9d", 1)), public, "the file was changed after it"},
		{"not signed", []byte(aLibrary), public, "its first line is no signature"},
		{"no key", signed, nil, "not an Ed25519 public key"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "sallyport.yaml")
		text := "appliance: {name: a.example.com}\nposture: {library: {file: lib.yaml, key: \"" + base64.StdEncoding.EncodeToString(one.key) + "x\"}}\n"
		if one.key != nil {
			text = strings.Replace(text, "x\"}", "\"}", 1)
		}
		for name, content := range map[string][]byte{path: []byte(text), filepath.Join(dir, "lib.yaml"): one.text} {
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, _, faults := Load(path)
		if one.want != "" {
			if !strings.Contains(faults.Error(), one.want) {
				t.Errorf("%s: %v", one.name, faults)
			}
			continue
		}
		if _, ok := c.Posture.Conditions.Get("library.AM"); len(faults) > 0 || !ok || c.Posture.Library.Content.Version.Value != "2" {
			t.Errorf("%s: %v", one.name, faults)
		}
	}
}

// TestLibraryDiff: what an update adds, takes away and changes.
func TestLibraryDiff(t *testing.T) {
	old, faults := ParseLibrary("old", []byte(aLibrary))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	next, faults := ParseLibrary("next", []byte(strings.NewReplacer("2026-11-20", "2026-11-27", "AM:", "Malware:").Replace(aLibrary)))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	want := `- condition AM: {anti-malware: {product: clamav, is: running, definitions: within 3d, against: latest}}
+ condition Malware: {anti-malware: {product: clamav, is: running, definitions: within 3d, against: latest}}
~ product clamav: "ClamAV" anti-malware 2026-11-20 -> "ClamAV" anti-malware 2026-11-27`
	if got := strings.Join(DiffLibraries(old, next), "\n"); got != want {
		t.Errorf("%s", got)
	}
	if len(DiffLibraries(old, old)) != 0 {
		t.Error("a library differs from itself")
	}
	if _, faults := ParseLibrary("wrong", []byte("products: {x: {classes: [spells]}}\n")); len(faults) != 3 {
		t.Errorf("%v", faults)
	}
}

// TestBuiltInLibraryIsSound: what the appliance brings along loads.
func TestBuiltInLibraryIsSound(t *testing.T) {
	if c, faults := ParseLibrary(builtInName, builtInLibrary); len(faults) > 0 || len(c.Products) == 0 || len(c.Conditions) == 0 {
		t.Errorf("%v", faults)
	}
}
