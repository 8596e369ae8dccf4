package refer

import "handoff/metrics"

// State is where a transfer stands.
type State uint8

const (
	// StateIdle: before Start.
	StateIdle State = iota
	// StateAsking: a request is out and nothing final has come back.
	StateAsking
	// StateWaiting: the request was accepted, its outcome is open.
	StateWaiting
	// StateCanceling: an INVITE was given up; whether it was answered all the same is open.
	StateCanceling
	// StateGrace: the caller's leg said BYE while the outcome was open; a proof may follow.
	StateGrace
	// StateClosing: the outcome is told; Watson gets BYE when it has answered the final NOTIFY.
	StateClosing
	// StateUnproved: the outcome is told as indeterminate, the legs are bridged; a proof may follow.
	StateUnproved
	// StateOver: nothing more will happen.
	StateOver
)

var states = []string{"idle", "asking", "waiting", "canceling", "grace", "closing", "unproved", "over"}

func (s State) String() string { return word(states, uint8(s)) }

// judgement is what an event says about its attempt.
type judgement uint8

const (
	nothing judgement = iota
	proof
	disproof
)

// verdict reads an event about an attempt that is not asked any more. An Answered proves nothing
// then: a leg that is not bridged holds no caller.
func verdict(e Event) judgement {
	switch e := e.(type) {
	case Progress:
		switch {
		case e.Code < 200:
			return nothing
		case e.Code < 300:
			return proof
		}
		return disproof
	case Rejected, Unsent, Disproved:
		return disproof
	}
	return nothing
}

func (m *Machine) idle(e Event) []Action {
	if e != (Start{}) {
		return nil // nothing was promised yet
	}
	var actions []Action
	switch m.cfg.Origin {
	case OriginRefer:
		actions = append(actions, Accept{})
	case OriginHangup:
		m.watsonGone = true
	}
	if m.tells() {
		actions = append(actions, Notify{Code: 100, Reason: phrase(100)})
	}
	if len(m.cfg.Methods) == 0 {
		return append(actions, m.fail(488, metrics.TransferUnfit)...)
	}
	return append(append(actions, StartTotalTimer{}), m.try()...)
}

func (m *Machine) asking(e Event) []Action {
	switch e := e.(type) {
	case Accepted:
		m.state = StateWaiting
		return nil
	case Answered:
		return m.succeed(Bridge{})
	case Progress:
		// RFC 3515 §2.4.4: a NOTIFY may overtake the 202. It proves that the request was accepted.
		m.state = StateWaiting
		return m.waiting(e)
	case Rejected:
		return m.fail(m.told(e.Code), metrics.TransferRejected)
	case Unsent:
		return m.fail(503, metrics.TransferUnsent)
	case Disproved:
		return m.fail(503, metrics.TransferFailed)
	case Silent:
		return m.lose()
	case MethodTimeout:
		return m.timeout()
	case TotalTimeout:
		m.stopChain()
		return m.timeout()
	case CallerBye:
		return m.onCallerGone()
	case WatsonBye:
		m.watsonGone = true
		return nil
	case Shutdown:
		return m.shutdown()
	case Start, GraceOver, DoubtOver, NotifyAnswered: // not awaited here
	}
	return nil
}

// timeout: an INVITE can be taken back, so that it is known to have failed; a REFER or a REST request
// can't.
func (m *Machine) timeout() []Action {
	actions := m.abandon()
	if actions == nil {
		return m.lose()
	}
	m.state = StateCanceling
	return append(actions, StartMethodTimer{m.Method()}) // the transaction ends by itself before that
}

// onCallerGone: BYE on leg A before our request was accepted. Of REFER and INVITE that is a hang-up.
// The BYE that follows REST's HTTP 200 may overtake it, and one that follows a method that had fallen
// silent may prove it.
func (m *Machine) onCallerGone() []Action {
	actions := m.abandon()
	if m.Method() != metrics.MethodREST && !m.movesCaller(m.doubt) {
		return append(actions, m.end(487, metrics.TransferCallerGone)...)
	}
	m.state = StateGrace
	return append(actions, StartGrace{})
}

// movesCaller tells whether one of the methods ends leg A by itself when it works.
func (m *Machine) movesCaller(methods []metrics.Method) bool {
	return len(without(methods, metrics.MethodInvite)) > 0
}

// told is the code that Watson hears for a rejection: HTTP's numbers are not SIP's.
func (m *Machine) told(code int) int {
	if m.Method() == metrics.MethodREST {
		return 503
	}
	return code
}

func (m *Machine) waiting(e Event) []Action {
	switch e := e.(type) {
	case Progress:
		switch verdict(e) {
		case proof:
			return m.succeed(ByeCaller{})
		case disproof:
			return m.fail(e.Code, metrics.TransferFailed)
		}
		return nil
	case Rejected: // behind a NOTIFY that overtook it
		return m.fail(m.told(e.Code), metrics.TransferRejected)
	case Disproved:
		return m.fail(503, metrics.TransferFailed)
	case MethodTimeout:
		return m.lose()
	case TotalTimeout:
		m.stopChain()
		return m.lose()
	case CallerBye:
		if m.Method() == metrics.MethodREST {
			return m.succeed(nil) // what HTTP 200 has announced
		}
		// A transferred caller and one who hung up look alike until a sipfrag tells them apart.
		m.state = StateGrace
		return []Action{StartGrace{}}
	case WatsonBye:
		m.watsonGone = true
		return nil
	case Shutdown:
		return m.shutdown()
	case Accepted, Silent, Unsent: // behind a NOTIFY, which proved that the request arrived
	case Answered, Start, GraceOver, DoubtOver, NotifyAnswered: // not awaited here
	}
	return nil
}

func (m *Machine) canceling(e Event) []Action {
	switch e := e.(type) {
	case Answered: // crossed the CANCEL: the agent is there
		return m.succeed(Bridge{})
	case Rejected:
		if e.Code == 487 { // our own doing
			return m.fail(408, metrics.TransferRejected)
		}
		return m.fail(e.Code, metrics.TransferRejected)
	case Unsent:
		return m.fail(503, metrics.TransferUnsent)
	case Disproved:
		return m.fail(408, metrics.TransferFailed)
	case Silent, MethodTimeout:
		return m.lose()
	case TotalTimeout:
		m.stopChain()
		return nil
	case CallerBye:
		return m.onCallerGone()
	case WatsonBye:
		m.watsonGone = true
		return nil
	case Shutdown:
		return m.shutdown()
	case Accepted, Progress: // an INVITE has neither
	case Start, GraceOver, DoubtOver, NotifyAnswered: // not awaited here
	}
	return nil
}

func (m *Machine) grace(e Event) []Action {
	switch e := e.(type) {
	case Progress:
		switch verdict(e) {
		case proof:
			return m.succeed(nil)
		case disproof:
			return m.end(487, metrics.TransferFailed)
		}
		return nil
	case Accepted: // HTTP 200 behind the BYE that it announces
		if m.Method() == metrics.MethodREST {
			return m.succeed(nil)
		}
		return nil
	case Rejected, Unsent, Disproved:
		if m.Method() == metrics.MethodREST && !m.movesCaller(without(m.doubt, m.Method())) {
			return m.end(487, metrics.TransferCallerGone) // then it was the caller
		}
		return nil // of REFER the answer has come, or a NOTIFY instead of it
	case GraceOver:
		return m.end(487, metrics.TransferUnproved)
	case WatsonBye:
		m.watsonGone = true
		return nil
	case Shutdown:
		return m.shutdown()
	case Silent: // the grace decides
	case Answered: // nobody is left to be bridged
	case MethodTimeout, TotalTimeout: // the grace decides
	case CallerBye: // a retransmission
	case Start, DoubtOver, NotifyAnswered: // not awaited here
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
	case Accepted, Answered, Rejected, Unsent, Silent, Disproved, Progress: // the outcome is told
	case MethodTimeout, TotalTimeout, GraceOver, DoubtOver: // fired before they were stopped
	case CallerBye: // crossed ours, or the caller leaves the agent: the call's business
	case Start: // not awaited here
	}
	return nil
}

func (m *Machine) unproved(e Event) []Action {
	switch e := e.(type) {
	case Progress:
		switch verdict(e) {
		case proof:
			return m.correctToSuccess(ByeCaller{})
		case disproof:
			return m.onLateFailure(metrics.TransferFailed)
		}
		return nil
	case Answered: // the caller is with Watson, who knows of a failure, and is better off with the agent
		return m.correctToSuccess(Bridge{})
	case CallerBye:
		if m.movesCaller(m.doubt) {
			return m.correctToSuccess(nil)
		}
		return m.part() // an INVITE moves no leg: the caller hung up
	case Rejected:
		return m.onLateFailure(metrics.TransferRejected)
	case Unsent:
		return m.onLateFailure(metrics.TransferUnsent)
	case Disproved:
		return m.onLateFailure(metrics.TransferFailed)
	case WatsonBye:
		m.state = StateOver
		return []Action{EndCaller{metrics.TransferSilent}}
	case DoubtOver: // whoever says BYE now means just that, and Watson may ask again
		m.state = StateOver
		return nil
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

// onLateFailure: the last method has failed; the outcome is known when no earlier one is in doubt.
func (m *Machine) onLateFailure(why metrics.TransferReason) []Action {
	if m.doubt = without(m.doubt, m.Method()); len(m.doubt) > 0 {
		return nil
	}
	return m.stay(why)
}
