package config

import (
	"slices"
	"strings"
)

// Nearest is the word among those given that somebody who wrote word most likely
// meant, or "" when none is near: case, hyphens and underscores count little, a
// beginning of three letters will do, and at most one letter in three may be wrong.
func Nearest(word string, among []string) string {
	if word == "" {
		return ""
	}
	best, bestCost := "", 1+(len(word)+2)/3
	for _, w := range among {
		if plainWord(w) == plainWord(word) {
			return w
		}
		if len(word) >= 3 && strings.HasPrefix(w, word) {
			best, bestCost = w, 1
		}
		if cost := distance(plainWord(word), plainWord(w)); cost < bestCost {
			best, bestCost = w, cost
		}
	}
	return best
}

// DidYouMean is a hint for a word that is not among those that are valid: the nearest
// one, or else all of them when they are few.
func DidYouMean(word string, among []string) string {
	if near := Nearest(word, among); near != "" {
		return `did you mean "` + near + `"?`
	}
	if len(among) == 0 {
		return ""
	}
	const shown = 16 // fits a line or two
	if len(among) > shown {
		among = append(slices.Clone(among[:shown]), "...")
	}
	return "valid here: " + strings.Join(among, ", ")
}

func plainWord(s string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(s))
}

// distance counts the letters to change, add, drop, or swap with their neighbour.
func distance(a, b string) int {
	const lettersMax = 64 // no name is longer; the table stays small
	if len(a) > lettersMax || len(b) > lettersMax {
		return lettersMax
	}
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
