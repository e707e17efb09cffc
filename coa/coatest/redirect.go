package coatest

import (
	"fmt"
	"net/http"
	"net/netip"
)

// redirect answers for the whole web: while a redirect is in force every request is
// sent to its URL, as those are that the redirect ACL permits. Afterwards, and with no
// redirect from the start, a plain page says that access is open.
func (a *ASA) redirect(w http.ResponseWriter, r *http.Request) {
	what := "HTTP " + r.Method + " http://" + r.Host + r.URL.Path
	w.Header().Set("Cache-Control", "no-store")
	s, why := a.owner(r.RemoteAddr)
	session, access := "", Access{Blocked: why}
	if s != nil {
		session, access = s.auditID, s.Authorization()
	}
	say := func(note string) {
		a.step(Step{Direction: Received, Peer: r.RemoteAddr, Packet: what, Session: session, Note: note})
	}
	switch {
	case access.Blocked != "":
		say("403 " + access.Blocked)
		http.Error(w, access.Blocked, http.StatusForbidden)
	case access.Redirected():
		say("302 " + access.RedirectURL)
		http.Redirect(w, r, access.RedirectURL, http.StatusFound)
	default:
		say("200 full access")
		fmt.Fprintf(w, "full access: %s\n", access)
	}
}

// owner is the session whose tunnel or public address the client has, else the only one.
func (a *ASA) owner(remote string) (*ASASession, string) {
	all := a.live()
	if from, err := netip.ParseAddrPort(remote); err == nil {
		for _, s := range all {
			if client := from.Addr().Unmap(); client == s.tunnelIP || client == s.endpoint.PublicIP.Unmap() {
				return s, ""
			}
		}
	}
	switch len(all) {
	case 0:
		return nil, "no tunnel is open"
	case 1:
		return all[0], ""
	}
	return nil, fmt.Sprintf("%d tunnels are open, and none is of %s", len(all), remote)
}
