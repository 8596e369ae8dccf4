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
	// Foreign counts what was not forwarded, by metrics.Foreign. What came from the right peer
	// while nothing was let through (ForeignInactive) counts as received too.
	Foreign [Foreigns]uint64 `json:"foreign"`
	// LastSeen is when RTP last came from the peer, zero for never.
	LastSeen time.Time `json:"last_seen,omitzero"`
}

// Foreigns is the number of values of metrics.Foreign.
const Foreigns = int(metrics.ForeignAuth) + 1
