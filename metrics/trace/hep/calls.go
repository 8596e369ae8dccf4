package hep

import (
	"strings"
	"sync"

	"handoff/metrics"
)

// maxNames bounds the Call-IDs that are remembered: those of the last calls.
const maxNames = 20_000

// calls know whose a Call-ID is.
type calls struct {
	mu    sync.Mutex
	byID  map[string]string
	order []string // Call-IDs, the oldest at next once there are maxNames
	next  int
}

func newCalls() *calls { return &calls{byID: make(map[string]string)} }

// Bind tells that a Call-ID is a leg of a call: the messages of both legs then have one correlation id.
func (c *calls) Bind(call string, _ metrics.Leg, callID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.byID[callID]; !known {
		callID = strings.Clone(callID) // not a whole message with it
		if len(c.order) < maxNames {
			c.order = append(c.order, callID)
		} else {
			delete(c.byID, c.order[c.next])
			c.order[c.next] = callID
			c.next = (c.next + 1) % maxNames
		}
	}
	c.byID[callID] = call
}

// correlation is the call of a Call-ID or, where none has claimed it, the Call-ID.
func (c *calls) correlation(callID string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if call, known := c.byID[callID]; known {
		return call
	}
	return callID
}
