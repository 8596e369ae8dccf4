package set

import (
	"github.com/prometheus/client_golang/prometheus"

	"handoff/metrics"
)

func newWebhookMetrics(f *factory) *prometheus.CounterVec {
	all := f.counters("webhooks_total", "Requests of Twilio's for TwiML and with news of calls.", "endpoint", "result")
	for _, w := range metrics.Webhooks() {
		for _, r := range metrics.WebhookResults() {
			all.WithLabelValues(w.String(), r.String())
		}
	}
	return all
}

// Webhook counts a request that was answered.
func (s *Set) Webhook(w metrics.Webhook, r metrics.WebhookResult) {
	s.webhooks.WithLabelValues(w.String(), r.String()).Inc()
}
