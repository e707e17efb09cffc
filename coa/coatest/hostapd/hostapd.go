// Package hostapd runs Debian's hostapd as a wired switch port, with wpa_supplicant as
// the endpoint that logs in there by 802.1X, in a network namespace of their own.
//
//	wpa_supplicant s0 ==veth== n0 hostapd --accounting--> foreign.Box
//	                                 ^------- Disconnect-Request from the test
//
// hostapd checks the password itself (EAP-MD5), so that no other server is needed. It
// takes changes only with Event-Timestamp and Message-Authenticator.
package hostapd

import (
	"fmt"
	"net/netip"
	"testing"

	"sallyport/coa/coatest/foreign"
)

// Secret is shared with hostapd, for accounting and for changes.
const Secret = "a secret of the hostapd test"

// Start runs hostapd, and the endpoint, until the test ends. Where a program is missing,
// or the right to make a network namespace, the test is skipped and says so.
func Start(t *testing.T) *foreign.Box {
	t.Helper()
	programs := foreign.Find(t, foreign.Program{Name: "hostapd", Package: "hostapd"},
		foreign.Program{Name: "wpa_supplicant", Package: "wpasupplicant"}, foreign.Program{Name: "ip", Package: "iproute2"})
	b := foreign.Open(t, Secret)
	dir := t.TempDir()
	b.Do("ip", "link", "add", "s0", "type", "veth", "peer", "name", "n0")
	b.Do("ip", "link", "set", "s0", "address", "52:54:00:aa:bb:cc", "up")
	b.Do("ip", "link", "set", "n0", "address", "02:00:00:00:00:a0", "up")
	users := b.File(dir, "users", "\"bob\" MD5 \"hello\"\n")
	b.Run(nil, programs[0], "-dd", b.File(dir, "hostapd.conf", configuration(users, b.NASIP)))
	b.Run(nil, programs[1], "-D", "wired", "-i", "s0", "-c", b.File(dir, "wpa.conf", supplicant))
	return b
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

func configuration(users string, address netip.Addr) string {
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
`, users, address, Secret, Secret)
}
