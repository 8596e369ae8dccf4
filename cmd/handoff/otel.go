package main

import (
	"go.uber.org/zap"

	"handoff/configs"
	"handoff/metrics/cdr"
	"handoff/metrics/otel"
	"handoff/sip/b2bua"
)

// openTelemetry makes what tells an OpenTelemetry collector of calls; nil where there is none.
func openTelemetry(cfg *configs.Config, log *zap.Logger, observer otel.Observer) (*otel.Exporter, error) {
	c := cfg.Telemetry.OTLP
	if c.Endpoint == "" {
		return nil, nil
	}
	headers, err := configs.Headers(c.HeadersFile)
	if err != nil {
		return nil, err
	}
	roots, err := configs.Authorities(c.CAFile)
	if err != nil {
		return nil, err
	}
	return otel.New(otel.Config{
		Endpoint: c.Endpoint, Headers: headers, Roots: roots, Node: cfg.Node, Version: buildVersion(),
	}, otel.Deps{Log: log, Observer: observer}), nil
}

// told are all that want the stories of calls that ended.
type told []b2bua.CDRs

func (t told) Write(r cdr.Record) {
	for _, one := range t {
		one.Write(r)
	}
}

// cdrs are those that are there, as the engine wants to see them: none is nil.
func cdrs(w *cdr.Writer, e *otel.Exporter) b2bua.CDRs {
	var all told
	if w != nil {
		all = append(all, w)
	}
	if e != nil {
		all = append(all, e)
	}
	if len(all) == 0 {
		return nil
	}
	return all
}
