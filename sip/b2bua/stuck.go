package b2bua

import (
	"time"

	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/sip/leg"
)

// endStuck ends a call that lasts too long, or of which a side has fallen silent for good: its end may have been lost. A
// transfer has time limits of its own, and ends or leaves the call first.
func (c *Call) endStuck() {
	if c.settled() || !c.a.Alive() || c.handoff.running() {
		c.talk.heard = [3]time.Time{}
		return
	}
	if most := c.engine.cfg.MaxDuration; most > 0 && time.Since(c.ending.answered) >= most {
		c.log.Warn("the call has lasted as long as one may", zap.Duration("limits.duration", most))
		c.giveUp(metrics.ReasonDuration)
		return
	}
	for _, l := range []*leg.Leg{c.a, c.opposite(c.a)} {
		if c.silent(l) {
			c.log.Warn("no media come from a leg", zap.Stringer("leg", l.Name), zap.Duration("media.timeout", c.engine.cfg.MediaTimeout))
			c.giveUp(silences[l.Name])
			return
		}
	}
}

// giveUp ends a call that nobody else ends; one that went on with an agent was transferred, and ends as badly all the same.
func (c *Call) giveUp(why metrics.Reason) {
	if c.agent.bridged {
		c.ending.correct(why)
		c.ending.goneOn()
	}
	c.hangUp(why)
}

var silences = map[metrics.Leg]metrics.Reason{
	metrics.LegA: metrics.ReasonCallerSilent,
	metrics.LegB: metrics.ReasonWatsonSilent,
	metrics.LegC: metrics.ReasonAgentSilent,
}

// silent tells whether nothing came from a leg for too long, neither RTP nor RTCP. On hold, nothing has to.
func (c *Call) silent(l *leg.Leg) bool {
	timeout := c.engine.cfg.MediaTimeout
	if l == nil || timeout == 0 || !l.Alive() {
		return false
	}
	heard := &c.talk.heard[l.Name]
	if !c.side(l).talks || heard.IsZero() {
		*heard = time.Now() // from here on
		return false
	}
	return time.Since(*heard) >= timeout
}
