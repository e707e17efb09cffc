// Package hostapd runs Debian's hostapd as a wired switch port, with wpa_supplicant as
// the endpoint that logs in there by 802.1X, in a network namespace of their own. It is
// a NAS that somebody else wrote: what it acknowledges, it does.
//
//	wpa_supplicant s0 ==veth== n0 hostapd --accounting--> Box
//	                                 ^------- Disconnect-Request from the test
//
// hostapd checks the password itself (EAP-MD5), so that no other server is needed. It
// takes changes only with Event-Timestamp and Message-Authenticator.
package hostapd

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sallyport/netio/radius"
	"sallyport/ops/secret"
)

// Secret is shared with hostapd, for accounting and for changes.
const Secret = "a secret of the hostapd test"

// Box is a running hostapd.
type Box struct {
	CoA   netip.AddrPort // where it takes changes, inside of the namespace
	NASIP netip.Addr     // how it is named

	t       *testing.T
	key     *radius.Key
	space   space
	mu      sync.Mutex // guards the following
	records []Record
	changed chan struct{}
}

// Record is one Accounting-Request of hostapd.
type Record struct {
	Status           uint32 // Acct-Status-Type
	AcctSessionID    string
	CallingStationID string
}

// patience is how long anything here may take.
const patience = 20 * time.Second

// Start runs hostapd, and the endpoint, until the test ends. Where a program is missing,
// or the right to make a network namespace, the test is skipped and says so.
func Start(t *testing.T) *Box {
	t.Helper()
	programs := map[string]string{"hostapd": "hostapd", "wpa_supplicant": "wpasupplicant", "ip": "iproute2"}
	for program, pkg := range programs {
		path, err := find(program)
		if err != nil {
			t.Skipf("%s is not installed; Debian package %s has it", program, pkg)
		}
		programs[program] = path
	}
	key, err := radius.NewKey(secret.New([]byte(Secret)))
	if err != nil {
		t.Fatal(err)
	}
	b := &Box{t: t, key: key, NASIP: netip.MustParseAddr("127.0.0.1"), changed: make(chan struct{})}
	if err := b.space.open(); err != nil {
		t.Skipf("no network namespace of our own: %v", err)
	}
	t.Cleanup(b.space.close)
	dir := t.TempDir()
	b.Inside(func() error {
		for _, args := range [][]string{{"link", "set", "lo", "up"}, {"link", "add", "s0", "type", "veth", "peer", "name", "n0"},
			{"link", "set", "s0", "address", "52:54:00:aa:bb:cc", "up"}, {"link", "set", "n0", "address", "02:00:00:00:00:a0", "up"}} {
			if out, err := exec.Command(programs["ip"], args...).CombinedOutput(); err != nil {
				return fmt.Errorf("ip %v: %w: %s", args, err, out)
			}
		}
		return b.account()
	})
	b.CoA = netip.AddrPortFrom(b.NASIP, 3799)
	b.run(dir, programs["hostapd"], "hostapd.conf", b.hostapd(dir), "-dd")
	b.run(dir, programs["wpa_supplicant"], "wpa.conf", supplicant, "-D", "wired", "-i", "s0", "-c")
	return b
}

func find(program string) (string, error) {
	for _, name := range []string{program, "/usr/sbin/" + program, "/sbin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

// Inside calls f in the namespace: sockets that it opens and programs that it starts stay
// there. The test fails with its error.
func (b *Box) Inside(f func() error) {
	b.t.Helper()
	if err := b.space.do(f); err != nil {
		b.t.Fatal(err)
	}
}

const supplicant = `ap_scan=0
network={
 key_mgmt=IEEE8021X
 eapol_flags=0
 eap=MD5
 identity="bob"
 password="hello"
}
`

func (b *Box) hostapd(dir string) string {
	users := filepath.Join(dir, "users")
	if err := os.WriteFile(users, []byte("\"bob\" MD5 \"hello\"\n"), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprintf(`interface=n0
driver=wired
logger_stdout=-1
logger_stdout_level=1
ieee8021x=1
use_pae_group_addr=1
eap_server=1
eap_user_file=%s
own_ip_addr=%s
nas_identifier=switch-1
acct_server_addr=127.0.0.1
acct_server_port=1813
acct_server_shared_secret=%s
radius_das_port=3799
radius_das_client=127.0.0.1 %s
radius_das_time_window=300
radius_das_require_event_timestamp=1
radius_das_require_message_authenticator=1
`, users, b.NASIP, Secret, Secret)
}

// run starts a program with a configuration file as its last argument.
func (b *Box) run(dir, program, name, configuration string, args ...string) {
	b.t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var said bytes.Buffer
	command := exec.CommandContext(ctx, program, append(args, file)...)
	command.Stdout, command.Stderr = &said, &said
	b.Inside(command.Start)
	b.t.Cleanup(func() {
		cancel()
		_ = command.Wait() // it is ended by a signal
		if b.t.Failed() {
			b.t.Logf("%s said:\n%s", program, said.Bytes()[max(0, said.Len()-4000):])
		}
	})
}

// Await waits for an Accounting-Request that is the one wanted, of those that came and
// will come; the test fails when none does.
func (b *Box) Await(what string, wanted func(r *Record) bool) Record {
	b.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		b.mu.Lock()
		records, changed := b.records, b.changed
		b.mu.Unlock()
		for i := range records {
			if wanted(&records[i]) {
				return records[i]
			}
		}
		select {
		case <-changed:
		case <-deadline.C:
			b.t.Fatalf("hostapd did not send: %s; it sent %+v", what, records)
		}
	}
}

func (b *Box) heard(r Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records = append(b.records, r)
	close(b.changed)
	b.changed = make(chan struct{})
}
