package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"sallyport/coa"
	"sallyport/coa/recipe"
	"sallyport/netio/radius"
	"sallyport/ops/config"
)

// NAS is one configured device, or a prefix of them, made ready for packets.
type NAS struct {
	Name                        string
	Group                       string
	Key                         *radius.Key
	Recipe                      *recipe.Recipe
	RequireMessageAuthenticator bool
	LimitProxyState             bool

	prefixes []netip.Prefix
	coaPort  uint16
	target   coa.NAS      // without its address
	sources  []netip.Addr // to send from, at most one of each family
}

// CoATarget is where changes for a session of the NAS go: the NAS's address as its
// packets showed it, since one entry may stand for many.
func (n *NAS) CoATarget(address netip.Addr) *coa.NAS {
	to := n.target
	to.Addr = netip.AddrPortFrom(address, n.coaPort)
	for _, own := range n.sources {
		if own.Is4() == address.Unmap().Is4() {
			to.Source = own
		}
	}
	return &to
}

// Address is the NAS's address, false when the entry stands for several.
func (n *NAS) Address() (netip.Addr, bool) {
	if len(n.prefixes) != 1 || !n.prefixes[0].IsSingleIP() {
		return netip.Addr{}, false
	}
	return n.prefixes[0].Addr(), true
}

// nasTable finds a NAS by source address: single addresses by one look-up, prefixes by
// the longest that fits.
type nasTable struct {
	byName map[string]*NAS
	single map[netip.Addr]*NAS
	nets   []nasNet // longest prefix first
	list   []*NAS
}

type nasNet struct {
	prefix netip.Prefix
	nas    *NAS
}

func (t *nasTable) find(a netip.Addr) *NAS {
	if n := t.single[a]; n != nil {
		return n
	}
	for i := range t.nets {
		if t.nets[i].prefix.Contains(a) {
			return t.nets[i].nas
		}
	}
	return nil
}

func compileNAS(list []config.NAS, book *recipe.Book) (*nasTable, config.Faults) {
	t := &nasTable{byName: map[string]*NAS{}, single: map[netip.Addr]*NAS{}}
	var faults config.Faults
	for i := range list {
		c := &list[i]
		if c.Secret.Len() == 0 {
			continue // its secret could not be read, which is a fault already
		}
		n, fault := newNAS(c, book)
		if fault != nil {
			faults = append(faults, *fault)
			continue
		}
		t.byName[n.Name] = n
		t.list = append(t.list, n)
		for _, p := range n.prefixes {
			if p.IsSingleIP() {
				t.single[p.Addr()] = n
			} else {
				t.nets = append(t.nets, nasNet{p, n})
			}
		}
	}
	slices.SortStableFunc(t.nets, func(a, b nasNet) int { return b.prefix.Bits() - a.prefix.Bits() })
	return t, faults
}

// coaSources are the addresses that changes leave from; each has sockets of its own.
func coaSources(list []config.NAS) (sources []netip.Addr, faults config.Faults) {
	for i := range list {
		c := &list[i]
		for _, own := range c.CoA.Source {
			switch {
			case slices.Contains(sources, own):
			case len(sources) == coa.SourcesMax:
				return sources, config.Faults{{Pos: c.CoA.Pos, Path: "nas." + c.Name.Value + ".coa.source",
					Message: fmt.Sprintf("changes leave from %d addresses at most, and as many are named above", coa.SourcesMax),
					Hint:    "give NASes that are reached the same way the same source, or none"}}
			default:
				sources = append(sources, own)
			}
		}
	}
	slices.SortFunc(sources, netip.Addr.Compare)
	return sources, nil
}

func newNAS(c *config.NAS, book *recipe.Book) (*NAS, *config.Fault) {
	r, ok := book.Lookup(c.Recipe.Value)
	if !ok {
		return nil, &config.Fault{Pos: c.Recipe.Pos, Path: "nas." + c.Name.Value + ".recipe",
			Message: "there is no recipe \"" + c.Recipe.Value + "\"", Hint: config.DidYouMean(c.Recipe.Value, book.Names())}
	}
	key, err := radius.NewKey(c.Secret)
	if err != nil {
		return nil, &config.Fault{Pos: c.Pos, Path: "nas." + c.Name.Value + ".secret", Message: err.Error()}
	}
	coaKey := key
	if c.CoA.Secret.Len() > 0 {
		if coaKey, err = radius.NewKey(c.CoA.Secret); err != nil {
			return nil, &config.Fault{Pos: c.CoA.Pos, Path: "nas." + c.Name.Value + ".coa.secret", Message: err.Error()}
		}
	}
	n := &NAS{
		Name: c.Name.Value, Group: c.Group, Key: key, Recipe: r, prefixes: c.Addresses,
		RequireMessageAuthenticator: c.MessageAuthenticator == config.Require,
		LimitProxyState:             c.LimitProxyState, coaPort: r.Port(), sources: c.CoA.Source,
		target: coa.NAS{Name: c.Name.Value, Key: coaKey, Recipe: r, InFlightMax: c.CoA.InFlight, RateMax: c.CoA.Rate, ConfirmWithin: c.CoA.ConfirmWithin,
			Retry: coa.Retransmission{Initial: c.CoA.Timeout, CountMax: c.CoA.Retries + 1}},
	}
	n.target.Fallback, _ = recipe.ParseFallback(c.CoA.Fallback)
	if kind, ok := n.target.Fallback.Kind(); ok && r.Means(kind) == r.Apply() {
		return nil, &config.Fault{Pos: c.CoA.Pos, Path: "nas." + c.Name.Value + ".coa.fallback",
			Message: fmt.Sprintf("with the recipe %s a new authorization comes by %s already: after silence the same again is no way out", c.Recipe.Value, r.Apply()),
			Hint:    "write alarm, or leave it out"}
	}
	if c.CoA.Port != 0 {
		n.coaPort = uint16(c.CoA.Port)
	}
	return n, nil
}

// secretLeast is what RFC 2865 section 3 asks of a shared secret: as long as a digest.
// Whoever has one packet can try shorter ones at home, some billions a second.
const secretLeast = 16

// checkSecrets warns of secrets that can be guessed. The length is said, never the text.
func checkSecrets(c *config.Config) (warnings config.Warnings) {
	for i := range c.NAS {
		n := &c.NAS[i]
		for path, s := range map[string]int{"secret": n.Secret.Len(), "coa.secret": n.CoA.Secret.Len()} {
			if s > 0 && s < secretLeast {
				warnings = append(warnings, c.Fault(n.Pos, "nas."+n.Name.Value+"."+path,
					fmt.Sprintf("the shared secret has %d octets; one packet is enough to guess it", s),
					fmt.Sprintf("use at least %d random ones (RFC 2865 section 3), such as: openssl rand -base64 24", secretLeast)))
			}
		}
	}
	slices.SortFunc(warnings, func(a, b config.Fault) int { return cmp.Compare(a.Path, b.Path) })
	return warnings
}
