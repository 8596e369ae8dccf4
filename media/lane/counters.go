package lane

import (
	"sync/atomic"
	"time"

	"handoff/media/quality"
	"handoff/metrics"
)

// counters are written by the readers of this pair and of the one bridged to it; first those that each packet of
// RTP changes.
type counters struct {
	receivedPackets, receivedBytes atomic.Uint64
	lastSeen                       atomic.Int64 // since the pair's epoch, 0 for never
	sent, sentBytes                atomic.Uint64
	rtcpReceived, rtcpSent         atomic.Uint64
	sendErrors, readErrors         atomic.Uint64
	events                         atomic.Uint64
	foreign                        [quality.Foreigns]atomic.Uint64
}

func (c *counters) received(bytes int, arrival time.Duration) {
	c.receivedPackets.Add(1)
	c.receivedBytes.Add(uint64(bytes))
	c.lastSeen.Store(int64(arrival))
}

func (c *counters) drop(why metrics.Foreign) { c.foreign[why].Add(1) }

func (c *counters) read(epoch time.Time) quality.Counters {
	all := quality.Counters{
		Received: c.receivedPackets.Load(), ReceivedBytes: c.receivedBytes.Load(),
		Sent: c.sent.Load(), SentBytes: c.sentBytes.Load(),
		RTCPReceived: c.rtcpReceived.Load(), RTCPSent: c.rtcpSent.Load(),
		SendErrors: c.sendErrors.Load(), ReadErrors: c.readErrors.Load(),
		Events: c.events.Load(),
	}
	for i := range c.foreign {
		all.Foreign[i] = c.foreign[i].Load()
	}
	if seen := c.lastSeen.Load(); seen != 0 {
		all.LastSeen = epoch.Add(time.Duration(seen))
	}
	return all
}

func (c *counters) restore(from quality.Counters, epoch time.Time) {
	c.receivedPackets.Store(from.Received)
	c.receivedBytes.Store(from.ReceivedBytes)
	c.sent.Store(from.Sent)
	c.sentBytes.Store(from.SentBytes)
	c.rtcpReceived.Store(from.RTCPReceived)
	c.rtcpSent.Store(from.RTCPSent)
	c.sendErrors.Store(from.SendErrors)
	c.readErrors.Store(from.ReadErrors)
	c.events.Store(from.Events)
	for i := range c.foreign {
		c.foreign[i].Store(from.Foreign[i])
	}
	if !from.LastSeen.IsZero() {
		c.lastSeen.Store(int64(from.LastSeen.Sub(epoch)))
	}
}
