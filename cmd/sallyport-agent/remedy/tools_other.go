//go:build !linux

package remedy

import (
	"context"

	"sallyport/netio/report"
)

func (t *Tools) launch(context.Context, *report.Action) Outcome {
	return Outcome{Refused, notInThisBuild}
}

func (t *Tools) runScript(context.Context, []byte, []string, *tail, *tail) (ended error, no Outcome) {
	return nil, Outcome{Refused, notInThisBuild}
}

func (t *Tools) stop(context.Context, string) Outcome { return Outcome{Refused, notInThisBuild} }

func (t *Tools) firewall(context.Context) Outcome { return Outcome{Refused, notInThisBuild} }

func (t *Tools) antiMalware(context.Context) Outcome { return Outcome{Refused, notInThisBuild} }

func (t *Tools) sweep() {}

func (t *Tools) file(context.Context, *report.Action, Fetch) Outcome {
	return Outcome{Refused, notInThisBuild}
}

func (t *Tools) patch(context.Context, string) Outcome { return Outcome{Refused, notInThisBuild} }

func (t *Tools) uninstall(context.Context, string) Outcome { return Outcome{Refused, notInThisBuild} }
