package b2bua

import (
	"time"

	"go.uber.org/zap/zapcore"

	"handoff/media/quality"
	"handoff/metrics"
	"handoff/sip/leg"
)

// tickTime is how often a call reads what its packets have counted.
const tickTime = time.Second

// watch reads the media counters while the call is up.
func (c *Call) watch() {
	c.after(tickTime, func() {
		c.count()
		c.forgetOutlets()
		c.noteChange()
		c.endStuck()
		if c.a.State() != leg.Over {
			c.watch()
		}
	})
}

// count tells the observer what has passed since it was told last.
func (c *Call) count() {
	if c.talk.media == nil {
		return
	}
	observer := c.engine.deps.Observer
	if c.talk.told == nil {
		c.talk.told = make(map[metrics.Leg]quality.Report)
	}
	for _, now := range c.talk.media.Stats() {
		before := c.talk.told[now.Leg]
		c.talk.told[now.Leg] = now.Report
		if now.Report == before {
			continue
		}
		if now.Received > before.Received || now.Reported.Reports > before.Reported.Reports {
			c.talk.heard[now.Leg] = time.Now()
		}
		observer.Packets(now.Leg, metrics.In, now.Path, now.Received-before.Received)
		observer.Packets(now.Leg, metrics.Out, now.Path, now.Sent-before.Sent)
		// A packet that was late and not lost takes loss back; a counter can't, so it stays counted.
		if lost, had := now.Stream.Lost(), before.Stream.Lost(); lost > had {
			observer.Lost(now.Leg, lost-had)
		}
		if now.Received > before.Received {
			observer.Jitter(now.Leg, now.Stream.Jitter().Seconds())
		}
		for i, n := range now.Foreign {
			if more := n - before.Foreign[i]; more > 0 {
				observer.Foreign(now.Leg, metrics.Foreign(i), more)
			}
		}
	}
}

// MarshalLogObject writes the packets of each leg, for the call's last line.
func (s *session) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	for name, r := range s.told {
		err := enc.AddObject(name.String(), zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error {
			enc.AddUint64("received", r.Received)
			enc.AddUint64("sent", r.Sent)
			enc.AddUint64("lost", r.Stream.Lost())
			enc.AddDuration("jitter", r.Stream.Jitter())
			if r.Events > 0 {
				enc.AddUint64("digits", r.Events)
			}
			if r.Reported.Reports > 0 { // what the peer says of what it was sent
				enc.AddInt32("reported_lost", r.Reported.Lost)
				enc.AddDuration("reported_jitter", r.Reported.Jitter)
				enc.AddDuration("round_trip", r.Reported.RoundTrip)
			}
			for i, n := range r.Foreign {
				if n > 0 { // why somebody was not heard
					enc.AddUint64("dropped_"+metrics.Foreign(i).String(), n)
				}
			}
			return nil
		}))
		if err != nil {
			return err
		}
	}
	return nil
}
