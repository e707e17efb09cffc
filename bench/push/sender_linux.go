package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	layeh "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"

	"golang.org/x/sys/unix"

	"sallyport/coa"
	"sallyport/coa/recipe"
	"sallyport/engine/stage"
	"sallyport/netio/radius"
	"sallyport/ops/secret"
	"sallyport/sessions"
)

// sender is the engine of package coa with the sessions to change.
type sender struct {
	engine *coa.Engine
	nas    *coa.NAS
	ids    []sessions.ID
	grant  recipe.Grant
	serial uint64

	want   atomic.Int64 // settlements of the round at hand that have not come
	failed atomic.Int64
	done   chan struct{}
}

func newSender(o *options, target netip.AddrPort) (*sender, error) {
	key, err := radius.NewKey(secret.New([]byte(stage.Secret)))
	if err != nil {
		return nil, err
	}
	asa, ok := recipe.Lookup("cisco-asa")
	if !ok {
		return nil, errors.New("there is no recipe cisco-asa")
	}
	s := &sender{
		nas:   &coa.NAS{Name: "asa", Addr: target, Key: key, Recipe: asa, InFlightMax: o.inFlight},
		grant: recipe.Grant{DACLName: "#ACSACL#-IP-PERMIT_ALL_TRAFFIC-57e5bcbd"},
		done:  make(chan struct{}, 1),
	}
	for i := range o.pushes {
		s.ids = append(s.ids, sessions.ID(fmt.Sprintf("0a3042ca%016x", i)))
	}
	s.engine, err = coa.New(coa.Config{Settled: s.settled, Source: target.Addr(), Sockets: o.sockets})
	return s, err
}

// settled counts; anything but an acknowledgement is a failure of the round.
func (s *sender) settled(all []coa.Settlement) {
	for i := range all {
		if all[i].Outcome != coa.ACK {
			s.failed.Add(1)
		}
	}
	if s.want.Add(-int64(len(all))) == 0 {
		s.done <- struct{}{}
	}
}

// round changes every session once.
func (s *sender) round(ctx context.Context) (result, error) {
	s.serial++
	s.want.Store(int64(len(s.ids)))
	again := s.engine.Stats().Retransmitted
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu, began := cpuTime(), time.Now()
	c := coa.Change{Serial: s.serial, Epoch: s.serial, NAS: s.nas, Kind: recipe.Push, Made: began, Grant: &s.grant}
	c.Ident = recipe.Ident{NASIP: netip.AddrFrom4([4]byte{10, 48, 66, 202}), CallingStationID: "10.62.145.44"}
	for _, id := range s.ids {
		c.Session, c.Ident.AuditSessionID = id, string(id)
		if err := s.engine.Submit(c); err != nil {
			return result{}, err
		}
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		return result{}, ctx.Err()
	}
	took := time.Since(began)
	cpu = cpuTime() - cpu
	runtime.ReadMemStats(&after)
	if n := s.failed.Swap(0); n != 0 {
		return result{}, fmt.Errorf("%d of %d pushes were not acknowledged", n, len(s.ids))
	}
	return result{took: took, cpu: cpu, allocs: float64(after.Mallocs-before.Mallocs) / float64(len(s.ids)),
		again: s.engine.Stats().Retransmitted - again}, nil
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (s *sender) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return s.engine.Close(ctx)
}

// exchangers is how many goroutines the other sender has.
const exchangers = 64

// exchange sends n requests with layeh.com/radius and returns how many it did a second.
func exchange(ctx context.Context, target netip.AddrPort, n int) (float64, error) {
	var left atomic.Int64
	left.Store(int64(n))
	var first error
	var once sync.Once
	var all sync.WaitGroup
	runtime.GC()
	began := time.Now()
	for range exchangers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := exchangeOne(ctx, target); err != nil {
					once.Do(func() { first = err })
					return
				}
			}
		})
	}
	all.Wait()
	if first != nil {
		return 0, fmt.Errorf("layeh.com/radius: %w", first)
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// addPair adds a Cisco-AVPair.
func addPair(p *layeh.Packet, text string) error {
	a, err := layeh.NewVendorSpecific(radius.VendorCisco, append([]byte{radius.CiscoAVPair, byte(2 + len(text))}, text...))
	if err == nil {
		p.Add(rfc2865.VendorSpecific_Type, a)
	}
	return err
}

func exchangeOne(ctx context.Context, target netip.AddrPort) error {
	p := layeh.New(layeh.CodeCoARequest, []byte(stage.Secret))
	err := errors.Join(
		rfc2865.NASIPAddress_Set(p, []byte{10, 48, 66, 202}),
		rfc2865.CallingStationID_SetString(p, "10.62.145.44"),
		rfc2869.EventTimestamp_Set(p, time.Now()),
		addPair(p, "audit-session-id=0a3042ca0001d00056e2dce3"),
		addPair(p, "coa-push=true"),
		addPair(p, "ACS:CiscoSecure-Defined-ACL=#ACSACL#-IP-PERMIT_ALL_TRAFFIC-57e5bcbd"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	reply, err := layeh.Exchange(ctx, p, target.String())
	if err != nil {
		return err
	}
	if reply.Code != layeh.CodeCoAACK {
		return fmt.Errorf("answered %s", reply.Code)
	}
	return nil
}
