package remedy

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/netio/report"
	"sallyport/ops/clock"
)

// Limits of what is run.
const (
	runWithin      = 5 * time.Minute  // of a program or script, which is ended then with all it started
	packagesWithin = 30 * time.Minute // of a package manager, which may have much to fetch
	scriptMax      = 1 << 20          // octets
	programMax     = 512 << 20        // octets that are read for a digest
	outputMax      = 4 << 10          // octets of output that are kept
	stopWithin     = 10 * time.Second
	stopNow        = 5 * time.Second
	scratchPrefix  = "remedy-" // of directories in the state directory
)

// Tools carry out what is not about USB: a closed list, each by means that the system has
// already or that are named by their digest. No shell reads anything of the appliance's.
//
//	program.launch      a program that is there, that only root could have put there, with its digest
//	script.run          a file of the appliance's with its digest, in a directory of our own
//	app.stop            processes by the file they run from: asked to end, then ended
//	firewall.enable     the product that is installed: ufw, firewalld, nftables
//	antimalware.update  the product that is installed: ClamAV
//
//	file.fetch          a file with its digest, into a directory that the agent's own file names
//	patch.*             apt or dnf
//	app.uninstall       dpkg or rpm; nothing that the system needs, or that others need, and not the agent
//
// The other verbs are refused with a reason.
type Tools struct {
	root    string
	dir     keep.Dir
	files   []string          // directories for files
	key     ed25519.PublicKey // nil: a digest is enough
	refuse  []string
	within  time.Duration
	packed  time.Duration // for what package managers do
	web     *http.Client
	program string // this agent's file
	clock   clock.Clock
	log     *slog.Logger

	vouched atomic.Pointer[[]report.Publisher] // of a policy that the agent's authority signed; nil: of none

	asking  sync.Mutex // guards answers: one script at a time
	answers map[string]answer
}

// ToolsConfig says how far the appliance is obeyed.
type ToolsConfig struct {
	Root   string            // "/" for this machine
	Key    ed25519.PublicKey // whoever must have signed what is run; nil: nobody need have
	Refuse []string          // verbs that are never carried out
	Files  []string          // directories where files may be put; the first is for those without a path
	Clock  clock.Clock       // nil: the machine's

	// Web fetches what is named by a URL; nil: over TLS that the system's roots vouch for.
	Web http.RoundTripper
}

// NewTools makes tools that put scripts into a directory below dir, and takes away what an
// agent left there that was killed.
func NewTools(c ToolsConfig, dir keep.Dir, log *slog.Logger) *Tools {
	if left, err := filepath.Glob(dir.Path(scratchPrefix + "*")); err == nil {
		for _, path := range left {
			if err := os.RemoveAll(path); err != nil {
				log.Warn("what a script left cannot be taken away", "error", err)
			}
		}
	}
	t := &Tools{root: c.Root, dir: dir, files: c.Files, key: c.Key, refuse: c.Refuse, within: runWithin, packed: packagesWithin,
		web: webClient(c.Web), clock: c.Clock, log: log, answers: map[string]answer{}}
	if t.program, _ = os.Executable(); t.program == "" {
		t.program = "/" // of nobody's package
	}
	if t.clock == nil {
		t.clock = clock.System{}
	}
	t.sweep()
	return t
}

// Vouch says whose signatures count: of a policy that was signed by the authority that this
// agent is tied to.
func (t *Tools) Vouch(publishers []report.Publisher) { t.vouched.Store(&publishers) }

// Fetch gets a file of the appliance's, of at most so many octets.
type Fetch func(ctx context.Context, name string, most int) ([]byte, error)

// Do carries an action out.
func (t *Tools) Do(ctx context.Context, a *report.Action, fetch Fetch) Outcome {
	if why := t.refused(a); why != "" {
		return Outcome{Refused, why}
	}
	within := t.within
	if strings.HasPrefix(a.Verb, "patch.") || a.Verb == report.VerbAppUninstall {
		within = t.packed
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	switch a.Verb {
	case report.VerbLaunch:
		return t.launch(ctx, a)
	case report.VerbScript:
		return t.script(ctx, a, fetch)
	case report.VerbAppStop:
		return t.stop(ctx, a.Target)
	case report.VerbFirewallEnable:
		return t.firewall(ctx)
	case report.VerbAntiMalwareUpdate:
		return t.antiMalware(ctx)
	case report.VerbFile:
		return t.file(ctx, a, fetch)
	case report.VerbPatchInstall, report.VerbPatchActivate, report.VerbPatchUpdate:
		return t.patch(ctx, a.Verb)
	case report.VerbAppUninstall:
		return t.uninstall(ctx, a.Target)
	}
	return Outcome{Refused, a.Verb + " is " + notInThisBuild}
}

const notInThisBuild = "not implemented on this system in this build"

// refused says why an action must not be carried out, empty when it may.
func (t *Tools) refused(a *report.Action) string {
	switch {
	case slices.Contains(t.refuse, a.Verb):
		return "this agent is configured to refuse " + a.Verb
	case a.Verb != report.VerbLaunch && a.Verb != report.VerbScript && a.Verb != report.VerbFile:
		return ""
	case len(a.SHA256) != hex.EncodedLen(sha256.Size):
		return "the appliance names no digest of " + collect.Printable(a.Target)
	}
	if t.key != nil {
		if err := a.SignedBy(t.key); err != nil {
			return err.Error()
		}
	}
	return t.unpublished(a)
}

// unpublished says why it is not shown that a file is of whom the appliance says.
func (t *Tools) unpublished(a *report.Action) string {
	known := t.vouched.Load()
	switch {
	case a.Publisher == "":
		return ""
	case a.PublisherSignature == "":
		return "this build cannot tell by the system alone who published " + collect.Printable(a.Target)
	case known == nil:
		return "this agent is not enrolled with the appliance: nobody vouches for the keys of publishers that it names"
	}
	if err := a.PublishedBy(*known); err != nil {
		return collect.Printable(err.Error())
	}
	return ""
}

// script fetches a file and runs what has the digest.
func (t *Tools) script(ctx context.Context, a *report.Action, fetch Fetch) Outcome {
	text, no := fetched(ctx, a, fetch)
	if no.Result != "" {
		return no
	}
	var said tail
	err, no := t.runScript(ctx, a.Target, text, a.Arguments, &said, &said)
	if no.Result != "" {
		return no
	}
	return outcomeOf(ctx, err, &said)
}

// fetched is the text of a script, when it has the digest.
func fetched(ctx context.Context, a *report.Action, fetch Fetch) ([]byte, Outcome) {
	text, err := fetch(ctx, a.Target, scriptMax)
	if err != nil {
		return nil, Outcome{Failed, "cannot be fetched: " + collect.Printable(err.Error())}
	}
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != a.SHA256 {
		return nil, Outcome{Refused, "what the appliance hands out as " + collect.Printable(a.Target) + " has another digest"}
	}
	return text, Outcome{}
}

// digestOf is that of an open file.
func digestOf(f io.Reader) (string, error) {
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, programMax+1))
	if err == nil && n > programMax {
		err = fmt.Errorf("it has more than %d octets", programMax)
	}
	return hex.EncodeToString(h.Sum(nil)), err
}

// tail keeps the end of what a program prints.
type tail struct{ octets []byte }

// Write takes some output.
func (w *tail) Write(b []byte) (int, error) {
	w.octets = append(w.octets, b...)
	if over := len(w.octets) - outputMax; over > 0 {
		w.octets = append(w.octets[:0], w.octets[over:]...)
	}
	return len(b), nil
}

// last is the last line that says anything, safe to show.
func (w *tail) last() string {
	lines := strings.Split(strings.TrimSpace(string(w.octets)), "\n")
	return collect.Printable(lines[len(lines)-1])
}

// outcomeOf is how a program ended.
func outcomeOf(ctx context.Context, err error, output *tail) Outcome {
	switch said := output.last(); {
	case err == nil:
		return Outcome{Result: Done}
	case ctx.Err() != nil:
		return Outcome{Failed, "it took too long and was ended"}
	case said != "":
		return Outcome{Failed, err.Error() + ": " + said}
	}
	return Outcome{Failed, err.Error()}
}
