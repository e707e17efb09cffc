package posture

import "strings"

// compareVersions orders two versions: runs of digits as numbers, runs of letters as
// words, separators alone mean nothing. What is missing counts as 0, so 1.0 is 1.0.0;
// words such as rc and beta come before the release they lead to. A Debian epoch counts
// only when both have one. ok is false when one of them has no digit to begin with.
func compareVersions(a, b string) (order int, ok bool) {
	if strings.Contains(a, ":") != strings.Contains(b, ":") {
		a, b = a[strings.IndexByte(a, ':')+1:], b[strings.IndexByte(b, ':')+1:]
	}
	a, b = trimVersion(a), trimVersion(b)
	if !startsWithDigit(a) || !startsWithDigit(b) {
		return 0, false
	}
	for a != "" || b != "" {
		var x, y string
		x, a = nextRun(a)
		y, b = nextRun(b)
		if order := compareRuns(x, y); order != 0 {
			return order, true
		}
	}
	return 0, true
}

// CompareVersions orders two versions as conditions do: -1, 0 or 1, and false when one of
// them does not begin with a digit.
func CompareVersions(a, b string) (order int, ok bool) { return compareVersions(a, b) }

// trimVersion takes off what people write before a number.
func trimVersion(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 1 && (s[0] == 'v' || s[0] == 'V') && isDigit(s[1]) {
		return s[1:]
	}
	return s
}

func startsWithDigit(s string) bool { return s != "" && isDigit(s[0]) }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// nextRun is the next run of digits or of letters, empty at the end. A ~ is a run of its
// own.
func nextRun(s string) (run, rest string) {
	for s != "" && !isDigit(s[0]) && !isLetter(s[0]) && s[0] != '~' {
		s = s[1:]
	}
	if s == "" || s[0] == '~' {
		return s[:min(1, len(s))], s[min(1, len(s)):]
	}
	kind := isDigit
	if isLetter(s[0]) {
		kind = isLetter
	}
	n := 0
	for n < len(s) && kind(s[n]) {
		n++
	}
	return s[:n], s[n:]
}

// compareRuns orders two runs: what leads to a release, the end or zeros, words, numbers.
func compareRuns(x, y string) int {
	if startsWithDigit(x) && startsWithDigit(y) {
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if len(x) != len(y) {
			return sign(len(x) - len(y))
		}
		return strings.Compare(x, y)
	}
	rx, ry := runRank(x), runRank(y)
	if rx != ry || rx == 2 {
		return sign(rx - ry)
	}
	return strings.Compare(strings.ToLower(x), strings.ToLower(y))
}

func runRank(run string) int {
	switch {
	case run == "~":
		return 0
	case isLead(run):
		return 1
	case strings.Trim(run, "0") == "":
		return 2
	case isLetter(run[0]):
		return 3
	}
	return 4
}

// isLead knows the words of versions before a release.
func isLead(run string) bool {
	switch strings.ToLower(run) {
	case "alpha", "beta", "dev", "pre", "preview", "rc":
		return true
	}
	return false
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
