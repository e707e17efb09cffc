package engine

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"sallyport/coa"
	"sallyport/coa/recipe"
	"sallyport/netio/console"
	"sallyport/sessions"
)

// TestNAS rehearses a change with a NAS: of a session that cannot exist. The good answer is
// a NAK with Error-Cause 503; anything else says what is wrong. When nothing comes, other
// ports tell a closed port, a filter and a wrong secret apart.
func (o operator) TestNAS(ctx context.Context, name string, emit func(console.Row) error) error {
	nas := o.e.snapshot().NASByName(name)
	if nas == nil {
		return problem(404, "unknown-nas", "there is no NAS "+name+" in the configuration")
	}
	address, ok := nas.Address()
	if !ok {
		return problem(409, "nas-is-a-prefix", name+" stands for a whole prefix; give the device an entry of its own to test it")
	}
	return o.e.rehearse(ctx, nas.CoATarget(address), emit)
}

// rehearsal is one step of a test, as it is shown.
type rehearsal struct {
	NAS     string   `json:"nas"`
	Address string   `json:"address"`
	Sent    string   `json:"sent,omitempty"`
	Answer  string   `json:"answer,omitempty"`
	Outcome string   `json:"outcome"`
	Sound   bool     `json:"sound"`
	Meaning string   `json:"meaning"`
	Signs   []string `json:"signs,omitempty"` // what other ports tell
	Seconds float64  `json:"elapsed"`
}

// A NAS that is there answers within answerSoon, mostly within a few milliseconds; after that the
// ports are probed beside the retransmissions, each for probeWait.
const (
	answerSoon = 2 * time.Second
	probeWait  = time.Second
)

func (e *Engine) rehearse(ctx context.Context, nas *coa.NAS, emit func(console.Row) error) error {
	kind := nas.Recipe.Apply()
	done := make(chan settlement, 1)
	id := sessions.ID("rehearsal-" + rand.Text())
	e.rehearsals.Store(id, done) // goes when it is settled
	began := time.Now()
	err := e.coa.Submit(coa.Change{
		Session: id, Serial: 1, NAS: nas, Kind: kind, Made: e.clock.Now(), Grant: &recipe.Grant{},
		Ident: recipe.Ident{NASIP: nas.Addr.Addr(), CallingStationID: "00-00-00-00-00-00", AcctSessionID: string(id)[10:18], AuditSessionID: string(id)[10:], UserName: "sallyport-rehearsal"},
	})
	if err != nil {
		e.rehearsals.Delete(id)
		return err
	}
	soon := time.NewTimer(answerSoon)
	defer soon.Stop()
	select {
	case s := <-done:
		return emit(judge(ctx, nas, &s))
	case <-ctx.Done():
		return ctx.Err()
	case <-soon.C:
	}
	found := probe(ctx, nas)
	if found[0].sign == coa.Closed || found[0].sign == coa.Unreachable { // no retransmission changes that
		s := settlement{Settlement: coa.Settlement{Outcome: coa.Silent, Latency: time.Since(began)}}
		return emit(judgeRehearsal(nas, &s, found))
	}
	select {
	case s := <-done:
		return emit(judgeRehearsal(nas, &s, found))
	case <-ctx.Done():
		return ctx.Err()
	}
}

func judge(ctx context.Context, nas *coa.NAS, s *settlement) rehearsal {
	var found []probed
	if s.Outcome == coa.Silent {
		found = probe(ctx, nas)
	}
	return judgeRehearsal(nas, s, found)
}

// probed is a port, and what it said.
type probed struct {
	port uint16
	sign coa.Sign
	err  error
}

// Ports where NASes listen, and one where hardly anybody does (traceroute's first).
const (
	portCisco   = 1700
	portRFC5176 = 3799
	portClosed  = 33434
)

// probe asks the NAS's port, the first of the answer, and others.
func probe(ctx context.Context, nas *coa.NAS) []probed {
	ports := []uint16{nas.Addr.Port()}
	for _, other := range []uint16{portCisco, portRFC5176, portClosed} {
		if !slices.Contains(ports, other) {
			ports = append(ports, other)
		}
	}
	found := make([]probed, len(ports))
	var all sync.WaitGroup
	for i, port := range ports {
		all.Go(func() {
			found[i].port = port
			found[i].sign, found[i].err = coa.Probe(ctx, nas, port, probeWait)
		})
	}
	all.Wait()
	return found
}

func (p *probed) String() string {
	if p.err != nil {
		return fmt.Sprintf("port %d: %v", p.port, p.err)
	}
	return fmt.Sprintf("port %d: %s", p.port, p.sign)
}

func judgeRehearsal(nas *coa.NAS, s *settlement, found []probed) rehearsal {
	r := rehearsal{NAS: nas.Name, Address: nas.Addr.String(), Sent: s.asked, Answer: s.answered, Outcome: s.Outcome.String(), Seconds: s.Latency.Seconds()}
	switch {
	case s.Outcome == coa.NAK && s.Cause == 503:
		r.Sound, r.Meaning = true, "address, port, secret and attributes are right: the NAS says that it has no such session"
	case s.Outcome == coa.NAK:
		r.Meaning = coa.CauseWords(s.Cause)
	case s.Outcome == coa.Silent:
		r.Meaning = judgeSilence(found)
		for i := range found {
			r.Signs = append(r.Signs, found[i].String())
		}
	case s.Outcome == coa.ACK:
		r.Meaning = "the NAS acknowledged a session that cannot exist: it acknowledges anything, so an acknowledgement of it proves nothing"
	default:
		r.Meaning = fmt.Sprint(s.Err)
	}
	return r
}

// judgeSilence tells why a NAS said nothing, by what its ports said.
func judgeSilence(found []probed) string {
	const off = "dynamic authorization is off on the NAS"
	own, others := found[0], found[1:]
	for _, other := range others {
		if other.sign == coa.Answered || other.sign == coa.Unverified {
			return fmt.Sprintf("wrong port: port %d answers, port %d does not. Set coa: {port: %d} for this NAS", other.port, own.port, other.port)
		}
	}
	closed := func(p probed) bool { return p.sign == coa.Closed }
	switch {
	case own.sign == coa.Closed:
		return fmt.Sprintf("port %d is closed there: another port, or %s", own.port, off)
	case own.sign == coa.Unreachable:
		return "the NAS or its network cannot be reached from here: no route, or the host is down"
	case own.sign == coa.Unverified:
		return "wrong secret: it answers, and the answer does not fit the secret of this NAS"
	case own.sign == coa.Answered:
		return "it answered a probe and not the change: packets are lost on the way, or it is slow; test again"
	case slices.ContainsFunc(others, closed):
		return fmt.Sprintf("the NAS is there, and port %d takes packets without a word: another secret for CoA, or this appliance's address is not among the NAS's dynamic authorization clients", own.port)
	}
	return "nothing comes back from any port, not even that one is closed: a packet filter between, or no such host"
}
