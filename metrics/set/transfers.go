package set

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"handoff/metrics"
)

type transferMetrics struct {
	active  prometheus.Gauge
	total   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	context *prometheus.CounterVec
	late    *prometheus.CounterVec
	deadAir prometheus.Histogram
}

func newTransferMetrics(f *factory) transferMetrics {
	m := transferMetrics{
		active: f.gauge("transfers_active", "Transfers between Watson's REFER and their outcome."),
		total:  f.counters("transfers_total", "Transfers that ended, by the last method tried, who is answerable and why.", "method", "result", "reason"),
		seconds: f.histograms("transfer_seconds", "From Watson's REFER to the outcome.",
			[]float64{.05, .1, .25, .5, 1, 2, 4, 8, 16, 32, 40, 60}, "method"),
		context: f.counters("transfer_context_total", "What became of the session history key.", "result"),
		late:    f.counters("transfers_corrected_total", "Transfers that had ended as indeterminate and were then proved or refuted.", "result", "reason"),
		// 50 ms is what the edge promises, 32 s what Twilio waits for a BYE that does not come.
		deadAir: f.histogram("transfer_dead_air_seconds", "From the proof of a transfer to the edge's BYE on the caller's leg.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 4, 16, 32}),
	}
	for _, method := range metrics.Methods() {
		m.seconds.WithLabelValues(method.String())
		for _, reason := range metrics.TransferReasons() {
			m.total.WithLabelValues(method.String(), reason.Result().String(), reason.String())
		}
	}
	for _, reason := range metrics.TransferReasons() {
		m.late.WithLabelValues(reason.Result().String(), reason.String())
	}
	for _, c := range metrics.Contexts() {
		m.context.WithLabelValues(c.String())
	}
	return m
}

// TransferStarted counts a REFER that was read; TransferEnded follows exactly once.
func (s *Set) TransferStarted() { s.transfers.active.Inc() }

// TransferEnded counts a transfer that TransferStarted has counted, d after that.
func (s *Set) TransferEnded(call string, m metrics.Method, reason metrics.TransferReason, d time.Duration) {
	s.transfers.active.Dec()
	increase(s.transfers.total.WithLabelValues(m.String(), reason.Result().String(), reason.String()), call)
	observe(s.transfers.seconds.WithLabelValues(m.String()), d.Seconds(), call)
}

// TransferCorrected counts what an indeterminate transfer turned out to be. TransferEnded has counted
// it before, and a counter does not go back.
func (s *Set) TransferCorrected(call string, reason metrics.TransferReason) {
	increase(s.transfers.late.WithLabelValues(reason.Result().String(), reason.String()), call)
}

// TransferContext counts what became of the key of one transfer.
func (s *Set) TransferContext(call string, c metrics.Context) {
	increase(s.transfers.context.WithLabelValues(c.String()), call)
}

// DeadAir observes how long a transferred caller was kept on the edge's leg.
func (s *Set) DeadAir(call string, d time.Duration) { observe(s.transfers.deadAir, d.Seconds(), call) }
