package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/engine"
)

type serveCmd struct {
	Config    string `help:"Configuration file." default:"${config}" placeholder:"FILE"`
	LogFile   string `help:"Log to this file instead of standard error; SIGUSR2 opens it again." placeholder:"FILE"`
	AddrsFile string `help:"Write the bound addresses to this file as JSON once everything listens." placeholder:"FILE"`
}

// Run serves until a signal or a failed listener ends it. One loop owns the process:
// what a signal means is decided here and nowhere else.
func (c *serveCmd) Run() error {
	// From the first moment on, or a signal that comes early ends the process as it is.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGUSR2)
	out, err := openLog(c.LogFile)
	if err != nil {
		return err
	}
	log := &logs{out: out}
	e, err := engine.Open(engine.Options{Config: c.Config, Version: version, Logger: log.set})
	if err != nil {
		return configError(err)
	}
	s, err := e.Serve()
	if err != nil {
		return errors.Join(err, e.Drain(context.Background()))
	}
	if err := c.announce(s.Bound()); err != nil {
		return errors.Join(err, s.Stop(context.Background()))
	}
	slog.Info("serving", "version", version, "revision", e.Revision(), "authentication", fmt.Sprint(s.Bound().Authentication),
		"accounting", fmt.Sprint(s.Bound().Accounting), "portal", s.Bound().Portal, "console", s.Bound().Console)
	notify("READY=1")
	return c.loop(e, s, out, signals)
}

func (c *serveCmd) loop(e *engine.Engine, s *engine.Server, out *reopener, signals <-chan os.Signal) error {
	for {
		select {
		case err := <-s.Failed():
			return errors.Join(err, stop(e, s))
		case sig := <-signals:
			switch sig {
			case syscall.SIGHUP:
				notify(reloading())
				if e.Reload() == nil { // it says itself what was wrong
					if err := s.ReloadCertificate(); err != nil {
						slog.Error("the portal keeps its old certificate", "error", err)
					}
				}
				notify("READY=1")
			case syscall.SIGUSR1:
				text, _ := json.Marshal(e.Status())
				slog.Info("status", "status", string(text))
			case syscall.SIGUSR2:
				if err := out.reopen(); err != nil {
					slog.Error("the log file cannot be opened again", "error", err)
				}
			default:
				slog.Info("stopping", "signal", sig.String())
				return stop(e, s)
			}
		}
	}
}

func stop(e *engine.Engine, s *engine.Server) error {
	notify("STOPPING=1")
	ctx, cancel := context.WithTimeout(context.Background(), e.DrainTime())
	defer cancel()
	begun := time.Now()
	err := s.Stop(ctx)
	slog.Info("stopped", "seconds", time.Since(begun).Seconds())
	return err
}

func (c *serveCmd) announce(b engine.Bound) error {
	if c.AddrsFile == "" {
		return nil
	}
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	// Whoever waits for the file must never see half of it.
	if err := os.WriteFile(c.AddrsFile+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(c.AddrsFile+".new", c.AddrsFile)
}

// notify tells systemd (Type=notify-reload); without NOTIFY_SOCKET nobody listens.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if strings.HasPrefix(path, "@") {
		path = "\x00" + path[1:]
	}
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		slog.Warn("systemd cannot be told", "error", err)
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, state)
}

// reloading is what Type=notify-reload wants to hear: the moment by the monotonic clock.
func reloading() string {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return "RELOADING=1"
	}
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", t.Nano()/1000)
}
