// SPDX-License-Identifier: Apache-2.0
//
// What media/quality's Stream does in Go, line by line and under its names, for a slot that the
// program has claimed: RFC 3550 A.1 (sequence numbers), A.8 (jitter). A test gives both the same packets.

#pragma once

#include "slot.h"

enum {
	MAX_DROPOUT = 3000,
	MAX_MISORDER = 100,
	WINDOW = 64,
	CYCLE = 1 << 16,
	DEFAULT_CLOCK = 8000,
	SECOND = 1000000000,
};

static __always_inline __u64 stream_missing(const struct slot *s)
{
	__u64 expected = s->highest - s->base + 1;

	return s->started && expected > s->received ? expected - s->received : 0;
}

static __always_inline void stream_restart(struct slot *s, __u16 sequence, __u32 ssrc)
{
	__u64 first = CYCLE + (__u64)sequence;

	s->lost_before += stream_missing(s);
	s->ssrc = ssrc;
	s->started = 1;
	s->base = s->highest = first;
	s->received = 1;
	s->jitter = 0;
	s->seen = 1;
	s->doubting = s->timed = 0;
}

static __always_inline void stream_late(struct slot *s, __u64 behind)
{
	s->reordered++;
	if (behind < WINDOW)
		s->seen |= 1ULL << behind;
	if (s->highest - behind < s->base)
		s->base = s->highest - behind;
}

// Is the packet new?
static __always_inline _Bool stream_count(struct slot *s, __u16 sequence, __u32 ssrc)
{
	if (!s->started || s->ssrc != ssrc) {
		stream_restart(s, sequence, ssrc);
		return 1;
	}
	__u16 ahead = sequence - (__u16)s->highest;
	__u16 behind = -ahead;

	if (ahead == 0) {
		s->duplicates++;
		return 0;
	} else if (ahead < MAX_DROPOUT) {
		s->highest += ahead;
		s->seen = (ahead < WINDOW ? s->seen << ahead : 0) | 1;
	} else if (behind < WINDOW && s->seen & 1ULL << behind) {
		s->duplicates++;
		return 0;
	} else if (behind <= MAX_MISORDER) {
		stream_late(s, behind);
	} else if (s->doubting && sequence == s->suspect) {
		stream_restart(s, sequence, ssrc);
		return 1;
	} else {
		s->suspect = sequence + 1;
		s->doubting = 1;
		return 0;
	}
	s->doubting = 0;
	s->received++;
	return 1;
}

static __always_inline void stream_measure(struct slot *s, __u32 timestamp, __u64 arrival)
{
	__u32 clock = s->clock ? s->clock : DEFAULT_CLOCK;

	if (clock != s->stream_clock) {
		s->stream_clock = clock;
		s->timed = 0;
	}
	if (s->timed && timestamp == s->timestamp)
		return;
	// The arrival in units of the RTP clock, seconds apart: the product overflows after days.
	__u64 units = arrival / SECOND * clock + arrival % SECOND * clock / SECOND;
	__u32 transit = (__u32)units - timestamp;

	if (s->timed) {
		__s32 d = (__s32)(transit - s->transit);

		if (d < 0)
			d = -d;
		s->jitter += (__u32)d - ((s->jitter + 8) >> 4);
	}
	s->transit = transit;
	s->timestamp = timestamp;
	s->timed = 1;
}

static __always_inline void stream_receive(struct slot *s, __u16 sequence, __u32 timestamp, __u32 ssrc, __u64 arrival)
{
	if (stream_count(s, sequence, ssrc))
		stream_measure(s, timestamp, arrival);
}
