package wire

import "time"

// Fault makes the Endpoint misbehave with the next messages that match.
type Fault struct {
	Direction Direction
	Count     int                 // how many of them; each Fault is used up
	Match     func(*Message) bool // nil: every message
	Delay     time.Duration       // 0: dropped
}

// Misbehave adds a Fault. The first that matches a message decides about it.
func (e *Endpoint) Misbehave(f Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = append(e.faults, &f)
}

// MethodIs matches requests with that method, for Fault.Match.
func MethodIs(method string) func(*Message) bool {
	return func(m *Message) bool { return m.Method() == method }
}

// StatusIs matches responses with that status to that method.
func StatusIs(status int, method string) func(*Message) bool {
	return func(m *Message) bool {
		_, of := m.CSeq()
		return m.Status() == status && of == method
	}
}

func (e *Endpoint) fate(d Direction, raw []byte) (drop bool, delay time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.faults) == 0 {
		return false, 0
	}
	m, err := Parse(raw)
	if err != nil {
		return false, 0
	}
	for i, f := range e.faults {
		if f.Direction != d || f.Match != nil && !f.Match(m) {
			continue
		}
		if f.Count--; f.Count <= 0 {
			e.faults = append(e.faults[:i], e.faults[i+1:]...)
		}
		return f.Delay == 0, f.Delay
	}
	return false, 0
}
