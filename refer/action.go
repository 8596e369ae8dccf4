package refer

import "handoff/metrics"

// Action is what the machine tells the executor to do, in the order given: one of the types of this
// file. All are comparable values.
type Action interface{ action() }

type (
	// Accept answers Watson's REFER with 202 (and Refer-Sub: false when it asked for no subscription).
	Accept struct{}
	// Notify sends Watson a NOTIFY with this sipfrag: active while it is not Final, terminated when
	// it is. NOTIFYs leave in the order of their actions. The answer to the final one, or its
	// timeout, comes back as NotifyAnswered.
	Notify struct {
		Code   int
		Reason string
		Final  bool
	}
	// Attempt sends the request of this method. Its outcome comes back as Accepted, Answered,
	// Rejected, Unsent or Silent.
	Attempt struct{ Method metrics.Method }
	// CancelAttempt gives up a pending INVITE (RFC 3261 §9.1): with CANCEL, or before it has left. What
	// became of it still comes back: Rejected (487), Unsent, Answered when the answer crossed the
	// CANCEL, or Silent after 64*T1.
	CancelAttempt struct{ Method metrics.Method }

	// ByeCaller sends BYE on leg A at once: the transfer is proved, and Twilio leaves the caller in
	// silence until it hears it.
	ByeCaller struct{}
	// Bridge connects the caller with leg C, which has answered: its leg stays. It is the only answer to
	// Answered that keeps leg C; the executor ends one that is not bridged in the same step, even when
	// the machine is over.
	Bridge struct{}
	// ByeWatson sends BYE on leg B.
	ByeWatson struct{}
	// EndCaller ends leg A because nobody is left to talk to: Watson is gone and the transfer failed,
	// or nothing proves it.
	EndCaller struct{ Reason metrics.TransferReason }

	// StartMethodTimer (re)starts the timer of one method.
	StartMethodTimer struct{ Method metrics.Method }
	// StartTotalTimer starts the timer of the whole chain.
	StartTotalTimer struct{}
	// StartGrace starts the second in which a proof may still follow the caller's BYE.
	StartGrace struct{}
	// StartDoubt starts the time in which an outcome that was told as indeterminate may still turn out
	// to be a success: as long as Twilio keeps the leg of a caller that it has referred.
	StartDoubt struct{}
	// StopTimers stops all of them; one that has just fired does no harm.
	StopTimers struct{}

	// Done tells the outcome, once in the life of a transfer: count it, measure it, log it.
	Done struct {
		Result metrics.Result
		Reason metrics.TransferReason
		Method metrics.Method // the last one attempted
	}
	// Late tells, at most once, what an indeterminate Done turned out to be. It is an action of its
	// own because the Done is already counted and a counter can't go back: it is counted apart.
	Late struct {
		Result metrics.Result
		Reason metrics.TransferReason
		Method metrics.Method
	}
)

func (Accept) action()           {}
func (Notify) action()           {}
func (Attempt) action()          {}
func (CancelAttempt) action()    {}
func (Bridge) action()           {}
func (ByeCaller) action()        {}
func (ByeWatson) action()        {}
func (EndCaller) action()        {}
func (StartMethodTimer) action() {}
func (StartTotalTimer) action()  {}
func (StartGrace) action()       {}
func (StartDoubt) action()       {}
func (StopTimers) action()       {}
func (Done) action()             {}
func (Late) action()             {}
