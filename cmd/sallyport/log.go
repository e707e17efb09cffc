package main

import (
	"log/slog"
	"os"
	"sync"

	"sallyport/ops/config"
)

// reopener is a log file that can be opened again under the same name, so that a
// rotated file is let go of. Without a name it is standard error.
type reopener struct {
	path string
	mu   sync.Mutex // guards file
	file *os.File
}

func openLog(path string) (*reopener, error) {
	r := &reopener{path: path}
	return r, r.reopen()
}

func (r *reopener) reopen() error {
	if r.path == "" {
		return nil
	}
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.file
	r.file = f
	if old != nil {
		return old.Close()
	}
	return nil
}

// Write writes one record.
func (r *reopener) Write(p []byte) (int, error) {
	if r.path == "" {
		return os.Stderr.Write(p)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file.Write(p)
}

// logs makes the process's logger as the configuration wants it. The form is decided
// once, the level again at every reload.
type logs struct {
	out    *reopener
	level  slog.LevelVar
	logger *slog.Logger
}

func (l *logs) set(c config.Log) *slog.Logger {
	_ = l.level.UnmarshalText([]byte(c.Level)) // the configuration admits only levels that slog knows
	if l.logger == nil {
		options := &slog.HandlerOptions{Level: &l.level}
		if c.Format == "json" {
			l.logger = slog.New(slog.NewJSONHandler(l.out, options))
		} else {
			l.logger = slog.New(slog.NewTextHandler(l.out, options))
		}
		slog.SetDefault(l.logger)
	}
	return l.logger
}
