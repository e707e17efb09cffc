package coatest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sallyport/netio/radius"
)

// RejectedError says that the server refused.
type RejectedError struct{ Message string } // Reply-Message, may be empty

// Error is the refusal and what the server said about it.
func (e *RejectedError) Error() string {
	if e.Message == "" {
		return "coatest: Access-Reject"
	}
	return "coatest: Access-Reject: " + e.Message
}

func rejected(v *radius.View) error {
	var said []string
	for message := range v.All(radius.ReplyMessage) {
		said = append(said, string(message))
	}
	return &RejectedError{strings.Join(said, " ")}
}

// Login opens a tunnel: the password by PAP, the dACL when the answer names one, and
// the Start of accounting. The session is in force when Login returns. It fails with a
// *RejectedError, with ErrNoReply, with what is wrong about the dACL, or with ctx's
// error; then there is no session. Without an answer to the Start there is one: a real
// one does not take the tunnel away either.
func (a *ASA) Login(ctx context.Context, user, password string, e Endpoint) (*ASASession, error) {
	e.defaults()
	s := a.newSession(user, e)
	got, err := a.exchange(ctx, request{server: a.config.AuthServer, session: s.auditID, role: radius.AuthClient,
		needsMA: a.config.RequireMessageAuthenticator,
		build: func(identifier byte, _ uint32) ([]byte, error) {
			b := radius.BeginWith(nil, radius.AccessRequest, identifier, a.config.MessageAuthenticator)
			s.appendLogin(&b, password)
			return a.key.SealRequest(&b)
		}})
	if err != nil {
		return nil, err
	}
	switch got.view.Code() {
	case radius.AccessReject:
		return nil, rejected(&got.view)
	case radius.AccessChallenge:
		return nil, errors.New("coatest: Access-Challenge to a PAP login, which has no second question")
	}
	s.authenticatorFirst = got.first
	access, cause := understand(&got.view)
	if cause != 0 {
		return nil, fmt.Errorf("coatest: the Access-Accept holds a value of the wrong length")
	}
	if access.DACLName != "" {
		if access.DACL, err = a.download(ctx, s.auditID, access.DACLName); err != nil {
			return nil, err
		}
	}
	s.start(access)
	if err := s.account(ctx, acctStart, 0); err != nil {
		if ctx.Err() != nil {
			s.end("login given up")
			return nil, err
		}
		a.inside(s.auditID, "goes on without accounting: %v", err)
	}
	return s, nil
}

// appendLogin has the order of attributes that was seen from an ASA with MS-CHAPv2, with
// User-Password in the place of challenge and response. There is no Service-Type.
func (s *ASASession) appendLogin(b *radius.Builder, password string) {
	public := s.endpoint.PublicIP.String()
	b.Text(radius.UserName, s.user)
	b.U32(radius.NASPort, s.port)
	b.Text(radius.CalledStationID, s.asa.config.NASIP.String())
	b.Text(radius.CallingStationID, public)
	b.U32(radius.NASPortType, radius.NASPortTypeVirtual)
	b.Text(radius.TunnelClientEndpoint, public)
	b.Password(s.asa.key, []byte(password))
	s.endpoint.append(b)
	b.Addr(radius.NASIPAddress, s.asa.config.NASIP)
	b.AVPair("audit-session-id", s.auditID)
	b.AVPair("ip:source-ip", public)
	b.VendorText(radius.VendorASA, radius.ASATunnelGroupName, s.asa.config.TunnelGroup)
	b.VendorU32(radius.VendorASA, radius.ASAClientType, clientTypeSSL)
	b.AVPair("coa-push", "true")
}

// Values of the ASA's own attributes for a tunnel of the SSL client.
const (
	clientTypeSSL     = 2 // Client-Type
	sessionTypeSSL    = 1 // Session-Type
	sessionClientOnly = 3 // Session-Subtype
)
