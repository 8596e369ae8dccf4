package main

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"handoff/configs"
	"handoff/media"
	"handoff/media/tone"
	"handoff/metrics"
	"handoff/metrics/cdr"
	"handoff/metrics/console"
	"handoff/metrics/ops"
	"handoff/metrics/otel"
	"handoff/metrics/set"
	"handoff/metrics/trace/hep"
	"handoff/metrics/trace/pcap"
	"handoff/sip/b2bua"
	"handoff/sip/control"
	"handoff/sip/journal"
	"handoff/sip/stack"
	"handoff/sip/trunk/probe"
	"handoff/sip/upgrade"
	"handoff/sip/uri"
)

// edge is one running edge. Two of them can run in one process.
type edge struct {
	log    *zap.Logger
	stack  *stack.Stack
	media  *media.Relay
	engine *b2bua.Engine
	prober atomic.Pointer[probe.Prober]
	ops    *ops.Server
	// cdr takes the stories of calls that ended; nil when nobody wants them.
	cdr *cdr.Writer
	// hep shows calls to a Homer collector; nil without one.
	hep *hep.Sender
	// telemetry tells OpenTelemetry of calls that ended; nil when nobody wants to know.
	telemetry *otel.Exporter
	// store is where calls are written down, and journal the file of this process; nil when none shall outlive it, and while
	// another process has it.
	store   *journal.Switch
	journal atomic.Pointer[journal.Bolt]
	// kept is what the supervisor keeps beyond this process; nil without one. It stays there when followed tells that another
	// process has it now.
	kept     *upgrade.Store
	followed atomic.Bool
	// webhooks answers Twilio, as hooks says at present; nil when that is not configured.
	webhooks *ops.Server
	hooks    atomic.Pointer[http.Handler]

	wire     *wire
	counters *set.Set
	clear    []uri.URI // as edgeDeps has it
	level    zap.AtomicLevel

	reloading sync.Mutex // one at a time; guards running
	running   *configs.Config
}

type edgeDeps struct {
	Log *zap.Logger
	Tap func(stack.Tapped) // may be nil
	// Resolver finds hosts; nil is the system's.
	Resolver stack.Resolver
	// Clear are called without TLS in place of the configured targets, in measurements; nil in an edge that serves.
	Clear []uri.URI
	// Operator ends and reloads the process; nil where there is nothing to be reloaded from.
	Operator control.Process
	// Level is that of Log, which a reload may change.
	Level zap.AtomicLevel
	// Before is the process that this one may follow. Then the edge listens at its sockets, takes nothing and keeps
	// nothing until that process lets it. nil: there is none.
	Before *predecessor
	// Lines is where Log leads, which loses some if nobody reads them; may be nil.
	Lines *logWriter
	// Supervised lets sockets outlive the process at its supervisor, if it has one.
	Supervised bool
}

// newEdge builds an edge from a configuration, from the metrics outward: whatever can receive
// something is opened when all that it needs is there, the SIP sockets late and then what sends callers to them.
func newEdge(cfg *configs.Config, deps edgeDeps) (_ *edge, err error) {
	registry := prometheus.NewRegistry()
	counters, err := set.New(registry, buildVersion())
	if err != nil {
		return nil, err
	}
	if deps.Lines != nil {
		deps.Lines.countBy(counters.LogLost)
	}
	e := &edge{log: deps.Log, clear: deps.Clear, level: deps.Level}
	if deps.Supervised {
		e.kept = upgrade.OpenStore(upgrade.StoreDeps{Log: deps.Log, Observer: counters})
	}
	defer func() {
		if err != nil {
			e.closeSockets()
			if inTheWay(err) {
				e.settle()
			}
			e.kept.Close()
		}
	}()

	streams := mediaConfig(cfg)
	streams.Waits = deps.Before != nil
	e.media, err = media.New(streams, media.Deps{Log: deps.Log, Observer: counters, Keeper: e.keeper()})
	if err != nil {
		return nil, err
	}
	roots, err := authorities(cfg)
	if err != nil {
		return nil, err
	}
	client, err := clientCertificates(cfg, deps.Log)
	if err != nil {
		return nil, err
	}

	e.cdr = openCDR(cfg, deps.Log, counters)
	traces, started := openTraces(cfg, counters), time.Now()
	if e.hep, err = openHEP(cfg, deps.Log, counters); err != nil {
		return nil, err
	}
	if e.telemetry, err = openTelemetry(cfg, deps.Log, counters); err != nil {
		return nil, err
	}
	w := &wire{roots: roots, client: client, up: make(chan struct{})}
	e.wire, e.running, e.counters, e.store = w, cfg, counters, journal.NewSwitch(journal.Discard{})
	var kept journal.Kept
	if deps.Before == nil {
		if kept, err = e.openJournal(); err != nil {
			return nil, err
		}
	}
	now, err := newRules(cfg, deps.Clear, w, deps.Log)
	if err != nil {
		return nil, err
	}
	w.admitted.Store(&now)
	e.watch(cfg, now)
	now.with.Health = health{e.prober.Load()}
	e.engine, err = b2bua.New(now.engine, b2bua.Deps{
		Log:        deps.Log,
		CDR:        cdrs(e.cdr, e.telemetry),
		Trace:      bindFor(e.hep, traceOf(traces)),
		Reports:    reportsTo(e.hep),
		Wire:       w,
		Media:      e.media,
		Journal:    e.store,
		Observer:   counters,
		Ringback:   tone.Ringback(),
		Bury:       w.bury,
		Reopen:     w.reopen,
		Changeable: now.with,
	})
	if err != nil {
		return nil, err
	}
	token, err := configs.Secret(cfg.Ops.TokenFile)
	if err != nil {
		return nil, err
	}
	e.ops, err = ops.New(ops.Config{
		Listen: cfg.Ops.Listen, Token: token, Inherited: e.foundHTTP(deps.Before, opsSocket, cfg.Ops.Listen), Waits: deps.Before != nil,
	}, ops.Deps{Log: deps.Log, Gatherer: registry, Ready: e.readiness, Details: e.details, API: control.Handler(control.Deps{
		Engine: e.engine, Process: deps.Operator, Traces: tracesOf(traces), Capture: pcap.Begin,
		Overview: func() control.Overview { return e.overview(registry, started) },
	}), Console: console.Handler()})
	if err != nil {
		return nil, err
	}
	sip := stackConfig(cfg)
	sip.Waits = deps.Before != nil
	e.stack, err = stack.New(sip, stack.Deps{
		Log:      deps.Log,
		Observer: counters,
		Admit: func(from netip.AddrPort, _ stack.Transport) metrics.Peer {
			return w.admit(from.Addr())
		},
		Handler:  &handler{e.engine, w},
		Tap:      taps(tapInto(traces), tapFor(e.hep), deps.Tap),
		Resolver: deps.Resolver,
		Inherited: func(t stack.Transport, at netip.AddrPort) int {
			return e.found(deps.Before, t.String(), at)
		},
		Knows: e.engine.Knows,
	})
	if err != nil {
		return nil, err
	}
	w.connect(e.stack, cfg.SIP.Public)
	e.engine.Restore(kept)
	w.open()
	w.lookUp(now.trunks, now.engine.Domain)
	e.webhooks, err = e.newWebhooks(cfg, now.policy, deps.Before)
	if err != nil {
		return nil, err
	}
	if deps.Before == nil {
		e.settle()
		e.keepSockets()
	}
	return e, nil
}

// configuration is the one that is followed at present.
func (e *edge) configuration() *configs.Config {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	return e.running
}

// clip is what a file holds, or without one a tone.
func clip(path string, otherwise func() *tone.Clip) (*tone.Clip, error) {
	if path == "" {
		return otherwise(), nil
	}
	return tone.Load(path)
}

// Close takes the edge down in order: no new calls, wait for the rest until ctx is over, end them,
// then the media, the sockets, the journal, and last what an operator looks at. The supervisor keeps nothing of it, but what is
// another process's now.
func (e *edge) Close(ctx context.Context) {
	e.engine.Drain(ctx)
	if !e.followed.Load() {
		e.dropSockets()
	}
	e.closeSockets()
	e.kept.Close()
}

func (e *edge) closeSockets() {
	if prober := e.prober.Load(); prober != nil {
		prober.Close()
	}
	if e.stack != nil {
		e.stack.Close()
	}
	if e.media != nil {
		e.media.Close()
	}
	if err := e.closeJournal(); err != nil {
		e.log.Error("journal", zap.Error(err))
	}
	e.closeSpools()
	for _, server := range []*ops.Server{e.webhooks, e.ops} {
		if server == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := server.Close(ctx); err != nil {
			e.log.Info("HTTP listener", zap.Stringer("listen", server.Addr()), zap.Error(err))
		}
	}
}

// farewellTime is how long what was told of calls may still go out, to whomever.
const farewellTime = 2 * time.Second

// closeSpools lets all who are told of calls hear the rest, at the same time.
func (e *edge) closeSpools() {
	ctx, cancel := context.WithTimeout(context.Background(), farewellTime)
	defer cancel()
	var all sync.WaitGroup
	if e.cdr != nil {
		all.Go(func() {
			if err := e.cdr.Close(ctx); err != nil {
				e.log.Error("CDR", zap.Error(err))
			}
		})
	}
	if e.hep != nil {
		all.Go(func() { e.hep.Close(ctx) })
	}
	if e.telemetry != nil {
		all.Go(func() { e.telemetry.Close(ctx) })
	}
	all.Wait()
}
