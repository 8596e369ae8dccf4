package set

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"handoff/metrics"
)

type sipMetrics struct {
	requests    *prometheus.CounterVec
	responses   *prometheus.CounterVec
	rejected    *prometheus.CounterVec
	connections *prometheus.GaugeVec
	expiry      *prometheus.GaugeVec
	peerExpiry  *prometheus.GaugeVec
	targets     *prometheus.GaugeVec
	since       *prometheus.GaugeVec
}

func newSIPMetrics(f *factory) sipMetrics {
	m := sipMetrics{
		requests:    f.counters("sip_requests_total", "SIP requests received and sent, retransmissions included.", "direction", "method", "peer"),
		responses:   f.counters("sip_responses_total", "SIP responses received and sent, retransmissions included, by the method they answer.", "direction", "method", "code", "peer"),
		rejected:    f.counters("sip_rejected_total", "SIP messages, connections and calls turned away.", "reason"),
		connections: f.gauges("tls_connections", "Open TLS connections.", "peer"),
		// Without labels, yet a vector: there is no series before a certificate is loaded (or, of peerExpiry, seen),
		// as a zero would look like one that expired in 1970.
		expiry: f.gauges("tls_certificate_expiry_seconds", "When the edge's own certificate expires, in seconds since 1970."),
		peerExpiry: f.gauges("tls_peer_certificate_expiry_seconds",
			"When the certificate that the peer showed on the last connection dialled to it expires, in seconds since 1970.", "peer"),
		targets: f.gauges("watson_target_up", "Whether the last that was heard of a Watson target was good; 1 until something is heard.", "target"),
		since:   f.gauges("watson_target_since_seconds", "When that last changed, in seconds since 1970.", "target"),
	}
	for _, peer := range metrics.Peers() {
		m.connections.WithLabelValues(peer.String())
		for _, direction := range metrics.Directions() {
			for _, method := range append(methods(), other) {
				m.requests.WithLabelValues(direction.String(), method, peer.String())
				if peer != metrics.PeerUnknown { // whom nobody answers; and the codes of others are no closed list
					m.responses.WithLabelValues(direction.String(), method, "200", peer.String())
				}
			}
		}
	}
	for _, reason := range metrics.Rejects() {
		m.rejected.WithLabelValues(reason.String())
	}
	return m
}

// other stands for what came from the network and is in no list.
const other = "other"

// methods are those that have a series of their own.
func methods() []string {
	return []string{
		"ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS",
		"PRACK", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE",
	}
}

func methodLabel(method string) string {
	if slices.Contains(methods(), method) {
		return method
	}
	return other
}

// codeLabel keeps the exact code of those that IANA has registered: 486 and 487 are different stories. A peer may invent
// hundreds.
func codeLabel(code int) string {
	if slices.Contains(codes(), code) {
		return strconv.Itoa(code)
	}
	return other
}

// codes are the SIP response codes that are registered.
func codes() []int {
	return []int{
		100, 180, 181, 182, 183, 199, 200, 202, 204, 300, 301, 302, 305, 380,
		400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 412, 413, 414, 415, 416, 417, 420, 421, 422, 423, 424, 425, 428, 429,
		430, 433, 436, 437, 438, 439, 440, 469, 470, 480, 481, 482, 483, 484, 485, 486, 487, 488, 489, 491, 493, 494,
		500, 501, 502, 503, 504, 505, 513, 555, 580, 600, 603, 604, 606, 607, 608,
	}
}

// Request counts a request that was read or written.
func (s *Set) Request(d metrics.Direction, method string, p metrics.Peer) {
	s.sip.requests.WithLabelValues(d.String(), methodLabel(method), p.String()).Inc()
}

// Response counts a response that was read or written; method is the one of its CSeq.
func (s *Set) Response(d metrics.Direction, method string, code int, p metrics.Peer) {
	s.sip.responses.WithLabelValues(d.String(), methodLabel(method), codeLabel(code), p.String()).Inc()
}

// Rejected counts what was turned away.
func (s *Set) Rejected(reason metrics.Reject) {
	s.sip.rejected.WithLabelValues(reason.String()).Inc()
}

// Connections adds delta to the TLS connections open with p.
func (s *Set) Connections(p metrics.Peer, delta int) {
	s.sip.connections.WithLabelValues(p.String()).Add(float64(delta))
}

// CertificateExpiry tells when the certificate in use ends.
func (s *Set) CertificateExpiry(notAfter time.Time) {
	s.sip.expiry.WithLabelValues().Set(float64(notAfter.Unix()))
}

// PeerCertificateExpiry tells when the certificate ends that p showed on a connection that the edge dialled and verified.
func (s *Set) PeerCertificateExpiry(p metrics.Peer, notAfter time.Time) {
	s.sip.peerExpiry.WithLabelValues(p.String()).Set(float64(notAfter.Unix()))
}

// WatsonTargetGone forgets a target that is configured no more.
func (s *Set) WatsonTargetGone(target string) {
	s.sip.since.DeleteLabelValues(target)
	s.sip.targets.DeleteLabelValues(target)
}

// WatsonTarget tells whether target, one of the configured, is believed to work, and since when.
func (s *Set) WatsonTarget(target string, up bool, since time.Time) {
	s.sip.since.WithLabelValues(target).Set(float64(since.UnixMilli()) / 1000)
	value := 0.0
	if up {
		value = 1
	}
	s.sip.targets.WithLabelValues(target).Set(value)
}
