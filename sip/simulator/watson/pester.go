package watson

import (
	"context"
	"fmt"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/wire"
)

// pester sends what must change nothing about a transfer that runs: the same REFER again, and another one. What the edge says once it has
// ended the call proves nothing.
func (c *Call) pester(ctx context.Context, t Transfer, o Outcome) (Outcome, error) {
	if t.Again {
		c.mu.Lock()
		again := c.transfer.request.Clone().Remove("Via") // the next branch is put in as it leaves
		c.mu.Unlock()
		response, err := c.Send(ctx, again)
		if err != nil {
			return o, fmt.Errorf("REFER that comes again: %w", err)
		}
		if o.Again = response.Status(); o.Again != o.Status && !c.isOver() {
			c.violate(simulator.SameAccept, "%d after %d", o.Again, o.Status)
		}
	}
	if t.Meanwhile {
		other := c.Request("REFER")
		t.write(other, c.dialog.Contact)
		response, err := c.Send(ctx, other)
		if err != nil {
			return o, fmt.Errorf("another REFER: %w", err)
		}
		if o.Meanwhile = response.Status(); o.Meanwhile != 491 && !c.isOver() {
			c.violate(simulator.OneAtATime, "it was answered %d", o.Meanwhile)
		}
	}
	return o, nil
}

// leave is transfer_method "hangup": the target travels in a BYE, and what becomes of it is never told.
func (c *Call) leave(ctx context.Context, t Transfer) (Outcome, error) {
	headers := &wire.Message{}
	t.write(headers, "")
	sent := time.Now()
	status, err := c.hangup(ctx, headers.Headers)
	return Outcome{Status: status, Took: time.Since(sent)}, err
}
