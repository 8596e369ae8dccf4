package b2bua

import (
	"time"

	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/sip/leg"
)

// ending is what is known of how the call ends.
type ending struct {
	started  time.Time
	answered time.Time
	// reason is the first one given; what follows from it does not overwrite it.
	reason    metrics.Reason
	decided   bool
	crashed   bool
	abandoned bool
}

// because keeps why the call ends; the first reason stays.
func (e *ending) because(r metrics.Reason) {
	if !e.decided {
		e.reason, e.decided = r, true
	}
}

// correct replaces the reason: a transfer taken for unproved was proved late.
func (e *ending) correct(r metrics.Reason) { e.reason, e.decided = r, true }

// onEnded is told that a leg is over, and ends the other one unless a transfer says otherwise.
func (c *Call) onEnded(l *leg.Leg, cause leg.Cause) {
	c.log.Info("leg ended", zap.Stringer("leg", l.Name), zap.Stringer("cause", cause))
	switch l {
	case c.a:
		c.onCallerEnded(cause)
	case c.b:
		c.onWatsonEnded(cause)
	}
}

func (c *Call) onCallerEnded(cause leg.Cause) {
	if c.handoff.running() {
		c.handoff.executor.OnCallerEnded()
		return
	}
	c.hangUp(callerReasons[cause])
}

func (c *Call) onWatsonEnded(cause leg.Cause) {
	if c.handoff.running() {
		c.handoff.executor.OnWatsonEnded()
		return
	}
	c.hangUp(watsonReasons[cause])
}

// callerReasons and watsonReasons tell why a call ends whose leg ended without our doing. ByUs
// stands for an end that was decided before: because keeps that one.
var (
	callerReasons = map[leg.Cause]metrics.Reason{
		leg.ByPeer:   metrics.ReasonCallerHangup,
		leg.ByCancel: metrics.ReasonCancelled,
		leg.ByNoACK:  metrics.ReasonCallerNoACK,
		leg.ByLoss:   metrics.ReasonCallerLost,
		leg.ByUs:     metrics.ReasonInternal,
	}
	watsonReasons = map[leg.Cause]metrics.Reason{
		leg.ByPeer: metrics.ReasonWatsonHangup,
		leg.ByLoss: metrics.ReasonWatsonLost,
		leg.ByUs:   metrics.ReasonInternal,
	}
)

// hangUp ends whatever is left of the call.
func (c *Call) hangUp(why metrics.Reason) {
	c.ending.because(why)
	c.endCaller()
	c.endWatson()
}

// endCaller ends leg A in the way that its state asks for.
func (c *Call) endCaller() {
	if c.a.State() == leg.Calling {
		code, text := callerCode(c.ending.reason)
		c.a.Reject(code, text)
		return
	}
	c.a.Bye(byeReason(c.ending.reason))
}

// endWatson ends leg B in the way that its state asks for.
func (c *Call) endWatson() {
	if c.b == nil {
		return
	}
	c.b.Cancel()
	c.b.Bye("")
}

// callerCode is the final response to a caller who was never answered. Watson's own refusals take
// trunk.CallerCode instead.
func callerCode(r metrics.Reason) (int, string) {
	switch r {
	case metrics.ReasonWatsonNoAnswer:
		return 480, "Temporarily Unavailable"
	case metrics.ReasonWatsonBadAnswer:
		return 502, "Bad Gateway"
	case metrics.ReasonMediaRefused:
		return 488, "Not Acceptable Here"
	case metrics.ReasonInternal:
		return 500, "Server Internal Error"
	case metrics.ReasonWatsonHangup:
		return 480, "Temporarily Unavailable"
	}
	return 503, "Service Unavailable"
}

// byeReason is the Reason header (RFC 3326) of our BYE to the caller; an ordinary end needs none.
func byeReason(r metrics.Reason) string {
	switch r.Result() {
	case metrics.Success, metrics.Caller:
		return ""
	}
	return `SIP;cause=500;text="` + r.String() + `"`
}

// shutdown ends the call because the edge goes down.
func (c *Call) shutdown() {
	c.handoff.shutdown()
	c.hangUp(metrics.ReasonShutdown)
}

// finish is the one way out of a call: its media stops, its record goes, and what it was is told
// once.
func (c *Call) finish() {
	c.mail.close()
	c.talk.close()
	c.count()
	for _, id := range c.dialogs {
		c.engine.deps.Bury(id)
	}
	c.engine.deps.Journal.Delete(c.id)
	c.report()
	c.engine.calls.remove(c, c.dialogs)
}

// report writes the call's last line and counts it.
func (c *Call) report() {
	duration := time.Since(c.ending.started)
	talked := time.Duration(0)
	if !c.ending.answered.IsZero() {
		talked = time.Since(c.ending.answered)
	}
	c.engine.deps.Observer.CallEnded(c.ending.reason, duration)
	c.log.Info("call ended",
		zap.Stringer("result", c.ending.reason.Result()),
		zap.Stringer("reason", c.ending.reason),
		zap.Duration("duration", duration),
		zap.Duration("talked", talked),
		zap.Object("media", c.talk))
}
