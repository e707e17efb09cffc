package collect

import (
	"context"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"sallyport/netio/report"
)

// valueMax bounds what is read of one value: more than fits into a report.
const valueMax = 2048

var hives = map[string]registry.Key{
	"HKLM": registry.LOCAL_MACHINE, "HKU": registry.USERS, "HKCR": registry.CLASSES_ROOT, "HKCC": registry.CURRENT_CONFIG,
}

var views = map[string]uint32{"32": registry.WOW64_32KEY, "64": registry.WOW64_64KEY}

// registryItems answers the policy's RegistryProbes. HKCU is that of every person whose
// hive is loaded: the agent's own user is no person.
func registryItems(ctx context.Context, s *survey) *report.Registry {
	out := &report.Registry{Items: []report.RegistryItem{}}
	for _, p := range s.probe.Registry {
		if ctx.Err() != nil {
			out.Error = "there was no time for all of the registry"
			return out
		}
		if p.Hive != "HKCU" {
			out.Items = append(out.Items, registryItem(p, hives[p.Hive], p.Key))
			continue
		}
		for _, sid := range peopleSIDs() {
			item := registryItem(p, registry.USERS, sid+`\`+p.Key)
			item.User = accountName(sid)
			out.Items = append(out.Items, item)
		}
	}
	return out
}

// peopleSIDs lists people with a profile here.
func peopleSIDs() []string {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, profileList, registry.ENUMERATE_SUB_KEYS)
	if err != nil {
		return nil
	}
	defer k.Close()
	names, err := k.ReadSubKeyNames(homesMax * 2)
	if err != nil && len(names) == 0 {
		return nil
	}
	var people []string
	for _, sid := range names {
		if strings.HasPrefix(sid, "S-1-5-21-") || strings.HasPrefix(sid, "S-1-12-1-") {
			people = append(people, sid)
		}
	}
	return people[:min(len(people), homesMax)]
}

func accountName(text string) string {
	sid, err := windows.StringToSid(text)
	if err != nil {
		return text
	}
	account, domain, _, err := sid.LookupAccount("")
	if err != nil {
		return text
	}
	return Printable(domain + `\` + account)
}

func registryItem(p report.RegistryProbe, hive registry.Key, path string) report.RegistryItem {
	item := report.RegistryItem{RegistryProbe: p}
	k, err := registry.OpenKey(hive, path, registry.QUERY_VALUE|views[p.View])
	if err != nil {
		return registryFailed(item, err)
	}
	defer k.Close()
	item.State = report.StatePresent
	if p.Value == "" && !p.Default {
		return item
	}
	buf := make([]byte, valueMax)
	n, kind, err := k.GetValue(p.Value, buf)
	if err != nil && !errors.Is(err, registry.ErrShortBuffer) {
		return registryFailed(item, err)
	}
	item.Type, item.Data = registryData(k, p.Value, kind, buf[:min(n, len(buf))])
	return item
}

func registryFailed(item report.RegistryItem, err error) report.RegistryItem {
	if errors.Is(err, registry.ErrNotExist) {
		item.State = report.StateAbsent
	} else {
		item.State, item.Reason = report.StateUnknown, Printable(err.Error())
	}
	return item
}

// registryData is a value in the words of the document.
func registryData(k registry.Key, name string, kind uint32, raw []byte) (string, string) {
	switch kind {
	case registry.SZ, registry.EXPAND_SZ:
		s, _, err := k.GetStringValue(name)
		if err == nil {
			return "string", s
		}
	case registry.DWORD, registry.QWORD, registry.DWORD_BIG_ENDIAN:
		n, _, err := k.GetIntegerValue(name)
		if err == nil {
			return "number", strconv.FormatUint(n, 10)
		}
	case registry.MULTI_SZ:
		list, _, err := k.GetStringsValue(name)
		if err == nil {
			return "strings", strings.Join(list, "\n")
		}
	}
	return "binary", hex.EncodeToString(raw[:min(len(raw), valueMax/4)])
}

// registryNumber reads a number of HKLM; false when there is none.
func registryNumber(path, name string) (uint64, bool) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.QUERY_VALUE)
	if err != nil {
		return 0, false
	}
	defer k.Close()
	n, _, err := k.GetIntegerValue(name)
	return n, err == nil
}

func registryThere(path string) bool {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.QUERY_VALUE)
	if err != nil {
		return false
	}
	k.Close()
	return true
}
