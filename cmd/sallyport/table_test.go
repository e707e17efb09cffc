package main

import (
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	time.Local = time.UTC
	var out strings.Builder
	show := (&table{out: &out, columns: []column{{"ID", "id", 6}, {"STATUS", "posture.status", 9}, {"AT", "at", 0}, {"LIST", "list", 0}}}).row
	for _, line := range []string{
		`{"id":"abc","posture":{"status":"Pending"},"at":"2016-03-11T14:57:39.598Z","list":["a","b"]}`,
		`{"id":"longer than its column","posture":null,"n":1}`,
	} {
		if err := show([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	const want = "ID      STATUS     AT  LIST\n" +
		"abc     Pending    2016-03-11 14:57:39.598  a, b\n" +
		"longe…\n"
	if out.String() != want {
		t.Fatalf("got\n%s\nwant\n%s", out.String(), want)
	}
	if err := show([]byte("no JSON")); err == nil {
		t.Fatal("an answer that is not JSON makes no error")
	}
}

func TestMoment(t *testing.T) {
	time.Local = time.UTC
	now := time.Date(2016, 3, 12, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"24h": "2016-03-11T00:00:00Z", "2016-03-11": "2016-03-11T00:00:00Z",
		"2016-03-11T09:14": "2016-03-11T09:14:00Z", "2016-03-11T09:14:05+01:00": "2016-03-11T08:14:05Z",
	} {
		got, err := moment(text, now)
		if err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s: %s %v, want %s", text, got, err, want)
		}
	}
	if _, err := moment("yesterday", now); err == nil || !strings.Contains(err.Error(), "such as 24h") {
		t.Errorf("%v", err)
	}
}

func TestFilters(t *testing.T) {
	q, err := filters([]string{"identity=cisco", "status=*"})
	if err != nil || q.Get("identity") != "cisco" || q.Get("status") != "*" {
		t.Fatal(q, err)
	}
	if _, err := filters([]string{"cisco"}); err == nil {
		t.Fatal("a filter without a key is taken")
	}
}
