package engine

import (
	"testing"

)

// TestTextThatMovesTheCursor: C1 controls and marks of writing direction do on a terminal
// and on a page what escapes do.
func TestTextThatMovesTheCursor(t *testing.T) {
	for in, want := range map[string]string{
		"a\u009b2Jb":       "a?2Jb",
		"a\u202egpj.exe":   "a?gpj.exe",
		"a\u2028b":         "a?b",
		"\x1b]0;x\x07":     "?]0;x?",
		"Zoë \u4e2d\u6587": "Zoë \u4e2d\u6587",
		"a\u2066b\u200f":   "a?b?",
		"\u0085":           "?",
	} {
		if got := clean([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
