package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Limits of the message hook.
const (
	hookTimeout  = 10 * time.Second
	messagesMax  = 16 // waiting for the hook; more are only printed
	messageLines = "\n  "
)

// voice tells the person at the endpoint what the appliance has to say.
type voice struct {
	command string
	out     io.Writer
	log     *slog.Logger

	mu    sync.Mutex // one message at a time on out
	queue chan string
	done  chan struct{}
}

// newVoice starts the hook's goroutine when there is a hook; it ends with ctx.
func newVoice(ctx context.Context, command string, out io.Writer, log *slog.Logger) *voice {
	v := &voice{command: command, out: out, log: log, queue: make(chan string, messagesMax), done: make(chan struct{})}
	if command == "" {
		close(v.done)
		return v
	}
	go func() {
		defer close(v.done)
		for text := range v.queue {
			v.hook(context.WithoutCancel(ctx), text)
		}
	}()
	return v
}

func (v *voice) say(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintf(v.out, "Message: %s\n", strings.ReplaceAll(text, "\n", messageLines))
	if v.command == "" {
		notify(text, v.log)
		return
	}
	select {
	case v.queue <- text:
	default:
		v.log.Warn("too many messages for the message command, one is left out")
	}
}

// hook runs the program without a shell, arguments or the agent's environment.
func (v *voice) hook(ctx context.Context, text string) {
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, v.command)
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin"}
	cmd.Stdin = strings.NewReader(text + "\n")
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		v.log.Warn("the message command failed", "command", v.command, "error", err)
	}
}

// wait lets the hook finish what was said. Nothing may be said afterwards.
func (v *voice) wait() {
	v.mu.Lock()
	close(v.queue)
	v.mu.Unlock()
	<-v.done
}
