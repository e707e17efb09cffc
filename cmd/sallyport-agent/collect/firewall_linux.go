package collect

import (
	"context"
	"fmt"
	"strings"

	"sallyport/netio/report"
)

// chain is one base chain of nf_tables, or the rules of any chain.
type chain struct {
	family, table, name string
	input               bool // it sees what comes in for this machine
	drops               bool // by its policy
}

// ruleset is what nf_tables holds, as far as it matters here.
type ruleset struct {
	chains []chain
	rules  map[string]int  // by family and table
	refuse map[string]bool // tables with a rule that drops or rejects
}

// firewall reads nf_tables, which firewalld, ufw and the present iptables all write to.
// It is on when something that comes in can be refused: by the policy of a chain, or by a
// rule of its table. Whether the rules are good ones is not judged.
func firewall(ctx context.Context, s *survey) *report.Firewall {
	out := &report.Firewall{Products: []report.Product{}}
	if s.root != "/" && s.root != "" {
		out.Error = "the root is not this machine's, and its kernel's rules cannot be read"
		return out
	}
	set, err := readRuleset(ctx)
	if err != nil {
		out.Error = "nf_tables cannot be read: " + reason(err)
		return out
	}
	p := set.product()
	if names, err := readLimited("/proc/net/ip_tables_names", attributeMax); err == nil && strings.Contains(string(names), "filter") {
		out.Products = append(out.Products, report.Product{Name: "iptables (legacy)", State: report.StateUnknown,
			Reason: "its rules are there, but are not read by this agent"})
	}
	out.Products = append(out.Products, p)
	return out
}

// product judges the rules.
func (set *ruleset) product() report.Product {
	p := report.Product{Name: "nftables", Vendor: "netfilter", State: report.StateOff}
	for _, c := range set.chains {
		if !c.input {
			continue
		}
		table := c.family + " " + c.table
		policy := "accept"
		if c.drops {
			policy = "drop"
		}
		if c.drops || set.refuse[table] {
			p.State = report.StateOn
		}
		p.Profiles = append(p.Profiles, Printable(fmt.Sprintf("%s %s policy %s, %d rules", table, c.name, policy, set.rules[table])))
	}
	p.Profiles = p.Profiles[:min(len(p.Profiles), pathsMax)]
	return p
}
