package renew

import (
	"errors"
	"os"
)

// put gives a file the name of the program. A program that runs cannot be replaced here, but
// it can get another name, aside, which goes with the next renewal.
func put(next, program, aside string) error {
	if _, err := os.Stat(program); err == nil {
		if err := errors.Join(drop(aside), os.Rename(program, aside)); err != nil {
			return err
		}
	}
	if err := os.Rename(next, program); err != nil {
		return errors.Join(err, os.Rename(aside, program))
	}
	return nil
}

// keepOld has the program lie at old: it runs on from there.
func keepOld(program, old string) error {
	if err := drop(old); err != nil {
		return err
	}
	return os.Rename(program, old)
}
