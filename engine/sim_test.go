package engine

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"sallyport/ops/assert"
)

var (
	simSeed  = flag.Uint64("seed", 0, "the one seed to simulate, with all that happens printed; 0: new ones")
	simSeeds = flag.Int("seeds", 0, "how many seeds to simulate; 0: as many as fit into simBudget")
)

// simBudget is what TestSimulation may take in a run of all tests.
const simBudget = 4 * time.Second

// Times of the simulated appliance.
const (
	simKeepEnded = time.Hour
	simPurge     = 4 * time.Hour
	simLease     = 20 * time.Minute
	simGrace     = 45 * time.Second
)

// simLenient is the configuration with a lease, grace, and reassessments that only look.
const simLenient = 3

const simConfig = `
appliance: {name: 127.0.0.1, state: state}
listen: {authentication: ["127.0.0.1:0"], accounting: ["127.0.0.1:0"], portal: "127.0.0.1:0", console: "127.0.0.1:0", metrics: "127.0.0.1:0"}
records: {livelog: 1000}
sessions: {keep-ended: 1h, purge-without-stop: 4h, purge-without-accounting: 4h}
nas:
  - {name: asa, address: 127.0.0.1, secret: {file: secret}, recipe: cisco-asa}
  - {name: ios, address: 127.0.0.2, secret: {file: secret}, recipe: cisco-ios, message-authenticator: require}
  - {name: plain, address: 127.0.0.3, secret: {file: secret}, recipe: rfc5176}
identity:
  stores: [{name: internal, users-file: users.yaml}]
  mab: {endpoints-file: endpoints.yaml}
posture:
  agent: {heartbeat: 1m, pending-alarm: 5mAGENT}
  reassessment: [REASSESS]
  conditions: {USB_Check: {usb: {mass-storage: absent}}}
  remediations: {USB_Block: {usb: block, mode: automatic, message: "Remove it."}}
  requirements: {USB_Block: {os: [windows, linux], conditions: [USB_Check], remediation: USB_Block}}
  policy:
    - {rule: USB check, GRACErequirements: [{name: USB_Block, enforcement: mandatory}]}
authorization:
  dacls:
    PERMIT_ALL_TRAFFIC: [ENTRIES]
  profiles:
    FullAccess:       {dacl: PERMIT_ALL_TRAFFIC}
    Posture_Redirect: {redirect: {portal: client-provisioning, acl: ACL_WEBAUTH_REDIRECT}}
    Wide:             {filter-id: wide}
    Narrow:           {filter-id: narrow}
  rules:
    - {rule: Plain_Wide,   when: 'session.nas == "plain" && GOOD', profile: Wide}
    - {rule: Plain_Narrow, when: 'session.nas == "plain"', profile: Narrow}
    - {rule: Full,         when: 'GOOD', profile: FullAccess}
    - {rule: Redirect,     when: 'session.authenticated', profile: Posture_Redirect}
  default: DenyAccess
`

// simConfigs writes the configurations that reloads go between: another ACL with clocks that
// end sessions, one by which the unhealthy may come in too, and one that is lenient: it
// believes who was healthy a while ago, and gives time to become so again.
func simConfigs(t testing.TB) (paths []string) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(simPassword), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	write("secret", sharedSecret+"\n")
	if err := os.Mkdir(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("state/ticket.key", sharedSecret[:ticketKeyLen])
	write("users.yaml", fmt.Sprintf("%s: {password: %q}\n", simUser, hash))
	macs := ""
	for i := range simEndpoints {
		macs += fmt.Sprintf("00:0c:29:00:00:%02x: {groups: [machines]}\n", i)
	}
	write("endpoints.yaml", macs)
	good := `session.posture == "Compliant"`
	for i, v := range [][2]string{{`"permit ip any any"`, good}, {`"permit tcp any any"`, good}, {`"permit ip any any"`, "(" + good + ` || session.posture == "NonCompliant")`}, {`"permit ip any any"`, good}} {
		agent, reassess, grace := "", "", ""
		switch i {
		case 1:
			agent = ", remediation-timer: 1m, remediation-over: disconnect, lost: disconnect"
			reassess = "{rule: Again, interval: 1m, grace: 20s, action: logoff}"
		case simLenient:
			agent = fmt.Sprintf(", lease: %s", simLease)
			reassess = "{rule: Again, interval: 90s, grace: 20s, action: continue}"
			grace = fmt.Sprintf("grace: %s, ", simGrace)
		}
		text := strings.NewReplacer("ENTRIES", v[0], "GOOD", v[1], "AGENT", agent, "REASSESS", reassess, "GRACE", grace).Replace(simConfig)
		paths = append(paths, write(fmt.Sprintf("sallyport-%d.yaml", i), text))
	}
	return paths
}

// simResult is how a simulation ended.
type simResult struct {
	failure string // empty: every rule held
	trace   []string
	counts  map[string]int
	endsAt  time.Duration
}

// simulate runs a script.
func simulate(seed uint64, ops []simOp, broken flaws, configs []string) (r simResult) {
	w := newSimWorld(seed, broken, configs)
	defer func() {
		if p := recover(); p != nil {
			if f, ok := p.(simFailure); ok {
				r.failure = f.text
			} else {
				r.failure = fmt.Sprintf("panic: %v\n%s", p, debug.Stack())
			}
		}
		r.trace, r.counts, r.endsAt = w.trace, w.counts, w.now.Sub(simEpoch)
		w.end()
	}()
	w.start()
	for _, o := range ops {
		w.run(w.now.Add(o.at))
		i := slices.IndexFunc(simActs, func(a simAct) bool { return a.kind == o.kind })
		simActs[i].do(w, o, rand.New(rand.NewPCG(seed, o.arg)))
		w.counts["lines"]++
	}
	w.settle()
	return r
}

// settle ends all faults, waits, and then wants everything to be as if there had been none.
func (w *simWorld) settle() {
	w.tracef("all faults end")
	if w.e != nil {
		w.disk.alive()
		w.breakDisk(simDiskGood)
	}
	w.net = simNet{}
	for _, n := range w.nases {
		n.deaf, n.nak = false, 0
	}
	for _, p := range w.endpoints {
		if p.agent != nil {
			p.agent.silent = false
		}
	}
	w.run(w.now.Add(12 * time.Minute))
	for range 60 { // a lease may have ended this very moment
		if !w.moves() {
			break
		}
		w.run(w.now.Add(time.Second))
	}
	w.oracle.final()
}

// moves says whether a change or a report is under way.
func (w *simWorld) moves() bool {
	return w.e != nil && w.e.table.Counts().Changing > 0 || slices.ContainsFunc(w.endpoints, func(p *simEndpoint) bool {
		return p.agent != nil && p.agent.alive() && p.agent.busy
	})
}

// TestSimulation runs seeds that nobody has seen before. A failure prints the one command
// that runs its seed again, and the shortest script that still fails.
func TestSimulation(t *testing.T) {
	configs := simConfigs(t)
	if *simSeed != 0 && *simSeeds == 0 {
		simReport(t, *simSeed, configs, true)
		return
	}
	began, first := time.Now(), cmp.Or(*simSeed, uint64(time.Now().UnixNano())>>10)
	budget := simBudget
	if testing.Short() || assert.Enabled {
		budget /= 3
	}
	var mu sync.Mutex // guards what follows
	next, n, counts, virtual := uint64(0), 0, map[string]int{}, time.Duration(0)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for {
				mu.Lock()
				seed := first + next
				stop := t.Failed() || *simSeeds > 0 && int(next) >= *simSeeds || *simSeeds == 0 && time.Since(began) > budget
				next++
				mu.Unlock()
				if stop {
					return
				}
				r := simReport(t, seed, configs, false)
				mu.Lock()
				n++
				virtual += r.endsAt
				for k, v := range r.counts {
					counts[k] += v
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	t.Logf("%d seeds from %d in %s: %s of simulated time, %v", n, first, time.Since(began).Round(time.Millisecond), virtual.Round(time.Minute), counts)
	if *simSeeds > 0 {
		simFigures(n, *simSeeds, t.Failed())
	}
}

// simFigures prints what a script reads.
func simFigures(n, want int, failed bool) {
	verdict := map[bool]string{false: "ok", true: "MISSED"}
	losses := 0
	if failed {
		losses = 1
	}
	fmt.Printf("FIGURE sim_seeds_survived %d seeds >= %d %s\n", n, want, verdict[failed || n < want])
	fmt.Printf("FIGURE sim_losses %d losses <= 0 %s\n", losses, verdict[failed])
}

// simReport runs one seed and says what failed.
func simReport(t *testing.T, seed uint64, configs []string, all bool) simResult {
	ops := simScript(seed)
	r := simulate(seed, ops, flaws{}, configs)
	if all {
		t.Log(strings.Join(r.trace, "\n"))
	}
	if r.failure == "" {
		return r
	}
	ops = simShrink(seed, ops, flaws{}, configs, r.failure)
	again := simulate(seed, ops, flaws{}, configs)
	if again.failure == "" { // what decides is not in the script: goroutines of the journal
		again = r
	}
	var script strings.Builder
	for _, o := range ops {
		fmt.Fprintln(&script, o)
	}
	last := again.trace[max(0, len(again.trace)-120):]
	t.Errorf("seed %d: %s\n\nagain:  go test ./engine -run 'TestSimulation$' -seed %d\n\nthe shortest script that fails:  %s\n%s\nits end:\n%s",
		seed, r.failure, seed, again.failure, script.String(), strings.Join(last, "\n"))
	return r
}

// simShrink leaves out lines as long as the same rule is broken.
func simShrink(seed uint64, ops []simOp, broken flaws, configs []string, failure string) []simOp {
	rule, _, _ := strings.Cut(failure, ":")
	until := time.Now().Add(30 * time.Second)
	for size := len(ops) / 2; size > 0; size /= 2 {
		for from := 0; from+size <= len(ops) && time.Now().Before(until); {
			less := slices.Concat(ops[:from], ops[from+size:])
			if r := simulate(seed, less, broken, configs); strings.HasPrefix(r.failure, rule+":") {
				ops = less
			} else {
				from += size
			}
		}
	}
	return ops
}
