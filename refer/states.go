package refer

import (
	"fmt"

	"handoff/metrics"
)

// State is where a transfer stands.
type State uint8

const (
	// StateIdle: before Start.
	StateIdle State = iota
	// StateAsking: a request is out and nothing has come back.
	StateAsking
	// StateWaiting: the request was accepted, its outcome is open.
	StateWaiting
	// StateGrace: the caller's leg said BYE while the outcome was open; a proof may follow.
	StateGrace
	// StateClosing: the outcome is told; Watson gets BYE when it has answered the final NOTIFY.
	StateClosing
	// StateUnproved: the outcome is told as indeterminate, the legs are bridged; a proof may follow.
	StateUnproved
	// StateOver: nothing more will happen.
	StateOver
)

var states = []string{"idle", "asking", "waiting", "grace", "closing", "unproved", "over"}

func (s State) String() string {
	if int(s) < len(states) {
		return states[s]
	}
	return fmt.Sprintf("unknown(%d)", s)
}

func (m *Machine) idle(e Event) []Action {
	if e != (Start{}) {
		return nil // nothing was promised yet
	}
	actions := []Action{Accept{}, Notify{Code: 100, Reason: phrase(100)}}
	if len(m.methods) == 0 {
		return append(actions, m.fail(488, metrics.TransferUnfit)...)
	}
	return append(append(actions, StartTotalTimer{}), m.try()...)
}

func (m *Machine) asking(e Event) []Action {
	switch e := e.(type) {
	case Accepted:
		m.state = StateWaiting
		return nil
	case Progress:
		// RFC 3515 §2.4.4: a NOTIFY may overtake the 202. It proves that the request was accepted.
		m.state = StateWaiting
		return m.waiting(e)
	case Rejected:
		return m.fail(e.Code, metrics.TransferRejected)
	case Unsent:
		return m.fail(503, metrics.TransferUnsent)
	case Silent, MethodTimeout, TotalTimeout:
		return m.lose()
	case CallerBye:
		return m.end(487, metrics.TransferCallerGone)
	case WatsonBye:
		m.watsonGone = true
		return nil
	case Shutdown:
		return m.shutdown()
	case Start, GraceOver, NotifyAnswered: // not awaited here
	}
	return nil
}

func (m *Machine) waiting(e Event) []Action {
	switch e := e.(type) {
	case Progress:
		switch {
		case e.Code < 200:
			return nil
		case e.Code < 300:
			return m.succeed(false)
		}
		return m.fail(e.Code, metrics.TransferFailed)
	case Rejected: // behind a NOTIFY that overtook it
		return m.fail(e.Code, metrics.TransferRejected)
	case MethodTimeout, TotalTimeout:
		return m.lose()
	case CallerBye:
		// A transferred caller and one who hung up look alike until a sipfrag tells them apart.
		m.state = StateGrace
		return []Action{StartGrace{}}
	case WatsonBye:
		m.watsonGone = true
		return nil
	case Shutdown:
		return m.shutdown()
	case Accepted, Silent, Unsent: // behind a NOTIFY, which proved that the request arrived
	case Start, GraceOver, NotifyAnswered: // not awaited here
	}
	return nil
}

func (m *Machine) grace(e Event) []Action {
	switch e := e.(type) {
	case Progress:
		switch {
		case e.Code < 200:
			return nil
		case e.Code < 300:
			return m.succeed(true)
		}
		return m.end(487, metrics.TransferFailed)
	case GraceOver:
		return m.end(487, metrics.TransferUnproved)
	case WatsonBye:
		m.watsonGone = true
		return nil
	case Shutdown:
		return m.shutdown()
	case Accepted, Rejected, Unsent, Silent: // the answer has come, or a NOTIFY instead of it
	case MethodTimeout, TotalTimeout: // the grace decides
	case CallerBye: // a retransmission
	case Start, NotifyAnswered: // not awaited here
	}
	return nil
}

func (m *Machine) closing(e Event) []Action {
	switch e.(type) {
	case NotifyAnswered:
		m.unanswered = false
		return m.part()
	case WatsonBye:
		m.watsonGone = true
		return m.part()
	case Shutdown:
		m.state = StateOver // the outcome is told; who shuts down ends the leg
	case Accepted, Rejected, Unsent, Silent, Progress: // the outcome is told
	case MethodTimeout, TotalTimeout, GraceOver: // fired before they were stopped
	case CallerBye: // crossed ours
	case Start: // not awaited here
	}
	return nil
}

func (m *Machine) unproved(e Event) []Action {
	switch e := e.(type) {
	case Progress:
		switch {
		case e.Code < 200:
			return nil
		case e.Code < 300:
			return append([]Action{ByeCaller{}, m.correct(metrics.TransferProved)}, m.part()...)
		}
		return m.stay(metrics.TransferFailed)
	case CallerBye:
		return append([]Action{m.correct(metrics.TransferProved)}, m.part()...)
	case Rejected:
		return m.stay(metrics.TransferRejected)
	case Unsent:
		return m.stay(metrics.TransferUnsent)
	case WatsonBye:
		m.state = StateOver
		return []Action{EndCaller{metrics.TransferSilent}}
	case NotifyAnswered:
		m.unanswered = false
		return nil
	case Shutdown:
		m.state = StateOver // the outcome is told; who shuts down ends the legs
		return nil
	case Accepted, Silent: // proves nothing
	case MethodTimeout, TotalTimeout, GraceOver: // fired before they were stopped
	case Start: // not awaited here
	}
	return nil
}

// stay: a late proof that the transfer failed. The caller is with Watson and remains there; no other
// method is tried, because Watson has already been told the end.
func (m *Machine) stay(why metrics.TransferReason) []Action {
	m.state = StateOver
	return []Action{m.correct(why)}
}

// shutdown tells the outcome; the legs are ended by the one who shuts down.
func (m *Machine) shutdown() []Action {
	actions := append(m.notify(503), m.done(metrics.TransferInternal)...)
	m.state = StateOver
	return actions
}
