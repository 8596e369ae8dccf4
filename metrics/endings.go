package metrics

// Result says who is answerable for how a call or a transfer ended.
type Result uint8

const (
	Success Result = iota
	// Caller: the caller (or Twilio on the caller's behalf) ended or spoiled it.
	Caller
	// Upstream: Watson or the transfer target did.
	Upstream
	// Us: the edge did.
	Us
	// Indeterminate: nothing is proved, neither success nor failure.
	Indeterminate
)

var results = []string{"success", "caller", "upstream", "us", "indeterminate"}

func (r Result) String() string { return name(results, uint8(r)) }

// Results lists the vocabulary.
func Results() []Result { return []Result{Success, Caller, Upstream, Us, Indeterminate} }

// Reason is why a call ended. Each belongs to exactly one Result.
type Reason uint8

const (
	// ReasonInternal: a fault of the edge, or an end that nobody gave a reason for.
	ReasonInternal Reason = iota
	ReasonCallerHangup
	ReasonWatsonHangup
	ReasonTransferred
	ReasonCancelled
	ReasonCallerLost
	ReasonCallerNoACK
	ReasonMediaRefused
	ReasonBadRequest
	ReasonWatsonRejected
	ReasonWatsonUnreachable
	ReasonWatsonNoAnswer
	ReasonWatsonBadAnswer
	ReasonWatsonLost
	ReasonNoPorts
	ReasonShutdown
	// ReasonOperator: an operator ended it by hand.
	ReasonOperator
	// ReasonTransferFailed: Watson left while the transfer ran, and then the transfer failed.
	ReasonTransferFailed
	ReasonTransferUnproved
	// ReasonRestart: the process died while the call was being set up, or its ports were taken when another went on.
	ReasonRestart
	// ReasonWatsonRedirected: Watson sent the call elsewhere, and it could not be followed there.
	ReasonWatsonRedirected
	// ReasonCallerExpired and ReasonWatsonExpired: the session timer of the leg ran out (RFC 4028 §10).
	ReasonCallerExpired
	ReasonWatsonExpired
	// ReasonCallerSilent, ReasonWatsonSilent and ReasonAgentSilent: no media came from the leg for media.timeout.
	ReasonCallerSilent
	ReasonWatsonSilent
	ReasonAgentSilent
	// ReasonDuration: the call lasted for limits.duration.
	ReasonDuration
)

var reasons = []struct {
	word   string
	result Result
}{
	ReasonCallerHangup:      {"caller_hangup", Success},
	ReasonWatsonHangup:      {"watson_hangup", Success},
	ReasonTransferred:       {"transferred", Success},
	ReasonCancelled:         {"cancelled", Caller},
	ReasonCallerLost:        {"caller_lost", Caller},
	ReasonCallerNoACK:       {"caller_no_ack", Caller},
	ReasonMediaRefused:      {"media_refused", Caller},
	ReasonBadRequest:        {"bad_request", Caller},
	ReasonWatsonRejected:    {"watson_rejected", Upstream},
	ReasonWatsonUnreachable: {"watson_unreachable", Upstream},
	ReasonWatsonNoAnswer:    {"watson_no_answer", Upstream},
	ReasonWatsonBadAnswer:   {"watson_bad_answer", Upstream},
	ReasonWatsonLost:        {"watson_lost", Upstream},
	ReasonNoPorts:           {"no_ports", Us},
	ReasonShutdown:          {"shutdown", Us},
	ReasonInternal:          {"internal", Us},
	ReasonOperator:          {"operator", Us},
	ReasonRestart:           {"restart", Us},
	ReasonTransferFailed:    {"transfer_failed", Upstream},
	ReasonTransferUnproved:  {"transfer_unproved", Indeterminate},
	ReasonWatsonRedirected:  {"watson_redirected", Upstream},
	ReasonCallerExpired:     {"caller_expired", Caller},
	ReasonWatsonExpired:     {"watson_expired", Upstream},
	ReasonCallerSilent:      {"caller_silent", Caller},
	ReasonWatsonSilent:      {"watson_silent", Upstream},
	ReasonAgentSilent:       {"agent_silent", Upstream},
	ReasonDuration:          {"duration", Us},
}

func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r].word
	}
	return name(nil, uint8(r))
}

// Result returns who is answerable.
func (r Reason) Result() Result {
	if int(r) < len(reasons) {
		return reasons[r].result
	}
	return Us
}

// ParseReason reads the word of a reason; false says that it is none.
func ParseReason(word string) (Reason, bool) {
	for i, r := range reasons {
		if r.word == word {
			return Reason(i), true
		}
	}
	return ReasonInternal, false
}

// Reasons lists the vocabulary.
func Reasons() []Reason { return list[Reason](len(reasons)) }

func list[T ~uint8](n int) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = T(i)
	}
	return all
}
