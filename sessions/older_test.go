package sessions

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestOlderRecordsAreRead: a record of before there were clocks but ValidUntil means what
// it meant then, and is written again as it was.
func TestOlderRecordsAreRead(t *testing.T) {
	f, err := os.Open("testdata/format2.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dict, read := NewDictionary(1), 0
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<16)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		var want Session
		if json.Unmarshal(lines.Bytes(), &want) != nil {
			entry, err := hex.DecodeString(lines.Text())
			if err == nil {
				err = dict.AddEntry(entry)
			}
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		lines.Scan()
		record, err := hex.DecodeString(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		want.Posture.Imply()
		got, err := new(Scratch).Decode(record, dict)
		if err != nil || !reflect.DeepEqual(got, &want) {
			t.Errorf("%v\ngot  %+v\nwant %+v", err, got, &want)
			continue
		}
		if again := AppendRecord(nil, got, dict); string(again) != string(record) {
			t.Errorf("%s takes %d octets now, and %d then", got.ID, len(again), len(record))
		}
		read++
	}
	if read < 6 {
		t.Errorf("%d records", read)
	}
}

// TestClocks: the first is found, and what one clock alone says costs nothing.
func TestClocks(t *testing.T) {
	at := func(minutes int) time.Time { return t0.Add(time.Duration(minutes) * time.Minute) }
	c := Clocks{LeaseUntil: at(9), ReportBy: at(7), RemedyBy: at(8)}
	if !c.First().Equal(at(7)) || !(&Clocks{}).First().IsZero() {
		t.Error(c.First())
	}
	if c.Same(&Clocks{}) || !c.Same(&Clocks{LeaseUntil: at(9), ReportBy: at(7).Local(), RemedyBy: at(8)}) {
		t.Error("clocks are compared wrongly")
	}
	dict := NewDictionary(1)
	size := func(p Posture) int { return len(recordOf(t, &Session{ID: "x", Started: t0, Posture: p}, dict)) }
	silent := size(Posture{Status: Compliant, Judged: Compliant, ValidUntil: at(7), Clocks: Clocks{ReportBy: at(7)}})
	if plain := size(Posture{Status: Compliant, Judged: Compliant}); silent > plain+8 {
		t.Errorf("a clock takes %d octets", silent-plain)
	}
	for _, p := range []Posture{
		{Status: Compliant, Judged: NonCompliant, ValidUntil: at(5), Clocks: Clocks{GraceUntil: at(5), ReportBy: at(30), RemedyBy: at(6)}},
		{Status: NonCompliant, Judged: NonCompliant, Logoff: true, ValidUntil: at(5), Clocks: c},
		{Status: Pending, Judged: Pending, ValidUntil: at(5), Clocks: Clocks{ReportBy: at(5)}}, // not what is implied
		{Status: Compliant, Judged: Compliant, Continued: true, ValidUntil: at(5)},             // none runs
	} {
		if more := size(p) - silent; more > 24 {
			t.Errorf("%+v takes %d octets more", p, more)
		}
	}
}
