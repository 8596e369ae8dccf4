package set

import (
	"github.com/prometheus/client_golang/prometheus"

	"handoff/metrics"
)

func newExportMetrics(f *factory, name, help string) *prometheus.CounterVec {
	all := f.counters(name, help, "result")
	for _, e := range metrics.Exports() {
		all.WithLabelValues(e.String())
	}
	return all
}

// HEP implements hep.Observer.
func (s *Set) HEP(e metrics.Export) { s.hep.WithLabelValues(e.String()).Inc() }

// Telemetry implements otel.Observer.
func (s *Set) Telemetry(e metrics.Export) { s.telemetry.WithLabelValues(e.String()).Inc() }
