package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/leg"
	"handoff/sip/stack"
	"handoff/sip/trunk"
	"handoff/sip/trunk/probe"
	"handoff/sip/uri"
)

// watch keeps watch over Watson's targets, and leaves those of before. One that is new is believed to be up until something is
// heard of it, and has a series from now on.
func (e *edge) watch(cfg *configs.Config, now rules) {
	var known []probe.State
	if p := e.prober.Load(); p != nil {
		known = p.States()
	}
	for _, target := range now.trunks.Targets {
		if !slices.ContainsFunc(known, func(s probe.State) bool { return s.Name == target.Host }) {
			e.counters.WatsonTarget(target.Host, true, time.Now())
		}
	}
	before := e.prober.Swap(newProber(cfg, now.trunks, e.wire, e.counters, e.log))
	if before == nil {
		return
	}
	before.Close()
	for _, s := range before.States() {
		if !slices.ContainsFunc(now.trunks.Targets, func(u uri.URI) bool { return u.Host == s.Name }) {
			e.counters.WatsonTargetGone(s.Name)
		}
	}
}

func newProber(cfg *configs.Config, trunks trunk.Config, w *wire, counters probe.Observer, log *zap.Logger) *probe.Prober {
	var names []string
	for _, target := range trunks.Targets {
		names = append(names, target.Host)
	}
	return probe.New(probe.Config{Targets: names, Every: cfg.Watson.Health.OptionsEvery}, probe.Deps{
		Log: log, Observer: counters,
		Ask: func(ctx context.Context, target int) probe.Answer { return w.ask(ctx, trunks, target) },
	})
}

// health is what calls find out about Watson's targets.
type health struct{ *probe.Prober }

// Failed implements b2bua.Health. What the edge itself did not let out says nothing of a target.
func (h health) Failed(target, code int, retryAfter time.Duration, err error) {
	if !errors.Is(err, stack.ErrGuard) {
		h.Prober.Failed(target, code, retryAfter, err)
	}
}

var errNoAnswer = errors.New("no answer to OPTIONS")

// ask sends OPTIONS to a target of Watson's and waits for what comes back.
func (w *wire) ask(ctx context.Context, trunks trunk.Config, target int) probe.Answer {
	select {
	case <-w.up:
	case <-ctx.Done():
		return probe.Answer{Err: errNoAnswer}
	}
	to := trunks.Targets[target]
	answers := make(chan probe.Answer, 1)
	tx := w.Send(probe.Options(to, trunks.Public, w.contact(metrics.PeerWatson, "tls")),
		leg.Destination{URI: to, Names: trunks.WatsonNames, Peer: metrics.PeerWatson}, func(ev leg.TxEvent) {
			answer := probe.Answer{Err: ev.Err}
			if ev.Response != nil {
				if ev.Response.IsProvisional() {
					return
				}
				answer = probe.Answer{Code: ev.Response.StatusCode, RetryAfter: leg.RetryAfter(ev.Response)}
			}
			select {
			case answers <- answer:
			default: // a second one tells nothing new
			}
		})
	defer tx.Terminate()
	select {
	case answer := <-answers:
		return answer
	case <-ctx.Done():
		return probe.Answer{Err: errNoAnswer}
	}
}

// readiness is what /readyz says of the edge.
func (e *edge) readiness() error { return errors.Join(e.engine.Ready(), e.prober.Load().Ready()) }

// targetsInWords are the lines of /readyz about Watson's targets.
func (e *edge) targetsInWords() []string {
	var lines []string
	for _, s := range e.prober.Load().States() {
		line := "watson " + s.Name + " up"
		if !s.Up {
			line = "watson " + s.Name + " down"
		}
		if !s.Since.IsZero() {
			line += " since " + s.Since.UTC().Format(time.RFC3339)
		}
		if s.Why != "" {
			line += ": " + s.Why
		}
		lines = append(lines, line)
	}
	return lines
}
