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

// dialledEdge is what a <Sip> dials to reach this edge: over TLS with SRTP where that is to be had. The
// port stands there only when it is not the default, as in the published integration.
func dialledEdge(cfg *configs.Config, s *stack.Stack) uri.URI {
	edge := uri.URI{Scheme: "sip", Host: hostText(cfg.SIP.Public)}
	at := func(t stack.Transport, usual uint16, name, value string) uri.URI {
		if edge.Port = s.Addr(t).Port(); edge.Port == usual {
			edge.Port = 0
		}
		edge.Params = []uri.Param{{Name: name, Value: value, HasValue: true}}
		return edge
	}
	switch {
	case s.Addr(stack.TLS).IsValid() && cfg.Twilio.SRTP != configs.SRTPOff:
		return at(stack.TLS, 5061, "secure", "true")
	case s.Addr(stack.TLS).IsValid():
		return at(stack.TLS, 5061, "transport", "tls")
	case s.Addr(stack.TCP).IsValid():
		return at(stack.TCP, 5060, "transport", "tcp")
	}
	return at(stack.UDP, 5060, "transport", "udp")
}
