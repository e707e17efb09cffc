// Command fenced carries actions out as the agent does, in the place of the agent: within the
// fences of its unit. Each line of its first argument's file is an action; to its second's
// goes a line of JSON for each, how it ended. Files that actions fetch lie in the third's.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/cmd/sallyport-agent/remedy"
	"sallyport/netio/report"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: fenced ACTIONS RESULTS FILES")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "fenced:", err)
		os.Exit(1)
	}
}

func run(actions, results, files string) error {
	dir, err := keep.Open("/var/lib/sallyport-agent")
	if err != nil {
		return err
	}
	own, err := dir.Sub("files")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(actions)
	if err != nil {
		return err
	}
	out, err := os.Create(results)
	if err != nil {
		return err
	}
	defer out.Close()
	tools := remedy.NewTools(remedy.ToolsConfig{Root: "/", Files: []string{own}}, dir, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	fetch := func(_ context.Context, name string, _ int) ([]byte, error) {
		return os.ReadFile(filepath.Join(files, filepath.Base(name)))
	}
	for line := range bytes.Lines(text) {
		var a report.Action
		if err := json.Unmarshal(line, &a); err != nil {
			return err
		}
		got := tools.Do(context.Background(), &a, fetch)
		if err := json.NewEncoder(out).Encode(map[string]string{"verb": a.Verb, "target": a.Target, "result": got.Result, "detail": got.Detail}); err != nil {
			return err
		}
	}
	return out.Sync()
}
