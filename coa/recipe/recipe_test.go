package recipe

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport/netio/radius"
	"sallyport/netio/radius/dictionary"
	"sallyport/netio/radius/radiustest"
	"sallyport/sessions"
)

func sample() Ident {
	return Ident{
		NASIP: netip.MustParseAddr("10.48.66.202"), NASIdentifier: "asa-1", NASPort: 0x1d000,
		CallingStationID: "10.62.145.44", AcctSessionID: "63815AAF", AuditSessionID: "0a3042ca0001d00056e2dce3",
		UserName: "cisco", FramedIP: netip.MustParseAddr("172.16.31.10"),
		EventTime: time.Date(2016, 3, 11, 14, 57, 54, 0, time.UTC),
	}
}

// TestRecipes compares every recipe and kind with its packet in words.
func TestRecipes(t *testing.T) {
	k := radiustest.Key(t, "secret")
	radiustest.Golden(t, "testdata/recipes.txt", func(t *testing.T, input []string) string {
		command := strings.Fields(input[0])
		r, ok := Lookup(command[1])
		if !ok {
			t.Fatalf("no recipe %s", command[1])
		}
		var g Grant
		id := sample()
		for _, line := range input[1:] {
			read(t, line, &g, &id)
		}
		if command[0] == "check" {
			return strings.Join(append(r.Check(&g), ""), "\n")
		}
		if command[0] == "move" {
			return strings.Join(append(r.CheckMove(&Grant{VLAN: "5", FilterID: "OPEN", Class: [][]byte{{1}}, SessionTimeout: 60,
				Attributes: []Attribute{{14823, 1, []byte("guest")}}}, &g), ""), "\n")
		}
		code, write := radius.AccessAccept, func(b *radius.Builder) error { return r.AppendAccess(b, &g) }
		if command[0] == "change" {
			kind, ok := ParseKind(command[2])
			if !ok {
				t.Fatalf("no kind %s", command[2])
			}
			if missing := r.Missing(kind, &id); missing != "" {
				return "missing: " + missing
			}
			code = r.Change(kind)
			write = func(b *radius.Builder) error { return r.AppendChange(b, kind, &id, &g) }
		}
		b := radius.BeginWith(nil, code, 1, false)
		if err := write(&b); err != nil {
			if _, sealed := k.SealRequest(&b); sealed == nil {
				t.Error("a packet that lost a part could be sent")
			}
			return "error: " + err.Error()
		}
		pkt, err := k.SealRequest(&b)
		if err != nil {
			t.Fatal(err)
		}
		var v radius.View
		if why := v.Decode(pkt); why != radius.Sound {
			t.Fatal(why)
		}
		return dictionary.Format(&v)
	})
}

// read takes one line of a grant or an identification.
func read(t *testing.T, line string, g *Grant, id *Ident) {
	words := append(strings.Fields(line), "", "", "")
	number, _ := strconv.Atoi(words[1])
	switch words[0] {
	case "redirect":
		g.RedirectURL, g.RedirectACL = words[1], words[2]
	case "acl":
		g.RedirectACL = words[1]
	case "longurl":
		g.RedirectURL, g.RedirectACL = "https://"+strings.Repeat("x", number-len("https://")), "ACL"
	case "dacl":
		g.DACLName = words[1]
	case "vlan":
		g.VLAN = words[1]
	case "filter":
		g.FilterID = words[1]
	case "policy":
		g.GroupPolicy = words[1]
	case "sgt":
		g.SGT = uint16(number)
	case "timeout":
		g.SessionTimeout = uint32(number)
	case "reauth":
		g.Reauthenticate = true
	case "class":
		g.Class = append(g.Class, []byte(words[1]))
	case "attribute":
		a, ok := dictionary.Lookup(words[1])
		value, err := a.Encode(words[2])
		if !ok || err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		g.Attributes = append(g.Attributes, Attribute{a.Vendor, a.Type, value})
	case "empty", "long":
		typ, _ := strconv.Atoi(words[2])
		a := Attribute{Vendor: uint32(number), Type: byte(typ)}
		if words[0] == "long" {
			a.Value = make([]byte, 254)
		}
		g.Attributes = append(g.Attributes, a)
	case "many":
		for range number {
			g.Attributes = append(g.Attributes, Attribute{Type: byte(radius.ReplyMessage), Value: make([]byte, 253)})
		}
	case "ident":
		identify(t, words[1:], id)
	default:
		t.Fatalf("unknown line %q", line)
	}
}

func identify(t *testing.T, words []string, id *Ident) {
	for i, word := range words {
		switch word {
		case "all":
			id.All = true
		case "-acct":
			id.AcctSessionID = ""
		case "-audit":
			id.AuditSessionID = ""
		case "-calling":
			id.CallingStationID = ""
		case "-port":
			id.NASPort = 0
		case "-nas":
			id.NASIP = netip.Addr{}
		case "-user":
			id.UserName = ""
		case "-address":
			id.FramedIP = netip.Addr{}
		case "-time":
			id.EventTime = time.Time{}
		case "-nasid":
			id.NASIdentifier = ""
		case "nas":
			id.NASIP = netip.MustParseAddr(words[i+1])
		case "":
		default:
			if i == 0 || words[i-1] != "nas" {
				t.Fatalf("unknown identification %q", word)
			}
		}
	}
}

// TestNames: what a configuration file may name, the ports of wire practice, and what a
// NAS really does when it is asked for each kind.
func TestNames(t *testing.T) {
	radiustest.Golden(t, "testdata/names.txt", func(t *testing.T, input []string) string {
		r, ok := Lookup(input[0])
		if !ok {
			t.Fatalf("no recipe %s", input[0])
		}
		var out strings.Builder
		fmt.Fprintf(&out, "port %d, a new authorization comes by %s\n", r.Port(), r.Apply())
		for kind := range kinds {
			means := r.Means(kind)
			if r.Means(means) != means || r.CarriesGrant(kind) != (means == Push) {
				t.Errorf("%s: %s means %s, which is not an end", input[0], kind, means)
			}
			fmt.Fprintf(&out, "%s: %s, %s", kind, means, r.Change(kind))
			if signs := r.Signs(kind, &Grant{DACLName: "A"}); signs != 0 {
				fmt.Fprintf(&out, "; within %s it has %s", r.ConfirmWithin(), signs.Words())
			}
			fmt.Fprintln(&out)
		}
		fmt.Fprintf(&out, "a push replaces everything: %t; a login says coa-push: %t; Authorize-Only without State: %t\n",
			r.PushReplacesAll(), r.AnnouncesPush(), r.AcceptsAuthorizeOnlyWithoutState())
		return out.String()
	})
	text, err := os.ReadFile("testdata/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		if !strings.Contains(string(text), "\n"+name+"\n----") {
			t.Errorf("%s is not in testdata/names.txt", name)
		}
	}
	if _, ok := Lookup("acme"); ok {
		t.Error("there is a recipe acme")
	}
	if _, ok := ParseKind("acme"); ok || Kind(99).String() != "unknown" || recipes[0].Means(99) != Disconnect {
		t.Error("there is a kind nobody knows")
	}
	if n := ciscoRedirectURL.room(); n != 234 {
		t.Errorf("a redirect URL may have %d octets, not the 234 that a Cisco-AVPair leaves", n)
	}
}

// TestKindsAreThoseOfTheJournal: the words stand in records on disk.
func TestKindsAreThoseOfTheJournal(t *testing.T) {
	for word, kind := range map[string]Kind{sessions.ChangePush: Push, sessions.ChangeReauth: Reauthenticate,
		sessions.ChangeDisconnect: Disconnect} {
		if got, ok := ParseKind(word); !ok || got != kind || kind.String() != word {
			t.Errorf("%s is %v", word, got)
		}
	}
}

// TestNothingAllocates: changes come by the hundred thousand, accepts by the second.
func TestNothingAllocates(t *testing.T) {
	k, id := radiustest.Key(t, "secret"), sample()
	full := Grant{DACLName: "#ACSACL#-IP-PERMIT_ALL_TRAFFIC-57e5bcbd", SGT: 17, GroupPolicy: "GP-SSL", Class: [][]byte{[]byte("CACS:1")},
		RedirectURL: "https://posture.example.com:8443/", RedirectACL: "ACL", FilterID: "F", VLAN: "663",
		SessionTimeout: 60, Attributes: []Attribute{{3076, 15, []byte("hello")}, {0, 18, []byte("hello")}}}
	buf := make([]byte, 0, radius.PacketMax)
	for _, r := range recipes {
		g := sayable(r, full)
		for kind := range kinds {
			if n := testing.AllocsPerRun(100, func() {
				b := radius.Begin(buf, r.Change(kind), 1)
				if err := r.AppendChange(&b, kind, &id, &g); err != nil {
					t.Fatal(err)
				}
				if _, err := k.SealRequest(&b); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("%s: a %s allocates %v times", r.name, kind, n)
			}
		}
		if n := testing.AllocsPerRun(100, func() {
			b := radius.Begin(buf, radius.AccessAccept, 1)
			if err := r.AppendAccess(&b, &g); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: an Access-Accept allocates %v times", r.name, n)
		}
	}
}

// sayable is what of g the NAS can be told.
func sayable(r *Recipe, g Grant) Grant {
	for _, value := range []struct {
		s    *spelling
		text *string
	}{{&r.redirectURL, &g.RedirectURL}, {&r.redirectACL, &g.RedirectACL}, {&r.dacl, &g.DACLName}, {&r.vlan, &g.VLAN},
		{&r.filterID, &g.FilterID}, {&r.groupPolicy, &g.GroupPolicy}} {
		if value.s.form == absent {
			*value.text = ""
		}
	}
	if r.sgt.form == absent {
		g.SGT = 0
	}
	return g
}

// TestNilGrantIsNoPush: a push of nothing would open everything.
func TestNilGrantIsNoPush(t *testing.T) {
	id := sample()
	for _, r := range recipes {
		b := radius.Begin(nil, r.Change(Push), 1)
		if err := r.AppendChange(&b, Push, &id, nil); (err == nil) == r.CarriesGrant(Push) || (b.Err() == nil) != (err == nil) {
			t.Errorf("%s: push without an authorization: %v, builder %v", r.name, err, b.Err())
		}
	}
}
