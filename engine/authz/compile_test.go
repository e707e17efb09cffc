package authz

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"sallyport/netio/radius"
	"sallyport/ops/config"
	"sallyport/sessions"
)

// TestCompile runs testdata/profiles.txt: a configuration, a line of dashes, and what
// is made of it: faults with their places, or warnings and every profile in words.
func TestCompile(t *testing.T) {
	const name = "testdata/profiles.txt"
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, block := range strings.Split(string(data), "==== ")[1:] {
		title, rest, _ := strings.Cut(block, "\n")
		yaml, _, _ := strings.Cut(rest, "----\n")
		fmt.Fprintf(&out, "==== %s\n%s----\n%s\n", title, yaml, outcome(t, yaml))
	}
	got := strings.TrimRight(out.String(), "\n") + "\n"
	if *rewrite {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != string(data) {
		t.Errorf("got:\n%s\nwant:\n%s", got, data)
	}
}

func outcome(t *testing.T, yaml string) string {
	opts := Options{Host: "posture-1.example.com:8443", NAS: []string{"BSNS-ASA5515-11"}, NASGroups: []string{"", "vpn"}}
	if rest, ok := strings.CutPrefix(yaml, "host: "); ok {
		opts.Host, yaml, _ = strings.Cut(rest, "\n")
	}
	// The line of the appliance goes below, so that line 1 is the first that is shown.
	c, dir := load(t, yaml+"appliance: {name: posture-1.example.com}\n")
	opts.NamePos = c.Appliance.Name.Pos
	p, faults, warnings := Compile(&c.Authorization, opts)
	var out strings.Builder
	for _, f := range faults.Sorted() {
		out.WriteString(c.Fault(f.Pos, f.Path, f.Message, f.Hint).Text())
	}
	for _, w := range config.Faults(warnings).Sorted() {
		out.WriteString("warning: " + w.Text())
	}
	if p != nil {
		for _, one := range p.Profiles() {
			fmt.Fprintf(&out, "%s %016x: %s\n", one.Name, one.Digest, one.Text)
			if one.DACL != nil {
				fmt.Fprintf(&out, "  %s\n", one.DACL.FullName)
			}
		}
	}
	return strings.ReplaceAll(out.String(), dir+"/", "")
}

// TestDigestIsContent: the same content has the same digest whatever its name, another
// has another, field by field.
func TestDigestIsContent(t *testing.T) {
	base := func() *Profile { return &Profile{Name: "a"} }
	digest := func(change func(*Profile)) uint64 {
		p := base()
		change(p)
		p.finish()
		return p.Digest
	}
	seen := map[uint64]string{}
	for name, change := range map[string]func(*Profile){
		"nothing":      func(*Profile) {},
		"reject":       func(p *Profile) { p.Reject = true },
		"redirect":     func(p *Profile) { p.Redirect = &Redirect{"p", "a"} },
		"redirect acl": func(p *Profile) { p.Redirect = &Redirect{"p", "b"} },
		"portal":       func(p *Profile) { p.Redirect = &Redirect{"q", "a"} },
		"dacl":         func(p *Profile) { p.DACL = newDACL("D", []string{"permit ip any any"}, config.Pos{}) },
		"dacl content": func(p *Profile) { p.DACL = newDACL("D", []string{"deny ip any any"}, config.Pos{}) },
		"vlan":         func(p *Profile) { p.VLAN = "5" },
		"filter":       func(p *Profile) { p.FilterID = "5" },
		"class":        func(p *Profile) { p.Class = "5" },
		"policy":       func(p *Profile) { p.GroupPolicy = "5" },
		"sgt":          func(p *Profile) { p.SGT = 5 },
		"timeout":      func(p *Profile) { p.SessionTimeout = 5e9 },
		"reauth":       func(p *Profile) { p.Reauthenticate = true },
		"attribute":    func(p *Profile) { p.Attributes = []Attribute{{Type: 11, Value: []byte("5")}} },
		"vendor":       func(p *Profile) { p.Attributes = []Attribute{{Vendor: 9, Type: 11, Value: []byte("5")}} },
		"two": func(p *Profile) {
			p.Attributes = []Attribute{{Type: 11, Value: []byte("5")}, {Type: 11, Value: []byte("5")}}
		},
	} {
		d := digest(change)
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have one digest", name, other)
		}
		seen[d] = name
		if renamed := digest(func(p *Profile) { change(p); p.Name, p.Pos.Line = "b", 7 }); renamed != d {
			t.Errorf("%s: the name is in the digest", name)
		}
	}
}

// TestDACLVersions: a name with its version is found, another version is known to be
// another, anything else is not.
func TestDACLVersions(t *testing.T) {
	p := compile(t, reference)
	now := p.Profile("PermitAccess").DACL
	for name, want := range map[string]struct{ exact, newer bool }{
		now.FullName: {true, false},
		"#ACSACL#-IP-PERMIT_ALL_TRAFFIC-57e5bcbd": {false, true},
		"#ACSACL#-IP-PERMIT_ALL_TRAFFIC":          {false, false},
		"#ACSACL#-IP-PERMIT_ALL_TRAFFIC-":         {false, false},
		"#ACSACL#-IP-OTHER-57e5bcbd":              {false, false},
		"#ACSACL#-IP--57e5bcbd":                   {false, false},
		"#ACSACL#-IP-":                            {false, false},
		"PERMIT_ALL_TRAFFIC-57e5bcbd":             {false, false},
		"":                                        {false, false},
		strings.Repeat("#ACSACL#-IP-", 20) + "-x": {false, false},
	} {
		d, exact := p.DACL(name)
		newer, isOld := p.NewerDACL(name)
		if exact != want.exact || isOld != want.newer || exact && d != now || isOld && newer != now {
			t.Errorf("%q: %v %v %v %v", name, d, exact, newer, isOld)
		}
	}
	if !strings.HasPrefix(now.FullName, "#ACSACL#-IP-PERMIT_ALL_TRAFFIC-") || !slices.Equal(now.Lines, []string{"permit ip any any"}) {
		t.Errorf("%+v", now)
	}
}

// TestLimitsOfDACLs: the longest entry and the longest name that fit, and one octet more.
func TestLimitsOfDACLs(t *testing.T) {
	for n, want := range map[int]bool{1: true, 9: true, 10: true, 4096: true} {
		room := radius.VendorMax - len(fmt.Sprintf("ip:inacl#%d=", n))
		fits := "permit " + strings.Repeat("x", room-len("permit "))
		if message, _ := daclLine(fits, n); (message == "") != want {
			t.Errorf("entry %d of %d octets: %s", n, len(fits), message)
		}
		if message, _ := daclLine(fits+"x", n); message == "" {
			t.Errorf("entry %d of %d octets was taken", n, len(fits)+1)
		}
	}
	try := func(name string, lines int) config.Faults {
		d := config.DACL{}
		for range lines {
			d.Lines = append(d.Lines, config.Text{Value: "permit ip any any"})
		}
		_, faults, _ := Compile(&config.Authorization{DACLs: config.Map[config.DACL]{{Name: config.Text{Value: name}, Value: d}}}, Options{})
		return faults
	}
	longest := strings.Repeat("A", daclNameMax)
	if faults := try(longest, daclLinesMax); len(faults) > 0 {
		t.Error(faults)
	}
	if pair := "ACS:CiscoSecure-Defined-ACL=" + newDACL(longest, nil, config.Pos{}).FullName; len(pair) != radius.VendorMax {
		t.Errorf("the longest name makes a pair of %d octets", len(pair))
	}
	if len(try(longest+"A", 1)) != 1 || len(try("A", daclLinesMax+1)) != 1 {
		t.Error("beyond the limits nothing was said")
	}
}

func TestLimitsOfPolicies(t *testing.T) {
	a := &config.Authorization{}
	for i := range rulesMax + 1 {
		a.Rules = append(a.Rules, config.AuthzRule{
			Rule: config.Text{Value: fmt.Sprint(i)}, When: config.Text{Value: "session.authenticated"}, Profile: config.Text{Value: config.PermitAccess},
		})
	}
	if _, faults, _ := Compile(a, Options{}); len(faults) != 1 {
		t.Error(faults)
	}
	var big config.Attribute
	big.Name.Value = "Reply-Message"
	for range 14 {
		big.Values = append(big.Values, config.Text{Value: strings.Repeat("x", 253)})
	}
	a = &config.Authorization{Profiles: config.Map[config.Profile]{{Name: config.Text{Value: "big"}, Value: config.Profile{Attributes: []config.Attribute{big}}}}}
	if _, faults, _ := Compile(a, Options{}); len(faults) != 1 || !strings.Contains(faults[0].Message, "3570 octets") {
		t.Error(faults)
	}
}

// TestEmptyConfiguration: without rules nobody comes in.
func TestEmptyConfiguration(t *testing.T) {
	p, faults, warnings := Compile(&config.Authorization{}, Options{})
	if len(faults) > 0 || len(warnings) > 0 {
		t.Fatal(faults, warnings)
	}
	d := p.Decide(&Input{Authenticated: true, Posture: sessions.Compliant})
	if !d.Default || !d.Profile.Reject || d.Profile.Name != config.DenyAccess || d.Rule != "Default" || p.Profile("PermitAccess") == nil {
		t.Errorf("%+v", d)
	}
}

func TestRedirectURL(t *testing.T) {
	got := string(RedirectURL([]byte("x"), "posture-1.example.com:8443", ClientProvisioning, "0a30ca420000100057e5bcbd", "ticket"))
	want := "xhttps://posture-1.example.com:8443/portal/gateway?sessionId=0a30ca420000100057e5bcbd&portal=client-provisioning&action=cpp&ticket=ticket"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	longest := RedirectURL(nil, "h:1", ClientProvisioning, strings.Repeat("i", sessions.IDMax), strings.Repeat("t", ticketMax))
	if n := LongestRedirectURL("h:1", ClientProvisioning); n != len(longest) {
		t.Errorf("%d, want %d", n, len(longest))
	}
	if urlMax != 234 {
		t.Errorf("%d octets for the URL, want 234", urlMax)
	}
	room := make([]byte, 0, 300)
	if n := testing.AllocsPerRun(100, func() { RedirectURL(room, "h:1", ClientProvisioning, "id", "ticket") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestGrantIsWhole: what a profile says reaches the recipe, and two sessions do not share
// what is changed.
func TestGrantIsWhole(t *testing.T) {
	p := compile(t, `
authorization:
  dacls: {D: ["permit ip any any"]}
  profiles:
    a: {redirect: {portal: client-provisioning, acl: R}, dacl: D, vlan: 5, filter-id: f, class: c, sgt: 7, session-timeout: 1h, reauthenticate: true, group-policy: g, attributes: {Idle-Timeout: 9}}
`).Profile("a")
	class := make([][]byte, 1, 4)
	class[0] = []byte("session")
	g := p.Grant("https://x", class)
	switch {
	case g.RedirectURL != "https://x", g.RedirectACL != "R", g.DACLName != p.DACL.FullName, g.VLAN != "5", g.FilterID != "f",
		g.GroupPolicy != "g", g.SGT != 7, g.SessionTimeout != 3600, !g.Reauthenticate, len(g.Class) != 2, string(g.Class[1]) != "c",
		len(g.Attributes) != 1, string(g.Attributes[0].Value) != "\x00\x00\x00\x09":
		t.Errorf("%+v", g)
	}
	if again := p.Grant("https://y", class); &again.Class[1] == &g.Class[1] {
		t.Error("two grants share their Class list")
	}
	if none := compile(t, reference).Profile(config.PermitAccess).Grant("https://x", nil); none.RedirectURL != "" {
		t.Errorf("a URL without a redirect: %+v", none)
	}
}
