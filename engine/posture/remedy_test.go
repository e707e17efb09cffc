package posture

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sallyport/engine/expr"
	"sallyport/netio/report"
)

// TestRemedies: each kind of remediation is one verb of the closed list, with what it needs.
func TestRemedies(t *testing.T) {
	digest := strings.Repeat("AB", 32)
	for text, want := range map[string]report.Action{
		"usb: block":                        {Verb: report.VerbUSBBlock},
		"message: hello":                    {Verb: report.VerbMessage, Message: "hello"},
		"link: 'https://a/b', message: see": {Verb: report.VerbMessage, Message: "see\nhttps://a/b", Target: "https://a/b"},
		"launch: {path: /bin/x, sha256: " + digest + ", publisher: P, arguments: [a, b]}":   {Verb: report.VerbLaunch, Target: "/bin/x", SHA256: strings.ToLower(digest), Publisher: "P", Arguments: []string{"a", "b"}},
		"file: {url: 'https://a/b', sha256: " + digest + "}":                                {Verb: report.VerbFile, Target: "https://a/b", SHA256: strings.ToLower(digest)},
		"file: {file: tool.cfg, sha256: " + digest + ", to: /etc/x, permissions: \"0755\"}": {Verb: report.VerbFile, Target: "tool.cfg", SHA256: strings.ToLower(digest), To: "/etc/x", Permissions: "0755"},
		"script: {file: fix.sh, sha256: " + digest + "}":                                    {Verb: report.VerbScript, Target: "fix.sh", SHA256: strings.ToLower(digest)},
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
		if got.Verb != want.Verb || got.Message != want.Message || got.Target != want.Target || got.SHA256 != want.SHA256 || got.Publisher != want.Publisher || got.To != want.To || want.Permissions != "" && got.Permissions != want.Permissions || !slices.Equal(got.Arguments, want.Arguments) || got.Mode != "manual" || got.ID != "Q/"+want.Verb {
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
	ab := strings.Repeat("ab", 32)
	for text, want := range map[string]string{
		"link: 'http://a/b'":                  "is not an https URL",
		"file: {url: 'http://a', sha256: x}":  "is not an https URL",
		"launch: {path: /bin/x, sha256: abc}": "the agent runs nothing else",
		"script: {file: ../x, sha256: abc}":   "is not a plain file name",
		"usb: block, firewall: enable":        "does several things: usb, firewall",

		"file: {sha256: " + ab + "}":                                                   "nothing says where the file is",
		"file: {url: 'https://a/b', file: b, sha256: " + ab + "}":                      "is in two places",
		"file: {file: a/b, sha256: " + ab + "}":                                        "is not a plain file name",
		"file: {url: 'https://a', sha256: " + ab + "}":                                 "is no name for a file",
		"file: {file: b, to: ../b, sha256: " + ab + "}":                                "neither a plain name nor an absolute path",
		"file: {file: b, to: /etc/../b, sha256: " + ab + "}":                           "in its shortest form",
		"file: {file: b, sha256: x}":                                                   "sha256 is not 64",
		"file: {file: b, sha256: " + ab + ", signature: x}":                            "this is no signature",
		"application: {name: '-rf', do: uninstall}":                                    "is not the name of a package",
		"application: {name: 'a b', do: uninstall}":                                    "is not the name of a package",
		"script: {file: x, sha256: " + ab + ", publisher: Nobody}":                     "there is no publisher",
		"launch: {path: /x, sha256: " + ab + ", publisher-signature: x}":               "nothing says whose signature",
		"launch: {path: /x, sha256: " + ab + ", publisher: A, publisher-signature: x}": "there is no publisher",
		"{}": "does nothing",
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

// TestPublishers: a publisher has a key, and what it is said to have published carries its
// signature over that very digest.
func TestPublishers(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	digest := strings.Repeat("ab", 32)
	key := base64.StdEncoding.EncodeToString(public)
	signed := base64.StdEncoding.EncodeToString(ed25519.Sign(private, report.PublisherText(digest)))
	section := func(key, remediation string) string {
		return "\n  conditions: {C: {firewall: {}}}\n  publishers: {Example Ltd: {key: '" + key + "'}}\n  remediations: {R: {" + remediation +
			"}}\n  requirements: {Q: {conditions: [C], remediation: R}}\n  policy: [{rule: P, requirements: [{name: Q}]}]\n"
	}
	launch := func(publisher, digest, signature string) string {
		return "launch: {path: /x, sha256: " + digest + ", publisher: " + publisher + ", publisher-signature: '" + signature + "'}"
	}
	p := policy(t, section(key, launch("Example Ltd", digest, signed)))
	in := &Input{Session: expr.Input{OS: "linux"}}
	doc, action := p.Document(in), p.Remedies()[0]
	if len(doc.Publishers) != 1 || doc.Publishers[0].Key != key || action.PublisherSignature != signed || action.PublishedBy(doc.Publishers) != nil {
		t.Errorf("%+v %+v", doc, action)
	}
	for text, want := range map[string]string{
		section(key, launch("Example Ltd", strings.Repeat("cd", 32), signed)):                                 "or of another file",
		section(key, launch("Example Ltd", digest, "")):                                                       "there is no signature of it",
		section(key, launch("Exampel Ltd", digest, signed)):                                                   `did you mean "Example Ltd"`,
		section("AAAA", "script: {file: x, sha256: "+digest+"}"):                                              "no Ed25519 public key",
		section(key, "script: {file: x, sha256: "+digest+", publisher: Example Ltd, publisher-signature: x}"): "or of another file",
		section(key, "firewall: enable"):                                                                      "no remediation names this publisher",
	} {
		_, warnings, faults := load(t, text)
		if got := warnings.String() + faults.Error(); !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
}
