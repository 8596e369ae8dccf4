package simulator

import (
	"fmt"
	"sync"
	"time"
)

// maxViolations bounds what one collector keeps: an edge that goes wrong in every message shows it in the first few.
const maxViolations = 1000

// Violation is one rule that the edge broke in one message of one call.
type Violation struct {
	Time   time.Time
	Peer   string // who saw it: "twilio", "watson"
	Call   string // Call-ID of the dialog on that side, empty outside a call
	Rule   Rule
	Detail string // what was seen; never a key
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: %s: %s (%s)", v.Peer, v.Rule, v.Detail, v.Rule.Demand())
}

// Violations collects what the edge did wrong. The zero value is ready; one collector may serve several simulators.
type Violations struct {
	mu      sync.Mutex
	list    []Violation
	dropped int
}

// Add notes a violation. Beyond a thousand they are only counted.
func (c *Violations) Add(v Violation) {
	if v.Time.IsZero() {
		v.Time = time.Now()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) >= maxViolations {
		c.dropped++
		return
	}
	c.list = append(c.list, v)
}

// All returns a copy of what was noted, in order.
func (c *Violations) All() []Violation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Violation(nil), c.list...)
}

// Of returns what was noted for one call.
func (c *Violations) Of(call string) []Violation {
	var of []Violation
	for _, v := range c.All() {
		if v.Call == call {
			of = append(of, v)
		}
	}
	return of
}

// Count returns how many violations there were, those not kept included.
func (c *Violations) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.list) + c.dropped
}
