package sessions

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
)

// The answer to a report is JSON of many hundred octets, and but for four values the
// same for every session that was judged the same way. Its form, the text with an octet
// below 0x05 where a value stands, is an entry of the dictionary. JSON has no such
// octets itself; an answer that does is kept as it is.
type form struct {
	text  string
	holes []hole
}

type hole struct {
	at   int
	what byte
}

// What stands in a hole.
const (
	holeID = iota + 1
	holeDecision
	holeNonce
	holeEpoch
	holesMax = 4
)

var (
	epochName = []byte(`"epoch":`)
	holeChars = string([]byte{holeID, holeDecision, holeNonce, holeEpoch})
)

// cut is a value found in an answer.
type cut struct {
	at, length int
	what       byte
}

// answer returns the number of the form of s's answer. Writer only.
func (d *Dictionary) answer(s *Session) (uint32, bool) {
	answer := s.Posture.Binding.Answer
	slot := &d.latelyForm[len(answer)%len(d.latelyForm)]
	if f := d.answers.at(uint64(*slot)); f != nil && f.gives(answer, s) {
		return *slot, true
	}
	if len(answer) > formMax || bytes.ContainsAny(answer, holeChars) {
		return 0, false
	}
	var cuts [holesMax]cut
	n := 0
	for i, value := range [...]string{string(s.ID), s.Posture.DecisionID, s.Posture.Binding.Nonce} {
		// Shorter values may stand anywhere by chance.
		if at := indexText(answer, value); len(value) >= 8 && at >= 0 {
			cuts[n] = cut{at, len(value), byte(i + holeID)}
			n++
		}
	}
	if at := bytes.Index(answer, epochName); at >= 0 {
		at += len(epochName)
		var digits [20]byte
		text := strconv.AppendUint(digits[:0], s.Epoch, 10)
		if rest := answer[at:]; bytes.HasPrefix(rest, text) && (len(rest) == len(text) || rest[len(text)] < '0' || rest[len(text)] > '9') {
			cuts[n] = cut{at, len(text), holeEpoch}
			n++
		}
	}
	d.build = appendForm(d.build[:0], answer, cuts[:n])
	number, ok := d.answerNumber[string(d.build)]
	if !ok {
		if d.answers.n >= answersMax || d.octets+len(d.build) > octetsMax || !d.again(formHash(d.build)) {
			return 0, false
		}
		number = d.addForm(string(d.build))
	}
	*slot = number
	return number, true
}

// indexText is bytes.Index of a text.
func indexText(b []byte, s string) int {
	return bytes.Index(b, bytesOf(s))
}

func appendForm(b, answer []byte, cuts []cut) []byte {
	slices.SortFunc(cuts, func(a, b cut) int { return cmp.Compare(a.at, b.at) })
	from := 0
	for _, c := range cuts {
		if c.at < from {
			continue // within the one before
		}
		b = append(append(b, answer[from:c.at]...), c.what)
		from = c.at + c.length
	}
	return append(b, answer[from:]...)
}

func formHash(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

func (d *Dictionary) addForm(text string) uint32 {
	f := form{text: text}
	for i := 0; i < len(text); i++ {
		if text[i] >= holeID && text[i] <= holeEpoch {
			f.holes = append(f.holes, hole{i, text[i]})
		}
	}
	n := d.answers.add(f)
	d.answerNumber[text] = n
	d.added(entryAnswer, n, len(text))
	return n
}

// gives says whether appendAnswer makes just this answer: what is mostly so for the form
// that came last.
func (f *form) gives(answer []byte, s *Session) bool {
	if f.text == "" {
		return false
	}
	var digits [20]byte
	from, rest := 0, textOf(answer)
	for _, h := range f.holes {
		value := ""
		switch h.what {
		case holeID:
			value = string(s.ID)
		case holeDecision:
			value = s.Posture.DecisionID
		case holeNonce:
			value = s.Posture.Binding.Nonce
		case holeEpoch:
			value = textOf(strconv.AppendUint(digits[:0], s.Epoch, 10))
		}
		text := f.text[from:h.at]
		if len(rest) < len(text)+len(value) || rest[:len(text)] != text || rest[len(text):len(text)+len(value)] != value {
			return false
		}
		from, rest = h.at+1, rest[len(text)+len(value):]
	}
	return rest == f.text[from:]
}

// appendAnswer fills the form with the values of s.
func (f *form) appendAnswer(b []byte, s *Session) []byte {
	from := 0
	for _, h := range f.holes {
		b = append(b, f.text[from:h.at]...)
		switch h.what {
		case holeID:
			b = append(b, s.ID...)
		case holeDecision:
			b = append(b, s.Posture.DecisionID...)
		case holeNonce:
			b = append(b, s.Posture.Binding.Nonce...)
		case holeEpoch:
			b = strconv.AppendUint(b, s.Epoch, 10)
		}
		from = h.at + 1
	}
	return append(b, f.text[from:]...)
}
