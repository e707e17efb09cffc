package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"sallyport/sessions"
)

// maker makes sessions as they are met: every other one that of a VPN user whose agent
// has claimed it and reported twice, and of a printer or a phone on a switch port.
type maker struct {
	rng *mathrand.Rand
	key []byte // SubjectPublicKeyInfo; its point is replaced
	at  time.Time
}

func newMaker() *maker {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("no randomness: " + err.Error())
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic("a P-256 key has no encoding: " + err.Error())
	}
	return &maker{mathrand.New(mathrand.NewPCG(1, 1)), spki, time.Date(2026, 3, 11, 14, 57, 39, 0, time.UTC)}
}

func (m *maker) octets(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.rng.Uint32())
	}
	return b
}

func (m *maker) hex(n int) string { return hex.EncodeToString(m.octets(n)) }

// later is some time after the moment at hand, as a clock tells it.
func (m *maker) later(t time.Time, d time.Duration) time.Time {
	return t.Add(d + time.Duration(m.rng.Int64N(int64(time.Second))))
}

// before is when the core's moment t was received: some hundred microseconds earlier.
func (m *maker) before(t time.Time) time.Time {
	return t.Add(-time.Duration(m.rng.Int64N(int64(time.Millisecond))))
}

func (m *maker) session(i int) *sessions.Session {
	if i%2 == 0 {
		return m.vpn(i / 2)
	}
	return m.mab(i / 2)
}

var server = netip.MustParseAddr("10.48.66.80")

func (m *maker) vpn(i int) *sessions.Session {
	m.at = m.later(m.at, 0)
	at := m.at
	nas := netip.AddrFrom4([4]byte{10, 48, 66, byte(202 + i%8)})
	n := nas.As4()
	id := fmt.Sprintf("%02x%02x%02x%02x%08x%08x", n[0], n[1], n[2], n[3], i, at.Unix())
	report := m.later(at, 30*time.Second)
	interim := m.later(report, 300*time.Second)
	decision, nonce := m.hex(8)+"-"+fmt.Sprintf("%08x", i), m.hex(16)
	key := append(append([]byte(nil), m.key[:27]...), m.octets(64)...)
	return &sessions.Session{
		ID: sessions.ID(id), AuditSessionID: id, Version: 9, Epoch: 2, NAS: fmt.Sprintf("ASA5515-%02d", i%8), NASAddress: nas, Server: server,
		NASIP: nas, NASPort: uint32(i) << 12, NASPortType: 5, ServiceType: 2, AcctSessionID: fmt.Sprintf("%08X", i<<8|i%251),
		CallingStationID: fmt.Sprintf("%d.%d.%d.%d", 80+i>>16%8, i>>10&255, i>>2&255, i*7&255), CalledStationID: "203.0.113.9",
		TunnelGroup: []string{"EMPLOYEES", "CONTRACTORS", "ADMINS"}[i%3], UserName: fmt.Sprintf("%s.%s%d", words[i%16], words[i/16%16], i/256),
		Groups: []string{"employees", []string{"sales", "engineering", "support"}[i%3]}, Method: "pap", Authenticated: true, CoAPush: true,
		FramedIP: netip.AddrFrom4([4]byte{10, byte(64 + i>>16), byte(i >> 8), byte(i)}), OS: "windows",
		MACs:    []string{fmt.Sprintf("00:0c:29:%02x:%02x:%02x", i>>16&255, i>>8&255, i&255), fmt.Sprintf("3c:a9:f4:%02x:%02x:%02x", i>>16&255, i>>8&255, i&255)},
		Started: at, Changed: interim, LastSeen: interim,
		Accounting: sessions.Accounting{Started: m.later(at, time.Second), LastEvent: m.before(interim), SessionTime: 300 + uint32(i%3000),
			InOctets: m.rng.Uint64N(1 << 28), OutOctets: m.rng.Uint64N(1 << 32), InPackets: m.rng.Uint64N(1 << 20), OutPackets: m.rng.Uint64N(1 << 22)},
		Posture: sessions.Posture{Status: sessions.Compliant, Judged: sessions.Compliant, Since: report, ReportAt: report, ValidUntil: report.Add(90 * time.Second),
			Clocks: sessions.Clocks{ReportBy: report.Add(90 * time.Second)}, DecisionID: decision,
			Agent: "sallyport-agent 1.0.0", Binding: sessions.Binding{Assurance: sessions.Ticket, Key: key, Nonce: nonce, Seq: 2, ReportHash: m.octets(32),
				Answer: answer(id, decision, nonce), TicketSerial: 1, TicketMade: at, TicketUsed: 1}},
		Grant:   sessions.Grant{Profile: "PermitAccess", Rule: "Compliant_Devices_Access", Digest: 0x9af3c1d0e5b7a684, Text: "ACL PERMIT_ALL_TRAFFIC"},
		Changes: 1, Settled: sessions.Settled{Serial: 1, Kind: sessions.ChangePush, Profile: "PermitAccess", At: m.later(report, 0), Outcome: "ack", Attempts: 1},
	}
}

var words = [16]string{"anna", "berg", "carl", "dahl", "eva", "falk", "greta", "hans", "ida", "jens", "karin", "lund", "maria", "nils", "olga", "peter"}

// answer has the shape of a verdict of the reference story.
func answer(id, decision, nonce string) []byte {
	b, err := json.Marshal(struct {
		V            int              `json:"v"`
		SessionID    string           `json:"session_id"`
		Status       string           `json:"status"`
		Epoch        int              `json:"epoch"`
		DecisionID   string           `json:"decision_id"`
		Nonce        string           `json:"nonce"`
		NextS        int              `json:"next_s"`
		PolicyETag   string           `json:"policy_etag"`
		Requirements []map[string]any `json:"requirements"`
	}{1, id, "Compliant", 2, decision, nonce, 30, "5f0c6a7be3bb64fd", []map[string]any{{"policy": "Windows 7 USB check",
		"requirement": "USB_Block", "enforcement": "mandatory", "status": "passed", "passed": []string{"USB_Check"}}}})
	if err != nil {
		panic("texts and numbers have no encoding: " + err.Error())
	}
	return b
}

func (m *maker) mab(i int) *sessions.Session {
	m.at = m.later(m.at, 0)
	at := m.at
	interim := m.later(at, time.Hour)
	nas := netip.AddrFrom4([4]byte{10, 50, byte(i / 48 >> 8), byte(i / 48)})
	n := nas.As4()
	id := fmt.Sprintf("%02X%02X%02X%02X%08X%08X", n[0], n[1], n[2], n[3], i, at.Unix())
	mac := fmt.Sprintf("00:1b:a9:%02x:%02x:%02x", i>>16&255, i>>8&255, i&255)
	return &sessions.Session{
		ID: sessions.ID(strings.ToLower(id)), AuditSessionID: id, Version: 5, Epoch: 1, NAS: "access-switches", NASAddress: nas, Server: server, NASIP: nas,
		NASPort: uint32(50101 + i%48), NASPortID: fmt.Sprintf("GigabitEthernet1/0/%d", i%48+1), NASPortType: 15, ServiceType: 10,
		AcctSessionID: fmt.Sprintf("%08X", i), CallingStationID: strings.ToUpper(strings.ReplaceAll(mac, ":", "-")),
		CalledStationID: fmt.Sprintf("00-1E-F7-%02X-%02X-%02X", i/48>>8&255, i/48&255, i%48), UserName: strings.ReplaceAll(mac, ":", ""),
		Groups: []string{[]string{"printers", "phones", "cameras"}[i%3]}, Method: "mab", Authenticated: true, MACs: []string{mac},
		FramedIP: netip.AddrFrom4([4]byte{10, byte(128 + i>>16), byte(i >> 8), byte(i)}), Started: at, Changed: interim, LastSeen: interim,
		Accounting: sessions.Accounting{Started: m.later(at, time.Second), LastEvent: m.before(interim), SessionTime: 3600,
			InOctets: m.rng.Uint64N(1 << 24), OutOctets: m.rng.Uint64N(1 << 24), InPackets: m.rng.Uint64N(1 << 16), OutPackets: m.rng.Uint64N(1 << 16)},
		Posture: sessions.Posture{Status: sessions.NotApplicable, Since: at},
		Grant:   sessions.Grant{Profile: []string{"Printers", "Phones", "Cameras"}[i%3], Rule: "MAB_Devices", Digest: 77 + uint64(i%3), Text: fmt.Sprintf("VLAN %d", 30+i%3)},
	}
}
