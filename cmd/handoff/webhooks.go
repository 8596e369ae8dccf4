package main

import (
	"crypto/tls"
	"net/http"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"handoff/configs"
	"handoff/metrics/ops"
	"handoff/refer"
	"handoff/refer/webhook"
	"handoff/sip/b2bua"
	"handoff/sip/stack"
	"handoff/sip/stack/certificate"
	"handoff/sip/uri"
)

// newWebhooks listens for Twilio's requests; nil when that is not configured.
func (e *edge) newWebhooks(cfg *configs.Config, policy refer.Policy, before *predecessor) (*ops.Server, error) {
	w := cfg.Webhooks
	if w.PublicURL == "" {
		return nil, nil
	}
	handler, err := e.newHooks(cfg, policy)
	if err != nil {
		return nil, err
	}
	e.hooks.Store(&handler)
	listen := ops.Config{Listen: w.Listen, Inherited: e.foundHTTP(before, webhooksSocket, w.Listen), Waits: before != nil}
	if w.Secure() {
		pair, err := certificate.Read(w.TLS.Certificate, w.TLS.Key, e.log, func(time.Time) {})
		if err != nil {
			return nil, err
		}
		listen.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.Get}
	}
	return ops.Serve(listen, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*e.hooks.Load()).ServeHTTP(w, r) }), e.log)
}

// newHooks answers them.
func (e *edge) newHooks(cfg *configs.Config, policy refer.Policy) (http.Handler, error) {
	w := cfg.Webhooks
	token, err := configs.Secret(w.AuthTokenFile)
	if err != nil {
		return nil, err
	}
	return webhook.New(webhook.Config{
		PublicURL: w.PublicURL, AuthToken: token, Edge: dialledEdge(cfg, e.stack), Policy: policy,
		REST: refer.REST{Studio: w.StudioURL, Workflow: w.WorkflowSID},
	}, webhook.Deps{
		Log: sampled(e.log), Observer: e.counters,
		Tell: func(n webhook.News) { e.engine.OnNews(b2bua.News(n)) },
	})
}

// sampled writes each message ten times a second at most: anybody can send webhooks that are refused.
func sampled(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(c, time.Second, 10, 0)
	}))
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
