package engine

import (
	"slices"
	"strings"

	"sallyport/sessions"
)

// keep is an id with octets of its own.
func keep(id sessions.ID) sessions.ID { return sessions.ID(strings.Clone(string(id))) }

// keepSession is a record that shares no memory with s, for whoever wants it longer than
// the group of events that s lies in.
func keepSession(s *sessions.Session) *sessions.Session {
	out := *s
	out.ID = keep(s.ID)
	if s.Change != nil {
		change := *s.Change
		out.Change = &change
		keepTexts(&change.Kind, &change.Reason)
		keepGrant(&change.Grant)
	}
	keepTexts(&out.AuditSessionID, &out.NAS, &out.NASIdentifier, &out.NASPortID, &out.AcctSessionID,
		&out.CallingStationID, &out.CalledStationID, &out.TunnelGroup, &out.UserName, &out.Method, &out.OS, &out.EndCause,
		&out.OSVersion, &out.Hostname, &out.Domain,
		&out.Posture.DecisionID, &out.Posture.Message, &out.Posture.Agent, &out.Posture.AgentKind, &out.Posture.Binding.Nonce,
		&out.Settled.Kind, &out.Settled.Profile, &out.Settled.Outcome)
	keepGrant(&out.Grant)
	f := &out.Posture.Facts
	keepTexts(&f.Storage, &f.Firewall, &f.AntiMalware, &f.Encryption, &f.Updates)
	for _, list := range []*[]string{&out.Groups, &out.MACs, &out.Posture.Failed} {
		*list = slices.Clone(*list)
		for i := range *list {
			keepTexts(&(*list)[i])
		}
	}
	b := &out.Posture.Binding
	b.Key, b.ReportHash, b.Answer = slices.Clone(b.Key), slices.Clone(b.ReportHash), slices.Clone(b.Answer)
	return &out
}

func keepGrant(g *sessions.Grant) { keepTexts(&g.Profile, &g.Rule, &g.Text) }

func keepTexts(all ...*string) {
	for _, t := range all {
		*t = strings.Clone(*t)
	}
}
