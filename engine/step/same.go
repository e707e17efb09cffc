package step

import (
	"bytes"
	"slices"

	"sallyport/sessions"
)

// same says whether two versions of a record differ in nothing but the counting of
// versions and the moments of the last change and the last packet.
func same(a, b *sessions.Session) bool {
	return a.Epoch == b.Epoch && a.Changes == b.Changes && a.Change == b.Change &&
		a.Grant == b.Grant && a.Doubt == b.Doubt && a.Settled == b.Settled && a.Accounting == b.Accounting &&
		samePosture(&a.Posture, &b.Posture) && sameBinding(&a.Posture.Binding, &b.Posture.Binding) &&
		sameIdentity(a, b) && sameEndpoint(a, b) && sameNAS(a, b) &&
		a.Started.Equal(b.Started) && a.Ended.Equal(b.Ended) && a.EndCause == b.EndCause
}

func sameIdentity(a, b *sessions.Session) bool {
	return a.ID == b.ID && a.AuditSessionID == b.AuditSessionID && a.Minted == b.Minted &&
		a.UserName == b.UserName && a.Method == b.Method && a.Authenticated == b.Authenticated &&
		slices.Equal(a.Groups, b.Groups)
}

func sameEndpoint(a, b *sessions.Session) bool {
	return a.CallingStationID == b.CallingStationID && a.FramedIP == b.FramedIP && a.FramedIPv6 == b.FramedIPv6 &&
		a.OS == b.OS && a.OSVersion == b.OSVersion && a.Hostname == b.Hostname && a.Domain == b.Domain && a.TunnelGroup == b.TunnelGroup && slices.Equal(a.MACs, b.MACs)
}

func sameNAS(a, b *sessions.Session) bool {
	return a.NAS == b.NAS && a.NASAddress == b.NASAddress && a.Server == b.Server && a.NASIP == b.NASIP &&
		a.NASIdentifier == b.NASIdentifier && a.NASPort == b.NASPort && a.NASPortID == b.NASPortID &&
		a.NASPortType == b.NASPortType && a.ServiceType == b.ServiceType && a.AcctSessionID == b.AcctSessionID &&
		a.CalledStationID == b.CalledStationID && a.CoAPush == b.CoAPush
}

func samePosture(a, b *sessions.Posture) bool {
	return a.Status == b.Status && a.Since.Equal(b.Since) && a.ReportAt.Equal(b.ReportAt) &&
		a.ValidUntil.Equal(b.ValidUntil) && a.DecisionID == b.DecisionID && a.Message == b.Message &&
		a.Agent == b.Agent && a.AgentKind == b.AgentKind && a.Facts == b.Facts && slices.Equal(a.Failed, b.Failed) &&
		a.Judged == b.Judged && a.Continued == b.Continued && a.Logoff == b.Logoff && a.Leased == b.Leased && a.Clocks.Same(&b.Clocks)
}

func sameBinding(a, b *sessions.Binding) bool {
	return a.Assurance == b.Assurance && a.Nonce == b.Nonce && a.Seq == b.Seq &&
		a.TicketSerial == b.TicketSerial && a.TicketUsed == b.TicketUsed && a.TicketMade.Equal(b.TicketMade) &&
		bytes.Equal(a.Key, b.Key) && bytes.Equal(a.ReportHash, b.ReportHash) && bytes.Equal(a.Answer, b.Answer)
}
