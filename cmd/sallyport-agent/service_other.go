//go:build !windows

package main

// serviceCommands: other systems have systemd or launchd, which need none of the agent's.
type serviceCommands struct{}
