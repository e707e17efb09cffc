package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

// vendorCisco is Cisco's number, for Cisco-AVPair.
const vendorCisco = 9

// redirectPairs and redirectClass are what an answer that redirects says, octet for octet
// as long as the appliance's own. It has a Message-Authenticator besides, which the peers
// are spared.
var redirectPairs = []string{
	"url-redirect-acl=ACL_WEBAUTH_REDIRECT",
	"url-redirect=https://127.0.0.1:58443/portal/gateway?sessionId=be0000000000000000000000&portal=client-provisioning&action=cpp&ticket=AAAAAAAAAAAAAAAAAAAAAAAAAAA",
}

const redirectClass = "SP:be0000000000000000000000"

// ServeLayeh runs the RADIUS server of the Go library layeh.com/radius on loopback until
// ctx ends: it looks a user up, compares the password and answers with a redirect. It
// checks no Message-Authenticator, keeps no session and no reply. Its address is the
// first line that it writes.
func ServeLayeh(ctx context.Context, out io.Writer, users int) error {
	passwords := map[string]string{}
	for n := range users {
		passwords[UserName(n)] = Password
	}
	handle := func(w layeh.ResponseWriter, r *layeh.Request) {
		code := layeh.CodeAccessReject
		if p, ok := passwords[rfc2865.UserName_GetString(r.Packet)]; ok && p == rfc2865.UserPassword_GetString(r.Packet) {
			code = layeh.CodeAccessAccept
		}
		reply := r.Response(code)
		_ = rfc2865.Class_AddString(reply, redirectClass)
		for _, text := range redirectPairs {
			pair := append([]byte{1, byte(len(text) + 2)}, text...)
			if a, err := layeh.NewVendorSpecific(vendorCisco, pair); err == nil {
				reply.Add(rfc2865.VendorSpecific_Type, a)
			}
		}
		_ = w.Write(reply) // a loss like any other
	}
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	// As much room for a burst as the appliance asks for.
	if err := conn.(*net.UDPConn).SetReadBuffer(4 << 20); err != nil {
		return errors.Join(err, conn.Close())
	}
	server := &layeh.PacketServer{Handler: layeh.HandlerFunc(handle), SecretSource: layeh.StaticSecretSource([]byte(Secret))}
	fmt.Fprintln(out, conn.LocalAddr())
	defer context.AfterFunc(ctx, func() {
		ended, cancel := context.WithTimeout(context.Background(), stopWait)
		defer cancel()
		_ = server.Shutdown(ended)
	})()
	if err := server.Serve(conn); !errors.Is(err, layeh.ErrServerShutdown) {
		return err
	}
	return nil
}

// Layeh starts this program's layeh command on a CPU (-1: any), with so many users.
func Layeh(ctx context.Context, cpu, users int) (*Server, error) {
	s, err := ownServer(ctx, "layeh", cpu, "layeh", fmt.Sprint("--users=", users))
	if err != nil {
		return nil, err
	}
	return s, s.answers(ctx)
}

// ownServer starts a command of this program that serves and says where.
func ownServer(ctx context.Context, name string, cpu int, args ...string) (_ *Server, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s, err := newServer(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.abandon())
		}
	}()
	if err := s.launch(cpu, self, args...); err != nil {
		return nil, err
	}
	return s, s.await(ctx, "it listened", s.saidWhere)
}
