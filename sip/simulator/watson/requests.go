package watson

import (
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/digest"
	"handoff/sip/simulator/wire"
)

// onRequest takes the edge's requests inside the dialog, in the order of the wire.
func (c *Call) onRequest(r *wire.Request) {
	if c.onForked(r) {
		return
	}
	if c.isOver() {
		c.respond(r, 481, "Call/Transaction Does Not Exist") // late messages are normal
		return
	}
	if status := c.checkRequest(r); status != 0 {
		c.respond(r, status, map[int]string{481: "Call/Transaction Does Not Exist", 500: "Server Internal Error"}[status])
		return
	}
	if asks := c.behaviour.Asks; asks != "" && r.Method() != "ACK" {
		c.respond(r, 401, "Unauthorized", digest.Ask(asks)...)
		if r.Method() == "BYE" {
			c.end(Ending{How: EdgeHungUp, Reason: r.Get("Reason")})
		}
		return
	}
	switch r.Method() {
	case "ACK":
		c.onACK(r)
	case "PRACK":
		c.onPRACK(r)
	case "BYE":
		c.onBye(r)
	case "NOTIFY":
		c.onNotify(r)
	case "INVITE", "UPDATE":
		c.onReoffer(r)
	case "OPTIONS", "INFO":
		c.respond(r, 200, "OK")
	default:
		c.respond(r, 405, "Method Not Allowed", wire.Header{Name: "Allow", Value: allow})
	}
}

// respond does nothing for an ACK.
func (c *Call) respond(r *wire.Request, status int, reason string, extra ...wire.Header) {
	if r.Method() == "ACK" {
		return
	}
	m := wire.Respond(r.Message, status, reason, "")
	m.Headers = append(m.Headers, extra...)
	r.Respond(m) // a response that is lost is missed by the edge, and told by what it does then
}

// onForked takes what belongs to the second 2xx: an ACK and a BYE.
func (c *Call) onForked(r *wire.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fork.tag == "" || wire.Tag(r.Get("To")) != c.fork.tag {
		return false
	}
	switch r.Method() {
	case "ACK":
		c.fork.acked = true
	case "BYE":
		c.fork.ended = true
	}
	c.respond(r, 200, "OK")
	return true
}

func (c *Call) onACK(r *wire.Request) {
	number, _ := r.CSeq()
	invited, _ := c.invite.CSeq()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.invites[number] {
		c.violate(simulator.ACKCSeq, "%d", number)
		return
	}
	if number != invited {
		return // of a re-INVITE
	}
	if c.acks++; c.acks == 1 {
		close(c.answered)
	}
}

func (c *Call) onBye(r *wire.Request) {
	c.mu.Lock()
	early := c.transfer.accepted && !c.transfer.noSub && !c.transfer.finalAnswered
	c.mu.Unlock()
	if early {
		c.violate(simulator.ByeBeforeFinal, "the transfer was told %v", c.Codes())
	}
	c.respond(r, 200, "OK")
	c.end(Ending{How: EdgeHungUp, Reason: r.Get("Reason")})
}

// onReoffer answers a re-INVITE or UPDATE of the edge.
func (c *Call) onReoffer(r *wire.Request) {
	c.mu.Lock()
	glare, refuse := c.reinviting, c.behaviour.RefuseReinvite
	c.mu.Unlock()
	switch {
	case glare:
		c.respond(r, 491, reasons[491])
		return
	case refuse != 0:
		c.respond(r, refuse, reasons[refuse])
		return
	case r.Method() == "UPDATE" && c.behaviour.NoUpdate:
		c.respond(r, 405, "Method Not Allowed", wire.Header{Name: "Allow", Value: c.allow()})
		return
	}
	c.onRefresh(r)
	body := c.phone.Offer()
	if len(r.Body) > 0 {
		c.checkOffer(r.Body)
		var err error
		if body, err = c.phone.Answer(r.Body); err != nil {
			c.violate(simulator.OfferSDP, "%v", err)
			c.respond(r, 488, reasons[488])
			return
		}
	}
	number, _ := r.CSeq()
	c.mu.Lock()
	if r.Method() == "INVITE" {
		c.invites[number] = true
	}
	if contact := r.Get("Contact"); contact != "" {
		c.dialog.Target = wire.Address(contact)
	}
	c.mu.Unlock()
	m := c.timed(wire.Respond(r.Message, 200, "OK", "").Add("Contact", c.dialog.Contact))
	if r.Method() == "INVITE" || len(r.Body) > 0 {
		m.SetBody("application/sdp", body)
	}
	r.Respond(m)
}

// later runs f after d, at once when d is 0, unless the assistant is closed before.
func (c *Call) later(d time.Duration, f func()) {
	if d == 0 {
		f()
		return
	}
	c.assistant.spawn(func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			f()
		case <-c.assistant.ctx.Done():
		}
	})
}
