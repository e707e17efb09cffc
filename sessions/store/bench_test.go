package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"sallyport/sessions"
)

// BenchmarkCommit is the journal's work for one login, in groups of 512 on a disk that
// is memory: packing, the log, flushes, and pages when their time has come.
func BenchmarkCommit(b *testing.B) {
	s, err := Open("state", Options{FS: vfs.NewMem()})
	if err != nil {
		b.Fatal(err)
	}
	t := sessions.NewTable()
	if err := s.Restore(t, nil); err != nil {
		b.Fatal(err)
	}
	login := func(i int) *sessions.Session {
		id := fmt.Sprintf("0a3042ca%08x56e2dce3", i)
		at := t0.Add(time.Duration(i) * 37 * time.Microsecond)
		return &sessions.Session{
			ID: sessions.ID(id), AuditSessionID: id, Version: 1, Epoch: 1, NAS: "ASA5515", UserName: fmt.Sprintf("user%07d", i),
			Groups: []string{"employees"}, Method: "pap", Authenticated: true, CallingStationID: "10.229.16.34", OS: "windows", TunnelGroup: "STAFF",
			Started: at, Changed: at, LastSeen: at, Posture: sessions.Posture{Status: sessions.Pending, Since: at, ValidUntil: at.Add(time.Minute)},
			Grant: sessions.Grant{Profile: "Posture_Redirect", Rule: "Posture_Unknown", Digest: 7, Text: "redirect"},
		}
	}
	const group = 512
	var all [group]*sessions.Session
	for i := range all {
		all[i] = login(i)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n%group == 0 {
			batch := s.Begin()
			for _, one := range all {
				if err := batch.Put(one); err != nil {
					b.Fatal(err)
				}
			}
			if err := s.Commit(batch); err != nil {
				b.Fatal(err)
			}
		}
		n++
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
