package main

import (
	"errors"
	"fmt"

	"sallyport/engine/policy"
	"sallyport/ops/config"
)

type checkCmd struct {
	Config string `help:"Configuration file." default:"${config}" placeholder:"FILE"`
	JSON   bool   `name:"json" help:"One JSON object a fault, then one for the result."`
}

// Run loads the configuration as serve does and prints every fault at once. The exit
// code is 0 when it is sound, 1 with faults, 2 when it cannot be read.
func (c *checkCmd) Run() error {
	o := policy.Check(c.Config)
	text := o.Text()
	if c.JSON {
		text = o.JSON()
	}
	fmt.Print(text)
	if code := o.ExitCode(); code != 0 {
		return exit{code: code}
	}
	return nil
}

// configError gives an error of the configuration the exit code that check has for it.
func configError(err error) error {
	var faults config.Faults
	if errors.As(err, &faults) && faults.Unreadable() {
		return exit{policy.ExitUnreadable, err}
	}
	return err
}
