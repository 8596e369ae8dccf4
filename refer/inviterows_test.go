package refer

import "handoff/metrics"

// Method invite: the answer of leg C is the proof, the caller's leg stays, and a pending INVITE can
// be taken back, so that its timeout is known to be a failure.

var (
	inviteChain = Config{Methods: []metrics.Method{byInvite}}
	inviteREST  = Config{Methods: []metrics.Method{byInvite, byREST}}

	inviteAsking    = []Event{Start{}}
	inviteCanceling = []Event{Start{}, MethodTimeout{byInvite}}
	inviteClosing   = []Event{Start{}, Answered{byInvite}}
	inviteUnproved  = []Event{Start{}, Silent{byInvite}}

	cancel       = CancelAttempt{byInvite}
	inviteNotify = []Event{Progress{byInvite, 100}, Progress{byInvite, 200}, Progress{byInvite, 486}, Accepted{byInvite}}
)

var inviteRows = []row{
	{"the answer bridges the caller with leg C; his own leg stays", inviteChain, inviteAsking, []Event{Answered{byInvite}},
		[]Action{Bridge{}, final(200), StopTimers{}, doneBy(byInvite, metrics.TransferProved)}, StateClosing},
	{"without Watson the answer bridges and tells nobody", inviteChain, withoutWatson(inviteAsking), []Event{Answered{byInvite}},
		[]Action{Bridge{}, StopTimers{}, doneBy(byInvite, metrics.TransferProved)}, StateOver},
	{"a busy agent is what Watson hears", inviteChain, inviteAsking, []Event{Rejected{byInvite, 486}},
		[]Action{final(486), StopTimers{}, doneBy(byInvite, metrics.TransferRejected)}, StateOver},
	{"a refusal is what Watson hears", inviteChain, inviteAsking, []Event{Rejected{byInvite, 403}},
		[]Action{final(403), StopTimers{}, doneBy(byInvite, metrics.TransferRejected)}, StateOver},
	{"a refusal hands over", inviteREST, inviteAsking, []Event{Rejected{byInvite, 486}},
		[]Action{StartMethodTimer{byREST}, Attempt{byREST}}, StateAsking},
	{"an INVITE that never left is a 503", inviteChain, inviteAsking, []Event{Unsent{byInvite}},
		[]Action{final(503), StopTimers{}, doneBy(byInvite, metrics.TransferUnsent)}, StateOver},
	{"a disproved INVITE has failed", inviteChain, inviteAsking, []Event{Disproved{byInvite}},
		[]Action{final(503), StopTimers{}, doneBy(byInvite, metrics.TransferFailed)}, StateOver},
	{"an INVITE whose transaction ended in silence may have reached an agent", inviteREST, inviteAsking, []Event{Silent{byInvite}},
		[]Action{final(408), StopTimers{}, doneBy(byInvite, metrics.TransferSilent), StartDoubt{}}, StateUnproved},
	{"when its time is up the INVITE is taken back first", inviteREST, inviteAsking, []Event{MethodTimeout{byInvite}, TotalTimeout{}},
		[]Action{cancel, StartMethodTimer{byInvite}}, StateCanceling},
	{"a caller who hangs up takes the INVITE back", inviteChain, inviteAsking, []Event{CallerBye{}},
		[]Action{cancel, final(487), StopTimers{}, doneBy(byInvite, metrics.TransferCallerGone)}, StateClosing},
	{"a caller who hangs up without Watson takes the INVITE back", inviteChain, withoutWatson(inviteAsking), []Event{CallerBye{}},
		[]Action{cancel, StopTimers{}, doneBy(byInvite, metrics.TransferCallerGone)}, StateOver},
	{"Watson's BYE does not stop the ringing", inviteChain, inviteAsking, []Event{WatsonBye{}}, nil, StateAsking},
	{"at shutdown the INVITE is taken back", inviteChain, inviteAsking, []Event{Shutdown{}},
		[]Action{cancel, final(503), StopTimers{}, doneBy(byInvite, metrics.TransferInternal)}, StateOver},
	{"an INVITE has no NOTIFY", inviteChain, inviteAsking,
		append([]Event{Start{}, GraceOver{}, DoubtOver{}, NotifyAnswered{}}, inviteNotify...), nil, StateAsking},

	{"487 confirms the CANCEL: a proved failure", inviteREST, inviteCanceling, []Event{Rejected{byInvite, 487}},
		[]Action{StartMethodTimer{byREST}, Attempt{byREST}}, StateAsking},
	{"487 as the last word is a timeout for Watson", inviteChain, inviteCanceling, []Event{Rejected{byInvite, 487}},
		[]Action{final(408), StopTimers{}, doneBy(byInvite, metrics.TransferRejected)}, StateOver},
	{"when the chain's time is up no further method is tried", inviteREST, []Event{Start{}, TotalTimeout{}}, []Event{Rejected{byInvite, 487}},
		[]Action{final(408), StopTimers{}, doneBy(byInvite, metrics.TransferRejected)}, StateOver},
	{"when the chain's time is up meanwhile neither", inviteREST, then(inviteCanceling, TotalTimeout{}), []Event{Rejected{byInvite, 487}},
		[]Action{final(408), StopTimers{}, doneBy(byInvite, metrics.TransferRejected)}, StateOver},
	{"another refusal crossed the CANCEL", inviteChain, inviteCanceling, []Event{Rejected{byInvite, 403}},
		[]Action{final(403), StopTimers{}, doneBy(byInvite, metrics.TransferRejected)}, StateOver},
	{"an INVITE that was still dialling was never sent", inviteChain, inviteCanceling, []Event{Unsent{byInvite}},
		[]Action{final(503), StopTimers{}, doneBy(byInvite, metrics.TransferUnsent)}, StateOver},
	{"a canceled INVITE that is disproved", inviteChain, inviteCanceling, []Event{Disproved{byInvite}},
		[]Action{final(408), StopTimers{}, doneBy(byInvite, metrics.TransferFailed)}, StateOver},
	{"an answer that crossed the CANCEL is a success", inviteChain, inviteCanceling, []Event{Answered{byInvite}},
		[]Action{Bridge{}, final(200), StopTimers{}, doneBy(byInvite, metrics.TransferProved)}, StateClosing},
	{"a CANCEL without echo proves nothing", inviteREST, inviteCanceling, []Event{Silent{byInvite}, MethodTimeout{byInvite}},
		[]Action{final(408), StopTimers{}, doneBy(byInvite, metrics.TransferSilent), StartDoubt{}}, StateUnproved},
	{"a caller who hangs up while it is taken back", inviteChain, inviteCanceling, []Event{CallerBye{}},
		[]Action{final(487), StopTimers{}, doneBy(byInvite, metrics.TransferCallerGone)}, StateClosing},
	{"Watson's BYE does not stop the CANCEL", inviteChain, inviteCanceling, []Event{WatsonBye{}}, nil, StateCanceling},
	{"without Watson a confirmed CANCEL ends the caller's call", inviteChain, withoutWatson(inviteCanceling), []Event{Rejected{byInvite, 487}},
		[]Action{StopTimers{}, doneBy(byInvite, metrics.TransferRejected), EndCaller{metrics.TransferRejected}}, StateOver},
	{"at shutdown the CANCEL is out already", inviteChain, inviteCanceling, []Event{Shutdown{}},
		[]Action{final(503), StopTimers{}, doneBy(byInvite, metrics.TransferInternal)}, StateOver},
	{"what is not awaited behind a CANCEL is ignored", inviteChain, inviteCanceling,
		append([]Event{Start{}, GraceOver{}, DoubtOver{}, NotifyAnswered{}, TotalTimeout{}}, inviteNotify...), nil, StateCanceling},

	{"Watson gets BYE when it has answered, the caller has his agent", inviteChain, inviteClosing, []Event{NotifyAnswered{}}, []Action{ByeWatson{}}, StateOver},
	{"Watson's or the edge's end closes invite", inviteChain, inviteClosing, []Event{WatsonBye{}, Shutdown{}}, nil, StateOver},
	{"a leg C that answers a caller who is gone is not bridged", inviteChain, then(inviteAsking, CallerBye{}), []Event{Answered{byInvite}}, nil, StateClosing},
	{"nothing counts behind the outcome of invite", inviteChain, inviteClosing,
		append([]Event{Start{}, Answered{byInvite}, Rejected{byInvite, 403}, Unsent{byInvite}, Silent{byInvite}, Disproved{byInvite},
			MethodTimeout{byInvite}, CallerBye{}, TotalTimeout{}, GraceOver{}, DoubtOver{}}, inviteNotify...), nil, StateClosing},

	{"a very late answer is a success", inviteChain, inviteUnproved, []Event{Answered{byInvite}},
		[]Action{Bridge{}, lateBy(byInvite, metrics.TransferProved)}, StateClosing},
	{"a caller who hangs up on Watson proves no INVITE", inviteChain, inviteUnproved, []Event{CallerBye{}}, nil, StateClosing},
	{"a caller who hangs up on Watson later lets it go", inviteChain, then(inviteUnproved, NotifyAnswered{}), []Event{CallerBye{}}, []Action{ByeWatson{}}, StateOver},
	{"a late disproof makes invite a failure", inviteChain, inviteUnproved, []Event{Disproved{byInvite}},
		[]Action{lateBy(byInvite, metrics.TransferFailed)}, StateOver},
	{"a late refusal makes invite a failure", inviteChain, inviteUnproved, []Event{Rejected{byInvite, 403}},
		[]Action{lateBy(byInvite, metrics.TransferRejected)}, StateOver},
	{"a dial that failed late makes invite a failure", inviteChain, inviteUnproved, []Event{Unsent{byInvite}},
		[]Action{lateBy(byInvite, metrics.TransferUnsent)}, StateOver},
	{"when Watson leaves an unproved invite nobody is left", inviteChain, inviteUnproved, []Event{WatsonBye{}},
		[]Action{EndCaller{metrics.TransferSilent}}, StateOver},
	{"an unproved invite is over when its transaction is", inviteChain, inviteUnproved, []Event{DoubtOver{}}, nil, StateOver},
	{"at shutdown an unproved invite stays unproved", inviteChain, inviteUnproved, []Event{Shutdown{}}, nil, StateOver},
	{"what proves nothing about invite", inviteChain, inviteUnproved,
		append([]Event{Start{}, Silent{byInvite}, MethodTimeout{byInvite}, TotalTimeout{}, GraceOver{}, NotifyAnswered{}}, inviteNotify...), nil, StateUnproved},
}
