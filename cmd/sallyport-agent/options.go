package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"sallyport/cmd/sallyport-agent/uplink"
	"sallyport/netio/report"
)

// options are common to all commands: on the command line, in SALLYPORT_AGENT_* and in
// the configuration file by the same names.
type options struct {
	State   string `help:"Directory of the device key and all else that the agent keeps." default:"${state}" placeholder:"DIR"`
	Sysroot string `help:"Where sysfs and procfs are; another root than / is taken for a fixture and no mount of this machine is touched." default:"/" placeholder:"DIR"`

	DiscoveryHost []string `help:"HOST[:PORT] to ask over HTTP besides the default gateway; the access device answers with a redirect." placeholder:"HOST"`
	Server        []string `help:"HOST[:PORT] of an appliance, asked when nothing redirects (call-home list)." placeholder:"HOST"`

	CA            string   `name:"ca" help:"PEM file of certificates that may sign the appliance's." placeholder:"FILE"`
	Pin           []string `help:"sha256:HEX of the appliance's certificate or key; then nothing else is trusted." placeholder:"PIN"`
	NameRule      []string `help:"Name the appliance may have: posture.example.com or *.example.com." placeholder:"NAME"`
	TrustFirstUse bool     `help:"Trust the first appliance met, and from then on that one alone."`

	DeviceKey string `enum:"auto,tpm,file" default:"auto" help:"Where the device key is made: auto: in the TPM, and in a file where that does not work; tpm: there or not at all; file. A key that is there stays where it is, with auto." placeholder:"WHERE"`
	TPM       string `name:"tpm" help:"Device of the TPM, or socket of one in software; /dev/tpmrm0 without it." placeholder:"FILE"`

	USBMode string `name:"usb-mode" enum:",observe,reactive,strict" default:"" help:"observe: never block; reactive: block what appears; strict: let nothing new in but hubs, keyboards and what is allowed. Without it the appliance's policy says." placeholder:"MODE"`

	RemedyKey string   `help:"Run programs and scripts only when they are signed with this key: an Ed25519 public key, base64, as sallyport library key prints it." placeholder:"KEY"`
	Files     []string `name:"file-directory" help:"Directories where the appliance may have files put, each an absolute path that only root can write to; the first takes those that name none. Without it: files in --state." placeholder:"DIR"`
	UpdateKey string   `help:"Replace this program by newer builds of the appliance's that are signed with this key, written as for --remedy-key; without it the program stays as it is." placeholder:"KEY"`
	Refuse    []string `help:"Actions that this agent never carries out, whoever asks: program.launch, script.run, app.stop ..." placeholder:"VERB"`

	Heartbeat time.Duration `help:"Report at least this often, instead of when the appliance says." placeholder:"DURATION"`
	Mac       []string      `help:"Claim with these MAC addresses instead of the machine's." placeholder:"MAC"`
	IP        []string      `name:"ip" help:"Claim with these addresses instead of the machine's." placeholder:"ADDRESS"`

	MessageCommand string `help:"Program that gets each message for the person on its standard input; an absolute path, no shell." placeholder:"FILE"`
	Verbose        bool   `short:"v" help:"Log every event."`
}

// tpm is where the TPM would be. A fixture has none of its own.
func (o *options) tpm() string {
	if o.TPM != "" {
		return o.TPM
	}
	return filepath.Join(o.Sysroot, "dev/tpmrm0")
}

// heartbeatMin keeps a wrong unit from becoming a flood of reports.
const heartbeatMin = time.Second

// check finds all faults at once.
func (o *options) check() error {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, list := range []struct {
		name  string
		hosts []string
	}{{"--discovery-host", o.DiscoveryHost}, {"--server", o.Server}} {
		for _, h := range list.hosts {
			if h == "" || strings.ContainsAny(h, "/@ ") {
				fault("%s %q: want HOST or HOST:PORT, not a URL", list.name, h)
			}
		}
	}
	for _, rule := range o.NameRule {
		if rest := strings.TrimPrefix(rule, "*."); rest == "" || strings.ContainsAny(rest, "*/: ") && netipError(rest) {
			fault("--name-rule %q: want a host name, or *. and a domain", rule)
		}
	}
	if o.Heartbeat != 0 && o.Heartbeat < heartbeatMin {
		fault("--heartbeat %s: want at least %s", o.Heartbeat, heartbeatMin)
	}
	if o.MessageCommand != "" && !filepath.IsAbs(o.MessageCommand) {
		fault("--message-command %q: want an absolute path", o.MessageCommand)
	}
	for _, dir := range o.Files {
		if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || dir == "/" {
			fault("--file-directory %q: want an absolute path of a directory, in its shortest form", dir)
		}
	}
	for name, key := range map[string]string{"--remedy-key": o.RemedyKey, "--update-key": o.UpdateKey} {
		if _, err := publicKey(key); err != nil {
			fault("%s: %v", name, err)
		}
	}
	for _, verb := range o.Refuse {
		if !slices.Contains(report.Verbs(), verb) {
			fault("--refuse %q: want one of %s", verb, strings.Join(report.Verbs(), ", "))
		}
	}
	if info, err := os.Stat(o.Sysroot); err != nil || !info.IsDir() {
		fault("--sysroot %q: want a directory", o.Sysroot)
	}
	for _, ip := range o.IP {
		if netipError(ip) {
			fault("--ip %q: want an address", ip)
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s", strings.Join(faults, "\n"))
	}
	return nil
}

// publicKey reads the key of somebody who signs, nil when there is none.
func publicKey(text string) (ed25519.PublicKey, error) {
	if text == "" {
		return nil, nil
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, errors.New("it is not an Ed25519 public key in base64")
	}
	return key, nil
}

func netipError(s string) bool {
	_, err := netip.ParseAddr(s)
	return err != nil
}

// trust makes the rules of whom to obey.
func (o *options) trust() (uplink.Trust, error) {
	t := uplink.Trust{NameRules: o.NameRule, FirstUse: o.TrustFirstUse, Now: time.Now}
	for _, text := range o.Pin {
		pin, err := uplink.ParsePin(text)
		if err != nil {
			return t, fmt.Errorf("--pin: %w", err)
		}
		t.Pins = append(t.Pins, pin)
	}
	if o.CA == "" {
		return t, nil
	}
	text, err := os.ReadFile(o.CA)
	if err != nil {
		return t, fmt.Errorf("--ca: %w", err)
	}
	t.Roots = x509.NewCertPool()
	if !t.Roots.AppendCertsFromPEM(text) {
		return t, fmt.Errorf("--ca: %s holds no certificate in PEM", o.CA)
	}
	return t, nil
}

// readConfig reads the configuration file: 'name = value' a line, names as on the
// command line, lists with commas, '#' begins a comment. A name twice, or one that is
// no option, is a fault.
func readConfig(r io.Reader) (kong.Resolver, error) {
	c := configFile{values: map[string]string{}, lines: map[string]int{}}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		switch {
		case !ok || name == "":
			return nil, fmt.Errorf("configuration line %d: want 'name = value'", n)
		case c.lines[name] > 0:
			return nil, fmt.Errorf("configuration line %d: %s was set in line %d already", n, name, c.lines[name])
		}
		c.values[name], c.lines[name] = strings.TrimSpace(value), n
	}
	return c, lines.Err()
}

// configFile resolves flags that the command line and the environment leave open.
type configFile struct {
	values map[string]string
	lines  map[string]int
}

// Resolve gives the value of a flag.
func (c configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	v, ok := c.values[flag.Name]
	if !ok {
		return nil, nil
	}
	if !flag.IsSlice() {
		return v, nil
	}
	list := strings.Split(v, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return strings.Join(list, ","), nil
}

// Validate finds names that are no option.
func (c configFile) Validate(app *kong.Application) error {
	known := map[string]bool{}
	for _, f := range app.Flags {
		known[f.Name] = f.Name != "config" && f.Name != "help" && f.Name != "version"
	}
	for name, n := range c.lines {
		if !known[name] {
			return fmt.Errorf("configuration line %d: there is no option %q", n, name)
		}
	}
	return nil
}
