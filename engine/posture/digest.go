package posture

import (
	"sallyport/engine/expr"
	"sallyport/netio/report"
)

// Digest says in a word each what facts say, for authorization rules. What was not
// collected is empty; what the agent could not tell is unknown.
func Digest(f *report.Facts) expr.Facts {
	if f == nil {
		return expr.Facts{}
	}
	var out expr.Facts
	if f.USB != nil {
		out.Storage = storageWord(f.USB)
	}
	if f.Firewall != nil {
		out.Firewall = productsWord(f.Firewall.Products, f.Firewall.Error)
	}
	if f.AntiMalware != nil {
		out.AntiMalware = productsWord(f.AntiMalware.Products, f.AntiMalware.Error)
	}
	if f.Encryption != nil {
		out.Encryption = encryptionWord(f.Encryption)
	}
	if f.Patch != nil {
		switch {
		case f.Patch.Error != "" || f.Patch.Manager == "":
			out.Updates = report.StateUnknown
		case f.Patch.Security > 0:
			out.Updates = "missing"
		default:
			out.Updates = "current"
		}
	}
	return out
}

// storageWord is the worst of the devices: one in use before one that is blocked.
func storageWord(u *report.USB) string {
	word := "none"
	for i := range u.Devices {
		switch d := &u.Devices[i]; {
		case !isStorage(d) || d.State == report.USBProtected:
		case d.State == report.USBBlocked:
			word = "blocked"
		default:
			return "in-use"
		}
	}
	if u.Error != "" {
		return report.StateUnknown
	}
	return word
}

// productsWord is the best of the products: one that is on is enough.
func productsWord(list []report.Product, trouble string) string {
	word := report.StateOff
	for i := range list {
		switch list[i].State {
		case report.StateOn:
			return report.StateOn
		case report.StateOff:
		default:
			word = report.StateUnknown
		}
	}
	if trouble != "" {
		return report.StateUnknown
	}
	return word
}

// encryptionWord is about the internal volumes together.
func encryptionWord(e *report.Encryption) string {
	encrypted, plain, other := 0, 0, 0
	for i := range e.Volumes {
		switch v := &e.Volumes[i]; {
		case v.External:
		case v.State == report.VolumeEncrypted:
			encrypted++
		case v.State == report.VolumePlain:
			plain++
		case v.State == report.StateUnknown:
			return report.StateUnknown
		default:
			other++
		}
	}
	switch {
	case e.Error != "" || encrypted+plain+other == 0:
		return report.StateUnknown
	case plain+other == 0:
		return "encrypted"
	case encrypted+other == 0:
		return "none"
	}
	return "partly"
}
