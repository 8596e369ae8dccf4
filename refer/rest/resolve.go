package rest

import (
	"context"
	"errors"
	"time"
)

// A redirect of the parent was seen to end its Dial's leg within 0.2 s. So the leg is looked at soon, and once more when a request that
// was lost on its way can't be acted upon any more.
var looks = []time.Duration{500 * time.Millisecond, 4500 * time.Millisecond}

var errUnresolved = errors.New("the API does not tell what became of the update")

// Resolve finds out what a Silent update has done, from where the parent and its child, leg A, stand: a redirect ends the child and not the
// parent, a caller who hangs up ends both, and a child that is in progress long after the update was left alone. It is Accepted, Undone or
// Silent. It blocks for five seconds and the lookups; a context that ends sooner makes it Silent.
func (c *Client) Resolve(ctx context.Context, parentSid, childSid string) Outcome {
	for _, wait := range c.looks {
		if !pause(ctx, wait) {
			return Silent{errUnresolved}
		}
		child, err := c.Status(ctx, childSid)
		switch {
		case err != nil:
			return Silent{err}
		case child.Over():
			return c.resolveOver(ctx, parentSid)
		case child != InProgress:
			return Silent{errUnresolved} // leg A is up as long as the edge asks
		}
	}
	return Undone{}
}

// resolveOver is about a leg A that has ended.
func (c *Client) resolveOver(ctx context.Context, parentSid string) Outcome {
	parent, err := c.Status(ctx, parentSid)
	switch {
	case err != nil:
		return Silent{err}
	case parent == InProgress:
		return Accepted{}
	}
	return Silent{errUnresolved} // the caller has hung up, here or behind the agent
}
