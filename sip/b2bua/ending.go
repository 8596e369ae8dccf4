package b2bua

import (
	"time"

	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/sip/dialog"
	"handoff/sip/journal"
	"handoff/sip/leg"
)

// ending is what is known of how the call ends.
type ending struct {
	started  time.Time
	answered time.Time
	// reason is the first one given, and ended when; what follows from it does not overwrite it.
	reason    metrics.Reason
	ended     time.Time
	crashed   bool
	abandoned bool
}

// because keeps why the call ends; the first reason stays.
func (e *ending) because(r metrics.Reason) {
	if !e.decided() {
		e.reason, e.ended = r, time.Now()
	}
}

// correct replaces the reason: a transfer taken for unproved was proved late, or the call went on and nobody ended it.
func (e *ending) correct(r metrics.Reason) {
	e.because(r)
	e.reason = r
}

// goneOn says that the call went on after its reason was decided: with an agent.
func (e *ending) goneOn() { e.ended = time.Now() }

func (e *ending) decided() bool { return !e.ended.IsZero() }

// settled tells whether nobody talks any more: the reason is decided, and it is not that the caller talks to an agent.
func (c *Call) settled() bool { return c.ending.decided() && !c.agent.bridged }

// onEnded is told that a leg is over, and ends the other one unless a transfer says otherwise. A
// spare's end ends nothing.
func (c *Call) onEnded(l *leg.Leg, ev leg.Ended) {
	c.log.Info("leg ended", zap.Stringer("leg", l.Name), zap.Stringer("cause", ev.Cause))
	switch {
	case l == c.agent.leg:
		c.onAgentEnded()
	case l == c.a && c.agent.bridged:
		c.ending.goneOn()
		c.hangUp(metrics.ReasonTransferred)
	case l == c.a && c.handoff.running():
		c.talk.close()
		c.handoff.executor.OnCallerEnded()
	case l == c.b && c.handoff.running():
		c.handoff.executor.OnWatsonEnded()
	case l == c.b && c.agent.bridged:
		// Watson has done its part; the caller talks to the agent.
	case l == c.b && ev.Cause == leg.ByPeer && c.onHangupTransfer(ev.Headers):
		// Watson has left the caller to the transfer that its BYE asked for.
	case l == c.a || l == c.b:
		c.hangUp(reasonOf(l.Name, ev.Cause, !c.ending.answered.IsZero()))
	}
}

// onUnacknowledged ends the other leg of one whose 2xx was never acknowledged, without waiting for
// what a peer that is probably dead says to our BYE.
func (c *Call) onUnacknowledged(l *leg.Leg) {
	why := reasonOf(l.Name, leg.ByNoACK, true)
	if l == c.a && c.handoff.running() {
		c.ending.because(why)
		c.handoff.executor.OnCallerEnded()
		return
	}
	c.hangUp(why)
}

// reasonOf tells why a call ends one of whose legs ended so. ByUs is no reason: it follows from one
// that was given before.
func reasonOf(name metrics.Leg, cause leg.Cause, answered bool) metrics.Reason {
	caller := name == metrics.LegA
	switch cause {
	case leg.ByPeer:
		switch {
		case caller && answered:
			return metrics.ReasonCallerHangup
		case caller:
			return metrics.ReasonCancelled
		case answered:
			return metrics.ReasonWatsonHangup
		}
		return metrics.ReasonWatsonRejected
	case leg.ByCancel:
		return metrics.ReasonCancelled
	case leg.ByNoACK:
		if caller {
			return metrics.ReasonCallerNoACK
		}
		return metrics.ReasonWatsonLost
	case leg.ByLoss:
		if caller {
			return metrics.ReasonCallerLost
		}
		return metrics.ReasonWatsonLost
	case leg.ByTimer:
		if caller {
			return metrics.ReasonCallerExpired
		}
		return metrics.ReasonWatsonExpired
	}
	return metrics.ReasonInternal
}

// hangUp ends whatever is left of the call: its media at once, its legs as their states ask for.
func (c *Call) hangUp(why metrics.Reason) {
	c.ending.because(why)
	c.talk.close()
	c.setup.stop()
	c.endCaller()
	c.endWatson()
	c.endAgent()
}

// endCaller ends leg A.
func (c *Call) endCaller() {
	if c.a.State() == leg.Calling {
		code, text := callerCode(c.ending.reason)
		c.entry(c.a).Code = code
		c.a.Reject(code, text)
		return
	}
	c.a.Bye(c.ending.byeReason())
}

// endWatson ends leg B.
func (c *Call) endWatson() {
	if c.b != nil {
		c.b.Cancel()
		c.b.Bye(c.ending.byeReason())
	}
}

// callerCode is the final response to a caller who was never answered. Watson's own refusals take
// trunk.CallerCode instead.
func callerCode(r metrics.Reason) (int, string) {
	switch r {
	case metrics.ReasonWatsonNoAnswer, metrics.ReasonWatsonRejected:
		return 480, "Temporarily Unavailable"
	case metrics.ReasonWatsonBadAnswer:
		return 502, "Bad Gateway"
	case metrics.ReasonMediaRefused:
		return 488, "Not Acceptable Here"
	case metrics.ReasonInternal:
		return 500, "Server Internal Error"
	}
	return 503, "Service Unavailable"
}

// byeReason is the Reason header (RFC 3326) of our BYEs; an ordinary end needs none.
func (e *ending) byeReason() string {
	switch r := e.reason; {
	case !e.decided(), r == metrics.ReasonCancelled, r.Result() == metrics.Success:
		return ""
	case r.Result() == metrics.Caller:
		return `SIP;cause=408;text="` + r.String() + `"`
	default:
		return `SIP;cause=500;text="` + r.String() + `"`
	}
}

// shutdown ends the call because the edge goes down. Watson hears of its transfer first.
func (c *Call) shutdown() {
	c.handoff.shutdown()
	c.inOrder(func() { c.hangUp(metrics.ReasonShutdown) })
}

// abandon ends the call whatever the legs still wait for.
func (c *Call) abandon() {
	for _, l := range c.legs() {
		l.Drop()
	}
	c.ending.abandoned = true
}

// crashTime is how long a call whose code has panicked may take to end its legs.
const crashTime = 5 * time.Second

// crash ends a call whose state can't be trusted any more, as well as that still goes.
func (c *Call) crash() {
	if c.ending.crashed {
		c.ending.abandoned = true
		return
	}
	c.ending.crashed = true
	c.after(crashTime, c.abandon)
	c.guarded(func() { c.hangUp(metrics.ReasonInternal) })
}

// finish is the one way out of a call: nothing finds it any more, what still waits in its mailbox
// is answered, its record goes, and what it was is told once.
func (c *Call) finish() {
	defer c.engine.calls.done()
	c.guarded(func() {
		for _, l := range c.legs() {
			c.engine.deps.Bury(l.Dialog())
		}
	})
	c.engine.calls.remove(c, c.dialogs)
	for _, f := range c.mail.close() {
		c.guarded(f)
	}
	for _, out := range c.outlets {
		out.tx.Release() // what is on its way to the closed mailbox is not called
	}
	c.engine.deps.Journal.Delete(c.id, c.graves())
	c.guarded(c.report)
}

// graves are the names by which late messages of a call may come.
func (c *Call) graves() []journal.DialogID {
	var all []journal.DialogID
	for _, l := range c.legs() {
		all = append(all, journal.DialogID(l.Dialog()))
	}
	return all
}

// report writes the call's last line and counts it.
func (c *Call) report() {
	c.ending.because(metrics.ReasonInternal)
	c.talk.close()
	c.count()
	c.sample()
	duration, talked := c.ending.ended.Sub(c.ending.started), time.Duration(0)
	if !c.ending.answered.IsZero() {
		talked = c.ending.ended.Sub(c.ending.answered)
	}
	c.engine.deps.Observer.CallEnded(c.id, c.ending.reason, duration)
	c.tell(duration, talked)
	line := c.log.Check(zap.InfoLevel, "call ended")
	if line == nil {
		return
	}
	line.Write(
		zap.Stringer("result", c.ending.reason.Result()),
		zap.Stringer("reason", c.ending.reason),
		zap.String("twilio_call_sid", c.caller.sid),
		zap.String("twilio_parent_call_sid", c.caller.parent),
		zap.Strings("call_ids", callIDs(c.dialogs)),
		zap.Strings("transfers", c.handoff.outcomes),
		zap.Duration("duration", duration),
		zap.Duration("talked", talked),
		zap.Object("media", &c.talk))
}

// callIDs are those of all legs, the caller's first: by them the vendors' logs are found.
func callIDs(dialogs []dialog.ID) []string {
	ids := make([]string, len(dialogs))
	for i, d := range dialogs {
		ids[i] = d.CallID
	}
	return ids
}
