package set

import (
	"github.com/prometheus/client_golang/prometheus"

	"handoff/metrics"
)

func newHEPMetrics(f *factory) *prometheus.CounterVec {
	all := f.counters("trace_hep_total", "Packets for the Homer collector: SIP messages and RTCP reports.", "result")
	for _, h := range metrics.HEPs() {
		all.WithLabelValues(h.String())
	}
	return all
}

// HEP implements hep.Observer.
func (s *Set) HEP(h metrics.HEP) { s.hep.WithLabelValues(h.String()).Inc() }
