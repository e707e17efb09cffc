package authz

import (
	"fmt"
	"strconv"
	"strings"

	"sallyport/netio/radius"
	"sallyport/ops/config"
)

// Limits of a downloadable ACL.
const (
	// daclNameMax is what ACS:CiscoSecure-Defined-ACL leaves of a pair, less prefix and
	// version.
	daclNameMax = radius.VendorMax - len("ACS:CiscoSecure-Defined-ACL=") - len(daclPrefix) - 1 - versionLen
	// daclLinesMax bounds what a NAS downloads: some hundred packets, each its own
	// round trip.
	daclLinesMax = 4096
)

func (c *compiler) compileDACLs() {
	for name, written := range c.in.DACLs.All() {
		at := len(c.faults)
		path := "dacls." + name
		c.daclName(name, written, path)
		lines := c.daclLines(written, path)
		if len(c.faults) > at {
			c.dacls[name] = nil // known, and reported
			continue
		}
		d := newDACL(name, lines, written.Pos)
		c.dacls[name] = d
		c.out.dacls[d.FullName] = d
		base, _ := splitVersion(d.FullName)
		c.out.versions[base] = d
	}
}

func (c *compiler) daclName(name string, written *config.DACL, path string) {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.'
	}
	switch {
	case name == "" || strings.IndexFunc(name, func(r rune) bool { return !plain(r) }) >= 0:
		c.fault(written.Pos, path, fmt.Sprintf("%q cannot be the name of a dACL", name), "letters, digits, and any of _ - . may stand in it")
	case len(name) > daclNameMax:
		c.fault(written.Pos, path, fmt.Sprintf("the name has %d octets, at most %d fit", len(name), daclNameMax), "the NAS is told its name with prefix and version in one attribute")
	}
}

func (c *compiler) daclLines(written *config.DACL, path string) []string {
	if len(written.Lines) == 0 {
		c.fault(written.Pos, path, "the dACL is empty", `a NAS denies everything then; write "deny ip any any" if that is meant`)
	}
	if len(written.Lines) > daclLinesMax {
		c.fault(written.Pos, path, fmt.Sprintf("the dACL has %d lines, at most %d", len(written.Lines), daclLinesMax), "")
		return nil
	}
	var lines []string
	for i, text := range written.Lines {
		line := strings.TrimSpace(text.Value)
		pos := text.Pos
		if pos.IsZero() {
			pos = written.Pos
		}
		if message, hint := daclLine(line, i+1); message != "" {
			c.fault(pos, path+"["+strconv.Itoa(i)+"]", message, hint)
		}
		lines = append(lines, line)
	}
	return lines
}

// daclLine says what is wrong with line number n, if anything.
func daclLine(line string, n int) (message, hint string) {
	verb, rest, _ := strings.Cut(line, " ")
	switch strings.ToLower(verb) {
	case "permit", "deny":
		if strings.TrimSpace(rest) == "" {
			return verb + " says not what", `such as "permit ip any any"`
		}
	case "remark":
	case "":
		return "the line is empty", "remove it"
	default:
		hint := "a line begins with permit, deny or remark"
		if near := config.Nearest(verb, []string{"permit", "deny", "remark"}); near != "" {
			hint = "did you mean " + near + "?"
		} else if strings.HasPrefix(verb, "access-list") || strings.HasPrefix(verb, "ip") {
			hint = "only the entry itself goes into a dACL, from permit or deny on"
		}
		return fmt.Sprintf("%q does not begin an entry", verb), hint
	}
	if at := strings.IndexFunc(line, func(r rune) bool { return r < ' ' || r > '~' }); at >= 0 {
		return fmt.Sprintf("octet %d is not a printable character of ASCII", at+1), "a NAS does not read it"
	}
	if octets := len("ip:inacl#") + len(strconv.Itoa(n)) + 1 + len(line); octets > radius.VendorMax {
		return fmt.Sprintf("the entry takes %d octets as ip:inacl#%d, at most %d fit", octets, n, radius.VendorMax), "split it into several entries"
	}
	return "", ""
}
