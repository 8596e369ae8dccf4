package kernel

import (
	"net/netip"
	"time"

	"go.uber.org/zap"

	"handoff/media/quality"
)

// DefaultDeadline is how long a slot forwards after its owner was last alive.
const DefaultDeadline = 5 * time.Minute

// Config is what a Path is made of.
type Config struct {
	// First and Last are the local ports that have slots, both included.
	First, Last uint16
	// Pins is a folder in a bpffs, made if missing, that keeps slots and hooks when the process
	// ends. Empty: they end with it.
	Pins string
	// Hook is where packets are met.
	Hook Hook
	// Deadline is how long a slot forwards after its owner was last alive; 0 is DefaultDeadline.
	Deadline time.Duration
	// Events is called for each event of a telephone-event stream, in order, from one goroutine; nil
	// for nobody. It must not wait for long: what finds no room is counted in Counts.EventsLost.
	Events func(Event)
	// Log hears of what an operator should know; nil for nobody.
	Log *zap.Logger
}

// Hook is a place in the kernel where packets are met.
type Hook uint8

const (
	// HookAuto is tcx, or clsact before Linux 6.6.
	HookAuto Hook = iota
	// HookClsact is the tc filter that every kernel has.
	HookClsact
	// HookXDP is native XDP, with HookAuto for what it leaves: drivers without it, loopback,
	// neighbours that are not known yet.
	HookXDP
)

// Hooks lists them all.
var Hooks = []Hook{HookAuto, HookClsact, HookXDP}

func (h Hook) String() string {
	switch h {
	case HookAuto:
		return "auto"
	case HookClsact:
		return "clsact"
	case HookXDP:
		return "xdp"
	}
	return "unknown"
}

// Way is one direction of a call: what comes From the peer at Local leaves by Out To the other peer. An
// unspecified address of Local or Out is that by which this machine speaks to the peer there.
type Way struct {
	From, Local, Out, To netip.AddrPort
	// Clock is the RTP clock rate of what comes, in Hz; 0 is 8000.
	Clock uint32
	// Events is the payload type of telephone-event, 0 for none. Its packets are forwarded as any, and reported.
	Events uint8
	// Digits tells that the payload can be read: it is not SRTP.
	Digits bool
}

// Counts is what a slot did since Start.
type Counts struct {
	// Packets and Bytes were forwarded; bytes of the UDP payload. No packet: the slot has not taken over.
	Packets, Bytes uint64
	// Foreign went up, because it came from a wrong source; see the package on who counts it.
	Foreign uint64
	// EventsLost are events that found no room on their way to Config.Events.
	EventsLost uint64
	// LastSeen is when a packet was last forwarded, zero for never.
	LastSeen time.Time
	// Stream is the state that Start was given and all packets since, Timestamp that of the last of them, and Type its
	// payload type.
	Stream    quality.State
	Timestamp uint32
	Type      uint8
}

// Event tells of a telephone-event (RFC 4733): when its first packet came, and when its end did. Of
// what cannot be read only the beginning is told. An event longer than its 16 bits of duration is
// told in its segments (§2.5.1.3). What was told in userspace before the slot took over is told again;
// the timestamp names the event.
type Event struct {
	// Port is the local port it came to, Type its payload type.
	Port            uint16
	Type            uint8
	SSRC, Timestamp uint32
	At              time.Time
	// Readable tells that the fields below are known.
	Readable bool
	// Code is the event: 0 to 9, 10 for *, 11 for #, 12 to 15 for A to D.
	Code uint8
	End  bool
	// Volume is in -dBm0, Duration in units of the RTP clock.
	Volume   uint8
	Duration uint16
}
