package watson

import (
	"fmt"
	"strings"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/wire"
)

// session is a session timer (RFC 4028), seen from the assistant: who did not refresh in time hears BYE.
type session struct {
	refreshed chan struct{} // by the edge
	count     int           // refreshes that came from the edge, and were answered by it
}

// timed puts the session timer of the behaviour into a 2xx of ours.
func (c *Call) timed(m *wire.Message) *wire.Message {
	b := c.behaviour
	if b.SessionExpires == 0 {
		return m
	}
	refresher := "uac"
	if b.Refreshes {
		refresher = "uas"
	}
	return m.Add("Session-Expires", fmt.Sprintf("%d;refresher=%s", int(b.SessionExpires/time.Second), refresher)).Add("Require", "timer")
}

// onRefresh judges a re-INVITE or UPDATE of the edge as a refresh.
func (c *Call) onRefresh(r *wire.Request) {
	if c.behaviour.SessionExpires == 0 {
		return
	}
	if got := r.Get("Session-Expires"); !strings.HasSuffix(got, ";refresher=uac") || !strings.Contains(r.Get("Supported"), "timer") {
		c.violate(simulator.Refreshed, "Session-Expires %q, Supported %q", got, r.Get("Supported"))
	}
	c.mu.Lock()
	c.session.count++
	c.mu.Unlock()
	select {
	case c.session.refreshed <- struct{}{}:
	default:
	}
}

// Refreshes counts those of the session, whoever sent them.
func (c *Call) Refreshes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.count
}

// keepSession refreshes the session, or waits for the edge to do so, until the call ends.
func (c *Call) keepSession() {
	b := c.behaviour
	if b.Refreshes {
		c.refreshOften()
		return
	}
	t := time.NewTimer(b.SessionExpires)
	defer t.Stop()
	for {
		select {
		case <-c.session.refreshed:
			t.Reset(b.SessionExpires)
		case <-t.C:
			c.violate(simulator.Refreshed, "not within %v", b.SessionExpires)
			c.Hangup(c.assistant.ctx) // its error shows as a call of the edge that stays
			return
		case <-c.over:
			return
		case <-c.assistant.ctx.Done():
			return
		}
	}
}

// refreshOften sends UPDATEs. They ask for no less than the 90 s that RFC 4028 §4 allows, although a scenario has less time.
func (c *Call) refreshOften() {
	if c.behaviour.Forgetful {
		return
	}
	t := time.NewTicker(c.behaviour.SessionExpires / 2)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-c.over:
			return
		case <-c.assistant.ctx.Done():
			return
		}
		m := c.Request("UPDATE").Add("Contact", c.dialog.Contact).Add("Supported", "timer")
		m.Add("Session-Expires", fmt.Sprintf("%d;refresher=uac", max(90, int(c.behaviour.SessionExpires/time.Second))))
		response, err := c.Send(c.assistant.ctx, m)
		switch {
		case c.isOver():
			return
		case err != nil || response.Status() != 200 || !strings.HasSuffix(response.Get("Session-Expires"), ";refresher=uac"):
			c.violate(simulator.Refreshed, "our UPDATE was answered %v, %v", response, err)
		default:
			c.mu.Lock()
			c.session.count++
			c.mu.Unlock()
		}
	}
}
