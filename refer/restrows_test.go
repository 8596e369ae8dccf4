package refer

import "handoff/metrics"

// Method rest: HTTP 200 announces the BYE on leg A, which is the proof.

var (
	restChain  = Config{Methods: []metrics.Method{byREST}}
	restInvite = Config{Methods: []metrics.Method{byREST, byInvite}}

	restAsking   = []Event{Start{}}
	restWaiting  = []Event{Start{}, Accepted{byREST}}
	restGrace    = []Event{Start{}, CallerBye{}}
	restClosing  = []Event{Start{}, Accepted{byREST}, CallerBye{}}
	restUnproved = []Event{Start{}, Accepted{byREST}, MethodTimeout{byREST}}

	restNotify = []Event{Progress{byREST, 100}, Progress{byREST, 200}, Progress{byREST, 486}}
)

var restRows = []row{
	{"HTTP 200 starts the wait for the BYE", restChain, restAsking, []Event{Accepted{byREST}}, nil, StateWaiting},
	{"an HTTP 4xx proves the failure; Watson hears 503", restChain, restAsking, []Event{Rejected{byREST, 403}},
		[]Action{final(503), StopTimers{}, doneBy(byREST, metrics.TransferRejected)}, StateOver},
	{"an HTTP 4xx hands over to leg C", restInvite, restAsking, []Event{Rejected{byREST, 429}},
		[]Action{StartMethodTimer{byInvite}, Attempt{byInvite}}, StateAsking},
	{"an HTTP request that never left is a 503", restChain, restAsking, []Event{Unsent{byREST}},
		[]Action{final(503), StopTimers{}, doneBy(byREST, metrics.TransferUnsent)}, StateOver},
	{"what the API disproves has failed", restChain, restAsking, []Event{Disproved{byREST}},
		[]Action{final(503), StopTimers{}, doneBy(byREST, metrics.TransferFailed)}, StateOver},
	{"an HTTP request without answer may have arrived", restChain, restAsking,
		[]Event{Silent{byREST}, MethodTimeout{byREST}, TotalTimeout{}},
		[]Action{final(408), StopTimers{}, doneBy(byREST, metrics.TransferSilent), StartDoubt{}}, StateUnproved},
	{"an HTTP request without answer does not hand over", restInvite, restAsking,
		[]Event{Silent{byREST}, MethodTimeout{byREST}, TotalTimeout{}},
		[]Action{final(408), StopTimers{}, doneBy(byREST, metrics.TransferSilent), StartDoubt{}}, StateUnproved},
	{"a BYE may overtake the HTTP 200 that announces it", restChain, restAsking, []Event{CallerBye{}}, []Action{StartGrace{}}, StateGrace},
	{"Watson's BYE does not stop the request", restChain, restAsking, []Event{WatsonBye{}}, nil, StateAsking},
	{"at shutdown Watson hears 503", restChain, restAsking, []Event{Shutdown{}},
		[]Action{final(503), StopTimers{}, doneBy(byREST, metrics.TransferInternal)}, StateOver},
	{"REST has no NOTIFY and no leg", restChain, restAsking,
		append([]Event{Start{}, GraceOver{}, DoubtOver{}, NotifyAnswered{}, Answered{byREST}}, restNotify...), nil, StateAsking},

	{"the BYE behind HTTP 200 is the proof", restChain, restWaiting, []Event{CallerBye{}},
		[]Action{final(200), StopTimers{}, doneBy(byREST, metrics.TransferProved)}, StateClosing},
	{"without Watson the BYE behind HTTP 200 ends all", restChain, withoutWatson(restWaiting), []Event{CallerBye{}},
		[]Action{StopTimers{}, doneBy(byREST, metrics.TransferProved)}, StateOver},
	{"HTTP 200 and no BYE is no proof", restChain, restWaiting, []Event{MethodTimeout{byREST}, TotalTimeout{}},
		[]Action{final(408), StopTimers{}, doneBy(byREST, metrics.TransferSilent), StartDoubt{}}, StateUnproved},
	{"HTTP 200 and no BYE does not hand over", restInvite, restWaiting, []Event{MethodTimeout{byREST}, TotalTimeout{}},
		[]Action{final(408), StopTimers{}, doneBy(byREST, metrics.TransferSilent), StartDoubt{}}, StateUnproved},
	{"HTTP 200 that the API disproves hands over", restInvite, restWaiting, []Event{Disproved{byREST}},
		[]Action{StartMethodTimer{byInvite}, Attempt{byInvite}}, StateAsking},
	{"HTTP 200 that the API disproves has failed", restChain, restWaiting, []Event{Disproved{byREST}},
		[]Action{final(503), StopTimers{}, doneBy(byREST, metrics.TransferFailed)}, StateOver},
	{"a second, failing answer is believed", restChain, restWaiting, []Event{Rejected{byREST, 403}},
		[]Action{final(503), StopTimers{}, doneBy(byREST, metrics.TransferRejected)}, StateOver},
	{"Watson's BYE does not stop the wait for the BYE", restChain, restWaiting, []Event{WatsonBye{}}, nil, StateWaiting},
	{"at shutdown Watson hears 503 behind HTTP 200 too", restChain, restWaiting, []Event{Shutdown{}},
		[]Action{final(503), StopTimers{}, doneBy(byREST, metrics.TransferInternal)}, StateOver},
	{"what is not awaited behind HTTP 200 is ignored", restChain, restWaiting,
		append([]Event{Start{}, GraceOver{}, DoubtOver{}, NotifyAnswered{}, Answered{byREST}, Accepted{byREST}, Silent{byREST}, Unsent{byREST}}, restNotify...), nil, StateWaiting},

	{"HTTP 200 behind the BYE makes it the proof", restChain, restGrace, []Event{Accepted{byREST}},
		[]Action{final(200), StopTimers{}, doneBy(byREST, metrics.TransferProved)}, StateClosing},
	{"a failure behind the BYE tells that it was the caller", restChain, restGrace,
		[]Event{Rejected{byREST, 403}, Unsent{byREST}, Disproved{byREST}},
		[]Action{final(487), StopTimers{}, doneBy(byREST, metrics.TransferCallerGone)}, StateClosing},
	{"a grace without HTTP answer ends as indeterminate", restChain, restGrace, []Event{GraceOver{}},
		[]Action{final(487), StopTimers{}, doneBy(byREST, metrics.TransferUnproved)}, StateClosing},
	{"in the grace of rest only the grace counts", restChain, restGrace,
		append([]Event{Start{}, DoubtOver{}, NotifyAnswered{}, Answered{byREST}, Silent{byREST}, MethodTimeout{byREST}, TotalTimeout{}, CallerBye{}, WatsonBye{}}, restNotify...), nil, StateGrace},
	{"at shutdown in the grace of rest Watson hears 503", restChain, restGrace, []Event{Shutdown{}},
		[]Action{final(503), StopTimers{}, doneBy(byREST, metrics.TransferInternal)}, StateOver},

	{"Watson gets BYE when it has answered the NOTIFY about rest", restChain, restClosing, []Event{NotifyAnswered{}}, []Action{ByeWatson{}}, StateOver},
	{"Watson's or the edge's end closes rest", restChain, restClosing, []Event{WatsonBye{}, Shutdown{}}, nil, StateOver},
	{"nothing counts behind the outcome of rest", restChain, restClosing,
		append([]Event{Start{}, Accepted{byREST}, Answered{byREST}, Rejected{byREST, 403}, Unsent{byREST}, Silent{byREST}, Disproved{byREST},
			MethodTimeout{byREST}, CallerBye{}, TotalTimeout{}, GraceOver{}, DoubtOver{}}, restNotify...), nil, StateClosing},

	{"a late BYE proves HTTP 200 after all", restChain, restUnproved, []Event{CallerBye{}},
		[]Action{lateBy(byREST, metrics.TransferProved)}, StateClosing},
	{"a late disproof makes rest a failure", restChain, restUnproved, []Event{Disproved{byREST}},
		[]Action{lateBy(byREST, metrics.TransferFailed)}, StateOver},
	{"a late HTTP 4xx makes rest a failure", restChain, restUnproved, []Event{Rejected{byREST, 403}},
		[]Action{lateBy(byREST, metrics.TransferRejected)}, StateOver},
	{"a dial that failed late makes rest a failure", restChain, restUnproved, []Event{Unsent{byREST}},
		[]Action{lateBy(byREST, metrics.TransferUnsent)}, StateOver},
	{"when Watson leaves an unproved rest nobody is left", restChain, restUnproved, []Event{WatsonBye{}},
		[]Action{EndCaller{metrics.TransferSilent}}, StateOver},
	{"when Twilio would have given up the leg, rest is over", restChain, restUnproved, []Event{DoubtOver{}}, nil, StateOver},
	{"at shutdown an unproved rest stays unproved", restChain, restUnproved, []Event{Shutdown{}}, nil, StateOver},
	{"a late HTTP 200 still waits for the BYE", restChain, restUnproved,
		append([]Event{Start{}, Accepted{byREST}, Answered{byREST}, Silent{byREST}, MethodTimeout{byREST}, TotalTimeout{}, GraceOver{}, NotifyAnswered{}}, restNotify...), nil, StateUnproved},
}
