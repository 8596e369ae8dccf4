// SPDX-License-Identifier: Apache-2.0
//
// What the owner and the programs share: one slot for each local port. slot.go has the same layout,
// and a test compares the two. Any change of it needs a new schema there.

#pragma once

#include <linux/types.h>

// The states of a slot. The owner turns OFF into LIVE and LIVE into OFF; a program holds a LIVE slot
// as BUSY for as long as it handles one packet, so that whoever turned a slot off knows that nothing
// is counted or forwarded any more.
enum { OFF, LIVE, BUSY };

// What a slot's flags say.
enum {
	V6 = 1,         // addresses are those of the last line
	DIGITS = 2,     // the payload of telephone-events can be read
	FRAMED = 4,     // to_mac and out_mac are known: XDP may send
	ONE_STREAM = 8, // only that of ssrc is taken
};

// How far an event (RFC 4733) was reported.
enum { UNHEARD, BEGUN, ENDED };

// Addresses and ports are in network order.
struct slot {
	// First line: written by the owner while the slot is off, but for the deadline.
	__u32 state;
	__u32 ifindex;  // packets leave by this device
	__u64 deadline; // ns of CLOCK_MONOTONIC; nothing is forwarded later
	union {
		struct {
			__be32 from, local, out, to;
			__be32 hop; // the next hop toward to
		} v4;
		__be32 hop6[4];
	};
	__be16 from_port, out_port, to_port;
	__u16 mtu;    // of the device, 0 for any
	__u32 clock;  // Hz
	__u8 events;  // payload type of telephone-event, 0 for none
	__u8 flags;
	__u8 to_mac[6], out_mac[6];
	__u8 pad[2];

	// Second and third line: written by the program, and by the owner while the slot is off.
	__u64 packets, bytes; // forwarded; bytes of UDP payload
	__u64 last_seen;      // ns of CLOCK_MONOTONIC
	__u64 foreign;        // from elsewhere; counted by any CPU at any time, never reset

	// The state of media/quality's Stream, under its names.
	__u64 base, highest, received, lost_before, reordered, duplicates;
	__u64 seen;
	__u32 ssrc, jitter, transit, timestamp, stream_clock;
	__u32 event_timestamp; // of the event reported last
	__u32 events_lost;     // reports that found no room
	__u16 suspect;
	__u8 started, doubting, timed;
	__u8 awaited; // nothing is taken before the packet after highest
	__u8 event;   // how far the last one was reported
	// No part of the schema: what was padding to an older owner or program does no harm.
	__u8 wanted; // the next packet is to be sampled; set by the owner at any time
	__u8 type;   // payload type of the last packet
	__u8 pad2[3];

	// Fourth line: IPv6.
	struct {
		__be32 from[4], local[4], out[4], to[4];
	} v6;
};

// A packet as it came, RTP header first. The owner sets the length to 0 and then wanted in the slot; the program fills
// it once and says so by the length. What does not fit is not sampled.
struct sample {
	__u32 length;
	__u8 b[380];
};

// One report of an event.
struct event {
	__u64 at; // ns of CLOCK_MONOTONIC
	__u32 ssrc, timestamp;
	__u16 port; // local, host order
	__u8 type;  // payload type
	__u8 readable;
	__u8 code, end_volume; // RFC 4733 §2.3
	__u16 duration;        // units of the RTP clock
};
