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
	mos           *prometheus.HistogramVec
	reportedMOS   *prometheus.HistogramVec
	oneWay        *prometheus.CounterVec
	learnt        *prometheus.CounterVec
}

// dissatisfying is below what ITU-T G.107 Annex B calls "some users dissatisfied".
const dissatisfying = 3.6

// scores are the steps of ITU-T G.107 Annex B between nearly all users dissatisfied and very satisfied, and the ends.
func scores() []float64 { return []float64{1, 2, 2.58, 3.1, dissatisfying, 4.03, 4.2, 4.34, 4.4, 4.5} }

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
		mos: f.histograms("mos", "Estimated quality of what was received, of each second that had packets (MOS-CQE of ITU-T G.107, G.711).",
			scores(), "leg"),
		reportedMOS: f.histograms("mos_reported", "The same of what the leg was sent, by each RTCP report of its peer.", scores(), "leg"),
		oneWay:      f.counters("rtp_one_way_total", "Times that a leg was not heard for a second or longer while the call was up, by why.", "leg", "reason"),
		learnt:      f.counters("rtp_source_learnt_total", "Times that media of a leg were taken from another port than its SDP says (media_learn: window).", "leg"),
	}
	for _, path := range metrics.Paths() {
		m.sessions.WithLabelValues(path.String())
	}
	for _, leg := range metrics.Legs() {
		m.lost.WithLabelValues(leg.String())
		m.learnt.WithLabelValues(leg.String())
		m.jitter.WithLabelValues(leg.String())
		m.mos.WithLabelValues(leg.String())
		m.reportedMOS.WithLabelValues(leg.String())
		for _, reason := range metrics.OneWays() {
			m.oneWay.WithLabelValues(leg.String(), reason.String())
		}
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

// MOS observes how well a second of what a leg sent could be understood, 1 to 4.5.
func (s *Set) MOS(call string, leg metrics.Leg, mos float64) {
	observeMOS(s.media.mos.WithLabelValues(leg.String()), mos, call)
}

// ReportedMOS observes how well a leg's peer heard what it was sent, as it says.
func (s *Set) ReportedMOS(call string, leg metrics.Leg, mos float64) {
	observeMOS(s.media.reportedMOS.WithLabelValues(leg.String()), mos, call)
}

// observeMOS names the call of a bad second only: good ones come once a second in every call, and lead to nothing.
func observeMOS(o prometheus.Observer, mos float64, call string) {
	if mos < dissatisfying {
		observe(o, mos, call)
		return
	}
	o.Observe(mos)
}

// OneWay counts a leg that is not heard.
func (s *Set) OneWay(call string, leg metrics.Leg, why metrics.OneWay) {
	increase(s.media.oneWay.WithLabelValues(leg.String(), why.String()), call)
}

// SourceLearnt counts a leg whose media come from another port than its SDP says, and are heard.
func (s *Set) SourceLearnt(leg metrics.Leg) { s.media.learnt.WithLabelValues(leg.String()).Inc() }
