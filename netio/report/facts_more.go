package report

// Kinds of fact that the agent is told what to look for of.
const (
	KindHardware = "hardware"
	KindScripts  = "scripts"
)

// HardwareAttributes are the words of Probe.Hardware: what a machine says of itself. Numbers
// are decimal, memory is in MiB, tpm is its version, secure-boot is on or off.
func HardwareAttributes() []string {
	return []string{
		"manufacturer", "model", "serial", "uuid", "board-manufacturer", "board", "bios-vendor", "bios-version", "bios-date",
		"chassis", "cpu", "cpus", "memory", "tpm", "secure-boot",
	}
}

// ScriptProbe is a script of the appliance's that answers a question: a file below
// PathFile, which is run only when it has the digest. Signature is as of an Action with
// VerbScript.
type ScriptProbe struct {
	Name      string `json:"name"`
	SHA256    string `json:"sha256"`
	Signature string `json:"signature,omitempty"`
}

// Hardware answers Probe.Hardware.
type Hardware struct {
	Items []HardwareItem `json:"items"`
	Error string         `json:"error,omitempty"`
}

// HardwareItem is one attribute of the machine.
type HardwareItem struct {
	Attribute string `json:"attribute"` // as in the probe
	State     string `json:"state"`     // present, absent, unknown
	Reason    string `json:"reason,omitempty"`
	Value     string `json:"value,omitempty"`
}

// Scripts answers Probe.Scripts.
type Scripts struct {
	Items []Script `json:"items"`
	Error string   `json:"error,omitempty"`
}

// Script is what a script said. Only one that ran to its end is present.
type Script struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"` // of what ran, or would have
	State  string `json:"state"`  // present, unknown
	Reason string `json:"reason,omitempty"`
	Exit   int    `json:"exit"`             // status
	Output string `json:"output,omitempty"` // the end of what it printed
}

func (h *Hardware) fields(w *walker) {
	items(w, "items", &h.Items, &h.Error, func(i *HardwareItem) {
		w.need("attribute", i.Attribute)
		w.token("attribute", i.Attribute, wordMax)
		known(w, i.State, &i.Reason, StatePresent, StateAbsent)
		w.text("value", &i.Value, nameMax)
	})
}

func (s *Scripts) fields(w *walker) {
	items(w, "items", &s.Items, &s.Error, func(i *Script) {
		w.need("name", i.Name)
		w.token("name", i.Name, tokenMax)
		if !isDigest(i.SHA256) {
			w.fail(malformed("%ssha256: not 64 lower-case hexadecimal digits", w.prefix))
		}
		known(w, i.State, &i.Reason, StatePresent)
		w.chars("output", &i.Output, dataMax, func(r rune) bool { return r != '\n' && Deceiving(r) })
	})
}

func (s *ScriptProbe) fields(w *walker) {
	w.need("name", s.Name)
	w.token("name", s.Name, tokenMax)
	if !isDigest(s.SHA256) {
		w.fail(malformed("%ssha256: not 64 lower-case hexadecimal digits", w.prefix))
	}
	w.token("signature", s.Signature, tokenMax)
}
