package twilio

import (
	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

// onRequest takes the edge's requests inside the dialog, in the order of the wire.
func (c *Inbound) onRequest(r *wire.Request) {
	if c.isOver() {
		c.respond(r, 481, "Call/Transaction Does Not Exist") // late messages are normal
		return
	}
	c.checkHidden(r.Message)
	c.mu.Lock()
	status := checkDialog(&c.dialog, c.routes(), r, c.violate)
	c.mu.Unlock()
	if status != 0 {
		c.respond(r, status, reasons[status])
		return
	}
	switch r.Method() {
	case "ACK":
		c.onACK(r)
	case "BYE":
		c.respond(r, 200, "OK")
		c.end(Ending{How: EdgeHungUp, ByEdge: true, Reason: r.Get("Reason")})
	case "INVITE", "UPDATE":
		c.onReoffer(r)
	case "OPTIONS", "INFO":
		c.respond(r, 200, "OK")
	default:
		c.respond(r, 405, "Method Not Allowed")
	}
}

// respond does nothing for an ACK.
func (c *Inbound) respond(r *wire.Request, status int, reason string) {
	if r.Method() != "ACK" {
		r.Respond(wire.Respond(r.Message, status, reason, "").Add("Server", "Twilio Gateway").Add("X-Twilio-CallSid", c.sid))
	}
}

func (c *Inbound) onACK(r *wire.Request) {
	number, _ := r.CSeq()
	c.mu.Lock()
	defer c.mu.Unlock()
	if number != c.number {
		c.violate(simulator.ACKCSeq, "%d for %d", number, c.number)
	}
	if !c.acked {
		c.acked = true
		close(c.answered)
	}
}

// onReoffer answers whatever the edge offers anew, but a hold of the assistant has no business here.
func (c *Inbound) onReoffer(r *wire.Request) {
	body := c.phone.Offer()
	if len(r.Body) > 0 {
		offer, err := phone.ParseSDP(r.Body)
		if err == nil && offer.Direction != phone.SendRecv {
			c.violate(simulator.HoldPassed, "%s with a=%s", r.Method(), offer.Direction)
		}
		c.checkOffer(r.Body)
		if body, err = c.phone.Answer(r.Body); err != nil {
			c.respond(r, 488, "Not Acceptable Here")
			return
		}
	}
	number, _ := r.CSeq()
	c.mu.Lock()
	if r.Method() == "INVITE" {
		c.number = number
	}
	if contact := r.Get("Contact"); contact != "" {
		c.dialog.Target = wire.Address(contact)
	}
	c.mu.Unlock()
	m := wire.Respond(r.Message, 200, "OK", "").Add("Contact", c.dialog.Contact).Add("Server", "Twilio").Add("X-Twilio-CallSid", c.sid)
	if r.Method() == "INVITE" || len(r.Body) > 0 {
		m.SetBody("application/sdp", body)
	}
	r.Respond(m) // lost: it is asked for again
}

// onCancel ends a call that rings.
func (c *Inbound) onCancel(r *wire.Request) {
	r.Respond(wire.Respond(r.Message, 200, "OK", wire.Tag(c.dialog.Local)).Add("Server", "Twilio Gateway"))
	if c.finally() {
		c.invite.Respond(wire.Respond(c.invite.Message, 487, "Request Terminated", wire.Tag(c.dialog.Local)).Add("Server", "Twilio"))
		c.end(Ending{How: Cancelled, Reason: r.Get("Reason")})
	}
}
