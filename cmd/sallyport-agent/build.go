package main

import (
	"context"
	"crypto"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"

	"sallyport/cmd/sallyport-agent/collect"
	"sallyport/cmd/sallyport-agent/core"
	"sallyport/cmd/sallyport-agent/devicekey"
	"sallyport/cmd/sallyport-agent/keep"
	"sallyport/cmd/sallyport-agent/remedy"
	"sallyport/cmd/sallyport-agent/renew"
	"sallyport/cmd/sallyport-agent/uplink"
	"sallyport/netio/report"
	"sallyport/ops/clock"
)

func build(ctx context.Context, opts *options, dir keep.Dir, once bool, s *streams) (*daemon, error) {
	var err error
	d := &daemon{opts: opts, dir: dir, clock: clock.System{}, ctx: ctx, events: make(chan core.Event, eventsMax), renewed: make(chan string, 1), looks: make(chan struct{}, 1), log: newLog(opts, s.err)}
	boot := collect.BootID(opts.Sysroot)
	if d.list, err = remedy.LoadList(dir, boot, d.clock); err != nil {
		return nil, err
	}
	me := report.Agent{Name: "sallyport-agent", Version: version, Kind: "agent"}
	if once {
		me.Kind = "temporal"
	}
	failed := failedBuild()
	if failed != nil {
		me.FailedBuild = failed.String()
	}
	path, err := programOf()
	d.onTrial = !once && err == nil && renew.OnTrial(path, version)
	if d.gate, err = remedy.LoadStrict(opts.Sysroot, dir, boot); err != nil {
		return nil, err
	}
	system := collect.System(opts.Sysroot)
	var place devicekey.Place
	if d.key, place, err = devicekey.Load(dir, opts.DeviceKey, opts.tpm(), d.log); err != nil {
		return nil, err
	}
	if d.client, err = newClient(opts, dir, d.key, me, system, boot); err != nil {
		return nil, err
	}
	d.status = newStatusFile(dir, boot, place, failed, d.clock.Now(), d.log)
	d.surveyor = collect.NewSurveyor(opts.Sysroot)
	d.voice = newVoice(ctx, opts.MessageCommand, s.out, d.log)
	d.usb = remedy.NewUSB(opts.Sysroot, remedy.KernelOf(opts.Sysroot), d.list, d.log, d.say)
	d.others(ctx)
	if d.tools, err = newTools(opts, dir, d.clock, d.log); err != nil {
		return nil, err
	}
	d.surveyor.Scripts = d.ask
	d.core = core.New(core.Config{Agent: me, System: system, BootID: boot, Heartbeat: opts.Heartbeat, Once: once,
		Holding: len(d.list.Entries()) > 0, Session: d.client.LastSession(), Observe: opts.USBMode == report.USBObserve, Renew: opts.UpdateKey != "" && !once, Seed: rand.Uint64()})
	d.newLink()
	return d, nil
}

func newLog(opts *options, w io.Writer) *slog.Logger {
	level := slog.LevelInfo
	if opts.Verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

func newClient(opts *options, dir keep.Dir, key crypto.Signer, me report.Agent, system report.System, boot string) (*uplink.Client, error) {
	trust, err := opts.trust()
	if err != nil {
		return nil, err
	}
	memory, err := uplink.LoadMemory(dir)
	if err != nil {
		return nil, err
	}
	return uplink.New(uplink.Config{DiscoveryHosts: opts.DiscoveryHost, Servers: opts.Server, Trust: trust, Key: key, Memory: memory,
		Agent: me, System: system, BootID: boot,
		Gateways: func() []netip.Addr { return collect.Gateways(opts.Sysroot) },
		Addresses: func() (macs, ips []string, err error) {
			if len(opts.Mac) == 0 || len(opts.IP) == 0 {
				macs, ips, err = collect.Addresses()
			}
			if len(opts.Mac) > 0 {
				macs = opts.Mac
			}
			if len(opts.IP) > 0 {
				ips = opts.IP
			}
			return macs, ips, err
		}})
}
