package b2bua

import (
	"context"
	"errors"
)

// sample is how many calls Turning looks at.
const sample = 8

// errStandstill says that no call takes what is posted to it.
var errStandstill = errors.New("no call's loop turns")

// Turning tells whether calls are served: of some, chosen at random, at least one takes what is posted to it before ctx is
// over. Without calls they are. One that does not turn beside others that do is told of in the log.
func (e *Engine) Turning(ctx context.Context) error {
	calls := e.calls.some(sample)
	turned := make(chan *Call, len(calls))
	waiting := make(map[*Call]bool, len(calls))
	for _, c := range calls {
		if err := c.mail.offer(func() { turned <- c }); err != errOver { // one that is full is not served either
			waiting[c] = true
		}
	}
	for some := len(waiting); len(waiting) > 0; {
		select {
		case c := <-turned:
			delete(waiting, c)
		case <-ctx.Done():
			for c := range waiting {
				c.log.Error("the call's loop does not turn")
			}
			if len(waiting) == some {
				return errStandstill
			}
			return nil
		}
	}
	return nil
}
