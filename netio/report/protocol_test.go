package report

import (
	"os"
	"regexp"
	"testing"
)

// TestProtocolDocument: what PROTOCOL.md shows is what this package takes, so that an agent
// that is written from it is understood.
func TestProtocolDocument(t *testing.T) {
	page, err := os.ReadFile("../../ops/docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	decoders := map[string]func([]byte) error{
		"Discovery": func(b []byte) error { _, err := DecodeDiscovery(b); return err },
		"Claim":     func(b []byte) error { _, err := DecodeClaim(b); return err },
		"Claimed":   func(b []byte) error { _, err := DecodeClaimed(b); return err },
		"Policy":    func(b []byte) error { _, err := DecodePolicy(b); return err },
		"Report":    func(b []byte) error { _, err := DecodeReport(b); return err },
		"Verdict":   func(b []byte) error { _, err := DecodeVerdict(b); return err },
		"Events":    func(b []byte) error { _, err := DecodeEvents(b); return err },
		"Problem":   func(b []byte) error { _, err := DecodeProblem(b); return err },
	}
	var claim []byte
	for _, one := range regexp.MustCompile(`(?m)^   ([A-Z][a-z]+):\n\n {7}(\{.*\})$`).FindAllSubmatch(page, -1) {
		name, body := string(one[1]), one[2]
		decode, known := decoders[name]
		if !known {
			t.Errorf("%s: shown twice, or nothing reads it", name)
			continue
		}
		delete(decoders, name)
		if err := decode(body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name == "Claim" {
			claim = body
		}
	}
	for name := range decoders {
		t.Errorf("%s: no example", name)
	}
	signature := regexp.MustCompile(`(?m)^ {7}(ME[A-Za-z0-9_-]+)$`).FindSubmatch(page)
	doc, err := DecodeClaim(claim)
	if err != nil || signature == nil {
		t.Fatalf("no claim with its signature: %v", err)
	}
	key, err := ParseKey(doc.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(key, PathSession, claim, string(signature[1])); err != nil {
		t.Error(err)
	}
}
