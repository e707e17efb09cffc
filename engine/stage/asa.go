package stage

import (
	"context"
	"net"
	"net/netip"

	"sallyport/coa/coatest"
	"sallyport/ops/secret"
)

// OpenWithASA is Open with an ASA beside it that the appliance's changes arrive at. log,
// unless it is nil, is told each of the ASA's steps.
func OpenWithASA(ctx context.Context, o Options, log func(coatest.Step)) (*Appliance, *coatest.ASA, error) {
	// The configuration names the ASA's port, and the ASA has to know where the appliance
	// listens. The port is held until the appliance has opened its own on ports that it
	// found free.
	held, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		return nil, nil, err
	}
	at := held.LocalAddr().(*net.UDPAddr).AddrPort()
	o.CoAPort, o.Signed = at.Port(), true
	a, err := Open(ctx, o)
	held.Close()
	if err != nil {
		return nil, nil, err
	}
	asa, err := coatest.NewASA(coatest.ASAConfig{Name: "asa", Secret: secret.New([]byte(Secret)), AuthServer: a.Authentication[0], AcctServer: a.Accounting[0],
		CoAListen: at.String(), MessageAuthenticator: true, RequireMessageAuthenticator: true, Log: log})
	if err != nil {
		_ = a.Close() // the first error is the one to tell
		return nil, nil, err
	}
	return a, asa, nil
}
