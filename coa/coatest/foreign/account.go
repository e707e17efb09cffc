package foreign

import (
	"net"
	"net/netip"

	"sallyport/netio/radius"
)

// account is the accounting server inside of the namespace: it answers what is signed by
// the secret, and remembers it.
func (b *Box) account() error {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:1813")))
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var buf [radius.PacketMax]byte
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf[:])
			if err != nil {
				return
			}
			var v radius.View
			if v.Decode(buf[:n]) != radius.Sound || b.key.VerifyRequest(&v) != radius.Sound {
				continue
			}
			reply := radius.BeginWith(nil, radius.AccountingResponse, v.Identifier(), false)
			if pkt, err := b.key.SealReply(&reply, v.Authenticator()); err == nil {
				_, _ = conn.WriteToUDPAddrPort(pkt, from) // it sends again
			}
			status, _ := v.U32(radius.AcctStatusType)
			b.heard(Record{Status: status, AcctSessionID: v.Text(radius.AcctSessionID), UserName: v.Text(radius.UserName),
				CallingStationID: v.Text(radius.CallingStationID)})
		}
	}()
	b.t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	return nil
}
