package config

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// secretValue finds what stands after a key that holds a secret. A mapping, such as
// {file: name}, is left alone: it names the secret and is not one.
var secretValue = regexp.MustCompile(`((?:secret|password)["']?\s*:\s+)("(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s{\[&*!#][^,}#]*)`)

// bareSecret finds such a key with nothing behind it: the value is on the next line.
var bareSecret = regexp.MustCompile(`(?:secret|password)["']?\s*:\s*(?:[|>][-+0-9]*)?\s*$`)

// maskLines hides secrets written into the file, since lines of it are shown with
// faults. The stars keep the length, so that a caret stays below its place.
//
// users says that the lines are a users file, where a scalar behind a name is somebody's
// password in the wrong place.
func maskLines(lines []string, users bool) []string {
	pending := false
	for i, line := range lines {
		if users {
			line = hide(bareUser, line)
		}
		if pending && strings.TrimSpace(line) != "" {
			pending = false
			if !strings.Contains(line, ":") {
				lines[i] = stars(line)
				continue
			}
		}
		lines[i] = hide(secretValue, line)
		pending = pending || bareSecret.MatchString(line)
	}
	return lines
}

// bareUser finds a name with a scalar behind it at the beginning of a line.
var bareUser = regexp.MustCompile(`^([^\s#{][^:]*:\s+)([^\s{&*!#].*)`)

// hide puts stars for the second group of a pattern.
func hide(pattern *regexp.Regexp, line string) string {
	return pattern.ReplaceAllStringFunc(line, func(m string) string {
		parts := pattern.FindStringSubmatch(m)
		return parts[1] + stars(parts[2])
	})
}

func stars(s string) string {
	trimmed := strings.TrimLeft(s, " ")
	return s[:len(s)-len(trimmed)] + strings.Repeat("*", utf8.RuneCountInString(trimmed))
}
