package endtoend

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"

	"sallyport/coa/coatest/freeradius"
	"sallyport/engine/record"
	"sallyport/netio/radius"
)

// redirected logs in and returns the redirect URL.
func (n *nas) redirected(a *appliance, audit string) string {
	n.t.Helper()
	return n.redirectedAs(a, audit, nil)
}

// redirectedAs is redirected for an endpoint that the NAS tells more of.
func (n *nas) redirectedAs(a *appliance, audit string, more func(*radius.Builder)) string {
	n.t.Helper()
	v := n.exchange(a.auth(), n.pap("cisco", "cisco", audit, more))
	to, ok := v.AVPair("url-redirect")
	if v.Code() != radius.AccessAccept || !ok {
		n.t.Fatalf("%s without a redirect", v.Code())
	}
	return string(to)
}

// settled waits until a change of the session has ended and returns its row.
func (a *appliance) settled(id string) *record.Decision {
	a.t.Helper()
	var row *record.Decision
	eventually(a.t, "the change of session "+id+" ends", func() bool {
		row = a.row(func(d *record.Decision) bool {
			return d.Kind == record.KindCoA && d.SessionID == id && (d.Status == record.Passed || d.Status == record.Failed)
		})
		return row != nil
	})
	return row
}

// TestFreeRADIUSHearsTheAppliance: reports come in over HTTPS, and an independent server
// hears the CoA-Requests: for one session that it knows and one that it does not know; a
// third NAS says nothing (RFC 5176 section 3.5).
func TestFreeRADIUSHearsTheAppliance(t *testing.T) {
	t.Parallel()
	const known, unknown, unheard = "0a3042ca0001d00056e2dce3", "0a3042ca0001e00056e2dce4", "0a3042ca0001f00056e2dce5"
	server := freeradius.Start(t, freeradius.Options{Secret: sharedSecret, Sessions: []string{known}})
	a := newAppliance(t, "COAPORT", fmt.Sprint(server.CoA.Port()))
	deaf, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 3), Port: int(server.CoA.Port())})
	must(t, err)
	defer deaf.Close()
	for id, from := range map[string]string{known: "127.0.0.1", unknown: "127.0.0.1", unheard: "127.0.0.3"} {
		d := a.device()
		d.bind(newNAS(t, from).redirected(a, id))
		d.compliant()
	}

	row := a.settled(known)
	if s := a.session(known); row.Status != record.Passed || s.State != "live" || s.Authorization.Profile != "FullAccess" ||
		s.Posture.Status != "Compliant" || s.Change != nil || s.LastChange == nil || s.LastChange.Outcome != "ack" {
		t.Errorf("acknowledged: %+v, %+v", row, s)
	}
	row = a.settled(unknown)
	if s := a.session(unknown); row.Status != record.Failed || !strings.Contains(row.Reason, "503") ||
		s.State != "ended" || !strings.Contains(s.EndCause, "503") {
		t.Errorf("refused: %+v, %+v", row, s)
	}
	row = a.settled(unheard)
	s := a.session(unheard)
	if row.Status != record.Failed || !strings.Contains(row.Reason, "no answer from 127.0.0.3:") || row.AuthorizationProfile != "FullAccess" {
		t.Errorf("silence in the live log: %+v", row)
	}
	if s.State != "live" || s.Authorization.Profile != "Posture_Redirect" || s.LastChange == nil || s.LastChange.Outcome != "silent" || s.LastChange.Attempts != 2 {
		t.Errorf("silence in the session: %+v, %+v", s, s.LastChange)
	}
	out, _, _ := a.run("sessions", unheard, "--json")
	var object map[string]any
	if err := json.Unmarshal([]byte(out), &object); err != nil || object["last_change"].(map[string]any)["outcome"] != "silent" {
		t.Errorf("%v: %s", err, out)
	}

	for _, packet := range server.Received(t, "CoA-Request", 2) {
		got := strings.Join(packet, "\n")
		for _, want := range []string{"Message-Authenticator = 0x", "NAS-IP-Address = 127.0.0.1", `Cisco-AVPair = "coa-push=true"`,
			`Cisco-AVPair = "ACS:CiscoSecure-Defined-ACL=#ACSACL#-IP-PERMIT_ALL_TRAFFIC-`} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not in what FreeRADIUS decoded:\n%s", want, got)
			}
		}
	}
}

// TestFreeRADIUSDisconnects: an operator ends a session on a NAS that shares no code with us.
func TestFreeRADIUSDisconnects(t *testing.T) {
	t.Parallel()
	server := freeradius.Start(t, freeradius.Options{Secret: sharedSecret, Sessions: []string{auditID}})
	a := newAppliance(t, "COAPORT", fmt.Sprint(server.CoA.Port()))
	newNAS(t, "127.0.0.1").redirected(a, auditID)
	out, fault, code := a.run("coa", "disconnect", auditID, "--json")
	if s := a.session(auditID); code != 0 || s.State != "ended" || s.LastChange == nil || s.LastChange.Outcome != "ack" {
		t.Errorf("exit code %d, %s%s: %+v", code, out, fault, s)
	}
	server.Received(t, "Disconnect-Request", 1)
	out, fault, code = a.run("coa", "test", "asa", "--json")
	if code != 0 || !strings.Contains(out, `"sound":true`) {
		t.Errorf("rehearsal: exit code %d, %s%s", code, out, fault)
	}
}
