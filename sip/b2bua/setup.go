package b2bua

import (
	"crypto/rand"
	"errors"
	"time"

	"go.uber.org/zap"

	"handoff/media/port"
	"handoff/media/sdp"
	"handoff/metrics"
	"handoff/sip/leg"
	"handoff/sip/trunk"
)

const (
	// firstWord is how long a target may say nothing at all before the next one is tried.
	firstWord = 3500 * time.Millisecond
	// answerTime is how long Watson may ring: Timer C (RFC 3261 §16.6).
	answerTime = 3 * time.Minute
)

// setup is the way from the caller's INVITE to two legs that talk. It is gone when they do.
type setup struct {
	candidates
	caller trunk.Introduction // to Watson
	now    candidate          // the one now tried
	heard  bool
	// answering: the 200 to the caller is out as soon as the call is written down.
	answering bool
	patient   func() // stops the timer that watches the target now tried
	// What the caller hears, and why, when no target is left.
	reason metrics.Reason
	code   int
	text   string
}

// stop ends the watch over the target.
func (s *setup) stop() {
	if s != nil && s.patient != nil {
		s.patient()
	}
}

// onInvite is the first thing that a call does.
func (c *Call) onInvite() {
	c.engine.deps.Observer.CallStarted()
	c.log.Info("call", zap.String("kind", string(c.caller.kind)), zap.String("source", c.caller.source),
		zap.String("twilio_call_sid", c.caller.sid), zap.String("twilio_parent_call_sid", c.caller.parent), zap.String("call_id", c.inviteKey.callID))
	c.traceLeg(metrics.LegA, c.a.Dialog())
	c.traceCall()
	c.engine.stories.bind(c.caller.sid, c.id)
	if announced := c.engine.stories.bind(c.caller.parent, c.id); !announced.IsZero() {
		c.log.Info("announced", zap.Duration("before", time.Since(announced)))
	}
	if held := c.setup.caller.Held; len(held) > 0 {
		c.engine.deps.Observer.HeadersHeld(len(held))
		c.log.Info("headers held back", zap.Strings("headers", held[:min(len(held), 10)])) // never their values: they may be private
	}
	if err := c.openSession(); err != nil {
		c.refuseMedia(err)
		return
	}
	c.setup.reason, c.setup.code, c.setup.text = metrics.ReasonWatsonUnreachable, 503, "Service Unavailable"
	c.setup.candidates = c.candidates()
	c.tryNextTarget()
}

// refuseMedia answers a caller whose offer can't be taken, or for whom no ports are left.
func (c *Call) refuseMedia(err error) {
	c.log.Info("offer refused", zap.Error(err))
	warn := warning(c.engine.cfg.Trunk.Public, err)
	switch {
	case errors.Is(err, port.ErrExhausted):
		c.refuseCaller(metrics.ReasonNoPorts, 503, "Service Unavailable", retryLater)
	case errors.Is(err, sdp.ErrMalformed):
		c.refuseCaller(metrics.ReasonBadRequest, 400, "Bad Request", warn)
	default:
		c.refuseCaller(metrics.ReasonMediaRefused, 488, "Not Acceptable Here", warn)
	}
}

func (c *Call) refuseCaller(why metrics.Reason, code int, text string, headers ...[2]string) {
	c.ending.because(why)
	c.entry(c.a).Code = code
	c.a.Reject(code, text, headers...)
}

// tryNextTarget sends the call to the next of Watson's targets, or gives up.
func (c *Call) tryNextTarget() {
	if c.ending.decided() {
		return // the caller has gone meanwhile
	}
	c.talk.b.settled = false
	now, left := c.setup.next()
	if !left {
		c.refuseCaller(c.setup.reason, c.setup.code, c.setup.text)
		return
	}
	c.setup.now = now

	offer, err := c.offerToWatson()
	if err != nil {
		c.refuseMedia(err)
		return
	}
	inv := leg.Invitation{
		CallID:   rand.Text() + "@" + c.engine.cfg.Trunk.Public,
		LocalTag: rand.Text(),
		From:     c.setup.caller.From.String(),
		Name:     c.setup.caller.Name,
		Target:   now.uri.String(),
		Headers:  c.setup.caller.Headers,
		SDP:      offer,

		MaxForwards: c.caller.hops,
	}
	c.b = leg.NewUAC(leg.Config{
		Name:    metrics.LegB,
		Peer:    metrics.PeerWatson,
		Contact: c.engine.cfg.Contact(metrics.PeerWatson, "tls"),
		Names:   c.engine.cfg.Trunk.WatsonNames,

		Credentials:     c.engine.cfg.WatsonCredentials,
		Extensions:      true,
		SessionInterval: c.engine.cfg.WatsonSessionInterval,
		OptionsEvery:    c.engine.cfg.OptionsEvery,
	}, c.legDeps(), inv)
	c.dialogs = append(c.dialogs, c.b.Dialog())
	c.engine.calls.addDialog(c, c.b.Dialog())
	c.entry(c.b).Target = now.uri.Host
	c.traceLeg(metrics.LegB, c.b.Dialog())
	c.log.Info("dialling", zap.String("target", now.uri.Host))
	c.setup.heard = false
	c.setup.patient = c.after(firstWord, c.onSilentTarget)
	c.b.Invite(inv)
}

// onSilentTarget gives up a target that said nothing. Its leg stays as a spare, so that an answer
// that comes after all is ended.
func (c *Call) onSilentTarget() {
	c.log.Warn("target silent", zap.Duration("for", firstWord))
	c.targetFailed(leg.Failed{})
	c.spareWatson()
	c.tryNextTarget()
}

// onNoAnswer gives up a Watson that rings for ever.
func (c *Call) onNoAnswer() {
	c.hangUp(metrics.ReasonWatsonNoAnswer)
}

func (c *Call) spareWatson() {
	spare := c.b
	c.spares = append(c.spares, spare)
	c.b = nil
	spare.Cancel()
}

// onProgress takes what becomes of leg B's INVITE.
func (c *Call) onProgress(ev leg.Event) {
	switch ev := ev.(type) {
	case leg.Trying:
		c.heardTarget()
	case leg.Ringing:
		c.heardTarget()
		c.noteFork(c.b)
		c.a.Ring(ev.Code, ringing[ev.Code], nil)
	case leg.EarlyMedia:
		c.heardTarget()
		c.noteFork(c.b)
		c.onEarlyMedia(ev)
	case leg.Connected:
		c.heardTarget()
		c.setup.stop()
		c.onWatsonAnswered(ev.SDP)
	case leg.Failed:
		c.setup.stop()
		c.onWatsonFailed(ev)
	}
}

// ringing are the phrases of RFC 3261 §21.1.
var ringing = map[int]string{180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress"}

// heardTarget gives a target that lives the time that ringing may take.
func (c *Call) heardTarget() {
	if c.setup.heard {
		return
	}
	c.setup.heard = true
	c.targetAnswered()
	c.setup.patient()
	c.setup.patient = c.after(answerTime, c.onNoAnswer)
}

func (c *Call) onEarlyMedia(ev leg.EarlyMedia) {
	switch err := c.connectMedia(ev.SDP); {
	case err != nil: // the 2xx may still bring a good one
		c.log.Warn("early media refused", zap.Error(err))
		c.a.Ring(180, "Ringing", nil)
	case c.late(): // an offer may not go in a response that is not reliable (RFC 3262 §5)
		c.a.Ring(ev.Code, ringing[ev.Code], nil)
	default:
		c.a.Ring(ev.Code, ringing[ev.Code], c.forCaller())
	}
}

func (c *Call) onWatsonAnswered(body []byte) {
	if len(body) > 0 || !c.talk.b.settled { // else all was agreed on before
		if err := c.connectMedia(body); err != nil {
			c.log.Warn("Watson's answer refused", zap.Error(err))
			c.hangUp(metrics.ReasonWatsonBadAnswer)
			return
		}
	}
	c.setup.answering = true
	c.promise(func() { c.answerCaller(c.forCaller()) })
}

func (c *Call) answerCaller(answer []byte) {
	if c.a.State() != leg.Calling {
		return // he gave up meanwhile
	}
	c.ending.answered = time.Now()
	c.talk.sampled = c.ending.answered
	c.engine.deps.Observer.CallSetup(c.id, time.Since(c.ending.started))
	c.log.Info("answered", zap.Duration("after", time.Since(c.ending.started)))
	caller := c.entry(c.a)
	caller.Code, caller.Answered = 200, c.ending.answered.UTC()
	c.a.Accept(answer)
	c.setup = nil
	c.watch()
}

// onWatsonFailed goes to the next target when this one is ill or sends the call elsewhere, else tells the
// caller what Watson said.
func (c *Call) onWatsonFailed(f leg.Failed) {
	c.log.Warn("target failed", zap.Int("code", f.Code), zap.String("text", f.Text), zap.Error(f.Err))
	switch {
	case f.Answered: // it may think that it is in a call: that is no reason to start another
		c.refuseCaller(metrics.ReasonWatsonBadAnswer, 502, "Bad Gateway")
		return
	case f.Code == 0:
		c.setup.reason, c.setup.code, c.setup.text = metrics.ReasonWatsonUnreachable, 503, "Service Unavailable"
	case trunk.Redirects(f.Code):
		c.setup.reason = metrics.ReasonWatsonRedirected
		c.setup.code, c.setup.text = trunk.CallerCode(f.Code)
		c.onRedirected(f)
		return
	default:
		c.setup.reason = metrics.ReasonWatsonRejected
		c.setup.code, c.setup.text = trunk.CallerCode(f.Code)
	}
	if f.Code == 0 || trunk.NextTarget(f.Code) {
		c.targetFailed(f)
		c.tryNextTarget()
		return
	}
	c.targetAnswered() // it lives, and does not want this call
	c.refuseCaller(c.setup.reason, c.setup.code, c.setup.text)
}
