package report

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// level is one object or array that is open.
type level struct {
	object bool
	first  int // index of its first name in scanner.names
	items  int
}

// scanner walks text that is known to be JSON and refuses the structure that decoding
// would take silently or dearly.
type scanner struct {
	levels [depthMax]level
	depth  int
	names  [][]byte // of the open objects, innermost last
}

// checkStructure judges a document before it is decoded: UTF-8, JSON, one object with
// nothing after it, bounded depth, names and arrays, no name twice. Names are
// lower-case, since encoding/json would take "V" for "v".
func checkStructure(body []byte) *Problem {
	if !utf8.Valid(body) {
		return malformed("the document is not UTF-8")
	}
	if !json.Valid(body) {
		return malformed("the document is not JSON: %v", json.Unmarshal(body, &struct{}{}))
	}
	if body = bytes.TrimLeft(body, " \t\r\n"); body[0] != '{' {
		return malformed("the document is not a JSON object")
	}
	var s scanner
	return s.walk(body)
}

func (s *scanner) walk(body []byte) *Problem {
	var problem *Problem
	for i := 0; i < len(body) && problem == nil; i++ {
		switch c := body[i]; c {
		case '{', '[':
			problem = s.open(c == '{')
		case '}', ']':
			s.depth--
			s.names = s.names[:s.levels[s.depth].first]
		case ',':
			if l := &s.levels[s.depth-1]; !l.object {
				if l.items++; l.items > itemsMax {
					problem = tooLarge("an array has more than %d items", itemsMax)
				}
			}
		case '"':
			end := stringEnd(body, i)
			if s.depth > 0 && s.levels[s.depth-1].object && isName(body, end) {
				problem = s.name(body[i+1 : end])
			}
			i = end
		}
	}
	return problem
}

func (s *scanner) open(object bool) *Problem {
	if s.depth == depthMax {
		return malformed("the document is nested deeper than %d levels", depthMax)
	}
	s.levels[s.depth] = level{object: object, first: len(s.names), items: 1}
	s.depth++
	return nil
}

// name takes the name of a member.
func (s *scanner) name(name []byte) *Problem {
	if len(name) == 0 || len(name) > nameLen {
		return malformed("a name has %d octets, at least 1 and at most %d are allowed", len(name), nameLen)
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return malformed("the name %q has other characters than a-z, 0-9 and _", name)
		}
	}
	mine := s.names[s.levels[s.depth-1].first:]
	if len(mine) == namesMax {
		return tooLarge("an object has more than %d names", namesMax)
	}
	for _, n := range mine {
		if bytes.Equal(n, name) {
			return malformed("the name %q is there twice", name)
		}
	}
	s.names = append(s.names, name)
	return nil
}

// stringEnd is the index of the quote that closes the string beginning at i.
func stringEnd(body []byte, i int) int {
	for i++; body[i] != '"'; i++ {
		if body[i] == '\\' {
			i++
		}
	}
	return i
}

// isName says whether the string that ends at i is followed by a colon.
func isName(body []byte, i int) bool {
	for i++; i < len(body); i++ {
		switch body[i] {
		case ' ', '\t', '\r', '\n':
		default:
			return body[i] == ':'
		}
	}
	return false
}
