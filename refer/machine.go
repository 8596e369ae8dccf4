package refer

import (
	"fmt"
	"slices"

	"handoff/metrics"
)

// Machine is one transfer: a chain of methods, of which each is tried only after the one before has
// provably failed. It has no clock and does no I/O; Step returns what is to be done. It belongs to
// the goroutine of its call. While Over is false the call takes no second transfer: the first may
// have worked.
//
//	idle ─Start→ asking ─2xx→ waiting ─sipfrag 2xx──────────→ closing ─NOTIFY answered→ over
//	              │ ↑          │ │                               ↑
//	              │ └next──────┤ └─BYE from A→ grace ────────────┘
//	              ├─proved failure, no method left──────────────────────────────────→ over
//	              └─silence→ unproved ─late proof───────────────→ closing or over
//
// Every state has a function in states.go; the table in machine_test.go says the same in sentences.
type Machine struct {
	state   State
	methods []metrics.Method
	current int // index into methods

	watsonGone bool // leg B has ended: no NOTIFY and no BYE goes there any more
	unanswered bool // the final NOTIFY is out and not answered
}

// Config is fixed for the life of a transfer.
type Config struct {
	// Methods that fit this call, in the order in which they are tried, none twice. Empty when none
	// fits: then Watson hears 488.
	Methods []metrics.Method
}

// NewMachine returns a machine that waits for Start.
func NewMachine(cfg Config) (*Machine, error) {
	for i, method := range cfg.Methods {
		if method == metrics.MethodNone || slices.Contains(cfg.Methods[:i], method) {
			return nil, fmt.Errorf("transfer machine: method %v stands twice or is none", method)
		}
	}
	return &Machine{methods: slices.Clone(cfg.Methods)}, nil
}

// State returns where the transfer stands.
func (m *Machine) State() State { return m.state }

// Over tells that no event will ever cause an action again.
func (m *Machine) Over() bool { return m.state == StateOver }

// Method returns the method of the current or last attempt.
func (m *Machine) Method() metrics.Method {
	if m.current < len(m.methods) {
		return m.methods[m.current]
	}
	return metrics.MethodNone
}

// Step takes one event and returns what to do, in order. What it ignores, it ignores on purpose.
func (m *Machine) Step(e Event) []Action {
	if method, about := e.attempt(); about && method != m.Method() {
		return nil // an earlier attempt that has already failed
	}
	switch m.state {
	case StateIdle:
		return m.idle(e)
	case StateAsking:
		return m.asking(e)
	case StateWaiting:
		return m.waiting(e)
	case StateGrace:
		return m.grace(e)
	case StateClosing:
		return m.closing(e)
	case StateUnproved:
		return m.unproved(e)
	default:
		return nil // over: the call handles its BYEs itself again
	}
}

// try starts the current method.
func (m *Machine) try() []Action {
	m.state = StateAsking
	return []Action{StartMethodTimer{m.Method()}, Attempt{m.Method()}}
}

// succeed: 2xx is proved. The caller's leg goes first and waits for nobody; callerGone when Twilio
// has already said BYE itself.
func (m *Machine) succeed(callerGone bool) []Action {
	var actions []Action
	if !callerGone {
		actions = append(actions, ByeCaller{})
	}
	return append(actions, m.end(200, metrics.TransferProved)...)
}

// fail: the current method has provably failed. The next one is tried; after the last the caller
// stays with Watson, if that is still there.
func (m *Machine) fail(code int, why metrics.TransferReason) []Action {
	if m.current+1 < len(m.methods) {
		m.current++
		return m.try()
	}
	actions := append(m.notify(code), m.done(why)...)
	m.state = StateOver
	if m.watsonGone {
		actions = append(actions, EndCaller{why})
	}
	return actions
}

// lose: nothing is proved, and nothing may be tried any more. The legs stay bridged, in case the
// caller is still there; without Watson there is nobody to be bridged to.
func (m *Machine) lose() []Action {
	actions := append(m.notify(408), m.done(metrics.TransferSilent)...)
	if m.watsonGone {
		m.state = StateOver
		return append(actions, EndCaller{metrics.TransferSilent})
	}
	m.state = StateUnproved
	return actions
}

// end: the caller's leg is gone, or has just been told to go. Watson hears the outcome, then BYE.
func (m *Machine) end(code int, why metrics.TransferReason) []Action {
	actions := append(m.notify(code), m.done(why)...)
	return append(actions, m.part()...)
}

// correct tells what an indeterminate outcome has become.
func (m *Machine) correct(why metrics.TransferReason) Action {
	return Late{Result: why.Result(), Reason: why, Method: m.Method()}
}

// part lets Watson go, but not before it has answered the final NOTIFY: a BYE right behind it makes
// some peers answer the NOTIFY with 481.
func (m *Machine) part() []Action {
	if m.unanswered && !m.watsonGone {
		m.state = StateClosing
		return nil
	}
	m.state = StateOver
	if m.watsonGone {
		return nil
	}
	return []Action{ByeWatson{}}
}

// notify sends Watson the final NOTIFY.
func (m *Machine) notify(code int) []Action {
	if m.watsonGone {
		return nil
	}
	m.unanswered = true
	return []Action{Notify{Code: code, Reason: phrase(code), Final: true}}
}

func (m *Machine) done(why metrics.TransferReason) []Action {
	return []Action{StopTimers{}, Done{Result: why.Result(), Reason: why, Method: m.Method()}}
}
