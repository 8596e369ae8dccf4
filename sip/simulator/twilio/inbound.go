package twilio

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

// Inbound is one call of the edge to the SIP domain: leg C, with an agent at its end.
type Inbound struct {
	domain    *Domain
	reception Reception
	sid       string
	callID    string
	answered  chan struct{} // closed by the ACK
	over      chan struct{}

	mu     sync.Mutex
	invite *wire.Request // the last one
	dialog wire.Dialog
	conn   *wire.Conn
	phone  *phone.Phone
	taken  bool   // credentials and offer were good
	number uint32 // CSeq of the last INVITE
	final  bool   // the INVITE has its final response
	acked  bool
	ending Ending
}

// Sid is the call's own; the Flex task carries it. CallID is that of the dialog.
func (c *Inbound) Sid() string    { return c.sid }
func (c *Inbound) CallID() string { return c.callID }

// Invite is the last INVITE that came without a To tag: the one with credentials, once there is one.
func (c *Inbound) Invite() *wire.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.invite.Clone()
}

// Answered is closed when the 200 is acknowledged, Over when the call has ended.
func (c *Inbound) Answered() <-chan struct{} { return c.answered }
func (c *Inbound) Over() <-chan struct{}     { return c.over }

// AwaitAnswer waits for the ACK; a call that ends instead is an error.
func (c *Inbound) AwaitAnswer(ctx context.Context) error {
	return simulator.AwaitAnswer(ctx, c.answered, c.over, func() string {
		return fmt.Sprintf("%s %d", c.Ending().How, c.Ending().Status)
	})
}

// Await waits for the end.
func (c *Inbound) Await(ctx context.Context) (Ending, error) {
	if err := simulator.AwaitEnd(ctx, c.over); err != nil {
		return Ending{}, err
	}
	return c.Ending(), nil
}

// Ending tells how the call ended; Alive while it has not.
func (c *Inbound) Ending() Ending {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}

// Phone is the agent's; nil before the call was let in.
func (c *Inbound) Phone() *phone.Phone {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phone
}

// Violations of this call so far.
func (c *Inbound) Violations() []simulator.Violation { return c.domain.account.violations.Of(c.callID) }

// Hangup is the agent hanging up: BYE.
func (c *Inbound) Hangup(ctx context.Context) error {
	c.mu.Lock()
	if c.ending.How != Alive || !c.acked {
		c.mu.Unlock()
		return errors.New("BYE: no dialog")
	}
	c.mu.Unlock()
	m := c.Request("BYE").Add("Reason", `Q.850;cause=16;text="Normal call clearing"`)
	defer c.end(Ending{How: AgentHungUp})
	response, err := c.Send(ctx, m)
	if err != nil {
		return err
	}
	if s := response.Status(); s != 200 && s != 481 {
		return fmt.Errorf("the BYE was answered %d", s)
	}
	return nil
}

// Request builds the next request inside the dialog, for a scenario to spoil and Send.
func (c *Inbound) Request(method string) *wire.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.dialog.Request(method)
	gateway := fmt.Sprintf("SIP/2.0/UDP %s:5060;rport=5060;branch=%s", privateIP, wire.Branch())
	m.Push("Via", gateway).Push("Via", wire.Via(wire.TLS, c.domain.Addr().String(), wire.Branch()+".0"))
	return m.Add("User-Agent", "Twilio Gateway").Add("X-Twilio-CallSid", c.sid)
}

// Send sends a request over the connection that brought the call, or a new one when that is gone, and waits for its final response.
func (c *Inbound) Send(ctx context.Context, m *wire.Message) (*wire.Message, error) {
	response, err := c.domain.wire.Ask(ctx, answerWithin, c.flow, m)
	if err == nil {
		c.checkHidden(response)
	}
	return response, err
}

// Cut ends the call's connection without close_notify.
func (c *Inbound) Cut() {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	conn.Cut()
}

func (c *Inbound) flow(ctx context.Context) (*wire.Conn, error) {
	c.mu.Lock()
	conn, target := c.conn, c.dialog.Target
	c.mu.Unlock()
	if conn.Open() {
		return conn, nil
	}
	p, err := parseAddress(target)
	if err != nil {
		return nil, err
	}
	to, err := p.resolve(ctx, conn.Remote().Addr(), p.host) // a name stands for the address that the edge called from
	if err != nil {
		return nil, err
	}
	fresh, err := c.domain.wire.Dial(ctx, wire.TLS, to, p.host)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = fresh
	return fresh, nil
}

// establishing builds a response that makes the dialog: with the proxy's two faces, the one toward the gateway first, because it is the
// last that the INVITE passed.
func (c *Inbound) establishing(status int, reason string) *wire.Message {
	m := wire.Respond(c.invite.Message, status, reason, wire.Tag(c.dialog.Local))
	for _, route := range c.recordRoutes() {
		m.Add("Record-Route", route)
	}
	return m.Add("Contact", c.dialog.Contact).Add("Server", "Twilio").Add("X-Twilio-CallSid", c.sid).
		Add("Allow", "INVITE,ACK,CANCEL,OPTIONS,BYE")
}

func (c *Inbound) recordRoutes() []string {
	at := c.domain.Addr()
	return []string{fmt.Sprintf("<sip:%s;lr;r2=on>", netip.AddrPortFrom(at.Addr(), 5060)), fmt.Sprintf("<sip:%s;transport=tls;r2=on;lr>", at)}
}

// routes is what the edge must put into Route: the Record-Routes, reversed (RFC 3261 §12.1.2).
func (c *Inbound) routes() []string {
	r := c.recordRoutes()
	return []string{r[1], r[0]}
}

// refuse sends a final response and ends the call, unless a CANCEL was faster. twilioError is for X-Twilio-Error.
func (c *Inbound) refuse(status int, reason, twilioError string) {
	if !c.finally() {
		return
	}
	m := wire.Respond(c.invite.Message, status, reason, wire.Tag(c.dialog.Local)).Add("Server", "Twilio").Add("X-Twilio-CallSid", c.sid)
	if twilioError != "" {
		m.Add("X-Twilio-Error", twilioError)
	}
	c.invite.Respond(m) // lost: the INVITE comes again
	c.end(Ending{How: Rejected, Status: status})
}

// finally claims the final response.
func (c *Inbound) finally() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.final || c.ending.How != Alive {
		return false
	}
	c.final = true
	return true
}

// accept sends the 200 and ends the call when no ACK comes.
func (c *Inbound) accept(sdp []byte) {
	if !c.finally() {
		return
	}
	c.invite.Respond(c.establishing(200, "OK").SetBody("application/sdp", sdp)) // repeated until the ACK
	c.phone.Talk()
	t := time.NewTimer(64 * c.domain.wire.T1())
	defer t.Stop()
	select {
	case <-c.answered:
	case <-c.over:
	case <-c.domain.account.ctx.Done():
	case <-t.C:
		c.violate(simulator.ACKMissing, "none for the 200 of the SIP domain")
		c.end(Ending{How: NoAnswer})
	}
}

// end is the only place where a call ends. The first ending counts.
func (c *Inbound) end(e Ending) {
	c.mu.Lock()
	if c.ending.How != Alive {
		c.mu.Unlock()
		return
	}
	c.ending = e
	close(c.over)
	agent := c.phone
	c.mu.Unlock()
	if agent != nil {
		agent.Close()
	}
}

func (c *Inbound) isOver() bool { return simulator.Closed(c.over) }

func (c *Inbound) checkHidden(m *wire.Message) {
	if word, ok := shows(m, c.domain.account.cfg.Hidden); ok {
		c.violate(simulator.Hidden, "%q in %s", word, firstWords(m))
	}
}

func (c *Inbound) violate(rule simulator.Rule, format string, args ...any) {
	c.domain.account.violate(c.callID, rule, format, args...)
}
