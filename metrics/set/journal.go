package set

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"handoff/metrics"
)

type journalMetrics struct {
	written   prometheus.Counter
	took      prometheus.Histogram
	errors    prometheus.Counter
	dropped   prometheus.Counter
	healthy   prometheus.Gauge
	late      prometheus.Counter
	recovered *prometheus.CounterVec
}

func newJournalMetrics(f *factory) journalMetrics {
	m := journalMetrics{
		written: f.counter("journal_written_total", "Records of calls written or removed."),
		took: f.histogram("journal_write_seconds", "How long a batch of them took, without the fsync of each second.",
			[]float64{.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 1}),
		errors:    f.counter("journal_errors_total", "Batches and fsyncs that failed; they are tried again each second."),
		dropped:   f.counter("journal_dropped_total", "Records that found no room to wait for a disk that does not write."),
		healthy:   f.gauge("journal_healthy", "1 while the journal is written, 0 while that fails: calls go on and would not outlive the process."),
		late:      f.counter("journal_late_total", "Promises given after 20 ms without the journal's confirmation."),
		recovered: f.counters("journal_recovered_total", "Records that the process before has left, by what became of their calls.", "result"),
	}
	for _, r := range metrics.Recoveries() {
		m.recovered.WithLabelValues(r.String())
	}
	return m
}

// JournalWritten counts a batch of changes.
func (s *Set) JournalWritten(changes int, took time.Duration) {
	s.journal.written.Add(float64(changes))
	s.journal.took.Observe(took.Seconds())
}

// JournalFailed counts a batch, or a second's fsync, that failed.
func (s *Set) JournalFailed() { s.journal.errors.Inc() }

// JournalDropped counts a change that found no room.
func (s *Set) JournalDropped() { s.journal.dropped.Inc() }

// JournalHealthy tells whether the journal is written.
func (s *Set) JournalHealthy(is bool) {
	s.journal.healthy.Set(0)
	if is {
		s.journal.healthy.Set(1)
	}
}

// JournalLate counts a promise that did not wait for the journal.
func (s *Set) JournalLate() { s.journal.late.Inc() }

// Recovered counts a record that the process before has left.
func (s *Set) Recovered(r metrics.Recovery) { s.journal.recovered.WithLabelValues(r.String()).Inc() }
