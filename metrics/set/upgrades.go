package set

import (
	"github.com/prometheus/client_golang/prometheus"

	"handoff/metrics"
)

func newUpgradeMetrics(f *factory) *prometheus.CounterVec {
	all := f.counters("upgrades_total", "Upgrades: done is counted by the new process, the others by the one that went on.", "result")
	for _, u := range metrics.Upgrades() {
		all.WithLabelValues(u.String())
	}
	return all
}

// Upgraded counts what became of an upgrade.
func (s *Set) Upgraded(u metrics.Upgrade) { s.upgrades.WithLabelValues(u.String()).Inc() }
