package set

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"handoff/metrics"
)

type callMetrics struct {
	active      prometheus.Gauge
	total       *prometheus.CounterVec
	setup       prometheus.Histogram
	duration    prometheus.Histogram
	headersHeld prometheus.Counter
	mailboxFull prometheus.Counter
}

func newCallMetrics(f *factory) callMetrics {
	m := callMetrics{
		active: f.gauge("calls_active", "Calls between their INVITE and their end."),
		total:  f.counters("calls_total", "Calls that ended, by who is answerable and why.", "result", "reason"),
		setup: f.histogram("call_setup_seconds", "From the caller's INVITE to the edge's 200.",
			[]float64{.1, .25, .5, 1, 2, 3, 5, 8, 13, 20, 30, 60}),
		duration: f.histogram("call_duration_seconds", "From the caller's INVITE to the end of the call.",
			[]float64{1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400}),
		headersHeld: f.counter("headers_held_total", "Headers of callers that were to go to Watson and could not: unreadable, too long or too many."),
		mailboxFull: f.counter("mailbox_full_total", "Events that a call's mailbox had no room for."),
	}
	for _, reason := range metrics.Reasons() {
		m.total.WithLabelValues(reason.Result().String(), reason.String())
	}
	return m
}

// CallStarted counts a call that was admitted; CallEnded follows exactly once.
func (s *Set) CallStarted() { s.calls.active.Inc() }

// CallSetup observes how long the caller waited for the answer.
func (s *Set) CallSetup(call string, d time.Duration) { observe(s.calls.setup, d.Seconds(), call) }

// CallEnded counts a call that CallStarted has counted, d after that.
func (s *Set) CallEnded(call string, reason metrics.Reason, d time.Duration) {
	s.calls.active.Dec()
	increase(s.calls.total.WithLabelValues(reason.Result().String(), reason.String()), call)
	observe(s.calls.duration, d.Seconds(), call)
}

// HeadersHeld counts headers of a caller that did not go to Watson against the policy.
func (s *Set) HeadersHeld(n int) { s.calls.headersHeld.Add(float64(n)) }

// MailboxFull counts an event that a call did not take.
func (s *Set) MailboxFull() { s.calls.mailboxFull.Inc() }
