package main

import (
	"log/slog"

	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/cmd/sallyport-agent/remedy"
	"sallyport/ops/clock"
)

// newTools makes what carries actions out. Files are put into the directories that are
// configured, else into one of the state directory.
func newTools(opts *options, dir keep.Dir, c clock.Clock, log *slog.Logger) (*remedy.Tools, error) {
	key, err := publicKey(opts.RemedyKey)
	if err != nil {
		return nil, err
	}
	files := opts.Files
	if len(files) == 0 {
		path, err := dir.Sub("files")
		if err != nil {
			return nil, err
		}
		files = []string{path}
	}
	return remedy.NewTools(remedy.ToolsConfig{Root: opts.Sysroot, Key: key, Refuse: opts.Refuse, Files: files, Clock: c}, dir, log), nil
}
