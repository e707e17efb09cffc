// Command push measures how fast changes of authorization leave and are answered:
//
//	FIGURE push_100k_s       100,000 pushes of the engine in package coa, each one
//	                         acknowledged and its acknowledgement verified, on one CPU
//	FIGURE push_vs_layeh64   how many times as many a second as 64 goroutines that call
//	                         Exchange of layeh.com/radius, on the same CPU
//	FIGURE allocs_per_push   allocations of the whole process, by push
//
//	FIGURE report_to_ack_p99_ms   from the moment that an agent's signed report is due, 1,000
//	                         a second, through a real sallyport serve with its journal, to
//	                         the acknowledgement of the change that it makes; the
//	                         appliance, the NAS and the agents share the machine
//
//	FIGURE storm_auth_p50_x, storm_auth_p99_x   how many times as long a login takes while
//	                         a reload gives 100,000 sessions another profile, each change
//	                         journaled, sent and acknowledged; the median of three storms
//	FIGURE storm_resumed_auth_p50_x   the same after SIGKILL in the middle of a storm, from
//	                         when the appliance listens again
//
// The peer is a process of its own on another CPU, where there is one: it acknowledges
// whatever comes, with a right Response Authenticator. Both senders talk to it in turn,
// round by round, so that what else the machine does hits both. Both send what an ASA is
// told, with ACL and identification; the engine's pushes hold a Message-Authenticator as
// well, which the other library does not make.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// options are the flags.
type options struct {
	pushes    int
	rounds    int
	peer      int // pushes of the other sender in a round
	sockets   int
	inFlight  int
	responder bool
	profile   string
	program   string // the appliance
	skip      string
	storm     int
}

func main() {
	var o options
	flag.IntVar(&o.pushes, "pushes", 100_000, "changes in a round")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; each sender has a turn in each")
	flag.IntVar(&o.peer, "peer", 20_000, "requests of the other sender in a round")
	flag.IntVar(&o.sockets, "sockets", 16, "sockets of the engine")
	flag.IntVar(&o.inFlight, "in-flight", 1024, "requests without an answer, at most")
	flag.BoolVar(&o.responder, "responder", false, "be the peer; used by the program itself")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the engine's rounds to this file")
	flag.StringVar(&o.program, "program", "bin/sallyport", "the appliance")
	flag.StringVar(&o.skip, "skip", "", "pushes, reports or storm: leave these parts out, with commas between")
	flag.IntVar(&o.storm, "storm", 100_000, "sessions that a reload changes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	met, err := run(ctx, &o)
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "push:", err)
		os.Exit(2)
	case !met:
		os.Exit(1)
	}
}
