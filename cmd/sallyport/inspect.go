package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sallyport/engine"
	"sallyport/engine/record"
	"sallyport/sessions"
	"sallyport/sessions/store"
)

type inspectCmd struct {
	Dir    string `arg:"" help:"State directory (appliance.state) of an appliance that does not run."`
	JSON   bool   `name:"json" help:"Every session as one JSON object a line, then one for the counts."`
	Repair bool   `help:"Drop what is damaged, and only that; each thing dropped is named."`
}

// Run reads every record of a state directory and says what is there. Without --repair
// it changes nothing but Pebble's own files. The exit code is 0 when all is sound or was
// repaired, 1 when something is damaged, 2 when the directory cannot be read.
func (c *inspectCmd) Run() error {
	dir := filepath.Join(c.Dir, "journal")
	if _, err := os.Stat(dir); err != nil {
		return exit{2, fmt.Errorf("%s is not a state directory: %w", c.Dir, err)}
	}
	s, err := store.Open(dir, store.Options{Look: true})
	if errors.Is(err, store.ErrInUse) {
		return exit{2, fmt.Errorf("%w; stop the appliance first, or ask it with \"sallyport sessions\"", err)}
	}
	if err != nil {
		return exit{2, err}
	}
	err = c.inspect(s)
	return errors.Join(err, s.Close())
}

// inspection is what inspect prints at the end.
type inspection struct {
	Format  int            `json:"format"`
	Live    int            `json:"sessions_live"`
	Ended   int            `json:"sessions_ended"`
	OpenCoA int            `json:"coa_open"`
	Posture map[string]int `json:"posture"`
	Reports int            `json:"posture_reports"`
	Oldest  *time.Time     `json:"oldest_report,omitempty"`
	Newest  *time.Time     `json:"newest_report,omitempty"`
	Pages   int            `json:"pages"`
	Groups  int            `json:"groups"`
	Group   uint64         `json:"newest_group"`
	Words   int            `json:"dictionary"`
	Octets  int            `json:"octets"`
	Damaged []string       `json:"damaged,omitempty"`
}

func (n *inspection) count(x *sessions.Session) {
	if x.Live() {
		n.Live++
		n.Posture[x.Posture.Status.String()]++
	} else {
		n.Ended++
	}
	if x.Change != nil {
		n.OpenCoA++
	}
}

func (c *inspectCmd) inspect(s *store.Store) error {
	counts := inspection{Format: store.Format, Posture: map[string]int{}}
	out := json.NewEncoder(os.Stdout)
	show := rows(c.JSON, sessionColumns)
	found, err := s.Inspect(c.Repair, func(x *sessions.Session) error {
		counts.count(x)
		v := engine.ViewSession(x)
		line, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return show(line)
	})
	if err != nil {
		return exit{2, fmt.Errorf("damaged beyond what can be repaired here, put a copy back: %w", err)}
	}
	counts.Pages, counts.Groups, counts.Group = found.Pages, found.Groups, found.Newest
	counts.Words, counts.Octets = found.Words, found.Octets
	for _, d := range found.Damages {
		counts.Damaged = append(counts.Damaged, d.String())
	}
	if err := counts.reports(s); err != nil {
		return err
	}
	if c.JSON {
		err = out.Encode(counts)
	} else if text, fault := json.Marshal(counts); fault == nil {
		fmt.Println()
		err = printWords(text)
	}
	if err == nil && len(counts.Damaged) > 0 && !c.Repair {
		return exit{1, fmt.Errorf("%d things are damaged; the appliance does not start with them, --repair drops them", len(counts.Damaged))}
	}
	return err
}

// reports counts the posture reports and reads each.
func (n *inspection) reports(s *store.Store) error {
	return s.Reports(context.Background(), func(r store.Report) bool {
		p, err := record.ReadPosture(r.JSON)
		if err != nil {
			n.Damaged = append(n.Damaged, fmt.Sprintf("posture report %d: %v", r.Number, err))
			return true
		}
		if n.Reports++; n.Newest == nil {
			n.Newest = &p.LoggedAt
		}
		n.Oldest = &p.LoggedAt
		return true
	})
}
