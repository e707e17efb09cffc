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
	Dir  string `arg:"" help:"State directory (appliance.state) of an appliance that does not run."`
	JSON bool   `name:"json" help:"Every session as one JSON object a line, then one for the counts."`
}

// Run reads every record of a state directory and says what is there. It changes
// nothing but Pebble's own files.
func (c *inspectCmd) Run() error {
	dir := filepath.Join(c.Dir, "journal")
	if _, err := os.Stat(dir); err != nil {
		return exit{2, fmt.Errorf("%s is not a state directory: %w", c.Dir, err)}
	}
	s, err := store.Open(dir, store.Options{})
	if errors.Is(err, store.ErrInUse) {
		return exit{2, fmt.Errorf("%w; stop the appliance first, or ask it with \"sallyport sessions\"", err)}
	}
	if err != nil {
		return exit{2, err}
	}
	err = c.inspect(s)
	return errors.Join(err, s.Close())
}

func (c *inspectCmd) inspect(s *store.Store) error {
	counts := struct {
		Format  int            `json:"format"`
		Live    int            `json:"sessions_live"`
		Ended   int            `json:"sessions_ended"`
		OpenCoA int            `json:"coa_open"`
		Posture map[string]int `json:"posture"`
		Reports int            `json:"posture_reports"`
		Oldest  *time.Time     `json:"oldest_report,omitempty"`
		Newest  *time.Time     `json:"newest_report,omitempty"`
	}{Format: store.Format, Posture: map[string]int{}}
	out := json.NewEncoder(os.Stdout)
	show := (&table{out: os.Stdout, columns: sessionColumns}).row
	err := s.Load(func(x *sessions.Session) error {
		if x.Live() {
			counts.Live++
			counts.Posture[x.Posture.Status.String()]++
		} else {
			counts.Ended++
		}
		if x.Change != nil {
			counts.OpenCoA++
		}
		v := engine.ViewSession(x)
		if c.JSON {
			return out.Encode(v)
		}
		line, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return show(line)
	})
	if err != nil {
		return fmt.Errorf("damaged: %w", err)
	}
	var fault error
	err = s.Reports(context.Background(), func(r store.Report) bool {
		p, err := record.ReadPosture(r.JSON)
		if err != nil {
			fault = fmt.Errorf("damaged: posture report %d: %w", r.Number, err)
			return false
		}
		if counts.Reports++; counts.Newest == nil {
			counts.Newest = &p.LoggedAt
		}
		counts.Oldest = &p.LoggedAt
		return true
	})
	if err := errors.Join(err, fault); err != nil {
		return err
	}
	if c.JSON {
		return out.Encode(counts)
	}
	text, err := json.MarshalIndent(counts, "", "  ")
	if err == nil {
		_, err = fmt.Println(string(text))
	}
	return err
}
