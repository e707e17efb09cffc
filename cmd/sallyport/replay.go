package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"sallyport/engine/policy"
	"sallyport/engine/replay"
	"sallyport/engine/step"
)

type replayCmd struct {
	Config  string `help:"The configuration to try." default:"${config}" placeholder:"FILE"`
	From    string `required:"" help:"A recording of an appliance; FILE.1, its older half, is read first when it is there." type:"existingfile" placeholder:"FILE"`
	Against string `help:"Another configuration to compare with, instead of what was decided then." placeholder:"FILE"`
	JSON    bool   `name:"json" help:"One JSON object a group of decisions, then one for the result."`
	Most    int    `default:"-1" help:"Exit with status 1 when more sessions than this change." placeholder:"N"`
}

// Run replays.
func (c *replayCmd) Run() error {
	next, err := loadRules(c.Config)
	if err != nil {
		return err
	}
	var before *step.Rules
	if c.Against != "" {
		if before, err = loadRules(c.Against); err != nil {
			return err
		}
	}
	compare := replay.NewComparison(before, next)
	if err := readRecording(c.From+".1", compare); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := readRecording(c.From, compare); err != nil {
		return err
	}
	result := compare.Result()
	text := result.Text()
	if c.JSON {
		text = result.JSON()
	}
	fmt.Print(text)
	if c.Most >= 0 && result.Sessions > c.Most {
		return fmt.Errorf("%d sessions change, at most %d are allowed", result.Sessions, c.Most)
	}
	return nil
}

func loadRules(path string) (*step.Rules, error) {
	snap, _, faults := policy.Load(path)
	if err := faults.Err(); err != nil {
		return nil, configError(err)
	}
	return &snap.Rules, nil
}

func readRecording(path string, compare *replay.Comparison) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err = replay.Read(f, compare.Event); err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return err
}
