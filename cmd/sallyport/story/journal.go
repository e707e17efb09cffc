package story

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"sync"
	"time"

	"sallyport/coa/coatest"
	"sallyport/engine/record"
	"sallyport/netio/console"
)

// event is one thing that was seen: of the ASA or in the live log.
type event struct {
	at  time.Time
	nas *coatest.Step
	row *record.Decision
}

// journal keeps everything that was seen, since the live log arrives a little later
// than the packets it tells of.
type journal struct {
	mu      sync.Mutex // guards what follows
	events  []event
	changed chan struct{} // closed and made anew with each event
}

func newJournal() *journal { return &journal{changed: make(chan struct{})} }

func (j *journal) add(e event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
	close(j.changed)
	j.changed = make(chan struct{})
}

// await finds the first event since a moment that is wanted, and waits for it.
func (j *journal) await(ctx context.Context, since time.Time, wanted func(*event) bool) (event, error) {
	for from := 0; ; {
		j.mu.Lock()
		events, changed := j.events, j.changed
		j.mu.Unlock()
		for ; from < len(events); from++ {
			if e := &events[from]; !e.at.Before(since) && wanted(e) {
				return *e, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return event{}, context.Cause(ctx)
		}
	}
}

// follow reads the live log from its beginning until ctx ends.
func (j *journal) follow(ctx context.Context, client *console.Client) error {
	return client.Get(ctx, "/api/v1/livelog/stream", url.Values{"limit": {"1000"}}, func(line json.RawMessage) error {
		row := &record.Decision{}
		if err := json.Unmarshal(line, row); err != nil {
			return err
		}
		j.add(event{at: happened(row), row: row})
		return nil
	})
}

// happened is the moment that a row counts for. The row of a report is written when
// its change is on the way to the NAS already, so it counts from the report's arrival.
func happened(row *record.Decision) time.Time {
	if row.Kind != record.KindPosture {
		return row.Time
	}
	return row.Time.Add(-time.Duration(row.ElapsedSeconds * float64(time.Second)))
}

// packet wants a packet of the ASA.
func packet(d coatest.Direction, name string) func(*event) bool {
	return func(e *event) bool {
		return e.nas != nil && e.nas.Direction == d && e.nas.Packet == name
	}
}

// inForce wants that a CoA took effect and what access is as of then.
func inForce(access string) func(*event) bool {
	return func(e *event) bool {
		return e.nas != nil && e.nas.Direction == coatest.Inside && strings.HasPrefix(e.nas.Note, "CoA: access is now "+access)
	}
}

// judged wants a report's row of the live log.
func judged(status string) func(*event) bool {
	return func(e *event) bool {
		return e.row != nil && e.row.Kind == record.KindPosture && e.row.Details == record.PostureMessage && e.row.PostureStatus == status
	}
}

// acknowledged wants the row of a change that the NAS took.
func acknowledged(profile string) func(*event) bool {
	return func(e *event) bool {
		return e.row != nil && e.row.Kind == record.KindCoA && e.row.Status == record.Passed && e.row.AuthorizationProfile == profile
	}
}
