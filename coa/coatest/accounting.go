package coatest

import (
	"context"
	"time"

	"sallyport/netio/radius"
)

const (
	acctStart   = radius.AcctStatusTypeStart
	acctStop    = radius.AcctStatusTypeStop
	acctInterim = radius.AcctStatusTypeInterimUpdate
)

// account sends one record of the session and waits for its answer. With accounting
// off it does nothing.
func (s *ASASession) account(ctx context.Context, status, cause uint32) error {
	if !s.asa.Accounting() {
		return nil
	}
	length := uint32(s.asa.clock.Now().Sub(s.began) / time.Second)
	class := s.Authorization().Class
	_, err := s.asa.exchange(ctx, request{server: s.asa.config.AcctServer, session: s.auditID, role: radius.AcctClient, delays: true,
		build: func(identifier byte, delay uint32) ([]byte, error) {
			b := radius.Begin(nil, radius.AccountingRequest, identifier)
			b.Text(radius.UserName, s.user)
			b.Addr(radius.NASIPAddress, s.asa.config.NASIP)
			b.U32(radius.NASPort, s.port)
			b.U32(radius.ServiceType, radius.ServiceTypeFramed)
			b.U32(radius.FramedProtocol, radius.FramedProtocolPPP)
			b.Addr(radius.FramedIPAddress, s.tunnelIP)
			for _, value := range class {
				b.Bytes(radius.Class, value)
			}
			b.Text(radius.CalledStationID, s.asa.config.NASIP.String())
			b.Text(radius.CallingStationID, s.endpoint.PublicIP.String())
			b.U32(radius.AcctStatusType, status)
			b.U32(radius.AcctDelayTime, delay)
			if status != acctStart {
				s.appendCounters(&b, length)
			}
			b.Text(radius.AcctSessionID, s.acctID)
			b.U32(radius.AcctAuthentic, radius.AcctAuthenticRADIUS)
			b.U32(radius.NASPortType, radius.NASPortTypeVirtual)
			if status == acctStop {
				b.U32(radius.AcctTerminateCause, cause)
			}
			s.endpoint.append(&b)
			b.AVPair("audit-session-id", s.auditID)
			b.VendorText(radius.VendorASA, radius.ASATunnelGroupName, s.asa.config.TunnelGroup)
			b.VendorU32(radius.VendorASA, radius.ASAClientType, clientTypeSSL)
			b.VendorU32(radius.VendorASA, radius.ASASessionType, sessionTypeSSL)
			b.VendorU32(radius.VendorASA, radius.ASASessionSubtype, sessionClientOnly)
			return s.asa.key.SealRequest(&b)
		}})
	return err
}

// appendCounters tells a traffic that nobody had: so much a second, for no bytes flow
// through an emulator.
func (s *ASASession) appendCounters(b *radius.Builder, length uint32) {
	const octetsIn, octetsOut, octetsOfPacket = 2000, 20000, 500
	b.U32(radius.AcctSessionTime, length)
	b.U32(radius.AcctInputOctets, length*octetsIn)
	b.U32(radius.AcctOutputOctets, length*octetsOut)
	b.U32(radius.AcctInputPackets, length*octetsIn/octetsOfPacket)
	b.U32(radius.AcctOutputPackets, length*octetsOut/octetsOfPacket)
}

// Reboot forgets every session without a word about each, and says Accounting-On, as an
// ASA does after it was switched off and on (RFC 2866 section 5.1).
func (a *ASA) Reboot(ctx context.Context) error {
	for _, s := range a.live() {
		s.end("the ASA was switched off")
	}
	if !a.Accounting() {
		return nil
	}
	_, err := a.exchange(ctx, request{server: a.config.AcctServer, role: radius.AcctClient, delays: true,
		build: func(identifier byte, delay uint32) ([]byte, error) {
			b := radius.Begin(nil, radius.AccountingRequest, identifier)
			b.Addr(radius.NASIPAddress, a.config.NASIP)
			b.U32(radius.AcctStatusType, radius.AcctStatusTypeAccountingOn)
			b.U32(radius.AcctDelayTime, delay)
			b.Text(radius.AcctSessionID, "00000000")
			return a.key.SealRequest(&b)
		}})
	return err
}
