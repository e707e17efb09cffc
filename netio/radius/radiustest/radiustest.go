// Package radiustest reads tests written as text: commands above a rule, what came of
// them below it.
//
//	# a comment: from a "#" between blanks to the end of the line
//	decode                     <- the input: up to the rule
//	01 07 @@ 00*16 01 06 "nemo"
//	----
//	error: stray_octet         <- the output: up to an empty line
//
// With -rewrite the outputs are replaced by what the tests got; reading the difference
// is then the reviewer's work.
package radiustest

import (
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"sallyport/netio/radius"
	"sallyport/ops/secret"
)

var rewrite = flag.Bool("rewrite", false, "replace the expected outputs of text tests")

// Block is one test.
type Block struct {
	Line  int      // where the input begins in the file
	Input []string // lines without comments; never empty
	Want  string   // lines of output, each with its newline
}

// Golden runs every block of the file through run and compares the outputs.
func Golden(t *testing.T, path string, run func(t *testing.T, input []string) string) {
	t.Helper()
	var out strings.Builder
	walk(t, path, func(line string) { out.WriteString(line + "\n") }, func(b Block) {
		got := run(t, b.Input)
		if got != "" && !strings.HasSuffix(got, "\n") {
			got += "\n"
		}
		out.WriteString(got)
		if got != b.Want && !*rewrite {
			t.Errorf("%s:%d: %s\ngot:\n%swant:\n%s", path, b.Line, strings.Join(b.Input, " / "), got, b.Want)
		}
	})
	if !*rewrite {
		return
	}
	if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Blocks returns every block of the file, for fuzz targets' seeds.
func Blocks(t testing.TB, path string) (blocks []Block) {
	t.Helper()
	walk(t, path, func(string) {}, func(b Block) { blocks = append(blocks, b) })
	return blocks
}

// walk gives each line that is no output to keep, and each block when it is complete.
func walk(t testing.TB, path string, keep func(line string), block func(Block)) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b Block
	output := false
	finish := func() {
		if output {
			block(b)
		}
		b, output = Block{}, false
	}
	for n, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		if output && line != "" {
			b.Want += line + "\n"
			continue
		}
		if output {
			finish()
		}
		keep(line)
		if line == "----" {
			if len(b.Input) == 0 {
				t.Fatalf("%s:%d: nothing above the rule", path, n+1)
			}
			output = true
			continue
		}
		if bare, _, _ := strings.Cut(" "+line+" ", " # "); strings.TrimSpace(bare) != "" {
			if b.Line == 0 {
				b.Line = n + 1
			}
			b.Input = append(b.Input, strings.TrimSpace(bare))
		}
	}
	finish()
}

// Octets reads hexadecimal pairs, "text" (no blanks in it), XX*N for N times the octet
// XX, and @@ for a packet's two octets of length: that of the whole.
func Octets(lines []string) ([]byte, error) {
	var out []byte
	length := -1
	for _, word := range strings.Fields(strings.Join(lines, " ")) {
		octet, times, repeated := strings.Cut(word, "*")
		switch {
		case word == "@@":
			length = len(out)
			out = append(out, 0, 0)
		case word[0] == '"':
			text, err := strconv.Unquote(word)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", word, err)
			}
			out = append(out, text...)
		case repeated:
			b, err := hex.DecodeString(octet)
			n, err2 := strconv.Atoi(times)
			if err != nil || err2 != nil {
				return nil, fmt.Errorf("%s is not XX*N", word)
			}
			out = append(out, []byte(strings.Repeat(string(b), n))...)
		default:
			b, err := hex.DecodeString(word)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", word, err)
			}
			out = append(out, b...)
		}
	}
	if length >= 0 {
		binary.BigEndian.PutUint16(out[length:], uint16(len(out)))
	}
	return out, nil
}

// Key makes a key of a secret that need not be kept.
func Key(t testing.TB, shared string) *radius.Key {
	t.Helper()
	k, err := radius.NewKey(secret.New([]byte(shared)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}
