package store

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"sallyport/sessions"
)

// damagedStore is a journal with pages and groups, and a way to change its values.
func damagedStore(t *testing.T) (*committer, func(prefix string, change func(value []byte) []byte) string) {
	t.Helper()
	s, err := Open("state", Options{FS: vfs.NewMem(), Journal: 20 << 10})
	if err != nil {
		t.Fatal(err)
	}
	c := newCommitter(t, s, 11)
	for range 60 {
		if err := c.group(); err != nil {
			t.Fatal(err)
		}
	}
	until := time.Now().Add(10 * time.Second)
	for s.Maintain(c.table, c.now); s.pages.running || s.pages.cut != 0; s.Maintain(c.table, c.now) {
		if time.Now().After(until) {
			t.Fatal("the pages are not written")
		}
		runtime.Gosched()
	}
	for range 5 { // the newest are in groups
		if err := c.group(); err != nil {
			t.Fatal(err)
		}
	}
	return c, func(prefix string, change func([]byte) []byte) string {
		t.Helper()
		var key, value []byte
		err := s.disk.Load().each(prefix, func(k, v []byte) error {
			if len(v) > len(value) {
				key, value = append([]byte(nil), k...), append([]byte(nil), v...)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.disk.Load().db.Set(key, change(value), pebble.Sync); err != nil {
			t.Fatal(err)
		}
		return keyName(key)
	}
}

// TestInspectNamesAndRepairDropsJustThat: a bit that is wrong, a record that is wrong
// under a right checksum, a value cut short.
func TestInspectNamesAndRepairDropsJustThat(t *testing.T) {
	flip := func(v []byte) []byte { v[len(v)/2] ^= 4; return v }
	spoil := func(v []byte, at int) []byte {
		v[at] = 99 // the version of a record
		seal(v)
		return v
	}
	firstOfPage := func(v []byte) []byte {
		_, n := binary.Uvarint(v[pageHeadLen:])
		return spoil(v, pageHeadLen+n)
	}
	firstOfGroup := func(v []byte) []byte {
		at := groupHeadLen
		for v[at]&1 != 0 {
			at += itemHeadLen + int(binary.LittleEndian.Uint32(v[at:])>>1)
		}
		return spoil(v, at+itemHeadLen)
	}
	for name, one := range map[string]struct {
		prefix string
		change func([]byte) []byte
		most   int // sessions that may be gone
	}{
		"a page":            {prefixPage, flip, 3},
		"a group":           {prefixGroup, flip, 20},
		"a record":          {prefixPage, firstOfPage, 1},
		"an item":           {prefixGroup, firstOfGroup, 1},
		"a page cut short":  {prefixPage, func(v []byte) []byte { return v[:7] }, 3},
		"a group cut short": {prefixGroup, func(v []byte) []byte { return v[:3] }, 20},
	} {
		t.Run(name, func(t *testing.T) {
			c, damage := damagedStore(t)
			if in, err := c.s.Inspect(false, nil); err != nil || len(in.Damages) != 0 || in.Groups == 0 || in.Pages == 0 || in.Newest != c.s.group {
				t.Fatalf("sound: %+v %v", in, err)
			}
			key := damage(one.prefix, one.change)
			if err := c.s.Restore(sessions.NewTable(), nil); err == nil || !strings.Contains(err.Error(), key) {
				t.Fatalf("the damage to %s is not found at start: %v", key, err)
			}
			read := 0
			in, err := c.s.Inspect(false, func(*sessions.Session) error { read++; return nil })
			if err != nil || len(in.Damages) != 1 || in.Damages[0].Key != key || in.Damages[0].Dropped || read == 0 {
				t.Fatalf("%+v %v", in, err)
			}
			if in, err = c.s.Inspect(true, nil); err != nil || len(in.Damages) != 1 || !in.Damages[0].Dropped || !strings.Contains(in.Damages[0].String(), "dropped") {
				t.Fatalf("%+v %v", in, err)
			}
			if in, err = c.s.Inspect(false, nil); err != nil || len(in.Damages) != 0 {
				t.Fatalf("after the repair: %+v %v", in, err)
			}
			c.lostAtMost(one.most)
		})
	}
}

// lostAtMost: all but n of the sessions are there as they were acknowledged. Those of a
// group that was dropped are as they were before it.
func (c *committer) lostAtMost(n int) {
	c.t.Helper()
	table := sessions.NewTable()
	if err := c.s.Restore(table, nil); err != nil {
		c.t.Fatal(err)
	}
	other := 0
	for id, want := range c.model {
		if got := table.Get(id); got == nil || got.Version != want.Version {
			other++
		}
	}
	if other > n {
		c.t.Fatal(fmt.Sprintf("%d sessions of %d are not as they were, at most %d may be", other, len(c.model), n))
	}
}

// TestLookDoesNotMigrate: who only looks leaves an older format alone.
func TestLookDoesNotMigrate(t *testing.T) {
	disk := vfs.NewMem()
	oldDirectory(t, disk, 0)
	if _, err := Open("state", Options{FS: disk, Look: true}); err == nil || !strings.Contains(err.Error(), "format 1") {
		t.Fatal(err)
	}
	s := open(t, disk)
	if n := len(loaded(t, s)); n == 0 {
		t.Fatal("nothing was left")
	}
}
