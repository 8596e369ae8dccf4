package watson

import (
	"fmt"
	"strings"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

// progress sends a provisional response, reliably (RFC 3262) if the behaviour wants it: again and again until its PRACK comes. false says
// that none came, or that the call ended.
func (c *Call) progress(m *wire.Message) bool {
	m.Add("Contact", c.dialog.Contact)
	if !c.behaviour.Reliable {
		c.invite.Respond(m)
		return true
	}
	if !strings.Contains(c.invite.Get("Supported"), "100rel") {
		c.violate(simulator.Acknowledged, "the INVITE does not say that it can: Supported %q", c.invite.Get("Supported"))
	}
	c.mu.Lock()
	c.rseq++
	pracked := make(chan struct{})
	c.pracked = pracked
	m.Add("Require", "100rel").Add("RSeq", fmt.Sprint(c.rseq))
	c.mu.Unlock()
	t1 := c.assistant.wire.T1()
	for wait, left := t1, 64*t1; left > 0; wait, left = 2*wait, left-wait {
		c.invite.Respond(m)
		t := time.NewTimer(wait)
		select {
		case <-pracked:
			t.Stop()
			return true
		case <-c.over:
			t.Stop()
			return false
		case <-c.assistant.ctx.Done():
			t.Stop()
			return false
		case <-t.C:
		}
	}
	c.violate(simulator.Acknowledged, "no PRACK for %d", m.Status())
	c.reject(500)
	return false
}

// onPRACK takes the acknowledgement of the last provisional response.
func (c *Call) onPRACK(r *wire.Request) {
	number, _ := c.invite.CSeq()
	c.mu.Lock()
	waits, want := c.pracked, fmt.Sprintf("%d %d INVITE", c.rseq, number)
	if r.Get("RAck") == want {
		c.pracked = nil
	}
	c.mu.Unlock()
	switch {
	case r.Get("RAck") != want:
		c.violate(simulator.Acknowledged, "RAck %q, want %q", r.Get("RAck"), want)
		c.respond(r, 481, "Call/Transaction Does Not Exist")
	case waits == nil:
		c.violate(simulator.Acknowledged, "RAck %q twice", want)
		c.respond(r, 481, "Call/Transaction Does Not Exist")
	default:
		c.respond(r, 200, "OK")
		close(waits)
	}
}

// ringElsewhere is a second phone, with a voice one higher, that a proxy rings as well: a 183 of another fork (RFC 3261 §13.2.2.1). It
// talks until the call is answered by the first.
func (c *Call) ringElsewhere() (hush func(), err error) {
	cfg := c.assistant.cfg
	other, err := phone.New(phone.Config{Addr: cfg.Addr, Secure: !cfg.PlainMedia, Suite: cfg.Suite, Voice: cfg.Voice + 1})
	if err != nil {
		return nil, err
	}
	answer, err := other.Answer(c.invite.Body)
	if err != nil {
		other.Close()
		return nil, err
	}
	m := c.response(c.invite, 183).Add("Contact", c.dialog.Contact).SetBody("application/sdp", answer)
	c.invite.Conn.Send(m.Set("To", c.invite.Get("To")+";tag="+wire.Token(8)))
	other.Talk()
	return other.Close, nil
}
