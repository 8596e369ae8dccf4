package twilio

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"handoff/sip/simulator"
	"handoff/sip/simulator/digest"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

// onRequest takes the edge's requests with the call's Call-ID, in the order of the wire.
func (c *Call) onRequest(r *wire.Request) {
	if c.isOver() {
		c.respond(r, 481, "Call/Transaction Does Not Exist") // late messages are normal
		return
	}
	if status := c.checkRequest(r); status != 0 {
		c.respond(r, status, reasons[status])
		return
	}
	if realm := c.options.Asks; realm != "" && r.Method() != "ACK" {
		c.respond(r, 401, "Unauthorized", digest.Ask(realm)...)
		if r.Method() == "BYE" {
			c.end(Ending{How: EdgeHungUp, ByEdge: true, Reason: r.Get("Reason")})
		}
		return
	}
	switch r.Method() {
	case "ACK":
		c.onACK(r)
	case "BYE":
		c.respond(r, 200, "OK")
		c.end(Ending{How: EdgeHungUp, ByEdge: true, Reason: r.Get("Reason")})
	case "REFER":
		c.onRefer(r)
	case "INVITE", "UPDATE":
		c.onReoffer(r)
	case "OPTIONS", "INFO":
		c.respond(r, 200, "OK")
	default:
		c.respond(r, 405, "Method Not Allowed")
	}
}

// respond does nothing for an ACK.
func (c *Call) respond(r *wire.Request, status int, reason string, extra ...wire.Header) {
	if r.Method() == "ACK" {
		return
	}
	m := c.response(r, status, reason)
	m.Headers = append(m.Headers, extra...)
	r.Respond(m) // a response that is lost is asked for again
}

func (c *Call) response(r *wire.Request, status int, reason string) *wire.Message {
	m := wire.Respond(r.Message, status, reason, "")
	if c.options.Twnat && r.Conn != c.inviteConn {
		for _, route := range c.routes {
			m.Add("Record-Route", strings.TrimSuffix(route, ">")+";twnat=sip:"+r.Conn.Remote().String()+">")
		}
	}
	return m.Add("Server", "Twilio Gateway").Add("X-Twilio-CallSid", c.sid)
}

// onReoffer is a re-INVITE or UPDATE of the edge. It is answered whatever it offers, but a hold must not come: that is Watson's, and the
// edge keeps it to itself.
func (c *Call) onReoffer(r *wire.Request) {
	c.mu.Lock()
	glare, refuse := c.reinviting, c.options.RefuseReinvite
	c.mu.Unlock()
	switch {
	case glare:
		c.respond(r, 491, "Request Pending")
		return
	case refuse != 0:
		c.respond(r, refuse, "Refused")
		return
	}
	body := c.phone.Offer()
	if len(r.Body) > 0 {
		offer, err := phone.ParseSDP(r.Body)
		if err == nil && offer.Direction != phone.SendRecv {
			c.violate(simulator.HoldPassed, "%s with a=%s", r.Method(), offer.Direction)
		}
		if body, err = c.phone.Answer(r.Body); err != nil {
			c.respond(r, 488, "Not Acceptable Here")
			return
		}
	}
	m := c.response(r, 200, "OK").Add("Contact", c.dialog.Contact)
	if r.Method() == "INVITE" || len(r.Body) > 0 {
		m.SetBody("application/sdp", body)
	}
	if target := r.Get("Contact"); target != "" {
		c.mu.Lock()
		c.dialog.Target = wire.Address(target)
		c.mu.Unlock()
	}
	r.Respond(m)
}

// onACK brings the answer when we offered in a 200.
func (c *Call) onACK(r *wire.Request) {
	if len(r.Body) > 0 {
		c.accept(r.Body)
	}
}

// Change is what a re-INVITE of Twilio changes.
type Change uint8

const (
	Refresh Change = iota // nothing
	Codec                 // the other codec first and alone
	Address               // another port
	Hold                  // a=sendonly
	Resume                // a=sendrecv
)

var changes = [...]string{"refresh", "codec", "address", "hold", "resume"}

func (c Change) String() string { return word(changes[:], int(c)) }

// Reinvite sends a re-INVITE and returns the status of its final response.
func (c *Call) Reinvite(ctx context.Context, change Change) (int, error) {
	if err := c.apply(change); err != nil {
		return 0, err
	}
	c.mu.Lock()
	if !c.isAnswered || c.ending.How != Alive || c.reinviting {
		c.mu.Unlock()
		return 0, errors.New("re-INVITE: no dialog, or one under way")
	}
	c.reinviting = true
	m := c.requestLocked("INVITE").Add("Contact", c.dialog.Contact).SetBody("application/sdp", c.phone.Offer())
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.reinviting = false
	}()
	response, err := c.sendInvited(ctx, m)
	if err != nil {
		return 0, err
	}
	if response.Status() < 300 {
		c.accept(response.Body)
	}
	return response.Status(), nil
}

// sendInvited is Send for a re-INVITE: every 2xx, repeated ones too, is acknowledged as it comes.
func (c *Call) sendInvited(ctx context.Context, m *wire.Message) (*wire.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	conn, err := c.flow(ctx)
	if err != nil {
		return nil, err
	}
	done := make(chan wire.Reply, 1)
	tx, err := c.account.wire.Start(conn, m, func(r wire.Reply) {
		if r.Err == nil && r.Response.Status()/100 == 2 {
			c.mu.Lock()
			ack := c.ackLocked(r.Response)
			c.mu.Unlock()
			c.acknowledge(ack, func() {})
		}
		if r.Err == nil && r.Response.Status() < 200 {
			return
		}
		select {
		case done <- r:
		default: // a 2xx that came again
		}
	})
	if err != nil {
		return nil, err
	}
	select {
	case r := <-done:
		return r.Response, r.Err
	case <-ctx.Done():
		tx.End()
		return nil, fmt.Errorf("re-INVITE: %w", ctx.Err())
	}
}

func (c *Call) apply(change Change) error {
	switch change {
	case Refresh:
	case Codec:
		c.phone.Prefer(phone.PCMA)
	case Address:
		return c.phone.Move()
	case Hold:
		c.phone.Direct(phone.SendOnly)
	case Resume:
		c.phone.Direct(phone.SendRecv)
	default:
		return fmt.Errorf("re-INVITE: change %d", change)
	}
	return nil
}
