package trace

import (
	"net/netip"
	"time"

	"handoff/metrics"
)

// Packet is one of a call's media of which the header is known and never more: nothing of what is said.
type Packet struct {
	Time          time.Time
	Leg           string // a, b or c
	Direction     metrics.Direction
	Local, Remote netip.AddrPort
	Header        []byte
	// Size is of the whole UDP payload.
	Size int
}
