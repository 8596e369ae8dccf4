package b2bua

import (
	"go.uber.org/zap"

	"handoff/media/sdp"
	"handoff/metrics"
	"handoff/sip/leg"
)

// A caller whose INVITE has no offer (RFC 3261 §13.2.1) is offered in our 200 what Watson has agreed to, and
// answers in his ACK:
//
//	caller                    edge                      Watson
//	  | INVITE                  | INVITE (our own offer)   |
//	  |------------------------>|------------------------->|
//	  |                         |             200 (answer) |
//	  |                         |<-------------------------|
//	  |  200 (what is in force) |                          |
//	  |<------------------------|                          |
//	  | ACK (answer)            |                          |
//	  |------------------------>|                          |
//
// Keys can't pass then: Watson has ours before the caller has named his.

// late tells whether the caller waits for an offer.
func (c *Call) late() bool { return c.caller.offer == nil }

// offerOwn is an offer to Watson for a caller who has made none.
func (c *Call) offerOwn() (sdp.Description, error) {
	c.talk.terminated = true
	return sdp.NewOffer(c.talk.b.address(), freshKeys(c.engine.cfg.WatsonSRTP.Offered(sdp.SAVP), c.watsonSuites()...))
}

// forCaller is what the caller is told when Watson has answered: the answer to his offer, or ours.
func (c *Call) forCaller() []byte {
	if c.late() {
		return c.talk.a.proposed.body
	}
	return c.talk.a.local.body
}

// prepareOffer takes Watson's answer to that, and makes of it what the caller will be offered.
func (c *Call) prepareOffer(theirs *described) error {
	if err := sdp.Accept(c.talk.b.proposed.Description(), theirs.Description()); err != nil {
		return err
	}
	c.talk.b.agree(c.talk.b.proposed, theirs)
	offer, err := sdp.Offer(c.talk.b.local.Description(), theirs.Description(), c.talk.a.address(), freshKeys(c.engine.cfg.TwilioSRTP.Offered(sdp.SAVP), sdp.SHA80))
	if err != nil {
		return err
	}
	c.talk.a.propose(offer)
	return nil
}

// onLateAnswer takes the answer in the caller's ACK: now media can flow. Of an ACK without one, or with one
// that can't be taken, comes no session.
func (c *Call) onLateAnswer(body []byte) {
	theirs, err := c.read(&c.talk.a, body, c.engine.cfg.TwilioSRTP)
	if err == nil {
		err = sdp.Accept(c.talk.a.proposed.Description(), theirs.Description())
	}
	if err != nil {
		c.log.Warn("answer in ACK refused", zap.Stringer("leg", metrics.LegA), zap.Error(err))
		c.hangUp(metrics.ReasonMediaRefused)
		return
	}
	c.talk.a.agree(c.talk.a.proposed, theirs)
	c.applyMedia()
	if c.b.State() == leg.Up && sdp.Joinable(theirs.Description(), c.talk.b.remote.Description()) != nil {
		c.passOffer(c.a, theirs, modifyFollowing) // of what Watson takes, he has chosen another codec than Watson speaks
	}
}
