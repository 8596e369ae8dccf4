package twilio

import (
	"context"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

// onReply takes the edge's responses to the INVITE.
func (c *Call) onReply(r wire.Reply) {
	if r.Err != nil {
		c.end(Ending{How: NoAnswer, Reason: r.Err.Error()})
		return
	}
	m := r.Response
	c.checkHidden(m)
	c.checkEcho(m)
	status := m.Status()
	switch {
	case status == 100:
	case status < 200:
		c.checkTag(m, false)
		c.onProgress(m)
	case status < 300:
		c.onAccepted(m)
	default:
		c.mu.Lock()
		c.final = m
		how := Rejected
		if c.cancelled && status == 487 {
			how = Cancelled
		}
		c.mu.Unlock()
		c.end(Ending{How: how, Status: status, ByEdge: true})
	}
}

func (c *Call) onProgress(m *wire.Message) {
	if len(m.Body) > 0 {
		c.accept(m.Body) // early media
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isRinging {
		c.isRinging = true
		close(c.ringing)
	}
}

// onAccepted answers every 2xx with an ACK. The first one makes the dialog.
func (c *Call) onAccepted(m *wire.Message) {
	c.checkTag(m, true)
	c.mu.Lock()
	first := !c.isAnswered
	if first {
		c.isAnswered, c.final, c.answeredAt = true, m, time.Now()
		c.parent.answer()
		c.dialog.Remote = m.Get("To")
		c.checkContact(m)
		c.dialog.Target = wire.Address(m.Get("Contact"))
	}
	cancelled := c.cancelled
	c.mu.Unlock()
	if first {
		c.lateAnswer = c.agree(m.Body)
		c.phone.Talk()
	}
	c.mu.Lock()
	ack := c.ackLocked(m)
	c.mu.Unlock()
	if c.lateAnswer != nil {
		ack.SetBody("application/sdp", c.lateAnswer)
	}
	c.acknowledge(ack, func() {
		switch {
		case !first:
		case cancelled: // CANCEL crossed the 200
			c.account.spawn(func() { c.bye(c.account.ctx, CallerHungUp) }) // its error shows as a call of the edge that stays
		default:
			close(c.answered)
			c.cutLater()
		}
	})
}

// ackLocked builds the ACK for a 2xx as it was captured.
func (c *Call) ackLocked(m *wire.Message) *wire.Message {
	number, _ := m.CSeq()
	ack := c.dialog.ACK(number).Set("To", m.Get("To")).Set("Max-Forwards", "69")
	c.dress(ack)
	return ack.Set("User-Agent", "Twilio")
}

// acknowledge sends the ACK where the Contact says and then does the rest: at once over the connection at hand, else after dialling.
func (c *Call) acknowledge(ack *wire.Message, then func()) {
	if conn, ready := c.readyFlow(); ready {
		conn.Send(ack) // lost: the 200 comes again
		then()
		return
	}
	c.account.spawn(func() {
		ctx, cancel := context.WithTimeout(c.account.ctx, answerWithin)
		defer cancel()
		conn, err := c.flow(ctx)
		if err != nil {
			c.violate(simulator.AnswerContact, "the ACK does not reach it: %v", err)
			c.end(Ending{How: NoAnswer, Reason: err.Error()})
			return
		}
		conn.Send(ack) // lost: the 200 comes again
		then()
	})
}

// agree takes the SDP of a 2xx, and returns the answer that the ACK owes: nil when the INVITE has offered.
func (c *Call) agree(sdp []byte) []byte {
	if !c.options.LateOffer {
		c.accept(sdp)
		return nil
	}
	answer, err := c.phone.Answer(sdp)
	if err != nil {
		c.violate(simulator.AnswerSDP, "%v", err)
	}
	return answer
}

// accept checks an answer and gives it to the phone.
func (c *Call) accept(answer []byte) {
	for _, wrong := range phone.CheckAnswer(c.phone.Offer(), answer) {
		c.violate(simulator.AnswerSDP, "%s", wrong)
	}
	if err := c.phone.Accept(answer); err != nil {
		c.violate(simulator.AnswerSDP, "%v", err)
	}
}

// cutLater is the knob for the idle close of Twilio's TLS connections.
func (c *Call) cutLater() {
	if c.options.CutAfter == 0 {
		return
	}
	c.account.spawn(func() {
		select {
		case <-time.After(c.options.CutAfter):
			c.Cut()
		case <-c.over:
		case <-c.account.ctx.Done():
		}
	})
}
