package b2bua

import (
	"errors"

	"go.uber.org/zap"

	"handoff/media/sdp"
	"handoff/metrics"
	"handoff/sip/leg"
)

// modification is the one re-offer that may be on its way from one leg to the other.
type modification struct {
	state modifyState
	from  *leg.Leg   // whose offer it is
	offer *described // or, of one that was asked to offer, its answer in the ACK
}

type modifyState uint8

const (
	// modifyNone: nothing is on its way.
	modifyNone modifyState = iota
	// modifyPassing: from waits for the other leg's answer.
	modifyPassing
	// modifyCancelled: from does not wait any more; what the other leg takes is taken back.
	modifyCancelled
	// modifyFollowing: from answered in its ACK, and the other leg is brought to the same.
	modifyFollowing
	// modifyRestoring: the other leg took what from does not have, and is offered what was before.
	modifyRestoring
	// modifyRecoding: the caller's leg is offered the codec of an agent who has answered.
	modifyRecoding
	// modifyRefreshing: a leg is offered what is in force, for its session timer.
	modifyRefreshing
)

// errUnsettled: the peer offers anew before its first offer or answer was taken.
var errUnsettled = errors.New("no session is agreed yet")

// onOffered takes a re-INVITE or UPDATE with an offer. Watson's hold and resume, and refreshes of
// either side, end here; what changes codec, address or key goes to the other leg.
func (c *Call) onOffered(from *leg.Leg, body []byte) {
	side := c.side(from)
	if !side.settled {
		from.RejectOffer(488, "Not Acceptable Here", warning(c.engine.cfg.Trunk.Public, errUnsettled))
		return
	}
	if body == nil { // asked to offer: what is in force, but for a hold; the answer is in the ACK
		side.agree(side.write(side.local.Description().Directed(sdp.SendRecv)), side.remote)
		from.AnswerOffer(side.local.body)
		return
	}
	offer, err := c.read(side, body, c.policy(from))
	if err != nil {
		c.refuseOffer(from, err)
		return
	}
	change := sdp.Compare(side.remote.Description(), offer.Description())
	c.log.Info("re-offer", zap.Stringer("leg", from.Name), zap.Stringer("change", change), zap.Stringer("sdp", offer.Description()))
	if change == sdp.Same || change == sdp.Hold && from == c.b {
		c.answerAlone(from, offer)
		return
	}
	c.passOffer(from, offer, modifyPassing)
}

// answerAlone answers without asking the other leg.
func (c *Call) answerAlone(from *leg.Leg, offer *described) {
	side := c.side(from)
	answer, err := sdp.HoldAnswer(side.local.Description(), side.remote.Description(), offer.Description(), side.address())
	if err != nil {
		c.refuseOffer(from, err)
		return
	}
	side.agree(side.write(answer), offer)
	c.applyMedia()
	c.answerOffer(from, side.local.body)
}

// passOffer sends what from described on to the other leg, whose answer comes as onOfferAnswered.
func (c *Call) passOffer(from *leg.Leg, offer *described, state modifyState) {
	to := c.opposite(from)
	if to == nil || to.State() != leg.Up || c.modify.state != modifyNone {
		from.RejectOffer(491, "Request Pending")
		return
	}
	out, err := c.offerTo(offer.Description(), c.side(to), c.side(to).keys())
	if err != nil {
		c.refuseOffer(from, err)
		return
	}
	if from == c.b {
		out = out.Directed(sdp.SendRecv) // Watson's hold is never passed on, whatever else it changes
	}
	c.modify = modification{state: state, from: from, offer: offer}
	to.Reinvite(c.side(to).propose(out))
}

// onOfferAnswered takes the other leg's answer back to the leg that offered.
func (c *Call) onOfferAnswered(by *leg.Leg, body []byte) {
	m := c.modify
	c.modify = modification{}
	switch m.state {
	case modifyNone, modifyRestoring:
		return
	case modifyCancelled:
		c.restore(by)
		return
	case modifyRecoding:
		c.onCallerRecoded(body)
		return
	case modifyRefreshing:
		c.takeAlone(by, body)
		return
	}
	answer, err := c.joinOffer(m, by, body)
	if err != nil {
		c.log.Warn("answer to re-offer refused", zap.Stringer("leg", by.Name), zap.Error(err))
		m.from.RejectOffer(488, "Not Acceptable Here", warning(c.engine.cfg.Trunk.Public, err))
		c.restore(by)
		return
	}
	c.applyMedia()
	c.answerOffer(m.from, answer)
}

// answerOffer promises a leg what has been agreed on: it is written down first, or another process would not know where
// media come from.
func (c *Call) answerOffer(from *leg.Leg, answer []byte) {
	c.promise(func() { from.AnswerOffer(answer) })
}

// joinOffer puts the answer of by to the offer of m in force on both legs.
func (c *Call) joinOffer(m modification, by *leg.Leg, body []byte) ([]byte, error) {
	theirs, err := c.read(c.side(by), body, c.policy(by))
	if err != nil {
		return nil, err
	}
	offering, answering := c.side(m.from), c.side(by)
	if m.state == modifyFollowing {
		answering.agree(answering.proposed, theirs)
		return nil, nil
	}
	answer, err := c.answerTo(m.offer.Description(), theirs.Description(), answering, offering)
	if err != nil {
		return nil, err
	}
	answering.agree(answering.proposed, theirs)
	offering.agree(offering.write(answer), m.offer)
	return offering.local.body, nil
}

// onRefreshDue offers a leg what is in force, unchanged (RFC 4028 §7.4).
func (c *Call) onRefreshDue(l *leg.Leg) {
	if c.modify.state != modifyNone || !c.side(l).settled {
		l.Refresh(nil)
		return
	}
	c.modify = modification{state: modifyRefreshing}
	l.Refresh(c.side(l).local.body)
}

// restore offers a leg again what was in force before it took something that the other leg does not
// have: legs in different sessions do not hear each other.
func (c *Call) restore(by *leg.Leg) {
	c.modify = modification{state: modifyRestoring}
	by.Reinvite(c.side(by).propose(c.side(by).local.Description()))
}

// onOfferTaken brings a leg back to what is in force: it has taken an offer for whose answer nobody waits any more.
func (c *Call) onOfferTaken(by *leg.Leg) {
	if c.modify.state == modifyNone && c.side(by).settled {
		c.restore(by)
	}
}

// onAnsweredInACK takes the answer of a leg that had asked us to offer.
func (c *Call) onAnsweredInACK(from *leg.Leg, body []byte) {
	if !c.side(from).settled {
		c.onLateAnswer(body)
		return
	}
	c.takeAlone(from, body)
}

// takeAlone takes the answer of a leg to an offer of ours for which nobody waits on the other leg. If it
// changes media, the other leg is brought to the same.
func (c *Call) takeAlone(from *leg.Leg, body []byte) {
	side := c.side(from)
	answer, err := c.read(side, body, c.policy(from))
	if err != nil {
		c.log.Warn("answer refused", zap.Stringer("leg", from.Name), zap.Error(err))
		return // what was in force stays: the peer has been told nothing else
	}
	change := sdp.Compare(side.remote.Description(), answer.Description())
	side.agree(side.local, answer)
	c.applyMedia()
	if change == sdp.Media {
		c.passOffer(from, answer, modifyFollowing)
	}
}

// onOfferCancelled is told that the leg that offered does not wait any more.
func (c *Call) onOfferCancelled(by *leg.Leg) {
	if c.modify.from == by && c.modify.state == modifyPassing {
		c.modify.state = modifyCancelled
	}
}

// onOfferRejected tells the leg that offered; both sessions stay as they were.
func (c *Call) onOfferRejected(by *leg.Leg, code int) {
	m := c.modify
	c.modify = modification{}
	c.log.Info("re-offer rejected", zap.Stringer("leg", by.Name), zap.Int("code", code))
	switch {
	case m.state == modifyRestoring, m.state == modifyFollowing:
		if by.Alive() { // the legs can't be brought together any more
			c.hangUp(metrics.ReasonMediaRefused)
		}
	case m.state == modifyRecoding:
		if c.agent.leg.State() == leg.Up {
			c.agentStands(errRecode)
		}
	case m.state != modifyPassing:
	case code == 491:
		m.from.RejectOffer(491, "Request Pending")
	case code == 408, code == 481, code == 487:
		m.from.RejectOffer(500, "Server Internal Error")
	default:
		m.from.RejectOffer(488, "Not Acceptable Here", warning(c.engine.cfg.Trunk.Public, errOtherSide))
	}
}

// errOtherSide is all that one side learns of why the other refused.
var errOtherSide = errors.New("the other side does not take it")

// applyMedia lets media follow what was just agreed. It can fail only for an address of another
// family, which leaves the media where they were.
func (c *Call) applyMedia() {
	if err := c.talk.apply(c.side(c.opposite(c.a))); err != nil {
		c.log.Error("media stay as they were", zap.Error(err))
	}
	c.note()
}

func (c *Call) refuseOffer(from *leg.Leg, err error) {
	c.log.Info("re-offer refused", zap.Stringer("leg", from.Name), zap.Error(err))
	warn := warning(c.engine.cfg.Trunk.Public, err)
	if errors.Is(err, sdp.ErrMalformed) {
		from.RejectOffer(400, "Bad Request", warn)
		return
	}
	from.RejectOffer(488, "Not Acceptable Here", warn)
}

// opposite is the leg that l talks to, nil for Watson's once the caller talks to the agent.
func (c *Call) opposite(l *leg.Leg) *leg.Leg {
	switch {
	case l == c.a && c.agent.bridged:
		return c.agent.leg
	case l == c.a:
		return c.b
	case l == c.b && c.agent.bridged:
		return nil
	}
	return c.a
}
