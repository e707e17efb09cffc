package bench

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"sallyport/netio/report"
)

const postureCompliant = "Compliant"

// agent is an endpoint that has nothing to hide: no USB storage. It has an address, a
// device key and a connection of its own, as agents have.
type agent struct {
	client *http.Client
	base   string // https://host:port
	key    *ecdsa.PrivateKey
	id     string
	ticket string
	state  *report.Claimed
}

// newAgent takes the redirect URL that a browser would follow.
func newAgent(redirect string, address netip.Addr) (*agent, error) {
	u, err := url.Parse(redirect)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: sessionLimit, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(address, 0))}
	transport := &http.Transport{
		DialContext: dialer.DialContext, MaxIdleConns: 1,
		// The appliance was started here with a certificate of its own making; who it is, is not
		// what is measured. The handshake is the same.
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true},
	}
	return &agent{
		client: &http.Client{Transport: transport}, base: "https://" + u.Host, key: key,
		id: u.Query().Get(report.QuerySessionID), ticket: u.Query().Get(report.QueryTicket),
	}, nil
}

func (a *agent) close() {
	if a != nil {
		a.client.CloseIdleConnections()
	}
}

var (
	agentProgram = report.Agent{Name: "sallyport-bench", Version: "1", Kind: "agent"}
	agentSystem  = report.System{OS: "linux", OSName: "bench", Hostname: "bench"}
)

// claim binds the key to the session by the ticket.
func (a *agent) claim(ctx context.Context) error {
	c := &report.Claim{V: report.Version, SessionID: a.id, Ticket: a.ticket, Key: report.MarshalKey(&a.key.PublicKey), Agent: agentProgram, System: agentSystem}
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	answer, err := a.post(ctx, report.PathSession, body)
	if err != nil {
		return err
	}
	a.state, err = report.DecodeClaimed(answer)
	return err
}

// report says that there is no USB storage, and wants to be found compliant.
func (a *agent) report(ctx context.Context) error {
	r := &report.Report{V: report.Version, SessionID: a.state.SessionID, Seq: a.state.Seq + 1, Nonce: a.state.Nonce, PolicyETag: a.state.PolicyETag,
		Wall: time.Now().UTC(), Trigger: report.TriggerInitial, Agent: agentProgram, System: agentSystem,
		Facts: report.Facts{USB: &report.USB{Devices: []report.USBDevice{}}}}
	body, err := r.Encode()
	if err != nil {
		return err
	}
	answer, err := a.post(ctx, report.PathReport, body)
	if err != nil {
		return err
	}
	verdict, err := report.DecodeVerdict(answer)
	if err == nil && verdict.Status != postureCompliant {
		err = fmt.Errorf("found %s", verdict.Status)
	}
	return err
}

// post sends a signed document and returns the answer.
func (a *agent) post(ctx context.Context, path string, body []byte) ([]byte, error) {
	return Post(ctx, a.client, a.key, a.base, path, body)
}

// Post sends a document as an agent does, signed with its key, to a path of the appliance
// at base (https://host:port), and returns the answer. One of another status than 200 is an
// error that holds its beginning.
func Post(ctx context.Context, client *http.Client, key *ecdsa.PrivateKey, base, path string, body []byte) ([]byte, error) {
	signature, err := report.Sign(key, path, body)
	if err != nil {
		return nil, err
	}
	ask, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	ask.Header.Set("Content-Type", report.MediaType)
	ask.Header.Set(report.HeaderSignature, signature)
	reply, err := client.Do(ask)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(reply.Body, report.VerdictBytesMax))
	if err == nil && reply.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", reply.Status, answer)
	}
	return answer, err
}
