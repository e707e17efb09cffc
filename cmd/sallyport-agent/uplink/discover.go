package uplink

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sallyport/netio/report"
)

// defaultPort is the appliance's portal, where a call-home entry has no port.
const defaultPort = "8443"

// Found is a trusted appliance. SessionID and Ticket come from a redirect; without one
// they are empty.
type Found struct {
	Appliance string // https://host:port
	SessionID string
	Ticket    string
}

// Discover looks for the appliance in two stages. The error names everything that was
// tried and why it did not lead anywhere.
func (c *Client) Discover(ctx context.Context) (Found, error) {
	found, tried := c.byRedirect(ctx)
	if found != nil {
		return *found, nil
	}
	for _, base := range c.callHome() {
		err := c.verifyAppliance(ctx, base)
		if err == nil {
			return Found{Appliance: base}, nil
		}
		if ctx.Err() != nil {
			return Found{}, ctx.Err()
		}
		tried = append(tried, fmt.Sprintf("%s: %v", strings.TrimPrefix(base, "https://"), err))
	}
	if len(tried) == 0 {
		return Found{}, errors.New("nowhere to look: no default gateway, no discovery host, no call-home list")
	}
	return Found{}, fmt.Errorf("no appliance found (%s)", strings.Join(tried, "; "))
}

// callHome lists the bases of stage 2: configured, then known before.
func (c *Client) callHome() []string {
	var bases []string
	for _, s := range c.cfg.Servers {
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			host, port = strings.Trim(s, "[]"), defaultPort
		}
		bases = append(bases, "https://"+net.JoinHostPort(host, port))
	}
	for _, known := range c.cfg.Memory.Appliances() {
		if !slices.Contains(bases, known) {
			bases = append(bases, known)
		}
	}
	return bases
}

// probed is how one probe of stage 1 ended.
type probed struct {
	found *Found
	err   string
}

// byRedirect is stage 1: every target at once, the first trusted appliance wins.
func (c *Client) byRedirect(ctx context.Context) (*Found, []string) {
	var targets []string
	for _, gw := range c.cfg.Gateways() {
		targets = append(targets, gw.String())
	}
	for _, host := range c.cfg.DiscoveryHosts {
		if !slices.Contains(targets, host) {
			targets = append(targets, host)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan probed, len(targets))
	for _, target := range targets {
		go func() {
			found, err := c.probe(ctx, target)
			if err != nil {
				results <- probed{err: fmt.Sprintf("http://%s: %v", target, err)}
				return
			}
			results <- probed{found: found}
		}()
	}
	var tried []string
	for range targets {
		r := <-results
		if r.found != nil {
			return r.found, nil
		}
		tried = append(tried, r.err)
	}
	slices.Sort(tried)
	return nil, tried
}

// probe asks one target and verifies the appliance it redirects to.
func (c *Client) probe(ctx context.Context, target string) (*Found, error) {
	if strings.Count(target, ":") > 1 && !strings.HasPrefix(target, "[") {
		target = "[" + target + "]" // an IPv6 address without a port
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target+report.PathDiscovery, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.plain.Do(req)
	if err != nil {
		return nil, plainError(err)
	}
	resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, fmt.Errorf("no redirect, but %s", statusOf(resp))
	}
	found, err := parseRedirect(resp.Header.Get("Location"))
	if err != nil {
		return nil, err
	}
	if err := c.verifyAppliance(ctx, found.Appliance); err != nil {
		return nil, fmt.Errorf("redirected to %s: %w", found.Appliance, err)
	}
	return found, nil
}

// Longest values of a redirect that are taken on; the whole URL of a NAS has 234 octets.
const (
	sessionIDMax = 64
	ticketMax    = 128
	hostMax      = 253 // RFC 1035 section 2.3.4, less what only the wire needs
)

// parseRedirect reads the Location of a NAS. Only the gateway page of an appliance over
// HTTPS will do, so a hotel's portal is not mistaken for one.
func parseRedirect(location string) (*Found, error) {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("redirected to %.100q, which is no address", location)
	}
	query := u.Query()
	found := &Found{SessionID: query.Get(report.QuerySessionID), Ticket: query.Get(report.QueryTicket)}
	switch {
	case u.Scheme != "https":
		return nil, fmt.Errorf("redirected to %.100q, which is not https", location)
	case !plain(u.Hostname(), hostMax, "-_.:%"):
		return nil, fmt.Errorf("redirected to %.100q, which is no name of a host", location)
	case u.User != nil, u.Path != report.PathGateway:
		return nil, fmt.Errorf("redirected to %.100q, which is no appliance's %s", location, report.PathGateway)
	case !plain(found.SessionID, sessionIDMax, "-_.:"), !plain(found.Ticket, ticketMax, "-_"):
		return nil, fmt.Errorf("redirected to %.100q without a usable session and ticket", location)
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	found.Appliance = "https://" + net.JoinHostPort(u.Hostname(), port)
	return found, nil
}

// plain wants letters, digits and some others, at least one and at most max.
func plain(s string, max int, others string) bool {
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune(others, r) {
			return false
		}
	}
	return s != "" && len(s) <= max
}

// verifyAppliance makes sure over a trusted certificate that an appliance answers, and
// remembers the first one when first use is to be trusted.
func (c *Client) verifyAppliance(ctx context.Context, base string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+report.PathDiscovery, nil)
	if err != nil {
		return err
	}
	resp, err := c.https.Do(req)
	if err != nil {
		return plainError(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return notOK(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, report.DiscoveryBytesMax+1))
	if err != nil {
		return plainError(err)
	}
	d, err := report.DecodeDiscovery(body)
	if err != nil {
		return fmt.Errorf("no appliance: %s", err.Error())
	}
	if err := c.vouched(base, d, resp.TLS.PeerCertificates[0]); err != nil {
		return err
	}
	return c.adopt(hostOf(strings.TrimPrefix(base, "https://")), resp.TLS.PeerCertificates)
}

// adopt remembers the key of the first appliance that nothing else makes trusted.
func (c *Client) adopt(host string, chain []*x509.Certificate) error {
	t := &c.cfg.Trust
	if !t.FirstUse || len(t.Pins) > 0 || t.verifyChain(host, chain) == nil {
		return nil
	}
	return c.cfg.Memory.TrustFirst(keyPin(chain[0]))
}
