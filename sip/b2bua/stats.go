package b2bua

import (
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"handoff/media"
	"handoff/media/quality"
	"handoff/metrics"
	"handoff/metrics/trace"
	"handoff/sip/leg"
)

const (
	// tickTime is how often a call reads what its packets have counted.
	tickTime = time.Second
	// lookTime is how often it looks whether they are heard: what is wrong is known within two seconds, and shows at the second look.
	lookTime = tickTime / 2
)

// watch reads the media counters while the call is up.
func (c *Call) watch() {
	c.after(lookTime, func() {
		c.listen()
		c.after(tickTime-lookTime, c.tick)
	})
}

func (c *Call) tick() {
	c.count()
	c.listen()
	if time.Since(c.talk.sampled) >= trace.SampleTime-tickTime/2 {
		c.sample()
	}
	c.forgetOutlets()
	c.noteChange()
	c.endStuck()
	c.talk.fold()
	if c.a.State() != leg.Over {
		c.watch()
	}
}

// count tells the observer what has passed since it was told last.
func (c *Call) count() {
	if c.talk.media == nil {
		return
	}
	observer := c.engine.deps.Observer
	for _, now := range c.talk.media.Stats() {
		told := c.talk.told[now.Leg]
		if !c.talk.closed || told == nil { // behind the end nothing is in the kernel any more
			c.talk.path = now.Path
		}
		if told == nil {
			told = new(quality.Report)
			c.talk.told[now.Leg] = told
		}
		if now.Report == *told {
			continue
		}
		before := *told
		*told = now.Report
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
			observer.MOS(c.id, now.Leg, received(now.Report, before).MOS())
		}
		if now.Reported.Reports > before.Reported.Reports {
			observer.ReportedMOS(c.id, now.Leg, reported(now.Report).MOS())
			c.pass(now)
		}
		for i, n := range now.Foreign {
			if more := n - before.Foreign[i]; more > 0 {
				observer.Foreign(now.Leg, metrics.Foreign(i), more)
			}
		}
	}
}

// pass hands a report on.
func (c *Call) pass(now media.EndpointStats) {
	if to := c.engine.deps.Reports; to != nil {
		to.Reported(Report{Call: c.id, CallID: c.callID(now.Leg), EndpointStats: now})
	}
}

// received is the way of what a leg has sent since before.
func received(now, before quality.Report) quality.Way {
	came := now.Received - before.Received
	lost := now.Stream.Lost() - min(before.Stream.Lost(), now.Stream.Lost())
	return quality.Way{Loss: share(lost, lost+came), Jitter: now.Stream.Jitter(), RoundTrip: now.Reported.RoundTrip}
}

// reported is the way of what a leg is sent, by the last report of its peer.
func reported(now quality.Report) quality.Way {
	r := now.Reported
	return quality.Way{Loss: r.Loss(), Jitter: r.Jitter, RoundTrip: r.RoundTrip}
}

func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// listen tells of each leg that is not heard, once until it is heard again or the reason is another one. A hold is what
// Watson does before each transfer; who sends what while that runs is not known, and who has left need not be heard by a
// caller for whom something is played to the end.
func (c *Call) listen() {
	if c.talk.media == nil || c.a.State() != leg.Up || c.settled() {
		return
	}
	if c.handoff.running() {
		c.talk.unjudged = time.Now()
		return
	}
	now := c.talk.media.Unheard()
	if time.Since(c.talk.unjudged) < tickTime { // who was silent until then begins to speak
		return
	}
	before := c.talk.unheard
	c.talk.unheard = now
	for _, u := range c.talk.unheard {
		if slices.Contains(before, u) {
			continue
		}
		level := zap.WarnLevel
		if u.Why == metrics.OneWayHold {
			level = zap.DebugLevel
		}
		c.log.Log(level, "leg is not heard", zap.Stringer("leg", u.Leg), zap.Stringer("why", u.Why))
		c.engine.deps.Observer.OneWay(c.id, u.Leg, u.Why)
		c.story.Unheard(u.Leg.String(), u.Why.String(), time.Now())
	}
	for _, u := range before {
		if !slices.Contains(c.talk.unheard, u) {
			c.story.HeardAgain(u.Leg.String(), u.Why.String(), time.Now())
		}
	}
}

// MarshalLogObject writes the packets of each leg, for the call's last line.
func (s *session) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	for _, name := range metrics.Legs() {
		r := s.told[name]
		if r == nil {
			continue
		}
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
