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

// descriptorMetrics are of what the supervisor keeps beyond the process.
type descriptorMetrics struct {
	kept    prometheus.Gauge
	notKept prometheus.Counter
}

func newDescriptorMetrics(f *factory) descriptorMetrics {
	return descriptorMetrics{
		kept:    f.gauge("descriptors_kept", "Sockets that the supervisor keeps, so that they outlive the process."),
		notKept: f.counter("descriptors_not_kept_total", "Sockets that it does not keep: there was no room, or it did not listen."),
	}
}

// DescriptorsKept tells how many there are.
func (s *Set) DescriptorsKept(n int) { s.descriptors.kept.Set(float64(n)) }

// DescriptorsNotKept counts n more.
func (s *Set) DescriptorsNotKept(n int) { s.descriptors.notKept.Add(float64(n)) }

// Upgraded counts what became of an upgrade.
func (s *Set) Upgraded(u metrics.Upgrade) { s.upgrades.WithLabelValues(u.String()).Inc() }
