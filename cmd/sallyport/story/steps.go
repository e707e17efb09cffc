package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sallyport/coa/coatest"
	"sallyport/engine/record"
	"sallyport/netio/console"
	"sallyport/ops/usbfixture"
)

// step is one step of the story: play makes it happen where somebody has to, and waits
// until it was seen.
type step struct {
	key, title string
	play       func(s *stage, ctx context.Context) (seen, error)
}

// seen is a step that was seen: when, and what the sides said.
type seen struct {
	at             time.Time
	sent, answered string
}

// story is the reference story, and the stick that comes again.
func story() []step {
	return []step{
		{"access_accept_redirect", "Access-Accept with redirect", (*stage).login},
		{"redirect_followed", "redirect followed", (*stage).followRedirect},
		{"appliance_found", "agent finds the appliance", (*stage).findAppliance},
		{"noncompliant", "NonCompliant because of the stick", (*stage).nonCompliant},
		{"stick_blocked", "stick blocked", (*stage).blocked},
		{"compliant", "Compliant", (*stage).compliant},
		{"coa_request", "CoA-Request", (*stage).coaRequest},
		{"coa_ack", "CoA-ACK", (*stage).coaACK},
		{"full_access", "full access", (*stage).fullAccess},
		{"stick_plugged_again", "stick plugged again", (*stage).plugAgain},
		{"quarantined_again", "quarantined again by CoA", (*stage).quarantined},
	}
}

// Names of the configuration that the steps look for.
const (
	profileRedirect = "Posture_Redirect"
	profilePermit   = "PermitAccess"
	redirectPair    = "url-redirect="
	daclPair        = "ACS:CiscoSecure-Defined-ACL=#ACSACL#-IP-PERMIT_ALL_TRAFFIC-"
)

func (s *stage) login(ctx context.Context) (seen, error) {
	var err error
	s.session, err = s.asa.Login(ctx, user, s.password, coatest.Endpoint{
		PublicIP: netip.MustParseAddr(endpointIP), MAC: mac, Platform: "linux-64", Type: "endpoint of the demonstration"})
	if err != nil {
		return seen{}, err
	}
	if access := s.session.Authorization(); !access.Redirected() {
		return seen{}, fmt.Errorf("the Access-Accept redirects nowhere: access is %s", access)
	}
	asked, err := s.journal.await(ctx, s.last, packet(coatest.Sent, "Access-Request"))
	if err != nil {
		return seen{}, err
	}
	got, err := s.journal.await(ctx, asked.at, packet(coatest.Received, "Access-Accept"))
	if err != nil {
		return seen{}, err
	}
	_, err = s.journal.await(ctx, asked.at, func(e *event) bool {
		return e.row != nil && e.row.Kind == record.KindAuth && e.row.Status == record.Passed && e.row.AuthorizationProfile == profileRedirect
	})
	return seen{got.at, "ASA: " + packetWords(asked.nas), "appliance: " + packetWords(got.nas)}, err
}

func (s *stage) followRedirect(ctx context.Context) (seen, error) {
	v, err := s.browse(ctx)
	if err != nil {
		return seen{}, err
	}
	if !v.portal {
		return seen{}, fmt.Errorf("the browser was not led to the portal, but to %s", v.answered)
	}
	return seen{v.at, v.sent, v.answered}, nil
}

func (s *stage) findAppliance(ctx context.Context) (seen, error) {
	if err := s.startAgent(); err != nil {
		return seen{}, err
	}
	probe, err := s.journal.await(ctx, s.last, func(e *event) bool {
		return e.nas != nil && strings.HasPrefix(e.nas.Packet, "HTTP GET ") && strings.HasSuffix(e.nas.Packet, "/auth/discovery") && strings.HasPrefix(e.nas.Note, "302 ")
	})
	if err != nil {
		return seen{}, err
	}
	bound, err := s.journal.await(ctx, probe.at, func(e *event) bool {
		return e.row != nil && e.row.Kind == record.KindPosture && e.row.Details == "Agent bound to the session"
	})
	if err != nil {
		return seen{}, err
	}
	return seen{bound.at, "agent: " + strings.TrimPrefix(probe.nas.Packet, "HTTP ") + ", ASA: " + probe.nas.Note,
		"appliance: " + bound.row.Details + " " + bound.row.Reason}, nil
}

func (s *stage) nonCompliant(ctx context.Context) (seen, error) {
	e, err := s.journal.await(ctx, s.last, judged("NonCompliant"))
	if err != nil {
		return seen{}, err
	}
	if !strings.Contains(e.row.Reason, s.port) {
		return seen{}, fmt.Errorf("not because of the stick in port %s, but: %s", s.port, e.row.Reason)
	}
	return s.verdict(ctx, e.row, e.at)
}

func (s *stage) compliant(ctx context.Context) (seen, error) {
	e, err := s.journal.await(ctx, s.last, judged("Compliant"))
	if err != nil {
		return seen{}, err
	}
	return s.verdict(ctx, e.row, e.at)
}

// verdict tells a judged report by the appliance's own record of it.
func (s *stage) verdict(ctx context.Context, row *record.Decision, at time.Time) (seen, error) {
	var p record.Posture
	err := console.NewClient(s.bound.Control).Get(ctx, "/api/v1/reports/detail", url.Values{"decision_id": {row.ID}},
		func(line json.RawMessage) error { return json.Unmarshal(line, &p) })
	if err == nil && p.DecisionID != row.ID {
		err = fmt.Errorf("the decision %s of the live log is in no posture report", row.ID)
	}
	answered := "appliance: " + row.PostureStatus + ", profile " + row.AuthorizationProfile
	if row.Reason != "" {
		answered += " (" + row.Reason + ")"
	}
	return seen{at, "agent: " + reportWords(&p), answered}, err
}

// fileClock is how far behind the clock the times of files may be: they are those of
// the last timer interrupt.
const fileClock = 10 * time.Millisecond

func (s *stage) blocked(ctx context.Context) (seen, error) {
	iface := s.port + ":1.0"
	err := poll(ctx, func() (bool, error) {
		return !s.tree.Authorized(iface) && s.tree.Driver(iface) == "", s.tree.Err()
	})
	if err != nil {
		return seen{}, err
	}
	if lost := s.tree.Losses(); len(lost) > 0 {
		return seen{}, fmt.Errorf("data on the stick was lost: %s", strings.Join(lost, ", "))
	}
	info, err := os.Stat(s.path(sysroot, "sys/bus/usb/devices", iface, "authorized"))
	if err != nil {
		return seen{}, err
	}
	at := info.ModTime()
	if behind := s.last.Sub(at); 0 < behind && behind <= fileClock {
		at = s.last
	}
	calls := append(s.tree.Calls(), "authorized = 0")
	return seen{at, "agent: " + strings.Join(calls, ", "), "kernel: " + iface + " has no driver and no disk"}, nil
}

func (s *stage) coaRequest(ctx context.Context) (seen, error) {
	e, err := s.journal.await(ctx, s.last, packet(coatest.Received, "CoA-Request"))
	if err != nil {
		return seen{}, err
	}
	words := packetWords(e.nas)
	if !strings.Contains(words, daclPair) || strings.Contains(words, redirectPair) {
		return seen{}, fmt.Errorf("it is not for full access: %s", words)
	}
	return seen{e.at, "appliance: " + words, "ASA: takes it"}, nil
}

func (s *stage) coaACK(ctx context.Context) (seen, error) {
	e, err := s.journal.await(ctx, s.last, packet(coatest.Sent, "CoA-ACK"))
	if err != nil {
		return seen{}, err
	}
	row, err := s.journal.await(ctx, s.last, acknowledged(profilePermit))
	if err != nil {
		return seen{}, err
	}
	return seen{e.at, "ASA: " + packetWords(e.nas), "appliance: " + row.row.Details + ", " + row.row.Reason}, nil
}

func (s *stage) fullAccess(ctx context.Context) (seen, error) {
	asked, err := s.journal.await(ctx, s.last, packet(coatest.Sent, "Access-Request"))
	if err != nil {
		return seen{}, err
	}
	acl, err := s.journal.await(ctx, asked.at, packet(coatest.Received, "Access-Accept"))
	if err != nil {
		return seen{}, err
	}
	applied, err := s.journal.await(ctx, acl.at, inForce("dACL "))
	if err != nil {
		return seen{}, err
	}
	if err := s.session.WaitFor(ctx, coatest.Access.Full); err != nil {
		return seen{}, err
	}
	v, err := s.browse(ctx)
	if err == nil && v.portal {
		err = errors.New("the browser is still redirected: " + v.answered)
	}
	return seen{applied.at, "ASA: " + packetWords(asked.nas),
		"appliance: " + packetWords(acl.nas) + "; ASA: " + applied.nas.Note + "; browser: " + v.answered}, err
}

// plugAgain pulls the blocked stick, lets that be known, and puts it in again. The agent
// may block it before Plug returns, so what the pretended kernel said is what counts.
func (s *stage) plugAgain(ctx context.Context) (seen, error) {
	pulled := time.Now().Round(0)
	if err := s.tree.Unplug(s.port); err != nil {
		return seen{}, err
	}
	if _, err := s.journal.await(ctx, pulled, judged("Compliant")); err != nil {
		return seen{}, err
	}
	before, err := s.binds()
	if err != nil {
		return seen{}, err
	}
	at := time.Now().Round(0)
	if s.port, err = s.tree.Plug(usbfixture.Stick{Mount: mountPoint}); err != nil {
		return seen{}, err
	}
	after, err := s.binds()
	if err == nil && after <= before {
		err = fmt.Errorf("no driver took the stick in port %s", s.port)
	}
	return seen{at, "person: pulls the stick and plugs it in again", "kernel: a driver took it, port " + s.port}, err
}

// binds counts the kernel's messages that a driver took the stick.
func (s *stage) binds() (n int, err error) {
	names, err := filepath.Glob(s.path(sysroot, usbfixture.UeventsDir, "*"))
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return 0, err
		}
		if head, _, _ := strings.Cut(string(b), "\x00"); strings.HasPrefix(head, "bind@") && strings.HasSuffix(head, "/"+s.port+":1.0") {
			n++
		}
	}
	return n, err
}

// quarantined looks at what the ASA took and did. How it is afterwards says nothing:
// the agent blocks the stick again at once, and the next CoA is on its way.
func (s *stage) quarantined(ctx context.Context) (seen, error) {
	why, err := s.journal.await(ctx, s.last, judged("NonCompliant"))
	if err != nil {
		return seen{}, err
	}
	if why.row.AuthorizationProfile != profileRedirect {
		return seen{}, fmt.Errorf("the appliance gives the profile %s: %s", why.row.AuthorizationProfile, why.row.Reason)
	}
	asked, err := s.journal.await(ctx, why.at, packet(coatest.Received, "CoA-Request"))
	if err != nil {
		return seen{}, err
	}
	words := packetWords(asked.nas)
	if !strings.Contains(words, redirectPair) {
		return seen{}, fmt.Errorf("the CoA-Request is for no redirect: %s", words)
	}
	applied, err := s.journal.await(ctx, asked.at, inForce("redirect "))
	if err != nil {
		return seen{}, err
	}
	ack, err := s.journal.await(ctx, asked.at, packet(coatest.Sent, "CoA-ACK"))
	return seen{ack.at, "appliance: " + words, "ASA: CoA-ACK; " + applied.nas.Note}, err
}

// afterwards waits until the stick is blocked again and the endpoint well, so that the
// story ends as it would in life.
func (s *stage) afterwards(ctx context.Context) error {
	_, err := s.journal.await(ctx, s.last, acknowledged(profilePermit))
	if err == nil {
		err = s.session.WaitFor(ctx, coatest.Access.Full)
	}
	if err != nil {
		return fmt.Errorf("the stick was not blocked again, or full access did not come back: %w", err)
	}
	elapsed := s.print.since(time.Now())
	s.print.note("afterwards", fmt.Sprintf("%7.3fs  The agent has blocked it again, and full access is back.", elapsed), map[string]any{"elapsed": elapsed})
	return nil
}
