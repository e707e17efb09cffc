//go:build !windows

package main

import "log/slog"

// notify: here the message command shows messages.
func notify(string, *slog.Logger) {}
