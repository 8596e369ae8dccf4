package watson

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

// answerWithin bounds the edge's response to what the assistant sends.
const answerWithin = 10 * time.Second

// Hold puts the caller on hold by re-INVITE.
func (c *Call) Hold(ctx context.Context, h Hold) error {
	c.phone.Direct(h.direction())
	return c.expect200(c.Reinvite(ctx))
}

// Resume takes the caller back.
func (c *Call) Resume(ctx context.Context) error {
	c.phone.Direct(phone.SendRecv)
	return c.expect200(c.Reinvite(ctx))
}

func (c *Call) expect200(status int, err error) error {
	if err == nil && status != 200 {
		err = fmt.Errorf("the re-INVITE was answered %d", status)
	}
	return err
}

// Reinvite offers the phone as it is now: after Move or Prefer, another address or codec. It returns the final status.
func (c *Call) Reinvite(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	conn, err := c.flow(ctx)
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	if c.ending.How != Alive || c.acks == 0 || c.reinviting {
		c.mu.Unlock()
		return 0, errors.New("re-INVITE: no dialog, or one under way")
	}
	c.reinviting = true
	offer := c.phone.Offer()
	m := c.dialog.Request("INVITE").Add("Contact", c.dialog.Contact).SetBody("application/sdp", offer)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.reinviting = false
	}()
	response, err := c.invited(ctx, conn, m)
	if err != nil {
		return 0, err
	}
	if response.Status() < 300 {
		c.checkAnswer(offer, response.Body)
	}
	return response.Status(), nil
}

// invited sends a re-INVITE and acknowledges every 2xx as it comes.
func (c *Call) invited(ctx context.Context, conn *wire.Conn, m *wire.Message) (*wire.Message, error) {
	done := make(chan wire.Reply, 1)
	tx, err := c.assistant.wire.Start(conn, m, func(r wire.Reply) {
		if r.Err == nil && r.Response.Status() < 200 {
			return
		}
		if r.Err == nil && r.Response.Status() < 300 {
			number, _ := r.Response.CSeq()
			c.mu.Lock()
			ack := c.dialog.ACK(number)
			c.mu.Unlock()
			conn.Send(ack.Push("Via", wire.Via(wire.TLS, conn.Local().String(), wire.Branch()))) // lost: the 200 comes again
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

// checkAnswer judges the answer to a re-INVITE, that to a hold by RFC 3264 §6.1, and gives it to the phone.
func (c *Call) checkAnswer(offer, answer []byte) {
	for _, wrong := range phone.CheckAnswer(offer, answer) {
		c.violate(simulator.AnswerSDP, "%s", wrong)
	}
	offered, err1 := phone.ParseSDP(offer)
	answered, err2 := phone.ParseSDP(answer)
	if err := errors.Join(err1, err2); err != nil {
		return // said above
	}
	if !offered.Direction.Receives() && answered.Direction.Sends() || !offered.Direction.Sends() && answered.Direction.Receives() {
		c.violate(simulator.HoldAnswered, "%s was answered %s", offered.Direction, answered.Direction)
	}
	if err := c.phone.Accept(answer); err != nil {
		c.violate(simulator.AnswerSDP, "%v", err)
	}
}

// Request builds the next request inside the dialog, for a scenario to spoil and Send.
func (c *Call) Request(method string) *wire.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dialog.Request(method)
}

// Send sends a request to the edge and waits for its final response.
func (c *Call) Send(ctx context.Context, m *wire.Message) (*wire.Message, error) {
	response, err := c.assistant.wire.Ask(ctx, answerWithin, c.flow, m)
	if err == nil {
		c.assistant.checkHidden(response)
	}
	return response, err
}

// SendRaw writes bytes to the call's connection as they are.
func (c *Call) SendRaw(pieces ...[]byte) error {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	return conn.SendRaw(pieces...)
}

// flow is the edge's own connection while it is open, else (or when asked for) a new one to the edge's Contact.
func (c *Call) flow(ctx context.Context) (*wire.Conn, error) {
	c.mu.Lock()
	conn, target := c.conn, c.dialog.Target
	c.mu.Unlock()
	if conn.Open() && !(c.behaviour.OwnConnection && conn.Accepted()) {
		return conn, nil
	}
	host, to, err := sipsAddress(target, conn.Remote().Addr())
	if err != nil {
		return nil, err
	}
	fresh, err := c.assistant.wire.Dial(ctx, wire.TLS, to, host)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = fresh
	return fresh, nil
}

// sipsAddress reads host and port of a sips: URI. A host name stands for the address that the edge called from.
func sipsAddress(uri string, edge netip.Addr) (host string, to netip.AddrPort, err error) {
	rest, ok := strings.CutPrefix(uri, "sips:")
	if !ok {
		return "", to, fmt.Errorf("edge's Contact %q is no sips: URI", uri)
	}
	rest, _, _ = strings.Cut(rest, ";")
	if _, after, ok := strings.Cut(rest, "@"); ok {
		rest = after
	}
	host, port := rest, uint64(5061)
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
		host = rest[:i]
		if port, err = strconv.ParseUint(rest[i+1:], 10, 16); err != nil {
			return "", to, fmt.Errorf("edge's Contact %q: port", uri)
		}
	}
	host = strings.Trim(host, "[]")
	if ip, err := netip.ParseAddr(host); err == nil {
		edge = ip
	}
	return host, netip.AddrPortFrom(edge, uint16(port)), nil
}
