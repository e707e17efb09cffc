package report

import "encoding/json"

// tooMuch is the error of a group that did not fit.
const tooMuch = "there is more than fits in a report"

// shorten empties the largest group that is not empty already. Devices of USB go last:
// they are what a report is most often for.
func (f *Facts) shorten() bool {
	var largest func()
	most := 0
	consider := func(list any, n int, empty func()) {
		if n == 0 {
			return
		}
		b, err := json.Marshal(list)
		if err == nil && len(b) > most {
			most, largest = len(b), empty
		}
	}
	if g := f.Files; g != nil {
		consider(g.Items, len(g.Items), func() { *g = Files{Items: []File{}, Error: tooMuch} })
	}
	if g := f.Registry; g != nil {
		consider(g.Items, len(g.Items), func() { *g = Registry{Items: []RegistryItem{}, Error: tooMuch} })
	}
	if g := f.Services; g != nil {
		consider(g.Items, len(g.Items), func() { *g = Services{Items: []Service{}, Error: tooMuch} })
	}
	if g := f.Processes; g != nil {
		consider(g.Items, len(g.Items), func() { *g = Processes{Items: []Process{}, Error: tooMuch} })
	}
	if g := f.Packages; g != nil {
		consider(g.Items, len(g.Items), func() { *g = Packages{Items: []Package{}, Error: tooMuch} })
	}
	if g := f.Patch; g != nil {
		consider(g.Updates, len(g.Updates), func() { g.Updates = nil }) // the counts stay
	}
	if g := f.Encryption; g != nil {
		consider(g.Volumes, len(g.Volumes), func() { *g = Encryption{Volumes: []Volume{}, Error: tooMuch} })
	}
	if g := f.Firewall; g != nil {
		consider(g.Products, len(g.Products), func() { *g = Firewall{Products: []Product{}, Error: tooMuch} })
	}
	if g := f.AntiMalware; g != nil {
		consider(g.Products, len(g.Products), func() { *g = AntiMalware{Products: []Product{}, Error: tooMuch} })
	}
	if g := f.Hardware; g != nil {
		consider(g.Items, len(g.Items), func() { *g = Hardware{Items: []HardwareItem{}, Error: tooMuch} })
	}
	if g := f.Scripts; g != nil {
		consider(g.Items, len(g.Items), func() { *g = Scripts{Items: []Script{}, Error: tooMuch} })
	}
	if g := f.USB; g != nil && largest == nil {
		consider(g.Devices, len(g.Devices), func() { *g = USB{Devices: []USBDevice{}, Error: tooMuch} })
	}
	if largest == nil {
		return false
	}
	largest()
	return true
}
