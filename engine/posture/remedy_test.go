package posture

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sallyport/netio/report"
)

// TestRemedies: each kind of remediation is one verb of the closed list, with what it needs.
func TestRemedies(t *testing.T) {
	digest := strings.Repeat("AB", 32)
	for text, want := range map[string]report.Action{
		"usb: block":                        {Verb: report.VerbUSBBlock},
		"message: hello":                    {Verb: report.VerbMessage, Message: "hello"},
		"link: 'https://a/b', message: see": {Verb: report.VerbMessage, Message: "see\nhttps://a/b", Target: "https://a/b"},
		"launch: {path: /bin/x, sha256: " + digest + ", publisher: P, arguments: [a, b]}": {Verb: report.VerbLaunch, Target: "/bin/x", SHA256: strings.ToLower(digest), Publisher: "P", Arguments: []string{"a", "b"}},
		"file: {url: 'https://a/b', sha256: " + digest + "}":                              {Verb: report.VerbFile, Target: "https://a/b", SHA256: strings.ToLower(digest)},
		"script: {file: fix.sh, sha256: " + digest + "}":                                  {Verb: report.VerbScript, Target: "fix.sh", SHA256: strings.ToLower(digest)},
		"anti-malware: update":                     {Verb: report.VerbAntiMalwareUpdate},
		"firewall: enable":                         {Verb: report.VerbFirewallEnable},
		"patch: activate":                          {Verb: report.VerbPatchActivate},
		"patch: install":                           {Verb: report.VerbPatchInstall},
		"patch: update":                            {Verb: report.VerbPatchUpdate},
		"application: {name: game, do: stop}":      {Verb: report.VerbAppStop, Target: "game"},
		"application: {name: game, do: uninstall}": {Verb: report.VerbAppUninstall, Target: "game"},
	} {
		p := policy(t, "\n  conditions: {C: {firewall: {}}}\n  remediations: {R: {"+text+", mode: manual}}\n  requirements: {Q: {conditions: [C], remediation: R}}\n  policy: [{rule: P, requirements: [{name: Q}]}]\n")
		all := p.Remedies()
		if len(all) != 1 {
			t.Fatalf("%s: %v", text, all)
		}
		got := all[0]
		if got.Verb != want.Verb || got.Message != want.Message || got.Target != want.Target || got.SHA256 != want.SHA256 || got.Publisher != want.Publisher || !slices.Equal(got.Arguments, want.Arguments) || got.Mode != "manual" || got.ID != "Q/"+want.Verb {
			t.Errorf("%s: %+v", text, got)
		}
		if !slices.Contains(report.Verbs(), got.Verb) {
			t.Errorf("%s: %s is not in the closed list", text, got.Verb)
		}
	}
}

// TestActionsCanBeSent: whatever a requirement is called, the agent can read what it is
// asked to do.
func TestActionsCanBeSent(t *testing.T) {
	for _, name := range []string{"Q", "No USB disks, please", "Größe", strings.Repeat("long", 50)} {
		p := policy(t, "\n  conditions: {C: {firewall: {}}}\n  remediations: {R: {launch: {path: /bin/x, sha256: "+strings.Repeat("ab", 32)+", arguments: [a]}, interval: 30s, retries: 3}}\n  requirements: {\""+name+"\": {conditions: [C], remediation: R}}\n  policy: [{rule: P, requirements: [{name: \""+name+"\"}]}]\n")
		action := p.Remedies()[0]
		b, err := json.Marshal(&report.Verdict{V: report.Version, SessionID: "s", Status: "NonCompliant", DecisionID: "d", Nonce: "n", PolicyETag: "e", Actions: []report.Action{*action}})
		if err != nil {
			t.Fatal(err)
		}
		v, err := report.DecodeVerdict(b)
		if err != nil || v.Actions[0].IntervalS != 30 || v.Actions[0].Retries != 3 || v.Actions[0].Arguments[0] != "a" {
			t.Errorf("%s: %v %+v", name, err, v)
		}
	}
}

// TestWrongRemedies: what would run, or fetch, something that nobody named.
func TestWrongRemedies(t *testing.T) {
	for text, want := range map[string]string{
		"link: 'http://a/b'":                  "is not an https URL",
		"file: {url: 'http://a', sha256: x}":  "is not an https URL",
		"launch: {path: /bin/x, sha256: abc}": "the agent runs nothing else",
		"script: {file: ../x, sha256: abc}":   "is not a plain file name",
		"usb: block, firewall: enable":        "does several things: usb, firewall",
		"{}":                                  "does nothing",
		`launch: {path: /bin/x, sha256: ` + strings.Repeat("ab", 32) + `, arguments: ["a\nb"]}`: "characters that do not show",
	} {
		_, _, faults := load(t, "\n  remediations: {R: {"+strings.Trim(text, "{}")+closing(text)+"}}\n")
		if got := faults.Error(); !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// closing gives back the bracket that trimming took.
func closing(text string) string {
	if strings.HasSuffix(text, "}") && strings.Contains(text, ": {") {
		return "}"
	}
	return ""
}
