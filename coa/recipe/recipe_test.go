package recipe

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport/netio/radius"
	"sallyport/netio/radius/dictionary"
	"sallyport/netio/radius/radiustest"
)

func ident() Ident {
	return Ident{
		NASIP: netip.MustParseAddr("10.48.66.202"), NASIdentifier: "asa-1", NASPort: 0x1d000,
		CallingStationID: "10.62.145.44", AcctSessionID: "63815AAF", AuditSessionID: "0a3042ca0001d00056e2dce3",
		UserName: "cisco", FramedIP: netip.MustParseAddr("172.16.31.10"),
	}
}

// TestRecipes compares every recipe and kind with its packet in words.
func TestRecipes(t *testing.T) {
	at := time.Date(2016, 3, 11, 14, 57, 54, 0, time.UTC)
	k := radiustest.Key(t, "secret")
	radiustest.Golden(t, "testdata/recipes.txt", func(t *testing.T, input []string) string {
		command := strings.Fields(input[0])
		r, ok := Lookup(command[1])
		if !ok {
			t.Fatalf("no recipe %s", command[1])
		}
		var g Grant
		id := ident()
		for _, line := range input[1:] {
			read(t, line, &g, &id)
		}
		if command[0] == "check" {
			return strings.Join(append(r.Check(&g), ""), "\n")
		}
		code, write := radius.AccessAccept, func(b *radius.Builder) error { return r.AppendAccess(b, &g) }
		if command[0] == "change" {
			kind, ok := ParseKind(command[2])
			if !ok {
				t.Fatalf("no kind %s", command[2])
			}
			code = r.Code(kind)
			write = func(b *radius.Builder) error { return r.AppendChange(b, kind, &id, &g, at) }
		}
		b := radius.BeginWith(nil, code, 1, false)
		if err := write(&b); err != nil {
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
		g.ReauthTimer = true
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

// TestNames: what a configuration file may name, and the ports of wire practice.
func TestNames(t *testing.T) {
	var out strings.Builder
	for _, name := range Names() {
		r, ok := Lookup(name)
		fmt.Fprintln(&out, r.Name(), ok, r.Port(), r.Apply(), r.supported())
		if !r.Supports(r.Apply()) {
			t.Errorf("%s applies by %s, which it does not support", name, r.Apply())
		}
	}
	const want = `cisco-asa true 1700 push push, disconnect
cisco-ios true 1700 reauthenticate reauthenticate, bounce, disconnect
rfc5176 true 3799 push push, disconnect
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	if _, ok := Lookup("acme"); ok {
		t.Error("there is a recipe acme")
	}
	if _, ok := ParseKind("acme"); ok || Kind(99).String() != "unknown" || ciscoASA.Supports(99) || ciscoASA.Code(99) != 0 {
		t.Error("there is a kind nobody knows")
	}
	if RedirectURLMax != 234 {
		t.Error(RedirectURLMax)
	}
}

// TestChangeAllocatesNothing: changes come by the ten thousand.
func TestChangeAllocatesNothing(t *testing.T) {
	k, id, at := radiustest.Key(t, "secret"), ident(), time.Unix(1457708274, 0)
	g := Grant{DACLName: "#ACSACL#-IP-PERMIT_ALL_TRAFFIC-57e5bcbd", SGT: 17, Class: [][]byte{[]byte("CACS:1")},
		Attributes: []Attribute{{3076, 15, []byte("hello")}}}
	buf := make([]byte, 0, radius.PacketMax)
	if n := testing.AllocsPerRun(100, func() {
		b := radius.Begin(buf, radius.CoARequest, 1)
		if err := ciscoASA.AppendChange(&b, Push, &id, &g, at); err != nil {
			t.Fatal(err)
		}
		if _, err := k.SealRequest(&b); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a change allocates %v times", n)
	}
}
