package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"handoff/configs"
	"handoff/media"
	"handoff/media/tone"
	"handoff/metrics"
	"handoff/metrics/ops"
	"handoff/metrics/set"
	"handoff/refer"
	"handoff/sip/b2bua"
	"handoff/sip/control"
	"handoff/sip/journal"
	"handoff/sip/stack"
	"handoff/sip/trunk/probe"
	"handoff/sip/uri"
)

// edge is one running edge. Two of them can run in one process.
type edge struct {
	log    *zap.Logger
	stack  *stack.Stack
	media  *media.Relay
	engine *b2bua.Engine
	prober *probe.Prober
	ops    *ops.Server
	// journal keeps the calls; nil when none shall outlive the process.
	journal *journal.Bolt
	// webhooks answers Twilio; nil when that is not configured.
	webhooks *ops.Server
}

type edgeDeps struct {
	Log *zap.Logger
	Tap func(stack.Tapped) // may be nil
	// Resolver finds hosts; nil is the system's.
	Resolver stack.Resolver
	// Clear are called without TLS in place of the configured targets, in measurements; nil in an edge that serves.
	Clear []uri.URI
}

// newEdge builds an edge from a configuration, from the metrics outward: whatever can receive
// something is opened when all that it needs is there, the SIP sockets late and then what sends callers to them.
func newEdge(cfg *configs.Config, deps edgeDeps) (_ *edge, err error) {
	registry := prometheus.NewRegistry()
	counters, err := set.New(registry, buildVersion())
	if err != nil {
		return nil, err
	}
	e := &edge{log: deps.Log}
	defer func() {
		if err != nil {
			e.closeSockets()
		}
	}()

	e.media, err = media.New(mediaConfig(cfg), media.Deps{Log: deps.Log, Observer: counters})
	if err != nil {
		return nil, err
	}
	trunks, err := trunkConfig(cfg)
	if err != nil {
		return nil, err
	}
	if deps.Clear != nil {
		trunks.Targets, trunks.Clear = deps.Clear, true
	}
	policy, err := refer.NewPolicy(cfg.Transfer.Intercept)
	if err != nil {
		return nil, err
	}
	policy.Pass = cfg.Transfer.Unmatched == configs.UnmatchedPass
	update, err := newUpdater(cfg, deps.Log)
	if err != nil {
		return nil, err
	}
	watson, err := credentials(append(hostsOf(trunks.Targets...), trunks.RedirectHosts...), cfg.Watson.Auth.Realm, cfg.Watson.Auth.Username, cfg.Watson.Auth.PasswordFile)
	if err != nil {
		return nil, err
	}
	domain, err := sipDomain(cfg)
	if err != nil {
		return nil, err
	}
	hold, err := clip(cfg.Transfer.HoldAudio, tone.Comfort)
	if err != nil {
		return nil, err
	}
	failure, err := clip(cfg.Transfer.FailureAudio, tone.Reorder)
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

	store, file, kept, err := openJournal(cfg, deps.Log, counters)
	if err != nil {
		return nil, err
	}
	e.journal = file
	w := &wire{roots: roots, client: client, up: make(chan struct{})}
	e.prober = newProber(cfg, trunks, w, counters, deps.Log)
	e.engine, err = b2bua.New(b2bua.Config{
		Trunk:      trunks,
		Contact:    w.contact,
		TwilioSRTP: policies[cfg.Twilio.SRTP],
		WatsonSRTP: policies[cfg.Watson.SRTP],

		WatsonCredentials:     watson,
		WatsonSessionInterval: cfg.Watson.SessionExpires,
		TerminateSRTP:         cfg.Media.SRTPKeys == configs.SRTPKeysTerminate,
		Domain:                domain,
		Transfer: b2bua.TransferConfig{
			Policy:       policy,
			Carry:        carry(cfg),
			Methods:      cfg.Transfer.Methods,
			Timeout:      cfg.Transfer.Timeout,
			Total:        cfg.Transfer.Total,
			AfterSilence: cfg.Transfer.AfterSilence == configs.AfterSilenceNext,
			HangupHeader: cfg.Transfer.HangupHeader,
		},
		OptionsEvery: cfg.SIP.Keepalive.Options,
		Limits: b2bua.Limits{
			Calls: cfg.Limits.Calls, InvitesPerSecond: cfg.Limits.InvitesPerSecond, PerSource: cfg.Limits.PerSource,
		},
	}, b2bua.Deps{
		Log:      deps.Log,
		Wire:     w,
		Media:    e.media,
		Journal:  store,
		Observer: counters,
		Updater:  update,
		Health:   e.prober,
		Hold:     hold,
		Ringback: tone.Ringback(),
		Failure:  failure,
		Bury:     w.bury,
	})
	if err != nil {
		return nil, err
	}
	e.ops, err = ops.New(ops.Config{Listen: cfg.Ops.Listen}, ops.Deps{Log: deps.Log, Gatherer: registry, Ready: e.readiness, Details: e.details, API: control.Handler(e.engine)})
	if err != nil {
		return nil, err
	}
	byName := cfg.Watson.SourcesDefault()
	e.stack, err = stack.New(stackConfig(cfg), stack.Deps{
		Log:      deps.Log,
		Observer: counters,
		Admit: func(from netip.AddrPort, _ stack.Transport) metrics.Peer {
			return w.admit(trunks, byName, from.Addr())
		},
		Handler:  &handler{e.engine, w},
		Tap:      deps.Tap,
		Resolver: deps.Resolver,
	})
	if err != nil {
		return nil, err
	}
	w.connect(e.stack, cfg.SIP.Public)
	e.engine.Restore(kept)
	w.open()
	w.lookUp(trunks, domain)
	e.webhooks, err = newWebhooks(cfg, deps.Log, counters, policy, e.engine, dialledEdge(cfg, e.stack))
	if err != nil {
		return nil, err
	}
	return e, nil
}

// clip is what a file holds, or without one a tone.
func clip(path string, otherwise func() *tone.Clip) (*tone.Clip, error) {
	if path == "" {
		return otherwise(), nil
	}
	return tone.Load(path)
}

// Close takes the edge down in order: no new calls, wait for the rest until ctx is over, end them,
// then the media, the sockets, the journal, and last what an operator looks at.
func (e *edge) Close(ctx context.Context) {
	e.engine.Drain(ctx)
	e.closeSockets()
}

func (e *edge) closeSockets() {
	if e.prober != nil {
		e.prober.Close()
	}
	if e.stack != nil {
		e.stack.Close()
	}
	if e.media != nil {
		e.media.Close()
	}
	if e.journal != nil {
		if err := e.journal.Close(); err != nil {
			e.log.Error("journal", zap.Error(err))
		}
	}
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
