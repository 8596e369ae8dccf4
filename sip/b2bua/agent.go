package b2bua

import (
	"crypto/rand"
	"errors"
	"net/netip"

	"go.uber.org/zap"

	"handoff/media/sdp"
	"handoff/metrics"
	"handoff/refer"
	"handoff/sip/leg"
)

// agent is leg C: a new call into a Twilio SIP domain, where a human takes the caller over.
type agent struct {
	leg     *leg.Leg
	headers []refer.Header
	report  func(refer.Event)
	bridged bool // the caller talks to it
	givenUp bool // nobody is to be called any more
	// others tells that the agent was offered what the caller knows but does not speak with Watson, and
	// answer what he took of it, while the caller is offered the same.
	others bool
	answer *described
}

// byInvite is the method that calls the agent and bridges the caller to him.
type byInvite struct {
	call    *Call
	headers []refer.Header
	report  func(refer.Event)
}

func (m byInvite) Attempt() {
	if old := m.call.agent.leg; old != nil && old.State() != leg.Over {
		m.call.spares = append(m.call.spares, old) // of an earlier transfer: cancelled, and not answered yet
	}
	m.call.agent = agent{headers: m.headers, report: m.report}
	if err := m.call.dialAgent(sdp.Offer); err != nil {
		m.call.log.Warn("agent not called", zap.Error(err))
		m.call.mail.put(func() { m.report(refer.Unsent{Method: metrics.MethodInvite}) })
	}
}

func (m byInvite) Cancel() { m.call.endAgent() } // there may be no leg yet: Attempt failed, and its report waits

// offerer is sdp.Offer or sdp.OfferOthers.
type offerer func(ours, theirs sdp.Description, local sdp.Local, own []sdp.Crypto) (sdp.Description, error)

// dialAgent sends the INVITE with the key in its headers, and keys of the edge's own: what the caller
// and Watson encrypt under is nothing for a third party.
func (c *Call) dialAgent(offering offerer) error {
	domain := c.engine.cfg.Domain
	if c.talk.c == nil {
		opened := &side{}
		if err := opened.open(c.talk.media, metrics.LegC, netip.Addr{}); err != nil {
			return err
		}
		c.talk.c = opened
	}
	own := freshKeys(c.engine.cfg.TwilioSRTP.Offered(sdp.SAVP), sdp.SHA80)
	offer, err := offering(c.talk.a.local.Description(), c.talk.a.remote.Description(), c.talk.c.address(), own)
	if err != nil {
		return err
	}
	inv := leg.Invitation{
		CallID:   rand.Text() + "@" + c.engine.cfg.Trunk.Public,
		LocalTag: rand.Text(),
		From:     c.caller.toAgent.From.String(),
		Name:     c.caller.toAgent.Name,
		Target:   domain.URI.String(),
		SDP:      c.talk.c.propose(offer),

		MaxForwards: 70,
	}
	for _, h := range c.agent.headers {
		inv.Headers = append(inv.Headers, [2]string{h.Name, h.Value})
	}
	c.agent.leg = leg.NewUAC(leg.Config{
		Name:        metrics.LegC,
		Peer:        metrics.PeerTwilio,
		Contact:     c.engine.cfg.Contact(metrics.PeerTwilio, "tls"),
		Credentials: domain.Credentials,

		OptionsEvery: c.engine.cfg.OptionsEvery,
	}, c.legDeps(), inv)
	c.dialogs = append(c.dialogs, c.agent.leg.Dialog())
	c.engine.calls.addDialog(c, c.agent.leg.Dialog())
	c.entry(c.agent.leg).Target = domain.URI.Host
	c.traceLeg(metrics.LegC, c.agent.leg.Dialog())
	c.engine.stories.bind(inv.CallID, c.id)
	c.agent.leg.Invite(inv)
	return nil
}

// onAgentProgress takes what becomes of leg C's INVITE.
func (c *Call) onAgentProgress(ev leg.Event) {
	switch ev := ev.(type) {
	case leg.Ringing:
		c.noteFork(c.agent.leg)
		c.play(c.engine.deps.Ringback)
	case leg.EarlyMedia:
		c.noteFork(c.agent.leg)
		theirs, err := c.readAgent(ev.SDP)
		if err == nil {
			err = c.joinAgent(theirs)
		}
		if err != nil {
			c.log.Warn("the agent's early media refused", zap.Error(err))
		}
	case leg.Connected:
		c.onAgentAnswered(ev.SDP)
	case leg.Failed:
		c.onAgentFailed(ev)
	}
}

// onAgentAnswered lets the caller and the agent hear each other, at once if they speak the same.
func (c *Call) onAgentAnswered(body []byte) {
	if len(body) == 0 && c.talk.c.settled {
		body = c.talk.c.remote.body // the answer came with the 18x and is not repeated
	}
	theirs, err := c.readAgent(body)
	switch {
	case err != nil:
	case c.agent.others:
		if err = c.recodeCaller(theirs); err == nil {
			return // until the caller has answered
		}
	default:
		err = c.joinAgent(theirs)
	}
	c.agentStands(err)
}

// agentStands tells the machine, whose Bridge is the only thing that keeps the agent's leg.
func (c *Call) agentStands(err error) {
	if err != nil {
		c.log.Warn("the agent's answer refused", zap.Error(err))
		c.agent.leg.Bye("")
		c.rejoinWatson()
		c.agent.report(refer.Rejected{Method: metrics.MethodInvite, Code: 488})
		return
	}
	c.agent.report(refer.Answered{Method: metrics.MethodInvite})
	if !c.agent.bridged { // the transfer was given up meanwhile
		c.agent.leg.Bye("")
		c.rejoinWatson()
	}
}

// recodeCaller offers the caller's leg what the agent has taken.
func (c *Call) recodeCaller(theirs *described) error {
	if c.modify.state != modifyNone {
		return errRecode
	}
	c.agent.answer = theirs
	c.modify = modification{state: modifyRecoding}
	c.a.Reinvite(c.talk.a.propose(c.talk.a.local.Description().Recoded(c.talk.c.proposed.Description(), theirs.Description())))
	return nil
}

var errRecode = errors.New("the caller's leg does not take the agent's codec")

// onCallerRecoded takes the caller's answer to that. An agent who has left meanwhile has reported so.
func (c *Call) onCallerRecoded(body []byte) {
	if c.agent.leg.State() != leg.Up {
		c.restore(c.a)
		return
	}
	theirs, err := c.read(&c.talk.a, body, c.engine.cfg.TwilioSRTP)
	if err == nil {
		err = sdp.Accept(c.talk.a.proposed.Description(), theirs.Description())
	}
	if err != nil {
		c.restore(c.a)
		c.agentStands(err)
		return
	}
	c.talk.a.agree(c.talk.a.proposed, theirs)
	c.agentStands(c.joinAgent(c.agent.answer))
}

func (c *Call) onAgentFailed(f leg.Failed) {
	c.log.Warn("agent not reached", zap.Int("code", f.Code), zap.String("text", f.Text), zap.Error(f.Err))
	if f.Code == 488 && c.dialAgain() {
		return
	}
	c.rejoinWatson()
	switch {
	case f.Code != 0:
		c.agent.report(refer.Rejected{Method: metrics.MethodInvite, Code: f.Code})
	case f.Sent && !f.Answered:
		c.agent.report(refer.Silent{Method: metrics.MethodInvite})
	default:
		c.agent.report(refer.Unsent{Method: metrics.MethodInvite})
	}
}

// dialAgain offers the agent what else the caller knows; false says that there is nothing else, or that
// it was offered.
func (c *Call) dialAgain() bool {
	if c.agent.others || c.agent.givenUp {
		return false
	}
	c.agent.others = true
	refused := c.agent.leg
	if err := c.dialAgent(sdp.OfferOthers); err != nil {
		c.log.Info("nothing else to offer to the agent", zap.Error(err))
		return false
	}
	c.spares = append(c.spares, refused)
	return true
}

// onAgentEnded ends the call of a caller whose agent has hung up; before that, it is our CANCEL that
// ended the leg.
func (c *Call) onAgentEnded() {
	if c.agent.bridged {
		c.ending.goneOn()
		c.hangUp(metrics.ReasonTransferred)
		return
	}
	c.rejoinWatson()
	c.agent.report(refer.Rejected{Method: metrics.MethodInvite, Code: 487})
}

// bridgeAgent leaves the caller to the agent.
func (c *Call) bridgeAgent() {
	c.agent.bridged, c.talk.terminated = true, true
	c.log.Info("caller and agent talk")
	c.note()
}

// endAgent ends leg C, if there is one, whatever its state.
func (c *Call) endAgent() {
	c.agent.givenUp = true
	if c.agent.leg != nil {
		c.agent.leg.Cancel()
		c.agent.leg.Bye(c.ending.byeReason())
	}
}

// readAgent reads the agent's answer.
func (c *Call) readAgent(body []byte) (*described, error) {
	theirs, err := c.read(c.talk.c, body, c.engine.cfg.TwilioSRTP)
	if err != nil {
		return nil, err
	}
	return theirs, sdp.Accept(c.talk.c.proposed.Description(), theirs.Description())
}

// joinAgent lets media flow between the caller and the agent, who speak the same.
func (c *Call) joinAgent(theirs *described) error {
	if err := sdp.Joinable(sdp.InForce(c.talk.a.local.Description(), c.talk.a.remote.Description()), theirs.Description()); err != nil {
		return err
	}
	c.hush()
	c.talk.c.agree(c.talk.c.proposed, theirs)
	return c.talk.apply(c.talk.c)
}

// rejoinWatson gives the caller back to Watson after early media of an agent who never came.
func (c *Call) rejoinWatson() {
	if !c.talk.c.settled || c.b == nil || !c.b.Alive() {
		return
	}
	c.talk.c.settled = false
	if err := c.talk.apply(&c.talk.b); err != nil {
		c.log.Error("media stay as they were", zap.Error(err))
	}
}
