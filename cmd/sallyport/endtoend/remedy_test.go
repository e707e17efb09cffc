package endtoend

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/coa/coatest"
	"sallyport/engine/record"
	"sallyport/netio/report"
)

// TestScriptMends: a requirement whose question a script answers has the real agent fetch another from the real
// appliance, prove its digest, run it, and report again; then the gate opens. A script that is
// not the one whose digest was written down is not run.
func TestScriptMends(t *testing.T) {
	t.Parallel()
	const check = "#!/bin/sh\ntest -f etc/hardened\n"
	const script = "#!/bin/sh\nset -e\nmkdir -p etc\necho \"by $1\" >etc/hardened\n"
	s := newStage(t,
		"conditions: {", fmt.Sprintf("conditions: {Hardened: {script: {file: check.sh, sha256: %x}}, ", sha256.Sum256([]byte(check)))+`Processors: {hardware: {attribute: cpus, number: ">= 2"}}, Tuned: {file: {path: /etc/tuned}}, `,
		"remediations: {", fmt.Sprintf("remediations: {Harden: {script: {file: harden.sh, sha256: %x}, message: Your computer is being hardened.}, Tune: {script: {file: tune.sh, sha256: %x}}, ",
			sha256.Sum256([]byte(script)), sha256.Sum256([]byte("another"))),
		"requirements: {", `requirements: {"To be hardened": {conditions: [Hardened, Processors], remediation: Harden}, Tuned: {conditions: [Tuned], remediation: Tune}, `,
		"requirements: [", `requirements: [{name: To be hardened}, {name: Tuned, enforcement: optional}, `,
		"authorization:\n", "provisioning: {agents-directory: files}\nauthorization:\n")
	must(t, os.Mkdir(s.path("files"), 0o700))
	s.write("files/harden.sh", script)
	s.write("files/check.sh", check)
	s.write("files/tune.sh", "#!/bin/sh\necho x >etc/tuned\n")
	must(t, os.MkdirAll(filepath.Join(s.tree.Root(), "proc"), 0o700))
	must(t, os.WriteFile(filepath.Join(s.tree.Root(), "proc/cpuinfo"), []byte("processor\t: 0\n\nprocessor\t: 1\n"), 0o600))
	s.runAgent()
	must(t, s.session.WaitFor(s.ctx, coatest.Access.Full))
	if _, err := os.Stat(filepath.Join(s.tree.Root(), "etc/hardened")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(s.tree.Root(), "etc/tuned")); err == nil {
		t.Error("a script with another digest was run")
	}
	first := s.row(func(d *record.Decision) bool {
		return d.Kind == record.KindPosture && d.PostureStatus == "NonCompliant"
	})
	if first == nil || !strings.Contains(first.Reason, "To be hardened") {
		t.Errorf("%+v", first)
	}
	eventually(t, "the agent says what it did", func() bool {
		b, err := os.ReadFile(s.path("agent.log"))
		text := string(b)
		return err == nil && strings.Contains(text, "verb=script.run") && strings.Contains(text, "result=done") &&
			strings.Contains(text, "result=refused") && strings.Contains(text, "another digest") && strings.Contains(text, "Your computer is being hardened.")
	})
}

// TestFileAndPublisher: the real agent puts a file of the real appliance's where it lets files be
// put, and runs a script because its publisher, whose key the policy names, has signed it with
// the command that there is for that. What a publisher did not sign the configuration refuses.
func TestFileAndPublisher(t *testing.T) {
	t.Parallel()
	const settings = "level = high\n"
	const script = "#!/bin/sh\nmkdir -p etc\necho published >etc/published\n"
	must(t, programs())
	tools := &appliance{t: t, dir: t.TempDir()}
	public, fault, code := tools.program("library", "key", tools.path("private"))
	if code != 0 {
		t.Fatal(fault)
	}
	tools.write("publish.sh", script)
	signature, fault, code := tools.program("library", "sign-file", "--key", tools.path("private"), tools.path("publish.sh"))
	if code != 0 {
		t.Fatal(fault)
	}
	signature = strings.TrimSpace(signature)
	s := newStage(t,
		"conditions: {", fmt.Sprintf("publishers: {Example Ltd: {key: %q}}\n  conditions: {Set: {file: {path: /srv/files/tool.cfg, sha256: [%x]}}, Published: {file: {path: /etc/published}}, ",
			strings.TrimSpace(public), sha256.Sum256([]byte(settings))),
		"remediations: {", fmt.Sprintf("remediations: {Give: {file: {file: tool.cfg, sha256: %x, permissions: \"0640\"}}, Publish: {script: {file: publish.sh, sha256: %x, publisher: Example Ltd, publisher-signature: %q}}, ",
			sha256.Sum256([]byte(settings)), sha256.Sum256([]byte(script)), signature),
		"requirements: {", "requirements: {Set: {conditions: [Set], remediation: Give}, Published: {conditions: [Published], remediation: Publish}, ",
		"requirements: [", "requirements: [{name: Set}, {name: Published}, ",
		"authorization:\n", "provisioning: {agents-directory: files}\nauthorization:\n")
	must(t, os.Mkdir(s.path("files"), 0o700))
	s.write("files/tool.cfg", settings)
	s.write("files/publish.sh", script)
	must(t, os.MkdirAll(filepath.Join(s.tree.Root(), "srv/files"), 0o755))
	s.runAgent("--file-directory", "/srv/files")
	must(t, s.session.WaitFor(s.ctx, coatest.Access.Full))
	info, err := os.Stat(filepath.Join(s.tree.Root(), "srv/files/tool.cfg"))
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", info, err)
	}
	var noted struct{ Files []struct{ Path, From string } }
	b, err := os.ReadFile(s.path("agent/fetched.json"))
	if err == nil {
		err = json.Unmarshal(b, &noted)
	}
	if err != nil || len(noted.Files) != 1 || noted.Files[0].Path != "/srv/files/tool.cfg" || noted.Files[0].From != "tool.cfg" {
		t.Errorf("%v %+v", err, noted)
	}
	s.edit(signature, strings.Repeat("A", 86)+"==")
	if out, fault, code := s.run("check"); code == 0 || !strings.Contains(out+fault, "or of another file") {
		t.Errorf("exit code %d: %s%s", code, out, fault)
	}
}

// TestSignRemedy: what the command signs is what an agent with the key takes, and a
// configuration takes it too.
func TestSignRemedy(t *testing.T) {
	t.Parallel()
	a := prepare(t, "remediations: {", `remediations: {Fix: {launch: {path: /usr/bin/fix, sha256: "`+strings.Repeat("ab", 32)+`", arguments: [--all]}}, `)
	public, fault, code := a.program("library", "key", a.path("private"))
	if code != 0 {
		t.Fatal(fault)
	}
	signature, fault, code := a.run("library", "sign-remedy", "--key", a.path("private"), "Fix")
	if code != 0 {
		t.Fatal(fault)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(public))
	must(t, err)
	action := &report.Action{Verb: report.VerbLaunch, Target: "/usr/bin/fix", SHA256: strings.Repeat("ab", 32), Arguments: []string{"--all"}, Signature: strings.TrimSpace(signature)}
	if err := action.SignedBy(key); err != nil {
		t.Error(err)
	}
	a.edit("arguments: [--all]", "arguments: [--all], signature: "+strings.TrimSpace(signature))
	if out, fault, code := a.run("check"); code != 0 {
		t.Errorf("exit code %d: %s%s", code, out, fault)
	}
	a.edit("authorization:\n", "provisioning: {agents-directory: ., resources: {next: {os: linux, arch: amd64, file: secret, version: \"2.0\", sha256: "+strings.Repeat("ab", 32)+"}}}\nauthorization:\n")
	signature, fault, code = a.run("library", "sign-agent", "--key", a.path("private"), "next")
	if code != 0 {
		t.Fatal(fault)
	}
	build := &report.Build{Version: "2.0", OS: "linux", Arch: "amd64", SHA256: strings.Repeat("ab", 32), Signature: strings.TrimSpace(signature)}
	if err := build.SignedBy(key); err != nil {
		t.Error(err)
	}
	if _, fault, code := a.run("library", "sign-remedy", "--key", a.path("private"), "USB_Block"); code == 0 || !strings.Contains(fault, "launches a program") {
		t.Errorf("exit code %d: %s", code, fault)
	}
}
