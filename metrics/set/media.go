package set

import (
	"github.com/prometheus/client_golang/prometheus"

	"handoff/metrics"
)

type mediaMetrics struct {
	sessions      *prometheus.GaugeVec
	portsFree     prometheus.Gauge
	restShortened prometheus.Counter
	packets       *prometheus.CounterVec
	lost          *prometheus.CounterVec
	jitter        *prometheus.HistogramVec
	foreign       *prometheus.CounterVec
}

func newMediaMetrics(f *factory) mediaMetrics {
	m := mediaMetrics{
		sessions:      f.gauges("media_sessions", "Media sessions, by the path that carries them.", "path"),
		portsFree:     f.gauge("media_ports_free", "Port pairs that no call holds, resting ones included."),
		restShortened: f.counter("media_port_rest_shortened_total", "Ports given out before their rest was over, because none else was left."),
		packets:       f.counters("rtp_packets_total", "Media packets received and sent.", "leg", "direction", "path"),
		lost:          f.counters("rtp_lost_total", "RTP packets missing from what was received.", "leg"),
		jitter: f.histograms("rtp_jitter_seconds", "Interarrival jitter of what was received (RFC 3550 section 6.4.1), observed per stream and tick.",
			[]float64{.001, .002, .005, .01, .02, .03, .05, .1, .2, .5}, "leg"),
		foreign: f.counters("rtp_foreign_packets_total", "Packets that reached a media port and were not forwarded.", "leg", "reason"),
	}
	for _, path := range metrics.Paths() {
		m.sessions.WithLabelValues(path.String())
	}
	for _, leg := range metrics.Legs() {
		m.lost.WithLabelValues(leg.String())
		m.jitter.WithLabelValues(leg.String())
		for _, reason := range metrics.Foreigns() {
			m.foreign.WithLabelValues(leg.String(), reason.String())
		}
		for _, direction := range metrics.Directions() {
			for _, path := range metrics.Paths() {
				m.packets.WithLabelValues(leg.String(), direction.String(), path.String())
			}
		}
	}
	return m
}

// Sessions adds delta to the sessions on path.
func (s *Set) Sessions(path metrics.Path, delta int) {
	s.media.sessions.WithLabelValues(path.String()).Add(float64(delta))
}

// PortsFree tells how many ports can be given out.
func (s *Set) PortsFree(n int) { s.media.portsFree.Set(float64(n)) }

// PortRestShortened counts a port that was given out too early.
func (s *Set) PortRestShortened() { s.media.restShortened.Inc() }

// Packets counts n more packets.
func (s *Set) Packets(leg metrics.Leg, d metrics.Direction, path metrics.Path, n uint64) {
	s.media.packets.WithLabelValues(leg.String(), d.String(), path.String()).Add(float64(n))
}

// Lost counts n more packets that did not come.
func (s *Set) Lost(leg metrics.Leg, n uint64) {
	s.media.lost.WithLabelValues(leg.String()).Add(float64(n))
}

// Jitter observes the jitter of a stream.
func (s *Set) Jitter(leg metrics.Leg, seconds float64) {
	s.media.jitter.WithLabelValues(leg.String()).Observe(seconds)
}

// Foreign counts n more packets that were dropped.
func (s *Set) Foreign(leg metrics.Leg, reason metrics.Foreign, n uint64) {
	s.media.foreign.WithLabelValues(leg.String(), reason.String()).Add(float64(n))
}
