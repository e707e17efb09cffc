package secret

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

type holder struct {
	open   Shared
	Public Shared
	ptr    *Shared
}

// TestNothingPrintsASecret covers the verbs and encoders that print the bytes of a
// named byte slice hidden in an unexported field.
func TestNothingPrintsASecret(t *testing.T) {
	const word = "hunter2-hunter2"
	s := New([]byte(word))
	h := holder{open: s, Public: s, ptr: &s}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		fmt.Fprintf(&out, verb, s)
		fmt.Fprintf(&out, verb, h)
		fmt.Fprintf(&out, verb, &h)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "s", s, "h", h)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "s", s, "h", h)
	b, _ := json.Marshal(h)
	out.Write(b)
	hexed := fmt.Sprintf("%x", word)
	if strings.Contains(out.String(), word) || strings.Contains(out.String(), hexed) {
		t.Fatalf("the secret is in the output: %s", out.String())
	}
}

func TestEqual(t *testing.T) {
	s := New([]byte("abc"))
	if !s.Equal([]byte("abc")) || s.Equal([]byte("abd")) || s.Equal(nil) {
		t.Fatal("Equal is wrong")
	}
	if (Shared{}).Len() != 0 || !(Shared{}).Equal(nil) {
		t.Fatal("the zero value is the empty secret")
	}
}
