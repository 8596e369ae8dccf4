package stack

import (
	"sync"
	"time"
)

// grain is how late a transaction may be woken, so that many that end one after the other are woken together.
const grain = 10 * time.Millisecond

// clock wakes transactions. RFC 3261 knows a handful of spans (T1 doubled up to 64*T1, T4), and timers of one span
// run out in the order in which they were set: each span has a queue and one timer of the runtime for its head. To
// set or stop a timer is to link it or to take it out, which costs neither a search nor memory.
type clock struct {
	mu     sync.Mutex // the innermost of all
	began  time.Time
	spans  []*span
	closed bool
}

// span is the queue of the timers that run equally long.
type span struct {
	length      time.Duration
	first, last *timer
	wake        *time.Timer // nil before the first
	armed       bool        // wake will run
}

// timer is one of a transaction's. Its zero value is stopped.
type timer struct {
	owner      sleeper
	span       *span // nil: it does not run
	prev, next *timer
	due        time.Duration // since the clock began
	out        bool          // it has run out, and its owner has not looked yet
}

// sleeper owns timers.
type sleeper interface {
	// onTimer runs on a goroutine of its own, without locks. It asks clock.take whether the timer still counts.
	onTimer(*timer)
}

// set starts a timer, anew if it runs.
func (c *clock) set(t *timer, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopLocked(t)
	if c.closed {
		return
	}
	s := c.spanLocked(d)
	t.span, t.due = s, c.now()+d
	if t.prev = s.last; t.prev == nil {
		s.first = t
	} else {
		t.prev.next = t
	}
	s.last = t
	if !s.armed {
		c.armLocked(s, d)
	}
}

// stop keeps a timer from being told, even where it has just run out.
func (c *clock) stop(t *timer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopLocked(t)
}

func (c *clock) stopLocked(t *timer) {
	t.out = false
	s := t.span
	if s == nil {
		return
	}
	if t.prev == nil {
		s.first = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		s.last = t.prev
	} else {
		t.next.prev = t.prev
	}
	t.span, t.prev, t.next = nil, nil, nil
}

// take tells, once, that a timer has run out and was neither stopped nor set again since.
func (c *clock) take(t *timer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := t.out
	t.out = false
	return out
}

func (c *clock) now() time.Duration { return time.Since(c.began) }

func (c *clock) spanLocked(d time.Duration) *span {
	for _, s := range c.spans {
		if s.length == d {
			return s
		}
	}
	s := &span{length: d}
	c.spans = append(c.spans, s)
	return s
}

func (c *clock) armLocked(s *span, d time.Duration) {
	s.armed = true
	if s.wake == nil {
		s.wake = time.AfterFunc(d, func() { c.run(s) })
		return
	}
	s.wake.Reset(d)
}

// run wakes the owners of what has run out.
func (c *clock) run(s *span) {
	for _, t := range c.due(s) {
		t.owner.onTimer(t)
	}
}

func (c *clock) due(s *span) (due []*timer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.armed = false
	if c.closed {
		return nil
	}
	now := c.now()
	for t := s.first; t != nil && t.due <= now; t = s.first {
		c.stopLocked(t)
		t.out = true
		due = append(due, t)
	}
	if s.first != nil {
		c.armLocked(s, max(s.first.due-now, grain))
	}
	return due
}

// close ends all timers.
func (c *clock) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, s := range c.spans {
		if s.wake != nil {
			s.wake.Stop()
		}
	}
}
