package policy

import (
	"strings"
	"testing"

	"sallyport/ops/config"
	"sallyport/ops/secret"
)

// TestShortSecrets: a secret that can be guessed from one packet is warned of, by its
// length and never by its text.
func TestShortSecrets(t *testing.T) {
	c := &config.Config{NAS: []config.NAS{
		{Name: config.Text{Value: "asa"}, Secret: secret.New([]byte("cisco123"))},
		{Name: config.Text{Value: "sound"}, Secret: secret.New([]byte("0123456789abcdef"))},
	}}
	c.NAS[1].CoA.Secret = secret.New([]byte("short"))
	got := checkSecrets(c)
	if len(got) != 2 || got[0].Path != "nas.asa.secret" || got[1].Path != "nas.sound.coa.secret" {
		t.Fatalf("%v", got)
	}
	if text := got.String(); strings.Contains(text, "cisco123") || !strings.Contains(text, "8 octets") || !strings.Contains(text, "openssl rand") {
		t.Error(text)
	}
}
