package posture

import (
	"slices"
	"strings"
	"testing"

	"sallyport/netio/report"
)

// TestRemedies: each kind of remediation is one verb of the closed list, with what it needs.
func TestRemedies(t *testing.T) {
	digest := strings.Repeat("AB", 32)
	for text, want := range map[string]Remedy{
		"usb: block":                        {Action: report.Action{Verb: report.VerbUSBBlock}},
		"message: hello":                    {Action: report.Action{Verb: report.VerbMessage, Message: "hello"}},
		"link: 'https://a/b', message: see": {Action: report.Action{Verb: report.VerbMessage, Message: "see\nhttps://a/b"}, Target: "https://a/b"},
		"launch: {path: /bin/x, sha256: " + digest + ", publisher: P, arguments: [a, b]}": {Action: report.Action{Verb: VerbLaunch}, Target: "/bin/x", SHA256: strings.ToLower(digest), Publisher: "P", Arguments: []string{"a", "b"}},
		"file: {url: 'https://a/b', sha256: " + digest + "}":                              {Action: report.Action{Verb: VerbFile}, Target: "https://a/b", SHA256: strings.ToLower(digest)},
		"script: {file: fix.sh, sha256: " + digest + "}":                                  {Action: report.Action{Verb: VerbScript}, Target: "fix.sh", SHA256: strings.ToLower(digest)},
		"anti-malware: update":                     {Action: report.Action{Verb: VerbAntiMalwareUpdate}},
		"firewall: enable":                         {Action: report.Action{Verb: VerbFirewallEnable}},
		"patch: activate":                          {Action: report.Action{Verb: VerbPatchActivate}},
		"patch: install":                           {Action: report.Action{Verb: VerbPatchInstall}},
		"patch: update":                            {Action: report.Action{Verb: VerbPatchUpdate}},
		"application: {name: game, do: stop}":      {Action: report.Action{Verb: VerbAppStop}, Target: "game"},
		"application: {name: game, do: uninstall}": {Action: report.Action{Verb: VerbAppUninstall}, Target: "game"},
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
		if !slices.Contains(Verbs(), got.Verb) {
			t.Errorf("%s: %s is not in the closed list", text, got.Verb)
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
