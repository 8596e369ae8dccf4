package wire

import "time"

// timer is a time.AfterFunc that the Endpoint's Close stops or waits for.
type timer struct {
	endpoint *Endpoint
	timer    *time.Timer
}

// after runs f once, on its own goroutine, unless it is stopped or the Endpoint closed before.
func (e *Endpoint) after(d time.Duration, f func()) *timer {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.afterLocked(d, f)
}

func (e *Endpoint) afterLocked(d time.Duration, f func()) *timer {
	if e.closed {
		return nil
	}
	t := &timer{endpoint: e}
	e.wg.Add(1)
	e.timers[t] = struct{}{}
	t.timer = time.AfterFunc(d, func() {
		defer e.wg.Done()
		e.mu.Lock()
		_, live := e.timers[t]
		delete(e.timers, t)
		e.mu.Unlock()
		if live {
			f()
		}
	})
	return t
}

// stopLocked is for holders of the Endpoint's lock. A timer that just fired finds itself removed and does nothing.
func (t *timer) stopLocked() {
	if t == nil {
		return
	}
	if _, live := t.endpoint.timers[t]; !live {
		return
	}
	delete(t.endpoint.timers, t)
	if t.timer.Stop() {
		t.endpoint.wg.Done()
	}
}

func (e *Endpoint) stopTimers() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for t := range e.timers {
		t.stopLocked()
	}
}
