// Package relay is the media path for a busy Linux machine: one socket for the ports of all endpoints
// of a worker. A BPF program (sk_lookup) hands that socket what comes for a port in use, and swallows
// what comes for any other port of the range, so that nobody learns which ones are in use. While packets flow
// the worker does not wait for each: it looks once a millisecond and takes what came in one system call.
// What leaves is written by one call too, with headers of the path's own: as frames to the next hop
// (AF_PACKET), which spares the system's way down, or as IP packets (raw sockets) where the next hop
// is not known, on loopback for one.
//
//	 datagrams to the range             frames, or IP packets
//	        │                                    ▲
//	   [sk_lookup] ── no call: swallowed         │ sendmmsg
//	        │ port → socket                      │
//	        ▼             recvmmsg               │
//	[socket of a worker] ─────────▶ worker ──▶ departures
//	                                  │  ▲
//	                       port → Port ▼  │ what leaves by which Port
//	                               media/lane
//
// A Path owns workers, sockets, the program and what is known of next hops; a Port owns a pair of
// numbers, and no descriptor. Neither decides anything: that is done by the port's Lane. The range of
// ports belongs to the path at the address that it listens at: who held one of them before is left alone, but
// what another process binds later hears nothing.
//
// Forward, Report and Send may be called from any goroutine and never wait for a packet to be
// handled; Freeze, Thaw and Close belong to one owner and wait for at most the batches in work.
//
// RFC 768 and RFC 8200 §8.1 (the checksum), RFC 791 and RFC 6864 (datagrams that are not fragmented
// need no identification), RFC 4961 (media leave by the port that they come to).
package relay

import (
	"fmt"
	"net/netip"
	"time"

	"handoff/media/lane"
)

// Config is what a path is made of.
type Config struct {
	// Listen is the address that media come to; unspecified is all of its family.
	Listen netip.Addr
	// First and Last are the range of ports, both in it.
	First, Last uint16
	// Pins is a folder on a bpffs where the program and its tables outlive the process. The next one
	// takes them over, and from a process that still runs one port after the other, by Open. Empty:
	// they end with the process.
	Pins string
	// Epoch is where arrivals are counted from.
	Epoch time.Time
}

// Unsupported tells why the path can't be had here.
type Unsupported struct {
	// Missing is what would have to be there.
	Missing string
	// Err is how that showed.
	Err error
}

func (u *Unsupported) Error() string {
	return fmt.Sprintf("userspace media path: not supported: missing %s: %v", u.Missing, u.Err)
}

func (u *Unsupported) Unwrap() error { return u.Err }

// Port is an endpoint: two ports in a row, RTP and RTCP.
type Port struct {
	system // first: its beginning is read for each packet, and so is that of the lane
	lane.Lane
}
