package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
)

// FuzzDecode: no body makes a decoder panic; every refusal is a Problem that can be
// sent; what was read can be written and is read again as the same.
func FuzzDecode(f *testing.F) {
	kinds := slices.Sorted(maps.Keys(decoders))
	vectors(f, func(_, doc string, body []byte) string {
		f.Add(uint8(slices.Index(kinds, doc)), body)
		return ""
	})
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		decode := decoders[kinds[int(kind)%len(kinds)]]
		d, err := decode(body)
		if err != nil {
			var p *Problem
			if !errors.As(err, &p) || p.Status < 400 || p.Code == "" || p.Detail == "" {
				t.Fatalf("refused with %#v", err)
			}
			return
		}
		first := encode(t, d)
		again, err := decode(first)
		if err != nil {
			t.Fatalf("read once, refused as %s: %v", first, err)
		}
		if second := encode(t, again); !bytes.Equal(first, second) {
			t.Fatalf("%s\nbecame %s", first, second)
		}
	})
}

// FuzzTidy: a report from anywhere is accepted after Tidy as far as its texts go.
func FuzzTidy(f *testing.F) {
	f.Add("host", "serial", "/mnt", "why")
	f.Add("\x00", "\xff\xfe", "\u202e/\n", "\u2028")
	f.Fuzz(func(t *testing.T, host, serial, mount, why string) {
		r := &Report{V: Version, SessionID: "s", Nonce: "n", Trigger: TriggerEvent, Agent: Agent{Name: "a"},
			System: System{Hostname: host, User: why}, Facts: Facts{USB: &USB{Error: why, Devices: []USBDevice{{
				Port: "1", Serial: serial, Product: host, Ifaces: []string{"08/06/50"}, Mounts: []string{mount, mount}, State: USBActive}}}}}
		r.Tidy()
		body, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeReport(body); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
	})
}

// FuzzVerify: neither key nor signature makes Verify panic, and none fits by chance.
func FuzzVerify(f *testing.F) {
	spki, err := ParseKey(vectorKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(spki, "/", []byte("{}"), "MEUCIQ")
	f.Add([]byte{}, "\n", []byte{}, "")
	f.Fuzz(func(t *testing.T, spki []byte, path string, body []byte, sig string) {
		if Verify(spki, path, body, sig) == nil {
			t.Fatal("a signature that nobody made")
		}
	})
}
