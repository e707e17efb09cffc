package expr

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/ops/config"
	"sallyport/sessions"
)

var rewrite = flag.Bool("rewrite", false, "write the golden output anew")

// written reads an expression as a configuration file has it, so that it knows its place.
func written(t testing.TB, yaml string) config.Text {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	text := "appliance: {name: a}\nauthorization:\n  rules:\n    - rule: r\n      profile: PermitAccess\n      when: " + yaml + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, faults := config.Load(path)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return c.Authorization.Rules[0].When
}

func quoted(expression string) string { return "'" + strings.ReplaceAll(expression, "'", "''") + "'" }

func must(t testing.TB, expression string) *Condition {
	t.Helper()
	c, faults := Compile(config.Text{Value: expression}, "")
	if len(faults) > 0 {
		t.Fatal(expression, faults)
	}
	return c
}

// TestExpressions runs testdata/expressions.txt: an expression, a line of dashes, and
// what is made of it. For a fault that is a caret below the place and the message.
func TestExpressions(t *testing.T) {
	const name = "testdata/expressions.txt"
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, block := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
		expression, _, _ := strings.Cut(block, "\n----")
		comment := ""
		for strings.HasPrefix(expression, "# ") {
			line, rest, _ := strings.Cut(expression, "\n")
			comment, expression = comment+line+"\n", rest
		}
		fmt.Fprintf(&out, "%s%s\n----\n%s\n", comment, expression, outcome(t, expression))
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

func outcome(t *testing.T, expression string) string {
	text := written(t, quoted(expression))
	c, faults := Compile(text, "when")
	var out strings.Builder
	for _, f := range faults {
		// The quotes double in the file; the column counts what stands there.
		caret := f.Pos.Column - text.Pos.Column - 1
		if f.Pos == text.Pos {
			caret = 0
		}
		fmt.Fprintf(&out, "%s^\n%s\n", strings.Repeat(" ", caret), f.Message)
		if f.Hint != "" {
			fmt.Fprintf(&out, "  %s\n", f.Hint)
		}
	}
	if c == nil {
		return out.String()
	}
	var reads []string
	for v := range c.Reads().All() {
		reads = append(reads, v.String())
	}
	fmt.Fprintf(&out, "reads %s\n", strings.Join(reads, " "))
	if c.Normal() != expression {
		fmt.Fprintf(&out, "normal %s\n", c.Normal())
	}
	for _, l := range c.Literals() {
		fmt.Fprintf(&out, "literal %s %q", l.Var, l.Value)
		if !l.Equal {
			out.WriteString(" in part")
		}
		out.WriteString("\n")
	}
	return out.String()
}

// TestPlaces: line and column of a word in the file, however the expression is quoted.
func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		yaml         string
		line, column int
	}{
		{`session.user == "a" && session.postur == "b"`, 6, 13 + 23},
		{`'session.user == "a" && session.postur == "b"'`, 6, 13 + 24},
		{`'session.user == "é" && session.postur == "b"'`, 6, 13 + 24},
		// Where characters are escaped or folded it is the place where the text begins.
		{`"session.user == \"a\" && session.postur == \"b\""`, 6, 13},
		{`'session.user == ''a'' && session.postur == "b"'`, 6, 13},
	} {
		_, faults := Compile(written(t, c.yaml), "when")
		if len(faults) != 1 || faults[0].Pos.Line != c.line || faults[0].Pos.Column != c.column {
			t.Errorf("%s: %v, want %d:%d", c.yaml, faults, c.line, c.column)
		}
	}
}

// TestSeveralFaults: all of them at once, names and types alike.
func TestSeveralFaults(t *testing.T) {
	_, faults := Compile(config.Text{Value: `session.usr == "a" && session.nas == 3 && endpoint.oss == "linux" && session.authenticated == "x"`}, "when")
	if len(faults) != 4 {
		t.Fatalf("%d faults, want 4: %v", len(faults), faults)
	}
}

func TestEval(t *testing.T) {
	in := Input{
		Authenticated: true, Posture: sessions.NonCompliant, User: "Cisco", Groups: []string{"staff", "admins", "staff"},
		NAS: "asa", NASGroup: "vpn", Method: "pap", Assurance: sessions.AddressMAC, CallingStationID: "192.0.2.7",
		CalledStationID: "198.51.100.1", TunnelGroup: "RA", NASPortType: "Virtual", ServiceType: "Framed", FramedIP: "10.0.0.7",
		OS: "windows", MAC: "00:0c:29:c9:d9:37", Agent: "agent 1.0",
		Time: time.Date(2026, 11, 22, 23, 30, 0, 0, time.FixedZone("west", -3600)), // Monday 00:30 UTC
	}
	for expression, want := range map[string]string{
		``:                                                 "true",
		`  `:                                               "true",
		`session.authenticated`:                            "true",
		`session.posture == "NonCompliant"`:                "true",
		`session.user == "cisco"`:                          "false",
		`session.user.lowerAscii() == "cisco"`:             "true",
		`"staff" in session.groups`:                        "true",
		`session.groups.size() == 2`:                       "true",
		`session.groups[0] == "admins"`:                    "true",
		`session.groups[2] == "x"`:                         "index out of bounds: 2",
		`session.groups.all(g, g != "x")`:                  "true",
		`session.nas == "asa"`:                             "true",
		`session.nas_group == "vpn"`:                       "true",
		`session.method == "pap"`:                          "true",
		`session.assurance == "address-mac"`:               "true",
		`session.calling_station_id == "192.0.2.7"`:        "true",
		`session.called_station_id.matches("^198[.]")`:     "true",
		`session.tunnel_group == "RA"`:                     "true",
		`session.nas_port_type == "Virtual"`:               "true",
		`session.service_type == "Framed"`:                 "true",
		`session.framed_ip.startsWith("10.")`:              "true",
		`endpoint.os == "windows"`:                         "true",
		`endpoint.mac.startsWith("00:0c:29")`:              "true",
		`endpoint.agent.contains("1.0")`:                   "true",
		`time.hour == 0 && time.weekday == 1`:              "true",
		`int(session.user) == 1`:                           "type conversion error",
		`int(session.user) == 1 || session.authenticated`:  "true", // CEL's or takes what it can get
		`int(session.user) == 1 && !session.authenticated`: "false",
	} {
		holds, err := must(t, expression).Eval(&in)
		got := fmt.Sprint(holds)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) || err != nil && holds {
			t.Errorf("%s: %s, want %s", expression, got, want)
		}
	}
	if len(in.Groups) != 3 || in.Groups[0] != "staff" {
		t.Errorf("the input was changed: %v", in.Groups)
	}
}

// TestCostAtRunTime: more groups than the estimate reckons with end in an error, not in
// a second of work.
func TestCostAtRunTime(t *testing.T) {
	c := must(t, `session.groups.exists(g, g.matches("^a.*b.*c$"))`)
	var in Input
	for i := range 20000 {
		in.Groups = append(in.Groups, fmt.Sprintf("group-%05d-%s", i, strings.Repeat("x", 200)))
	}
	began := time.Now()
	holds, err := c.Eval(&in)
	if holds || err == nil || !strings.Contains(err.Error(), "cost limit") {
		t.Errorf("%v %v after %v", holds, err, time.Since(began))
	}
}

func TestTrace(t *testing.T) {
	c := must(t, `session.authenticated && (session.posture == "Compliant" || !("admins" in session.groups)) && int(session.user) > 3`)
	trace := c.Trace(&Input{Authenticated: true, Groups: []string{"b", "a"}, User: "x"})
	var got strings.Builder
	for _, p := range trace.Parts {
		fmt.Fprintf(&got, "%d %s = %s %v\n", p.Depth, p.Text, p.Value, p.Read)
	}
	want := `1 session.authenticated = true [{session.authenticated true}]
2 session.posture == "Compliant" = false [{session.posture "Unknown"}]
3 "admins" in session.groups = false [{session.groups ["a", "b"]}]
1 int(session.user) > 3 = error: type conversion error from 'string' to 'int' [{session.user "x"}]
`
	if trace.Holds || trace.Error == "" {
		t.Errorf("%+v", trace)
	}
	if got.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
	if always := must(t, "").Trace(&Input{}); !always.Holds || len(always.Parts) > 0 {
		t.Errorf("%+v", always)
	}
}

// TestPackageCommentNamesAll keeps the table at the top of the package true.
func TestPackageCommentNamesAll(t *testing.T) {
	source, err := os.ReadFile("expr.go")
	if err != nil {
		t.Fatal(err)
	}
	comment, _, _ := strings.Cut(string(source), "\npackage ")
	for _, name := range Names() {
		if !strings.Contains(comment, name+" ") && !strings.Contains(comment, name+"\n") {
			t.Errorf("%s is not in the package comment", name)
		}
	}
}

func BenchmarkEval(b *testing.B) {
	in := Input{Authenticated: true, Posture: sessions.Compliant, Groups: []string{"a", "b"}}
	for _, expression := range []string{
		`session.authenticated && session.posture == "Compliant"`,
		`"b" in session.groups`,
		`session.groups.exists(g, g.startsWith("b"))`,
	} {
		c := must(b, expression)
		b.Run(expression, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if holds, err := c.Eval(&in); !holds || err != nil {
					b.Fatal(holds, err)
				}
			}
		})
	}
}
