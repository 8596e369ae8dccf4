package set

import "github.com/prometheus/client_golang/prometheus"

func newTraceMetrics(f *factory) prometheus.Counter {
	return f.counter("trace_dropped_total", "SIP messages that are missing in the story of a call, for want of room (trace.bytes_per_call).")
}

// TraceDropped implements trace.StoreObserver.
func (s *Set) TraceDropped() { s.traces.Inc() }
