//go:build !linux

package collect

import (
	"context"
	"log/slog"
)

// WatchNetwork gives a channel that gets a value when the addresses of this machine
// change. It stops with ctx.
func WatchNetwork(ctx context.Context, _ *slog.Logger) (<-chan struct{}, error) {
	return pollNetwork(ctx), nil
}
