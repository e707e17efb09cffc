package config

import (
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sallyport/ops/clock"
)

// check holds the sections against each other: what one key alone cannot tell.
func (l *loader) check() {
	l.checkAppliance()
	l.checkListen()
	l.checkNAS()
	l.checkStores()
	l.checkPostureAgent()
	l.checkPortal()
	l.checkSessions()
	l.checkSteps()
	l.checkReload()
}

// at is where the value of path stands, or else where it would.
func (l *loader) at(path string, or Pos) Pos {
	if pos, ok := l.given[path]; ok {
		return pos
	}
	return or
}

func (l *loader) checkReload() {
	r := &l.config.Reload
	if _, ok := r.Limit(0); !ok && r.Most.Value != "" {
		l.fault(r.Most.Pos, "reload.most-changed", fmt.Sprintf("%q is neither a number of sessions nor a share of them", r.Most.Value), "such as 100, or 5%")
	}
}

func (l *loader) checkAppliance() {
	for _, host := range []struct {
		text Text
		path string
	}{{l.config.Appliance.Name, "appliance.name"}, {l.config.Portal.Name, "portal.name"}} {
		if host.text.Value != "" && !isHost(host.text.Value) {
			l.fault(host.text.Pos, host.path, fmt.Sprintf("%q is neither a DNS name nor an address", host.text.Value), "without scheme, port or path")
		}
	}
}

// isHost accepts an IP address or a DNS name (RFC 1123 section 2.1).
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range label {
			if !(c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
				return false
			}
		}
	}
	return true
}

// checkListen refuses the same address twice for one transport.
func (l *loader) checkListen() {
	c := &l.config.Listen
	udp, tcp := map[string]string{}, map[string]string{}
	take := func(used map[string]string, a Address, path string) {
		_, port, err := net.SplitHostPort(a.Value)
		if err != nil || port == "0" {
			return // off, or any free port
		}
		if other, ok := used[a.Value]; ok {
			l.fault(a.Pos, path, a.Value+" is in use by "+other, "every listener needs its own address or port")
			return
		}
		used[a.Value] = path
	}
	for i, a := range c.Authentication {
		take(udp, a, fmt.Sprintf("listen.authentication[%d]", i))
	}
	for i, a := range c.Accounting {
		take(udp, a, fmt.Sprintf("listen.accounting[%d]", i))
	}
	take(tcp, c.Portal, "listen.portal")
	take(tcp, c.Console, "listen.console")
	take(tcp, c.Metrics, "listen.metrics")
}

// sessionLimitMin is the shortest limit of a session: a shorter one is a unit forgotten.
const sessionLimitMin = time.Minute

// checkSessions: a limit is none, or long enough that what is well does not run into it.
func (l *loader) checkSessions() {
	c, agent := &l.config.Sessions, &l.config.Posture.Agent
	for _, limit := range []struct {
		path string
		is   time.Duration
	}{{"sessions.purge-without-interim", c.PurgeWithoutInterim}, {"sessions.idle-timeout", c.IdleTimeout}, {"sessions.session-timeout", c.SessionTimeout}} {
		if limit.is > 0 && limit.is < sessionLimitMin {
			l.fault(l.at(limit.path, Pos{File: l.config.File}), limit.path, fmt.Sprintf("%s is less than %s", limit.is, sessionLimitMin), "0 switches it off")
		}
	}
	switch {
	case c.MaxPerNAS > c.Max:
		const path = "sessions.max-per-nas"
		l.fault(l.at(path, Pos{File: l.config.File}), path, fmt.Sprintf("%d is more than sessions.max, %d", c.MaxPerNAS, c.Max), "one NAS could have the whole table: give it a part")
	case c.MaxPerNAS == 0:
		c.MaxPerNAS = c.Max
		if n := l.config.NAS; len(n) != 1 || len(n[0].Addresses) != 1 || !n[0].Addresses[0].IsSingleIP() {
			c.MaxPerNAS = max(1, c.Max/4*3)
		}
	}
	if c.IdleTimeout >= sessionLimitMin && c.IdleTimeout <= agent.ReportValid {
		const path = "sessions.idle-timeout"
		l.warn(l.at(path, Pos{File: l.config.File}), path, "it ends sessions whose agent is only late",
			fmt.Sprintf("an agent is believed for %s without a word (posture.agent.report-valid)", agent.ReportValid))
	}
}

func (l *loader) checkNAS() {
	names, prefixes := map[string]Pos{}, map[netip.Prefix]string{}
	for i := range l.config.NAS {
		n := &l.config.NAS[i]
		path := fmt.Sprintf("nas[%d]", i)
		if first, ok := names[n.Name.Value]; ok {
			l.fault(n.Name.Pos, path+".name", fmt.Sprintf("there are two NASes named %q", n.Name.Value), "first at "+first.String())
		} else if n.Name.Value != "" {
			names[n.Name.Value] = n.Name.Pos
		}
		for _, p := range n.Addresses {
			if other, ok := prefixes[p]; ok {
				l.fault(l.at(path+".address", n.Pos), path+".address", p.String()+" belongs to "+other+" already", "a packet's source must tell its NAS")
				continue
			}
			prefixes[p] = n.Name.Value
		}
		l.checkSource(n, path+".coa.source")
	}
	if len(l.config.NAS) == 0 {
		l.warn(Pos{File: l.config.File}, "nas", "no NAS is configured: every packet will be dropped", "")
	}
}

// checkSource: an address to send from is of a family that the NAS has.
func (l *loader) checkSource(n *NAS, path string) {
	for _, source := range n.CoA.Source {
		if len(n.Addresses) > 0 && !slices.ContainsFunc(n.Addresses, func(p netip.Prefix) bool { return p.Addr().Is4() == source.Is4() }) {
			family := map[bool]string{true: "IPv4", false: "IPv6"}[source.Is4()]
			l.fault(l.at(path, n.Pos), path, fmt.Sprintf("%s is of %s, and the NAS has no address of that", source, family), "an address of this machine from which the NAS can be reached")
		}
	}
}

func (l *loader) checkStores() {
	first := map[string]Pos{}
	for i, s := range l.config.Identity.Stores {
		if at, ok := first[s.Name.Value]; ok {
			l.fault(s.Name.Pos, fmt.Sprintf("identity.stores[%d].name", i), fmt.Sprintf("there are two stores named %q", s.Name.Value), "first at "+at.String())
		}
		first[s.Name.Value] = s.Name.Pos
	}
}

// deviceDigits is how long the name of a device is.
const deviceDigits = 24

// checkPostureAgent: facts must stay valid for longer than the agent may be silent. By default
// a session whose agent was killed is noticed within three heartbeats; an agent that lives sends
// a report that was lost again within seconds.
func (l *loader) checkPostureAgent() {
	a := &l.config.Posture.Agent
	if a.ReportValid == 0 && a.Heartbeat > 0 {
		a.ReportValid = 3 * a.Heartbeat
	}
	if a.ReportValid < a.Heartbeat {
		l.fault(l.at("posture.agent.report-valid", a.Pos), "posture.agent.report-valid", fmt.Sprintf("report-valid %s is shorter than heartbeat %s: healthy endpoints would be lost", a.ReportValid, a.Heartbeat), "three heartbeats, the default, forgive an agent that is late")
	}
	for i := range a.Revoked {
		d := &a.Revoked[i]
		if _, err := hex.DecodeString(d.Value); err != nil || len(d.Value) != deviceDigits {
			l.fault(d.Pos, fmt.Sprintf("posture.agent.revoked[%d]", i), fmt.Sprintf("%q is not a device", d.Value), "24 hexadecimal digits, as sallyport sessions ID shows them")
		}
	}
}

func (l *loader) checkPortal() {
	p := &l.config.Portal
	if own := &p.Limits; own.ConnectionsPerAddress > own.Connections {
		const path = "portal.limits.connections-per-address"
		l.fault(l.at(path, Pos{File: l.config.File}), path, fmt.Sprintf("%d is more than portal.limits.connections, %d", own.ConnectionsPerAddress, own.Connections),
			"one address could have all of them: give it a part")
	}
	switch {
	case p.Certificate.Value == "" && p.Key.Value == "":
		return
	case p.Key.Value == "":
		l.fault(p.Certificate.Pos, "portal.certificate", "a certificate without its key", "give portal.key too, or leave both out for a self-signed pair")
		return
	case p.Certificate.Value == "":
		l.fault(p.Key.Pos, "portal.key", "a key without its certificate", "give portal.certificate too, or leave both out for a self-signed pair")
		return
	}
	certificate, _, ok := l.read(p.Certificate.Value, p.Certificate.Pos, fileBytesMax)
	key, mode, ok2 := l.read(p.Key.Value, p.Key.Pos, fileBytesMax)
	if !ok || !ok2 {
		return
	}
	if mode.Perm()&0o007 != 0 {
		l.warn(p.Key.Pos, "portal.key", fmt.Sprintf("everybody may read %s (mode %04o)", p.Key.Value, mode.Perm()), "chmod 600")
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		l.fault(p.Certificate.Pos, "portal.certificate", "certificate and key do not work together: "+strings.TrimPrefix(err.Error(), "tls: "), "both are PEM; the certificate of the portal comes first, then its issuers")
		return
	}
	name := p.Name.Value
	if name == "" {
		name = l.config.Appliance.Name.Value
	}
	if err := pair.Leaf.VerifyHostname(name); err != nil && name != "" {
		l.warn(p.Certificate.Pos, "portal.certificate", "the certificate is not for "+name, "agents and browsers refuse it: issue one with this name")
	}
	l.checkExpiry(p.Certificate.Pos, pair.Leaf.NotAfter, clock.System{}.Now())
}

// checkExpiry: an expired certificate is a fault, since no agent accepts it; one in its
// last two weeks a warning, in time to have another issued.
func (l *loader) checkExpiry(at Pos, expires, now time.Time) {
	const soon = 14 * 24 * time.Hour
	const hint = "have a new one issued; SIGHUP takes it into use"
	until := expires.UTC().Format("2006-01-02 15:04 MST")
	switch {
	case expires.Before(now):
		l.fault(at, "portal.certificate", "the certificate expired at "+until, hint)
	case expires.Before(now.Add(soon)):
		l.warn(at, "portal.certificate", "the certificate expires at "+until, hint)
	}
}

// checkSteps: time runs forward in a test, and every step is there for something.
func (l *loader) checkSteps() {
	for i, t := range l.config.Tests {
		var last time.Duration
		for j, s := range t.Steps {
			if s.At < last {
				l.fault(s.Pos, fmt.Sprintf("tests[%d].steps[%d].at", i, j), "the step is earlier than the one before it", "put the steps in order")
			}
			last = s.At
		}
	}
}
