package quality

import (
	"time"

	"handoff/metrics"
)

// Report is what a media path knows of one endpoint. It is plain data, and a path that is given one
// goes on counting from it.
type Report struct {
	Counters
	// Stream is the quality of what the peer sends.
	Stream State `json:"stream"`
	// Reported is the quality of what the peer is sent, as it says.
	Reported Reported `json:"reported,omitzero"`
}

// Reported is what a peer says in RTCP of what it hears from the edge (RFC 3550 §6.4.1).
type Reported struct {
	// Reports is how many came that say something; the rest is of the last one.
	Reports uint64 `json:"reports"`
	// SSRC is the source of which Lost packets were lost since it began, and of the last ones Fraction of
	// 256. Packets that came twice count against Lost, which may be below zero.
	SSRC     uint32 `json:"ssrc"`
	Lost     int32  `json:"lost"`
	Fraction uint8  `json:"fraction"`
	// Jitter is the interarrival jitter at the peer.
	Jitter time.Duration `json:"jitter"`
	// RoundTrip is from the edge to the peer and back, 0 while it is not known.
	RoundTrip time.Duration `json:"round_trip"`
}

// Counters is what passed an endpoint: received from its peer, sent to it. RTP unless named RTCP;
// bytes are of the UDP payload.
type Counters struct {
	Received      uint64 `json:"received"`
	ReceivedBytes uint64 `json:"received_bytes"`
	Sent          uint64 `json:"sent"`
	SentBytes     uint64 `json:"sent_bytes"`
	RTCPReceived  uint64 `json:"rtcp_received"`
	RTCPSent      uint64 `json:"rtcp_sent"`
	// SendErrors are packets that the system did not take, ReadErrors reads that failed.
	SendErrors uint64 `json:"send_errors"`
	ReadErrors uint64 `json:"read_errors"`
	// Events are the telephone-events (RFC 4733) that began: digits, one each.
	Events uint64 `json:"events,omitempty"`
	// Foreign counts what was not forwarded, by metrics.Foreign. What came from the right peer
	// while nothing was let through (ForeignInactive) counts as received too.
	Foreign [Foreigns]uint64 `json:"foreign"`
	// LastSeen is when RTP last came from the peer, zero for never.
	LastSeen time.Time `json:"last_seen,omitzero"`
}

// Foreigns is the number of values of metrics.Foreign.
const Foreigns = int(metrics.ForeignAuth) + 1
