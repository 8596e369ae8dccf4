package refer

import "handoff/metrics"

// Event is what the executor tells the machine: one of the types of this file.
//
// Those about an attempt carry its method, so that an answer that arrives after the chain has moved
// on is not taken for one to the next attempt.
type Event interface {
	// attempt returns the method that the event is about, and whether it is about one.
	attempt() (metrics.Method, bool)
}

type (
	// Start: what was asked for was judged good.
	Start struct{}

	// Accepted: a 2xx to our REFER or REST request.
	Accepted struct{ Method metrics.Method }
	// Answered: a 2xx to our INVITE; leg C stands and is acknowledged. It is the proof of that method.
	Answered struct{ Method metrics.Method }
	// Rejected: a final answer of 300 or more to a SIP request, or an HTTP 4xx. It proves that the
	// method failed. An HTTP 5xx proves nothing: it is Silent.
	Rejected struct {
		Method metrics.Method
		Code   int
	}
	// Unsent: the request never left. It proves that the method failed.
	Unsent struct{ Method metrics.Method }
	// Silent: no final answer (Timer F, or the connection was lost behind the request). It may have
	// arrived. Where the API can tell, it is asked before this or MethodTimeout is delivered.
	Silent struct{ Method metrics.Method }
	// Disproved: the API or our webhooks show that the request has done nothing and will not. It is as
	// good as a Rejected, at any time.
	Disproved struct{ Method metrics.Method }
	// Progress: the status in the sipfrag of a NOTIFY, whatever its Subscription-State. It may
	// overtake Accepted.
	Progress struct {
		Method metrics.Method
		Code   int
	}
	// MethodTimeout: the timer of StartMethodTimer fired.
	MethodTimeout struct{ Method metrics.Method }

	// CallerBye: a BYE on leg A, or leg A is lost.
	CallerBye struct{}
	// WatsonBye: a BYE on leg B, or leg B is lost.
	WatsonBye struct{}
	// TotalTimeout: the timer of StartTotalTimer fired.
	TotalTimeout struct{}
	// GraceOver: the timer of StartGrace fired.
	GraceOver struct{}
	// DoubtOver: the timer of StartDoubt fired.
	DoubtOver struct{}
	// NotifyAnswered: Watson answered the final NOTIFY, or will not any more. It always comes.
	NotifyAnswered struct{}
	// Shutdown: the edge ends all calls now.
	Shutdown struct{}
)

func (e Accepted) attempt() (metrics.Method, bool)      { return e.Method, true }
func (e Answered) attempt() (metrics.Method, bool)      { return e.Method, true }
func (e Disproved) attempt() (metrics.Method, bool)     { return e.Method, true }
func (e Rejected) attempt() (metrics.Method, bool)      { return e.Method, true }
func (e Unsent) attempt() (metrics.Method, bool)        { return e.Method, true }
func (e Silent) attempt() (metrics.Method, bool)        { return e.Method, true }
func (e Progress) attempt() (metrics.Method, bool)      { return e.Method, true }
func (e MethodTimeout) attempt() (metrics.Method, bool) { return e.Method, true }

func (Start) attempt() (metrics.Method, bool)          { return metrics.MethodNone, false }
func (CallerBye) attempt() (metrics.Method, bool)      { return metrics.MethodNone, false }
func (WatsonBye) attempt() (metrics.Method, bool)      { return metrics.MethodNone, false }
func (TotalTimeout) attempt() (metrics.Method, bool)   { return metrics.MethodNone, false }
func (GraceOver) attempt() (metrics.Method, bool)      { return metrics.MethodNone, false }
func (DoubtOver) attempt() (metrics.Method, bool)      { return metrics.MethodNone, false }
func (NotifyAnswered) attempt() (metrics.Method, bool) { return metrics.MethodNone, false }
func (Shutdown) attempt() (metrics.Method, bool)       { return metrics.MethodNone, false }
