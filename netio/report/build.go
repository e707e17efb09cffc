package report

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// Build answers an agent that asks what it should be. Without a Version there is no other
// build for it, and Reason says why.
type Build struct {
	V       int    `json:"v"`
	Reason  string `json:"reason,omitempty"`
	Version string `json:"version,omitempty"`
	OS      string `json:"os,omitempty"`   // as in System.OS
	Arch    string `json:"arch,omitempty"` // empty: any
	File    string `json:"file,omitempty"` // its name below PathFile
	SHA256  string `json:"sha256,omitempty"`
	// Signature is Ed25519 over SignedText, base64. An agent takes no build without one.
	Signature string `json:"signature,omitempty"`

	SettingsName string `json:"settings_name,omitempty"`
	Settings     string `json:"settings,omitempty"` // lines of an agent's configuration file; empty: none are provisioned
}

// updateContext tells this signature from any other.
const updateContext = "sallyport-agent-v1"

// SignedText is what Signature signs: a build is for one system, and has one version.
func (u *Build) SignedText() []byte {
	return []byte(strings.Join([]string{updateContext, strconv.Quote(u.OS), strconv.Quote(u.Arch), strconv.Quote(u.Version), u.SHA256}, "\n"))
}

// SignedBy says why the build does not carry a signature that was made with the private half
// of key, nil when it does.
func (u *Build) SignedBy(key ed25519.PublicKey) error {
	if u.Signature == "" {
		return errors.New("it is not signed")
	}
	signature, err := base64.StdEncoding.DecodeString(u.Signature)
	if err != nil || !ed25519.Verify(key, u.SignedText(), signature) {
		return errors.New("its signature is not of the key that is expected, or of another build")
	}
	return nil
}

// DecodeBuild reads the answer to an agent that asks for an update.
func DecodeBuild(body []byte) (*Build, error) {
	d := new(Build)
	return whole(d, decode(body, BuildBytesMax, "update", d, &d.V))
}

func (u *Build) fields(w *walker) {
	w.text("reason", &u.Reason, reasonMax)
	w.token("version", u.Version, wordMax)
	w.token("os", u.OS, wordMax)
	w.token("arch", u.Arch, wordMax)
	w.token("file", u.File, tokenMax)
	if u.SHA256 != "" && !isDigest(u.SHA256) {
		w.fail(malformed("%ssha256: not 64 lower-case hexadecimal digits", w.prefix))
	}
	w.token("signature", u.Signature, tokenMax)
	w.text("settings_name", &u.SettingsName, nameMax)
	w.message("settings", &u.Settings)
}
