package watson

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

// Call is one call that the edge put through to the assistant.
type Call struct {
	assistant *Assistant
	behaviour Behaviour
	callID    string
	invite    *wire.Request
	phone     *phone.Phone // nil when the offer was unusable

	answered chan struct{} // closed by the ACK
	over     chan struct{}

	mu         sync.Mutex
	dialog     wire.Dialog
	conn       *wire.Conn
	final      bool // the INVITE has its final response
	acks       int
	wantACKs   int
	invites    map[uint32]bool // CSeq of the edge's INVITEs that we accepted
	reinviting bool
	fork       forked
	rseq       uint32        // of the last reliable response
	pracked    chan struct{} // closed by its PRACK; nil: none is waited for
	session    session
	transfer   subscription
	ending     Ending
}

// forked is the second 2xx of Behaviour.Fork.
type forked struct {
	tag          string
	acked, ended bool
}

// Ending is how a call ended.
type Ending struct {
	How    How
	Status int    // of a rejection
	Reason string // Reason header of the edge's BYE or CANCEL
}

// CallID is that of this dialog, the edge's own.
func (c *Call) CallID() string { return c.callID }

// Invite is the edge's INVITE.
func (c *Call) Invite() *wire.Message { return c.invite.Clone() }

// Answered is closed when the 200 is acknowledged, Over when the call has ended.
func (c *Call) Answered() <-chan struct{} { return c.answered }
func (c *Call) Over() <-chan struct{}     { return c.over }

// AwaitAnswer waits for the ACK; a call that ends instead is an error.
func (c *Call) AwaitAnswer(ctx context.Context) error {
	return simulator.AwaitAnswer(ctx, c.answered, c.over, func() string { return c.Ending().How.String() })
}

// Await waits for the end.
func (c *Call) Await(ctx context.Context) (Ending, error) {
	if err := simulator.AwaitEnd(ctx, c.over); err != nil {
		return Ending{}, err
	}
	return c.Ending(), nil
}

// Ending tells how the call ended; Alive while it has not.
func (c *Call) Ending() Ending {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}

// Phone is what the assistant hears and speaks with; nil before the first 18x, and when the edge's offer was unusable.
func (c *Call) Phone() *phone.Phone {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phone
}

// Violations of this call so far.
func (c *Call) Violations() []simulator.Violation { return c.assistant.violations.Of(c.callID) }

// ACKs counts those for the first 2xx and its repetitions.
func (c *Call) ACKs() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.acks
}

// Codes are the sipfrag codes of the edge's NOTIFYs since the last REFER, in order.
func (c *Call) Codes() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]int(nil), c.transfer.codes...)
}

// Hangup sends a BYE with further headers. (For transfer_method "hangup" there is Transfer.Method.)
func (c *Call) Hangup(ctx context.Context, extra ...wire.Header) error {
	_, err := c.hangup(ctx, extra)
	return err
}

func (c *Call) hangup(ctx context.Context, extra []wire.Header) (int, error) {
	c.mu.Lock()
	if c.ending.How != Alive || c.acks == 0 { // RFC 3261 §15: no BYE before the ACK
		c.mu.Unlock()
		return 0, errors.New("BYE: no dialog")
	}
	m := c.dialog.Request("BYE")
	c.mu.Unlock()
	m.Headers = append(m.Headers, extra...)
	defer c.end(Ending{How: AssistantHungUp})
	response, err := c.Send(ctx, m)
	if err != nil {
		return 0, err
	}
	if s := response.Status(); s != 200 && s != 481 {
		return s, fmt.Errorf("the BYE was answered %d", s)
	}
	return response.Status(), nil
}

// Cut ends the call's connection without close_notify.
func (c *Call) Cut() {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	conn.Cut()
}

// Reset ends it with a RST.
func (c *Call) Reset() {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	conn.Reset()
}

// Vanish is a gateway that dies: nobody is told, and what comes for the call hears 481.
func (c *Call) Vanish() { c.end(Ending{How: Abandoned}) }

// end is the only place where a call ends. The first ending counts.
func (c *Call) end(e Ending) {
	c.mu.Lock()
	if c.ending.How != Alive {
		c.mu.Unlock()
		return
	}
	c.ending = e
	c.checkOwedLocked()
	c.transfer.wake()
	close(c.over)
	ours := c.phone
	c.mu.Unlock()
	if ours != nil {
		ours.Close()
	}
}

// checkOwedLocked is about what the edge still owes when one of the two hangs up.
func (c *Call) checkOwedLocked() {
	if c.ending.How != EdgeHungUp && c.ending.How != AssistantHungUp {
		return
	}
	if f := c.fork; f.tag != "" && (!f.acked || !f.ended) {
		c.violate(simulator.ForkReleased, "ACK %t, BYE %t", f.acked, f.ended)
	}
	if c.acks < c.wantACKs {
		c.violate(simulator.ACKMissing, "%d for %d", c.acks, c.wantACKs)
	}
}

func (c *Call) isOver() bool { return simulator.Closed(c.over) }

func (c *Call) violate(rule simulator.Rule, format string, args ...any) {
	c.assistant.violate(c.callID, rule, format, args...)
}
