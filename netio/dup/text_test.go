package dup

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write what happens as golden output")

// script runs the commands of one text against a cache.
type script struct {
	t      *testing.T
	cache  *Cache
	start  time.Time
	tokens map[string]Token
}

// TestText plays testdata/*.txt: commands, a line of dashes, and what they say.
func TestText(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("texts are missing", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{t: t, cache: NewCache(Config{}), start: time.Unix(1457708259, 0), tokens: map[string]Token{}}
			got := s.play(string(data))
			if *rewrite {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(data) {
				t.Errorf("got:\n%s\nwant:\n%s", got, data)
			}
		})
	}
}

// play copies the text with fresh output behind each line of dashes.
func (s *script) play(text string) string {
	var out, said strings.Builder
	inOutput := false
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "----":
			out.WriteString(line + said.String())
			said.Reset()
			inOutput = true
			continue
		case trimmed == "":
			inOutput = false
		case inOutput:
			continue // output of the last time, up to an empty line
		case !strings.HasPrefix(trimmed, "#"):
			said.WriteString(s.command(strings.Fields(trimmed)))
		}
		out.WriteString(line)
	}
	return out.String()
}

func (s *script) command(f []string) string {
	name, as := "", ""
	if last := f[len(f)-1]; strings.Contains(last, "=") {
		_, as, _ = strings.Cut(last, "=")
		name = as
	}
	switch f[0] {
	case "new":
		n, _ := strconv.Atoi(as)
		s.cache = NewCache(Config{Entries: n})
		return ""
	case "check":
		listener, _ := strconv.Atoi(f[3])
		identifier, _ := strconv.Atoi(f[4])
		var authenticator [16]byte
		copy(authenticator[:], f[5])
		state := uint64(0)
		for _, x := range f[6:] {
			if n, ok := strings.CutPrefix(x, "state="); ok {
				state, _ = strconv.ParseUint(n, 10, 64)
			}
		}
		verdict, token, reply := s.cache.CheckAt(s.at(f[1]), netip.MustParseAddrPort(f[2]), listener, byte(identifier), &authenticator, state, nil)
		if name != "" {
			s.tokens[name] = token
		}
		said := fmt.Sprintf("%s %s/%d/%d/%s", verdict, f[2], listener, identifier, f[5])
		if reply != nil {
			said += " " + short(reply)
		}
		return said + "\n"
	case "complete":
		reply := []byte(as)
		if n, err := strconv.Atoi(as); err == nil {
			reply = bytes.Repeat([]byte("x"), n)
		}
		return fmt.Sprintf("complete %s: %v\n", f[2], s.tokens[f[2]].Complete(s.at(f[1]), reply))
	case "forget":
		s.tokens[f[1]].Forget()
		return "forget " + f[1] + "\n"
	case "stats":
		return fmt.Sprintf("%+v\n", s.cache.Stats())
	}
	s.t.Fatalf("unknown command %q", f)
	return ""
}

func (s *script) at(d string) time.Time {
	length, err := time.ParseDuration(d)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.start.Add(length)
}

func short(reply []byte) string {
	if len(reply) > 20 {
		return fmt.Sprintf("%d octets", len(reply))
	}
	return string(reply)
}
