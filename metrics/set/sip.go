package set

import (
	"maps"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"handoff/metrics"
)

type sipMetrics struct {
	requests    *tally[requestKey]
	responses   *tally[responseKey]
	rejected    *prometheus.CounterVec
	connections *prometheus.GaugeVec
	expiry      *prometheus.GaugeVec
	peerExpiry  *prometheus.GaugeVec
	targets     *prometheus.GaugeVec
	since       *prometheus.GaugeVec
}

func newSIPMetrics(f *factory) sipMetrics {
	m := sipMetrics{
		requests: newTally[requestKey](f.counters("sip_requests_total", "SIP requests received and sent, retransmissions included.",
			"direction", "method", "peer")),
		responses: newTally[responseKey](f.counters("sip_responses_total", "SIP responses received and sent, retransmissions included, by the method they answer.",
			"direction", "method", "code", "peer")),
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
			for _, method := range append(methods[:], other) {
				m.requests.of(requestKey{direction, peer, method})
				if peer != metrics.PeerUnknown { // whom nobody answers; and the codes of others are no closed list
					m.responses.of(responseKey{requestKey{direction, peer, method}, 200})
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
var methods = [...]string{
	"ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS",
	"PRACK", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE",
}

func methodLabel(method string) string {
	for _, m := range &methods {
		if m == method {
			return m // and not what may hold a whole message
		}
	}
	return other
}

// codes are the SIP response codes that are registered. Each keeps its own series: 486 and 487 are different stories. A
// peer may invent hundreds.
var codes = func() (registered [700]bool) {
	for _, code := range []int{
		100, 180, 181, 182, 183, 199, 200, 202, 204, 300, 301, 302, 305, 380,
		400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 412, 413, 414, 415, 416, 417, 420, 421, 422, 423, 424, 425, 428, 429,
		430, 433, 436, 437, 438, 439, 440, 469, 470, 480, 481, 482, 483, 484, 485, 486, 487, 488, 489, 491, 493, 494,
		500, 501, 502, 503, 504, 505, 513, 555, 580, 600, 603, 604, 606, 607, 608,
	} {
		registered[code] = true
	}
	return registered
}()

// unregistered stands for a code that is in no list.
const unregistered = 0

// requestKey names a series of requests, and responseKey one of responses; of both there are a bounded number.
type requestKey struct {
	direction metrics.Direction
	peer      metrics.Peer
	method    string // a label
}

func (k requestKey) labels() []string {
	return []string{k.direction.String(), k.method, k.peer.String()}
}

type responseKey struct {
	requestKey
	code int
}

func (k responseKey) labels() []string {
	code := other
	if k.code != unregistered {
		code = strconv.Itoa(k.code)
	}
	return []string{k.direction.String(), k.method, code, k.peer.String()}
}

// series names one of a vector's.
type series interface {
	comparable
	labels() []string
}

// tally is a vector of which a series that has been used is found without writing its labels.
type tally[K series] struct {
	vec   *prometheus.CounterVec
	known atomic.Pointer[map[K]prometheus.Counter] // never changed, but replaced
}

func newTally[K series](vec *prometheus.CounterVec) *tally[K] {
	t := &tally[K]{vec: vec}
	t.known.Store(&map[K]prometheus.Counter{})
	return t
}

func (t *tally[K]) of(key K) prometheus.Counter {
	if c, ok := (*t.known.Load())[key]; ok {
		return c
	}
	c := t.vec.WithLabelValues(key.labels()...)
	for {
		old := t.known.Load()
		next := maps.Clone(*old)
		next[key] = c
		if t.known.CompareAndSwap(old, &next) {
			return c
		}
	}
}

// Request counts a request that was read or written.
func (s *Set) Request(d metrics.Direction, method string, p metrics.Peer) {
	s.sip.requests.of(requestKey{d, p, methodLabel(method)}).Inc()
}

// Response counts a response that was read or written; method is the one of its CSeq.
func (s *Set) Response(d metrics.Direction, method string, code int, p metrics.Peer) {
	if code < 0 || code >= len(codes) || !codes[code] {
		code = unregistered
	}
	s.sip.responses.of(responseKey{requestKey{d, p, methodLabel(method)}, code}).Inc()
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
