package b2bua

import (
	"errors"

	"go.uber.org/zap"

	"handoff/media/sdp"
	"handoff/sip/leg"
)

// modification is the one re-offer that may be on its way from one leg to the other.
type modification struct {
	from  *leg.Leg
	offer sdp.Description
}

// onOffered takes a re-INVITE or UPDATE with an offer. Watson's hold and resume, and refreshes of
// either side, end here; what changes codec, address or key goes to the other leg.
func (c *Call) onOffered(from *leg.Leg, body []byte) {
	side := c.talk.of(c, from)
	if side == nil || !side.agreed() {
		from.RejectOffer(488, "Not Acceptable Here")
		return
	}
	if body == nil { // asked to offer: what is in force, and its ACK can only agree
		from.AnswerOffer(side.body)
		return
	}
	offer, err := c.parseOffer(from, body)
	if err != nil {
		c.refuseOffer(from, err)
		return
	}
	change := sdp.Compare(side.remote, offer)
	c.log.Info("re-offer", zap.Stringer("leg", from.Name), zap.Stringer("change", change), zap.Stringer("sdp", offer))
	if change == sdp.Same || change == sdp.Hold && from == c.b {
		c.answerAlone(from, side, offer)
		return
	}
	c.passOffer(from, side, offer)
}

// answerAlone answers without asking the other leg.
func (c *Call) answerAlone(from *leg.Leg, side *side, offer sdp.Description) {
	answer, err := sdp.HoldAnswer(side.local, side.remote, offer, side.address())
	if err != nil {
		c.refuseOffer(from, err)
		return
	}
	side.agree(answer, offer)
	c.applyMedia()
	from.AnswerOffer(side.body)
}

// passOffer sends the offer on to the other leg; its answer comes as onOfferAnswered.
func (c *Call) passOffer(from *leg.Leg, side *side, offer sdp.Description) {
	to := c.opposite(from)
	if to == nil || to.State() != leg.Up || c.modify.from != nil || c.handoff.running() {
		from.RejectOffer(491, "Request Pending")
		return
	}
	out, err := offer.For(c.talk.of(c, to).address())
	if err != nil {
		c.refuseOffer(from, err)
		return
	}
	c.modify = modification{from: from, offer: offer}
	to.Reinvite(c.talk.of(c, to).propose(out))
}

// onOfferAnswered takes the other leg's answer back to the leg that offered.
func (c *Call) onOfferAnswered(by *leg.Leg, body []byte) {
	m := c.modify
	c.modify = modification{}
	if m.from == nil {
		return
	}
	theirs, err := c.parseAnswer(by, body)
	if err != nil {
		c.log.Warn("answer to re-offer refused", zap.Stringer("leg", by.Name), zap.Error(err))
		m.from.RejectOffer(488, "Not Acceptable Here")
		return
	}
	offering, answering := c.talk.of(c, m.from), c.talk.of(c, by)
	answer, err := sdp.Answer(m.offer, theirs, offering.address())
	if err != nil {
		c.log.Warn("answer to re-offer refused", zap.Stringer("leg", by.Name), zap.Error(err))
		m.from.RejectOffer(488, "Not Acceptable Here")
		return
	}
	answering.agree(answering.proposed, theirs)
	offering.agree(answer, m.offer)
	c.applyMedia()
	m.from.AnswerOffer(offering.body)
}

// applyMedia lets media follow what was just agreed. It can fail only for an address of another
// family, which leaves the media where they were.
func (c *Call) applyMedia() {
	if err := c.talk.apply(); err != nil {
		c.log.Error("media stay as they were", zap.Error(err))
	}
}

// onOfferRejected tells the leg that offered; both sessions stay as they were.
func (c *Call) onOfferRejected(by *leg.Leg, code int) {
	m := c.modify
	c.modify = modification{}
	if m.from == nil {
		return
	}
	c.log.Info("re-offer rejected", zap.Stringer("leg", by.Name), zap.Int("code", code))
	switch code {
	case 491:
		m.from.RejectOffer(491, "Request Pending")
	case 408, 481, 487:
		m.from.RejectOffer(500, "Server Internal Error")
	default:
		m.from.RejectOffer(488, "Not Acceptable Here")
	}
}

func (c *Call) refuseOffer(from *leg.Leg, err error) {
	c.log.Info("re-offer refused", zap.Stringer("leg", from.Name), zap.Error(err))
	if errors.Is(err, sdp.ErrMalformed) {
		from.RejectOffer(400, "Bad Request")
		return
	}
	from.RejectOffer(488, "Not Acceptable Here")
}

func (c *Call) opposite(l *leg.Leg) *leg.Leg {
	if l == c.a {
		return c.b
	}
	return c.a
}
