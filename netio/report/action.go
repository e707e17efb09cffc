package report

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Verbs of the closed list: an agent obeys no other, and is free to refuse any of these
// with a reason.
const (
	VerbUSBBlock          = "usb.block"
	VerbUSBUnblock        = "usb.unblock"
	VerbMessage           = "message"
	VerbLaunch            = "program.launch"     // Target: absolute path on the endpoint
	VerbFile              = "file.fetch"         // Target: https URL, or name of a file below PathFile
	VerbScript            = "script.run"         // Target: name of a file below PathFile
	VerbAntiMalwareUpdate = "antimalware.update" // of the product that is there
	VerbFirewallEnable    = "firewall.enable"    // the same
	VerbPatchInstall      = "patch.install"      // what keeps the system up to date by itself
	VerbPatchActivate     = "patch.activate"     // turn that on
	VerbPatchUpdate       = "patch.update"       // install what is missing now
	VerbAppStop           = "app.stop"           // Target: name of a program's file, or its absolute path
	VerbAppUninstall      = "app.uninstall"      // Target: name of a package
)

// Verbs is the closed list of what an agent may be asked to do.
func Verbs() []string {
	return []string{
		VerbUSBBlock, VerbUSBUnblock, VerbMessage, VerbLaunch, VerbFile, VerbScript, VerbAntiMalwareUpdate,
		VerbFirewallEnable, VerbPatchInstall, VerbPatchActivate, VerbPatchUpdate, VerbAppStop, VerbAppUninstall,
	}
}

// Action asks the agent to do something. Automatic ones run at once, manual ones are
// shown to the person. Fields that a verb does not need are empty; agents of before the
// fields from Target on pass them over, and refuse the verbs that need them.
type Action struct {
	ID          string `json:"id"`
	Verb        string `json:"verb"`
	Mode        string `json:"mode"` // automatic, manual
	Requirement string `json:"requirement,omitempty"`
	Message     string `json:"message,omitempty"`

	// Allow names devices that usb.block leaves alone: vid:pid or vid:pid:serial.
	Allow []string `json:"allow,omitempty"`

	Target    string   `json:"target,omitempty"`     // what it is about, by the verb
	SHA256    string   `json:"sha256,omitempty"`     // of what is run or fetched, 64 lower-case hexadecimal digits; nothing else is
	Publisher string   `json:"publisher,omitempty"`  // who must have signed the file: by PublisherSignature, else as its system knows it
	Signature string   `json:"signature,omitempty"`  // Ed25519 over SignedText, base64: for agents that are told a key
	Arguments []string `json:"arguments,omitempty"`  // of a program
	IntervalS int      `json:"interval_s,omitempty"` // seconds between tries; 0: as the agent sees fit
	Retries   int      `json:"retries,omitempty"`    // tries after the first, while the appliance still asks

	// PublisherSignature is of the file, by a key that the policy has for Publisher: Ed25519
	// over PublisherText of its digest, base64.
	PublisherSignature string `json:"publisher_signature,omitempty"`

	// To is where a file goes: an absolute path, or a name in the agent's first directory for
	// files; empty: the name that Target ends in. Permissions are as chmod has them, "0644".
	To          string `json:"to,omitempty"`
	Permissions string `json:"permissions,omitempty"`
}

// FilePermissions are those that a file may be given, none of which lets others write.
func FilePermissions() []string { return []string{"0600", "0640", "0644", "0700", "0750", "0755"} }

// retriesMax bounds Action.Retries.
const retriesMax = 99

// remedyContext tells this signature from any other.
const remedyContext = "sallyport-remedy-v1"

// SignedText is what Signature signs: the verb, the target, the digest and each argument, or
// of a file where it goes, in quotes, so that nothing can be moved from one to the other.
func (a *Action) SignedText() []byte {
	parts := []string{remedyContext}
	signed := append([]string{a.Verb, a.Target, a.SHA256}, a.Arguments...)
	if a.Verb == VerbFile {
		signed = append(signed, a.To, a.Permissions)
	}
	for _, part := range signed {
		parts = append(parts, strconv.Quote(part))
	}
	return []byte(strings.Join(parts, "\n"))
}

// SignedBy says why the action does not carry a signature that was made with the private
// half of key, nil when it does.
func (a *Action) SignedBy(key ed25519.PublicKey) error {
	if a.Signature == "" {
		return errors.New("it is not signed")
	}
	signature, err := base64.StdEncoding.DecodeString(a.Signature)
	if err != nil || !ed25519.Verify(key, a.SignedText(), signature) {
		return errors.New("its signature is not of the key that is expected, or of another action")
	}
	return nil
}

// Publisher is somebody whose signature lets a file be run.
type Publisher struct {
	Name string `json:"name"`
	Key  string `json:"key"` // Ed25519 public key, base64
}

// publisherContext tells this signature from any other.
const publisherContext = "sallyport-publisher-v1"

// PublisherText is what a publisher signs of a file with a digest (64 lower-case hexadecimal
// digits). The signature lies beside the file, not in it.
func PublisherText(sha256 string) []byte { return []byte(publisherContext + "\n" + sha256) }

// PublishedBy says why what the action runs does not carry a signature of its publisher, who is
// one of known; nil when it does.
func (a *Action) PublishedBy(known []Publisher) error {
	i := slices.IndexFunc(known, func(p Publisher) bool { return p.Name == a.Publisher })
	if i < 0 {
		return fmt.Errorf("the policy has no key of the publisher %.80q", a.Publisher)
	}
	key, err := base64.StdEncoding.DecodeString(known[i].Key)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("the policy's key of the publisher %.80q is no Ed25519 public key", a.Publisher)
	}
	signature, err := base64.StdEncoding.DecodeString(a.PublisherSignature)
	if err != nil || !ed25519.Verify(key, PublisherText(a.SHA256), signature) {
		return fmt.Errorf("the signature is not of %.80q, or of another file", a.Publisher)
	}
	return nil
}

func (p *Publisher) fields(w *walker) {
	w.need("name", p.Name)
	w.text("name", &p.Name, nameMax)
	w.need("key", p.Key)
	w.token("key", p.Key, tokenMax)
}

func (a *Action) fields(w *walker) {
	w.need("id", a.ID)
	w.token("id", a.ID, tokenMax)
	w.need("verb", a.Verb)
	w.token("verb", a.Verb, wordMax)
	w.one("mode", a.Mode, "automatic", "manual")
	w.text("requirement", &a.Requirement, nameMax)
	w.message("message", &a.Message)
	w.texts("allow", &a.Allow, allowMax, allowTextMax)
	w.text("target", &a.Target, pathMax)
	if a.SHA256 != "" && !isDigest(a.SHA256) {
		w.fail(malformed("%ssha256: not 64 lower-case hexadecimal digits", w.prefix))
	}
	w.text("publisher", &a.Publisher, nameMax)
	w.token("signature", a.Signature, tokenMax)
	w.token("publisher_signature", a.PublisherSignature, tokenMax)
	w.text("to", &a.To, pathMax)
	if a.Permissions != "" {
		w.one("permissions", a.Permissions, FilePermissions()...)
	}
	w.texts("arguments", &a.Arguments, argumentsMax, pathMax)
	w.seconds("interval_s", a.IntervalS)
	if a.Retries < 0 || a.Retries > retriesMax {
		w.fail(malformed("%sretries: %d is not from 0 to %d", w.prefix, a.Retries, retriesMax))
	}
}

func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// FileName is the name that a fetched file gets when To names no path, and the last part of
// one that does. The error says that neither gives one.
func FileName(a *Action) (string, error) {
	name := a.To
	if name == "" {
		name, _, _ = strings.Cut(a.Target, "?")
		name = strings.TrimPrefix(name, "https://")
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			name = name[i+1:]
		} else if name != a.Target {
			name = "" // a host alone
		}
	} else if i := strings.LastIndexByte(name, '/'); i >= 0 {
		if !strings.HasPrefix(name, "/") || path.Clean(name) != name {
			return "", fmt.Errorf("%.80q is neither a plain name nor an absolute path in its shortest form", a.To)
		}
		name = name[i+1:]
	}
	const most = 200 // octets: a file system takes 255, and a name for the time of fetching is longer
	if name == "" || strings.HasPrefix(name, ".") || len(name) > most || strings.ContainsAny(name, "\\\x00") {
		return "", fmt.Errorf("%.80q is no name for a file: it is empty, begins with a dot, or is longer than %d octets", name, most)
	}
	return name, nil
}

// PackageName says whether a text can be the name of a package: letters and digits, and
// + - . _ : in it.
func PackageName(s string) bool {
	word := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	}
	const most = 128
	return s != "" && len(s) <= most && word(rune(s[0])) && !strings.ContainsFunc(s, func(r rune) bool {
		return !word(r) && !strings.ContainsRune("+-._:", r)
	})
}
