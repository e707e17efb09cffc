package report

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
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
	VerbFile              = "file.fetch"         // Target: https URL
	VerbScript            = "script.run"         // Target: name of a file below PathFile
	VerbAntiMalwareUpdate = "antimalware.update" // of the product that is there
	VerbFirewallEnable    = "firewall.enable"    // the same
	VerbPatchActivate     = "patch.activate"     // the same
	VerbPatchInstall      = "patch.install"      // the same
	VerbPatchUpdate       = "patch.update"       // the same
	VerbAppStop           = "app.stop"           // Target: name of a program's file, or its absolute path
	VerbAppUninstall      = "app.uninstall"      // Target: name of a package
)

// Verbs is the closed list of what an agent may be asked to do.
func Verbs() []string {
	return []string{
		VerbUSBBlock, VerbUSBUnblock, VerbMessage, VerbLaunch, VerbFile, VerbScript, VerbAntiMalwareUpdate,
		VerbFirewallEnable, VerbPatchActivate, VerbPatchInstall, VerbPatchUpdate, VerbAppStop, VerbAppUninstall,
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
	Publisher string   `json:"publisher,omitempty"`  // who must have signed the program as its system knows it
	Signature string   `json:"signature,omitempty"`  // Ed25519 over SignedText, base64: for agents that are told a key
	Arguments []string `json:"arguments,omitempty"`  // of a program
	IntervalS int      `json:"interval_s,omitempty"` // seconds between tries; 0: as the agent sees fit
	Retries   int      `json:"retries,omitempty"`    // tries after the first, while the appliance still asks
}

// retriesMax bounds Action.Retries.
const retriesMax = 99

// remedyContext tells this signature from any other.
const remedyContext = "sallyport-remedy-v1"

// SignedText is what Signature signs: the verb, the target, the digest and each argument in
// quotes, so that nothing can be moved from one to the other.
func (a *Action) SignedText() []byte {
	parts := []string{remedyContext}
	for _, part := range append([]string{a.Verb, a.Target, a.SHA256}, a.Arguments...) {
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
	w.texts("arguments", &a.Arguments, argumentsMax, pathMax)
	w.seconds("interval_s", a.IntervalS)
	if a.Retries < 0 || a.Retries > retriesMax {
		w.fail(malformed("%sretries: %d is not from 0 to %d", w.prefix, a.Retries, retriesMax))
	}
}

func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
