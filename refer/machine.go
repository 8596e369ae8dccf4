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
//	idle ─Start→ asking ─2xx→ waiting ─proof────────────────→ closing ─NOTIFY answered→ over
//	              │ │ ↑         │ │                               ↑
//	              │ │ └next─────┤ └─BYE from A→ grace ────────────┤
//	              │ └─an INVITE's time is up→ canceling ──────────┤
//	              ├─proved failure, no method left─────────────────────────────────→ over
//	              └─silence→ unproved ─late proof─────────────→ closing or over
//	                            └─a doubt's time is up─────────────────────────────→ over
//
// What proves success depends on the method: of refer a sipfrag with 2xx, of rest the BYE on leg A
// behind HTTP 200, of invite the answer. Every state has a function in states.go; the rows
// of the tests say the same in sentences.
type Machine struct {
	cfg     Config
	state   State
	current int // index into cfg.Methods

	watsonGone bool // leg B has ended: no NOTIFY and no BYE goes there any more
	unanswered bool // the final NOTIFY is out and not answered
	// doubt holds the methods that fell silent: each may have worked, or may still.
	doubt []metrics.Method
}

// Config is fixed for the life of a transfer.
type Config struct {
	Origin Origin
	// Methods that fit this call, in the order in which they are tried, none twice. Empty when none
	// fits: then Watson hears 488.
	Methods []metrics.Method
	// NoSubscription: Watson's REFER said Refer-Sub: false (RFC 4488), no NOTIFY is sent.
	NoSubscription bool
	// AfterSilence hands over to the next method although the one before may have worked
	// (transfer.after_silence: next).
	AfterSilence bool
}

// NewMachine returns a machine that waits for Start.
func NewMachine(cfg Config) (*Machine, error) {
	if err := distinct(cfg.Methods); err != nil {
		return nil, err
	}
	cfg.Methods = slices.Clone(cfg.Methods)
	return &Machine{cfg: cfg}, nil
}

// State returns where the transfer stands.
func (m *Machine) State() State { return m.state }

// Over tells that no event will ever cause an action again.
func (m *Machine) Over() bool { return m.state == StateOver }

// Method returns the method of the current or last attempt.
func (m *Machine) Method() metrics.Method {
	if m.current < len(m.cfg.Methods) {
		return m.cfg.Methods[m.current]
	}
	return metrics.MethodNone
}

// Step takes one event and returns what to do, in order. What it ignores, it ignores on purpose.
func (m *Machine) Step(e Event) []Action {
	if method, about := e.attempt(); about && !m.concerns(e, method) {
		return nil
	} else if about && method != m.Method() {
		return m.onEarlier(e, method)
	}
	switch m.state {
	case StateIdle:
		return m.idle(e)
	case StateAsking:
		return m.asking(e)
	case StateWaiting:
		return m.waiting(e)
	case StateCanceling:
		return m.canceling(e)
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

// concerns tells whether an event is about the current attempt or one that is in doubt, and of a kind
// that its method has: only REFER is followed by NOTIFYs, only an INVITE is answered by a leg.
func (m *Machine) concerns(e Event, method metrics.Method) bool {
	switch e.(type) {
	case Progress:
		if method != metrics.MethodRefer {
			return false
		}
	case Answered:
		if method != metrics.MethodInvite {
			return false
		}
	case Accepted:
		if method == metrics.MethodInvite {
			return false
		}
	}
	return method == m.Method() || slices.Contains(m.doubt, method)
}

// onEarlier takes late news of a method that fell silent, while another one is current. A leg C that
// answers so late is not bridged: the caller may be gone with the next method at any moment.
func (m *Machine) onEarlier(e Event, method metrics.Method) []Action {
	switch verdict(e) {
	case proof:
		return m.onEarlierProof(method)
	case disproof:
		m.doubt = without(m.doubt, method)
		if m.state == StateUnproved && len(m.doubt) == 0 {
			return m.stay(metrics.TransferFailed)
		}
	}
	return nil
}

// onEarlierProof: the caller has been moved after all. What is under way now is given up.
func (m *Machine) onEarlierProof(method metrics.Method) []Action {
	actions := m.abandon()
	m.current = slices.Index(m.cfg.Methods, method)
	switch m.state {
	case StateAsking, StateWaiting, StateCanceling:
		return append(actions, m.succeed(ByeCaller{})...)
	case StateGrace:
		return m.succeed(nil)
	case StateUnproved:
		return m.correctToSuccess(ByeCaller{})
	}
	return nil
}

// abandon cancels a pending INVITE.
func (m *Machine) abandon() []Action {
	if m.state == StateAsking && m.Method() == metrics.MethodInvite {
		return []Action{CancelAttempt{metrics.MethodInvite}}
	}
	return nil
}

// try starts the current method.
func (m *Machine) try() []Action {
	m.state = StateAsking
	return []Action{StartMethodTimer{m.Method()}, Attempt{m.Method()}}
}

// succeed: it is proved. What becomes of the caller's leg comes first and waits for nobody; nothing
// when Twilio has already said BYE itself.
func (m *Machine) succeed(first Action) []Action {
	var actions []Action
	if first != nil {
		actions = append(actions, first)
	}
	return append(actions, m.end(200, metrics.TransferProved)...)
}

// fail: the current method has provably failed. The next one is tried; after the last the caller
// stays with Watson, if that is still there.
func (m *Machine) fail(code int, why metrics.TransferReason) []Action {
	m.doubt = without(m.doubt, m.Method())
	if m.current+1 < len(m.cfg.Methods) {
		m.current++
		return m.try()
	}
	if len(m.doubt) > 0 { // an earlier one may still work
		return m.leaveOpen()
	}
	actions := append(m.notify(code), m.done(why)...)
	m.state = StateOver
	if m.watsonGone {
		actions = append(actions, EndCaller{why})
	}
	return actions
}

// lose: nothing is proved about the current method. Nothing more is tried, unless the operator wants
// an agent twice rather than never.
func (m *Machine) lose() []Action {
	if !slices.Contains(m.doubt, m.Method()) {
		m.doubt = append(m.doubt, m.Method())
	}
	if m.cfg.AfterSilence && m.current+1 < len(m.cfg.Methods) {
		m.current++
		return m.try()
	}
	return m.leaveOpen()
}

// leaveOpen tells that nothing is proved. The legs stay bridged, in case the caller is still there;
// without Watson there is nobody to be bridged to.
func (m *Machine) leaveOpen() []Action {
	actions := append(m.notify(408), m.done(metrics.TransferSilent)...)
	if m.watsonGone {
		m.state = StateOver
		return append(actions, EndCaller{metrics.TransferSilent})
	}
	m.state = StateUnproved
	return append(actions, StartDoubt{})
}

// stopChain: the time of the whole chain is up, no further method is tried.
func (m *Machine) stopChain() { m.cfg.Methods = m.cfg.Methods[:m.current+1] }

// end: it is known what becomes of the caller. Watson hears the outcome, then BYE.
func (m *Machine) end(code int, why metrics.TransferReason) []Action {
	actions := append(m.notify(code), m.done(why)...)
	return append(actions, m.part()...)
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

// correctToSuccess: what was told as indeterminate has worked.
func (m *Machine) correctToSuccess(first Action) []Action {
	var actions []Action
	if first != nil {
		actions = append(actions, first)
	}
	return append(append(actions, m.correct(metrics.TransferProved)), m.part()...)
}

// stay: a late proof that the transfer failed. The caller is with Watson and remains there; no other
// method is tried, because Watson has already been told the end.
func (m *Machine) stay(why metrics.TransferReason) []Action {
	m.state = StateOver
	return []Action{m.correct(why)}
}

// correct tells what an indeterminate outcome has become.
func (m *Machine) correct(why metrics.TransferReason) Action {
	return Late{Result: why.Result(), Reason: why, Method: m.Method()}
}

// notify sends Watson the final NOTIFY, where one is owed.
func (m *Machine) notify(code int) []Action {
	if m.watsonGone || !m.tells() {
		return nil
	}
	m.unanswered = true
	return []Action{Notify{Code: code, Reason: phrase(code), Final: true}}
}

// tells: Watson has a subscription.
func (m *Machine) tells() bool { return m.cfg.Origin == OriginRefer && !m.cfg.NoSubscription }

func (m *Machine) done(why metrics.TransferReason) []Action {
	return []Action{StopTimers{}, Done{Result: why.Result(), Reason: why, Method: m.Method()}}
}

// shutdown tells the outcome; the legs are ended by the one who shuts down.
func (m *Machine) shutdown() []Action {
	actions := m.abandon()
	actions = append(actions, m.notify(503)...)
	actions = append(actions, m.done(metrics.TransferInternal)...)
	m.state = StateOver
	return actions
}

func distinct(methods []metrics.Method) error {
	for i, method := range methods {
		if method == metrics.MethodNone || slices.Contains(methods[:i], method) {
			return fmt.Errorf("transfer machine: method %v stands twice or is none", method)
		}
	}
	return nil
}

func without(methods []metrics.Method, method metrics.Method) []metrics.Method {
	return slices.DeleteFunc(slices.Clone(methods), func(o metrics.Method) bool { return o == method })
}
