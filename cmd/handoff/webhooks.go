package main

import (
	"crypto/tls"
	"time"

	"go.uber.org/zap"

	"handoff/configs"
	"handoff/metrics/ops"
	"handoff/metrics/set"
	"handoff/refer"
	"handoff/refer/webhook"
	"handoff/sip/b2bua"
	"handoff/sip/stack"
	"handoff/sip/stack/certificate"
	"handoff/sip/uri"
)

// newWebhooks listens for Twilio's requests; nil when that is not configured.
func newWebhooks(cfg *configs.Config, log *zap.Logger, counters *set.Set, policy refer.Policy, engine *b2bua.Engine, edge uri.URI) (*ops.Server, error) {
	w := cfg.Webhooks
	if w.PublicURL == "" {
		return nil, nil
	}
	token, err := configs.Secret(w.AuthTokenFile)
	if err != nil {
		return nil, err
	}
	handler, err := webhook.New(webhook.Config{
		PublicURL: w.PublicURL, AuthToken: token, Edge: edge, Policy: policy,
		REST: refer.REST{Studio: w.StudioURL, Workflow: w.WorkflowSID},
	}, webhook.Deps{
		Log: log, Observer: counters,
		Tell: func(n webhook.News) { engine.OnNews(b2bua.News(n)) },
	})
	if err != nil {
		return nil, err
	}
	listen := ops.Config{Listen: w.Listen}
	if w.Secure() {
		pair, err := certificate.Read(w.TLS.Certificate, w.TLS.Key, log, func(time.Time) {})
		if err != nil {
			return nil, err
		}
		listen.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.Get}
	}
	return ops.Serve(listen, handler, log)
}

// dialledEdge is what a <Sip> dials to reach this edge: over TLS with SRTP where that is to be had.
func dialledEdge(cfg *configs.Config, s *stack.Stack) uri.URI {
	edge := uri.URI{Scheme: "sip", Host: cfg.SIP.Public}
	param := func(name, value string) { edge.Params = []uri.Param{{Name: name, Value: value, HasValue: true}} }
	switch {
	case s.Addr(stack.TLS).IsValid() && cfg.Twilio.SRTP != configs.SRTPOff:
		edge.Port = s.Addr(stack.TLS).Port()
		param("secure", "true")
	case s.Addr(stack.TLS).IsValid():
		edge.Port = s.Addr(stack.TLS).Port()
		param("transport", "tls")
	case s.Addr(stack.TCP).IsValid():
		edge.Port = s.Addr(stack.TCP).Port()
		param("transport", "tcp")
	default:
		edge.Port = s.Addr(stack.UDP).Port()
		param("transport", "udp")
	}
	return edge
}
