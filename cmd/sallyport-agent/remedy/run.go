package remedy

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"sallyport/cmd/sallyport-agent/collect"
)

// manner is how a program is run.
type manner struct {
	env    []string // besides the plain one
	low    bool     // it gives way to everything else
	gentle bool     // it is asked to end, and ended when it has not after endsWithin; so are those that are low
}

// endsWithin is what a program has that was asked to end: a package manager finishes the
// package at hand.
const endsWithin = 2 * time.Minute

// carryOut is run of an action.
func (t *Tools) carryOut(ctx context.Context, path string, arguments []string) Outcome {
	var said tail
	return outcomeOf(ctx, t.run(ctx, path, arguments, &said, &said, manner{}), &said)
}

func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return collect.Printable(err.Error())
}
