package set

import "github.com/prometheus/client_golang/prometheus"

type cdrMetrics struct {
	written, errors, dropped prometheus.Counter
}

func newCDRMetrics(f *factory) cdrMetrics {
	return cdrMetrics{
		written: f.counter("cdr_written_total", "Call detail records written."),
		errors:  f.counter("cdr_errors_total", "Tries to write one that failed; it is tried again each second."),
		dropped: f.counter("cdr_dropped_total", "Call detail records that are lost: no room was left to wait, or the process ended first."),
	}
}

// CDRWritten, CDRFailed and CDRDropped implement cdr.Observer.
func (s *Set) CDRWritten() { s.cdr.written.Inc() }
func (s *Set) CDRFailed()  { s.cdr.errors.Inc() }
func (s *Set) CDRDropped() { s.cdr.dropped.Inc() }
