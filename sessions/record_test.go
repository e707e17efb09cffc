package sessions

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// filled sets every field of v to something that is not zero, so that a field which
// the encoding does not know is seen.
func filled(v reflect.Value, n *int) {
	*n++
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Date(2016, 3, 11, 14, 57, 39, *n, time.UTC)
		return
	case *netip.Addr:
		*x = netip.AddrFrom4([4]byte{10, 48, 66, byte(*n)})
		return
	case *PostureStatus:
		*x = Compliant
		return
	case *Assurance:
		*x = Ticket
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			filled(v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			filled(v.Index(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("text-%d", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n%250) + 1)
	default:
		panic("a kind the test does not fill: " + v.Kind().String())
	}
}

func full() *Session {
	s, n := &Session{}, 0
	filled(reflect.ValueOf(s).Elem(), &n)
	return s
}

// vpnSession is the one of the reference story, after a report; n makes it another.
func vpnSession(n int) *Session {
	rng := rand.New(rand.NewPCG(uint64(n), 7))
	at := time.Date(2026, 3, 11, 14, 57, 39, rng.IntN(1e9), time.UTC)
	after := func(d time.Duration) time.Time { return at.Add(d + time.Duration(rng.IntN(1e9))) }
	id := fmt.Sprintf("0a3042ca%08x56e2dce3", n)
	mac := fmt.Sprintf("00:0c:29:%02x:%02x:%02x", n>>16&255, n>>8&255, n&255)
	key, hash := append([]byte(nil), p256...), make([]byte, 32)
	for range p256Point {
		key = append(key, byte(rng.Uint32()))
	}
	for i := range hash {
		hash[i] = byte(rng.Uint32())
	}
	nonce := fmt.Sprintf("%016x%016x", rng.Uint64(), rng.Uint64())
	decision := fmt.Sprintf("%016x-%08x", rng.Uint64(), n)
	grant := Grant{"PermitAccess", "Compliant_Devices_Access", 0x1234567890abcdef, "dACL PERMIT_ALL_TRAFFIC"}
	report := after(20 * time.Second)
	return &Session{
		ID: ID(id), AuditSessionID: id, Version: 7, Epoch: 3, NAS: "BSNS-ASA5515-11",
		NASAddress: nasAddr, Server: netip.MustParseAddr("10.48.66.80"), NASIP: nasAddr,
		NASPort: uint32(n), NASPortType: 5, ServiceType: 2, AcctSessionID: fmt.Sprintf("%08X", n),
		CallingStationID: fmt.Sprintf("10.229.%d.%d", n>>8&255, n&255), CalledStationID: "203.0.113.9", TunnelGroup: "TEST_GROUP",
		UserName: fmt.Sprintf("user%06d", n), Groups: []string{"employees"}, Method: "pap", Authenticated: true,
		FramedIP: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), MACs: []string{mac}, OS: "windows", CoAPush: true,
		Started: at, Changed: report, LastSeen: report,
		Accounting: Accounting{Started: after(0), LastEvent: after(time.Minute), SessionTime: 60, InOctets: 812345, OutOctets: 91234567, InPackets: 9123, OutPackets: 71234},
		OSVersion:  "10.0.19045", Hostname: fmt.Sprintf("PC-%06d", n), Domain: "example.com",
		Posture: Posture{Status: Compliant, Judged: Compliant, Since: report, ReportAt: report, ValidUntil: report.Add(90 * time.Second), DecisionID: decision,
			Clocks: Clocks{ReportBy: report.Add(90 * time.Second)}, Facts: Facts{Storage: "none"},
			Agent: "sallyport-agent 1.0", AgentKind: "agent", Binding: Binding{Assurance: Ticket, Key: key, Nonce: nonce, Seq: 2, ReportHash: hash,
				Answer: answerOf(id, decision, nonce, 3), TicketSerial: 1, TicketMade: at, TicketUsed: 1}},
		Grant: grant, Changes: 1, Settled: Settled{Serial: 1, Kind: ChangePush, Profile: "PermitAccess", At: after(21 * time.Second), Outcome: "ack", Attempts: 1},
	}
}

func answerOf(id, decision, nonce string, epoch int) []byte {
	b, _ := json.Marshal(map[string]any{"v": 1, "session_id": id, "status": "Compliant", "epoch": epoch, "decision_id": decision,
		"nonce": nonce, "next_s": 30, "policy_etag": "f00dbabe12345678", "requirements": []any{map[string]any{"policy": "Windows 7 USB check",
			"requirement": "USB_Block", "enforcement": "mandatory", "status": "passed", "passed": []string{"USB_Check"}}}})
	return b
}

// mabSession is a printer on a switch.
func mabSession(n int) *Session {
	rng := rand.New(rand.NewPCG(uint64(n), 8))
	at := time.Date(2026, 3, 11, 8, 0, 0, rng.IntN(1e9), time.UTC)
	id := fmt.Sprintf("0a3042cb%08x56e2dce3", n)
	mac := fmt.Sprintf("00:1b:a9:%02x:%02x:%02x", n>>16&255, n>>8&255, n&255)
	return &Session{
		ID: ID(id), AuditSessionID: strings.ToUpper(id), Version: 3, NAS: "access-switches",
		NASAddress: netip.AddrFrom4([4]byte{10, 48, 67, byte(n)}), Server: netip.MustParseAddr("10.48.66.80"), NASIP: netip.AddrFrom4([4]byte{10, 48, 67, byte(n)}),
		NASPort: uint32(50100 + n%48), NASPortID: fmt.Sprintf("GigabitEthernet1/0/%d", n%48+1), NASPortType: 15, ServiceType: 10,
		AcctSessionID: fmt.Sprintf("%08X", n), CallingStationID: strings.ToUpper(strings.ReplaceAll(mac, ":", "-")),
		CalledStationID: fmt.Sprintf("00-1E-F7-00-%02X-%02X", n%7, n%48), UserName: strings.ReplaceAll(mac, ":", ""), Groups: []string{"printers"},
		Method: "mab", Authenticated: true, FramedIP: netip.AddrFrom4([4]byte{10, 129, byte(n >> 8), byte(n)}), MACs: []string{mac},
		Started: at, Changed: at, LastSeen: at.Add(time.Hour),
		Accounting: Accounting{Started: at, LastEvent: at.Add(time.Hour), SessionTime: 3600, InOctets: 123456, OutOctets: 654321, InPackets: 1234, OutPackets: 2345},
		Posture:    Posture{Status: NotApplicable, Judged: NotApplicable, Since: at},
		Grant:      Grant{"Printers", "Printers_MAB", 0xfedcba0987654321, "VLAN 30"},
	}
}

func recordOf(t testing.TB, s *Session, dict *Dictionary) []byte {
	t.Helper()
	record := AppendRecord(nil, s, dict)
	got, err := new(Scratch).Decode(record, dict)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, s) {
		t.Fatalf("\ngot  %+v\nwant %+v", got, s)
	}
	return record
}

// TestEveryFieldIsKept fails when a field is added to the session and not to the record.
func TestEveryFieldIsKept(t *testing.T) {
	dict := NewDictionary(1)
	for range 3 { // texts, then words
		recordOf(t, full(), dict)
		recordOf(t, &Session{ID: "a"}, dict)
		recordOf(t, vpnSession(1), dict)
		recordOf(t, mabSession(1), dict)
	}
	again := NewDictionary(1)
	for i := range dict.Len() {
		if err := again.AddEntry(dict.AppendEntry(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*Session{full(), vpnSession(1), mabSession(1)} {
		record := recordOf(t, s, dict)
		if got, err := new(Scratch).Decode(record, again); err != nil || !reflect.DeepEqual(got, s) {
			t.Fatalf("by a dictionary that was read back: %+v %v", got, err)
		}
	}
	if again.AddEntry(nil) == nil || again.AddEntry([]byte("x")) == nil || again.AddEntry([]byte{entryGrant, 1}) == nil {
		t.Fatal("an entry that is none was taken")
	}
}

// TestTextsComeBack tries every form and what is nearly one.
func TestTextsComeBack(t *testing.T) {
	dict := NewDictionary(1)
	for text, size := range map[string]int{
		"": 0, "a": 2, "ab": 2, "AB": 2, "Ab": 3, "0a3042ca0001d00056e2dce3": 13, "0A3042CA0001D00056E2DCE3": 13, "0a3042cA": 9,
		"00:0c:29:c9:d9:37": 7, "00-0C-29-C9-D9-37": 7, "00-0c-29-c9-d9-37": 19, "00:0C:29:C9:D9:37": 19, "00:0c:29:c9-d9:37": 19,
		"10.48.66.202": 5, "255.255.255.255": 5, "1.2.3.4": 5, "01.2.3.4": 9, "1.2.3.256": 10, "1.2.3.": 7, "1.2.3.4.5": 10, "1..2.3.4": 9,
		"0123456789abcdef-01234567": 13, "0123456789abcdeF-01234567": 27, "0123456789abcdef-0123456g": 27, "cisco": 6, "müller": 8,
		strings.Repeat("f", 200): 102, strings.Repeat("g", 200): 202,
	} {
		s := &Session{ID: "x", UserName: text}
		record := recordOf(t, s, dict)
		if got := len(record) - len(AppendRecord(nil, &Session{ID: "x"}, dict)); got != size {
			t.Errorf("%q takes %d octets, want %d", text, got, size)
		}
	}
}

// TestTimesComeBack: near, far, before the base, whole seconds, beyond what is kept.
func TestTimesComeBack(t *testing.T) {
	dict := NewDictionary(1)
	times := []time.Time{{}, time.Unix(0, 0), time.Unix(0, 1), time.Unix(-1e9, 5), t0, time.Unix(1<<33-1, 7), time.Unix(-1<<33, 3), time.Now()}
	for _, a := range times {
		for _, b := range times {
			a, b := a.Round(0).UTC(), b.Round(0).UTC()
			recordOf(t, &Session{ID: "x", Started: a, Changed: b, LastSeen: a, Ended: b, Settled: Settled{Serial: 1, At: b}, Change: &Change{Made: b}}, dict)
		}
	}
	for _, far := range []time.Time{time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-50, 1, 1, 0, 0, 0, 0, time.UTC)} {
		s, err := new(Scratch).Decode(AppendRecord(nil, &Session{ID: "x", Started: far, Changed: t0}, dict), dict)
		if err != nil || !s.Changed.Equal(t0) || s.Started.IsZero() {
			t.Errorf("%s: %+v %v", far, s, err)
		}
	}
}

// TestRecordIsSmall pins the sizes that the memory of a million sessions rests on.
func TestRecordIsSmall(t *testing.T) {
	dict := NewDictionary(1)
	for i, want := range map[int]int{0: 290, 1: 160} {
		for n := range 50 {
			s := vpnSession(n)
			if i == 1 {
				s = mabSession(n)
			}
			if got := len(recordOf(t, s, dict)); n > 10 && got > want {
				t.Fatalf("%d octets, at most %d: %+v", got, want, s)
			}
		}
	}
}

// TestDictionaryIsBounded: texts that never come again are not taken in, and what comes
// again does not crowd out what the configuration says.
func TestDictionaryIsBounded(t *testing.T) {
	dict := NewDictionary(1)
	for i := range 3 * textsMax {
		dict.wideText(fmt.Sprintf("once %d", i))
	}
	if n := dict.Len(); n > textsMax/100 {
		t.Fatalf("%d texts that came once", n)
	}
	for i := range textsMax {
		for range 2 {
			dict.wideText(fmt.Sprintf("twice %d", i))
		}
	}
	if n, ok := dict.text("a rule"); !ok || *dict.texts.at(uint64(n)) != "a rule" {
		t.Fatal("no room for a rule")
	}
	for i := range textsMax {
		dict.text(fmt.Sprintf("narrow %d", i))
	}
	if dict.Len() != textsMax {
		t.Fatal(dict.Len())
	}
	recordOf(t, &Session{ID: "x", NAS: "one more", Grant: Grant{Profile: "another", Rule: "rule", Digest: 5}}, dict)
	recordOf(t, vpnSession(3), dict)
}

// TestAnswerOfAnotherShape: what does not hold the values, or holds octets of the form.
func TestAnswerOfAnotherShape(t *testing.T) {
	dict := NewDictionary(1)
	for _, answer := range []string{"{}", "\x01", "\x04\x00", `{"epoch":33}`, `{"epoch":3}`, `"epoch":`, strings.Repeat("x", formMax+1),
		"0a3042ca0001d00056e2dce3 0a3042ca0001d00056e2dce3"} {
		for range 3 {
			s := &Session{ID: "0a3042ca0001d00056e2dce3", Epoch: 3, Posture: Posture{DecisionID: "0a3042ca0001", Binding: Binding{Answer: []byte(answer)}}}
			recordOf(t, s, dict)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	dict := NewDictionary(1)
	for range 2 {
		for _, s := range []*Session{full(), vpnSession(1), mabSession(2), {ID: "a"}} {
			f.Add(AppendRecord(nil, s, dict))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := new(Scratch).Decode(b, dict)
		if err != nil {
			return
		}
		// The dictionary learns, so that octets can differ; what they say does not.
		record := AppendRecord(nil, s, dict)
		one, err := new(Scratch).Decode(record, dict)
		if err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		two, err := new(Scratch).Decode(AppendRecord(nil, one, dict), dict)
		if err != nil || !reflect.DeepEqual(one, two) {
			t.Fatalf("%+v then %+v (%v)", one, two, err)
		}
		if id, ok := RecordID(nil, record); !ok || string(id) != string(s.ID) {
			t.Fatalf("id %q %v", id, ok)
		}
	})
}

func BenchmarkEncode(b *testing.B) { benchRecord(b, true) }
func BenchmarkDecode(b *testing.B) { benchRecord(b, false) }

func benchRecord(b *testing.B, encode bool) {
	for name, of := range map[string]func(int) *Session{"vpn": vpnSession, "mab": mabSession, "login": loginSession} {
		b.Run(name, func(b *testing.B) {
			dict := NewDictionary(1)
			var record []byte
			for range 3 {
				record = AppendRecord(record[:0], of(5), dict)
			}
			s, x := of(5), new(Scratch)
			b.ReportAllocs()
			b.ReportMetric(float64(len(record)), "octets")
			for b.Loop() {
				if encode {
					record = AppendRecord(record[:0], s, dict)
				} else if _, err := x.Decode(record, dict); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// loginSession is a VPN session as its login makes it.
func loginSession(n int) *Session {
	s := vpnSession(n)
	s.Version, s.Epoch, s.Settled, s.Accounting = 1, 1, Settled{}, Accounting{}
	s.Changed, s.LastSeen, s.AcctSessionID, s.FramedIP = s.Started, s.Started, "", netip.Addr{}
	s.OSVersion, s.Hostname, s.Domain = "", "", ""
	alarm := s.Started.Add(time.Minute)
	s.Posture = Posture{Status: Pending, Judged: Pending, Since: s.Started, ValidUntil: alarm, Clocks: Clocks{PendingBy: alarm}, Binding: Binding{TicketSerial: 1, TicketMade: s.Started}}
	return s
}
