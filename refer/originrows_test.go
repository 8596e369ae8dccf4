package refer

import "handoff/metrics"

// after_silence: next, where a method that fell silent may work beside the next one.

var (
	nextChain = Config{Methods: []metrics.Method{byRefer, byREST, byInvite}, AfterSilence: true}
	nextTwo   = Config{Methods: []metrics.Method{byRefer, byInvite}, AfterSilence: true}

	nextREST   = []Event{Start{}, accepted, timeout}
	nextInvite = []Event{Start{}, accepted, timeout, Rejected{byREST, 400}}
	inDoubt    = []Event{Start{}, accepted, timeout, Rejected{byInvite, 486}} // of nextTwo
)

var doubtRows = []row{
	{"silence hands over when the operator says so", nextChain, waiting, []Event{timeout}, []Action{StartMethodTimer{byREST}, Attempt{byREST}}, StateAsking},
	{"a request without answer too", nextChain, asking, []Event{silent, timeout}, []Action{StartMethodTimer{byREST}, Attempt{byREST}}, StateAsking},
	{"a CANCEL without echo too", Config{Methods: []metrics.Method{byInvite, byREST}, AfterSilence: true}, inviteCanceling,
		[]Event{Silent{byInvite}, MethodTimeout{byInvite}}, []Action{StartMethodTimer{byREST}, Attempt{byREST}}, StateAsking},
	{"but not when the chain's time is up", nextChain, waiting, []Event{TotalTimeout{}},
		[]Action{final(408), StopTimers{}, done(metrics.TransferSilent), StartDoubt{}}, StateUnproved},
	{"after the last silence all is open", nextChain, then(nextInvite, MethodTimeout{byInvite}), []Event{Silent{byInvite}},
		[]Action{final(408), StopTimers{}, doneBy(byInvite, metrics.TransferSilent), StartDoubt{}}, StateUnproved},

	{"late proof of the first beats the second", nextChain, nextREST, []Event{ok200},
		[]Action{ByeCaller{}, final(200), StopTimers{}, done(metrics.TransferProved)}, StateClosing},
	{"late proof of the first takes a pending INVITE back", nextChain, nextInvite, []Event{ok200},
		[]Action{cancel, ByeCaller{}, final(200), StopTimers{}, done(metrics.TransferProved)}, StateClosing},
	{"late proof of the first while an INVITE is taken back", nextTwo, then(nextREST, MethodTimeout{byInvite}), []Event{ok200},
		[]Action{ByeCaller{}, final(200), StopTimers{}, done(metrics.TransferProved)}, StateClosing},
	{"late failure of the first changes nothing for the second", nextChain, nextREST, []Event{busy486, rejected, unsent, disproved, trying100, silent, accepted, timeout}, nil, StateAsking},
	{"the caller's BYE may be the first one's proof", nextTwo, nextREST, []Event{CallerBye{}}, []Action{cancel, StartGrace{}}, StateGrace},
	{"in that grace the first one's proof counts", nextTwo, then(nextREST, CallerBye{}), []Event{ok200},
		[]Action{final(200), StopTimers{}, done(metrics.TransferProved)}, StateClosing},
	{"in that grace leg C is not bridged", nextTwo, then(nextREST, CallerBye{}), []Event{Answered{byInvite}, Rejected{byInvite, 487}}, nil, StateGrace},
	{"in that grace nothing proved stays unproved", nextTwo, then(nextREST, CallerBye{}), []Event{GraceOver{}},
		[]Action{final(487), StopTimers{}, doneBy(byInvite, metrics.TransferUnproved)}, StateClosing},
	{"once the first has failed a BYE is a hang-up again", nextTwo, then(nextREST, busy486), []Event{CallerBye{}},
		[]Action{cancel, final(487), StopTimers{}, doneBy(byInvite, metrics.TransferCallerGone)}, StateClosing},

	{"when the last fails and the first is in doubt all is open", nextTwo, nextREST, []Event{Rejected{byInvite, 486}},
		[]Action{final(408), StopTimers{}, doneBy(byInvite, metrics.TransferSilent), StartDoubt{}}, StateUnproved},
	{"then late proof of the first is a success", nextTwo, inDoubt, []Event{ok200},
		[]Action{ByeCaller{}, late(metrics.TransferProved)}, StateClosing},
	{"then a BYE is its proof", nextTwo, inDoubt, []Event{CallerBye{}}, []Action{lateBy(byInvite, metrics.TransferProved)}, StateClosing},
	{"then late failure of the first settles it", nextTwo, inDoubt, []Event{busy486}, []Action{lateBy(byInvite, metrics.TransferFailed)}, StateOver},
	{"two in doubt: one failure does not settle it", nextTwo, then(nextREST, Silent{byInvite}), []Event{busy486, Rejected{byInvite, 486}}, nil, StateUnproved},
	{"two in doubt: a leg C of the current one is bridged", nextTwo, then(nextREST, Silent{byInvite}), []Event{Answered{byInvite}},
		[]Action{Bridge{}, lateBy(byInvite, metrics.TransferProved)}, StateClosing},
	{"a leg C of an earlier one is not", Config{Methods: []metrics.Method{byInvite, byREST}, AfterSilence: true}, []Event{Start{}, Silent{byInvite}},
		[]Event{Answered{byInvite}}, nil, StateAsking},
}

// Who asked decides who is told.

var (
	unsubscribed = Config{Methods: []metrics.Method{byRefer}, NoSubscription: true}
	hangup       = Config{Methods: []metrics.Method{byRefer}, Origin: OriginHangup}
	operator     = Config{Methods: []metrics.Method{byRefer}, Origin: OriginOperator}
)

var originRows = []row{
	{"Refer-Sub: false: a 202 and no NOTIFY", unsubscribed, nil, []Event{Start{}},
		[]Action{Accept{}, StartTotalTimer{}, StartMethodTimer{byRefer}, Attempt{byRefer}}, StateAsking},
	{"Refer-Sub: false: on success Watson gets BYE at once", unsubscribed, waiting, []Event{ok200},
		[]Action{ByeCaller{}, StopTimers{}, done(metrics.TransferProved), ByeWatson{}}, StateOver},
	{"Refer-Sub: false: on failure Watson keeps the caller and hears nothing", unsubscribed, waiting, []Event{busy486},
		[]Action{StopTimers{}, done(metrics.TransferFailed)}, StateOver},
	{"Refer-Sub: false: silence leaves the legs bridged", unsubscribed, waiting, []Event{timeout},
		[]Action{StopTimers{}, done(metrics.TransferSilent), StartDoubt{}}, StateUnproved},
	{"Refer-Sub: false: a late proof lets Watson go at once", unsubscribed, unproved, []Event{ok200},
		[]Action{ByeCaller{}, late(metrics.TransferProved), ByeWatson{}}, StateOver},
	{"Refer-Sub: false: a hang-up lets Watson go", unsubscribed, asking, []Event{CallerBye{}},
		[]Action{StopTimers{}, done(metrics.TransferCallerGone), ByeWatson{}}, StateOver},
	{"Refer-Sub: false: a shutdown is told to nobody", unsubscribed, waiting, []Event{Shutdown{}},
		[]Action{StopTimers{}, done(metrics.TransferInternal)}, StateOver},

	{"hangup: there is nothing to accept and nobody to tell", hangup, nil, []Event{Start{}},
		[]Action{StartTotalTimer{}, StartMethodTimer{byRefer}, Attempt{byRefer}}, StateAsking},
	{"hangup: a proof ends the caller's leg", hangup, waiting, []Event{ok200},
		[]Action{ByeCaller{}, StopTimers{}, done(metrics.TransferProved)}, StateOver},
	{"hangup: a failure ends the caller's call", hangup, waiting, []Event{busy486},
		[]Action{StopTimers{}, done(metrics.TransferFailed), EndCaller{metrics.TransferFailed}}, StateOver},
	{"hangup: so does silence", hangup, waiting, []Event{timeout},
		[]Action{StopTimers{}, done(metrics.TransferSilent), EndCaller{metrics.TransferSilent}}, StateOver},
	{"hangup: when no method fits the caller's call ends", Config{Origin: OriginHangup}, nil, []Event{Start{}},
		[]Action{StopTimers{}, Done{metrics.Us, metrics.TransferUnfit, metrics.MethodNone}, EndCaller{metrics.TransferUnfit}}, StateOver},
	{"hangup: leg C needs no Watson", Config{Methods: []metrics.Method{byInvite}, Origin: OriginHangup}, inviteAsking, []Event{Answered{byInvite}},
		[]Action{Bridge{}, StopTimers{}, doneBy(byInvite, metrics.TransferProved)}, StateOver},

	{"operator: there is nothing to accept and nobody to tell", operator, nil, []Event{Start{}},
		[]Action{StartTotalTimer{}, StartMethodTimer{byRefer}, Attempt{byRefer}}, StateAsking},
	{"operator: on success Watson is let go", operator, waiting, []Event{ok200},
		[]Action{ByeCaller{}, StopTimers{}, done(metrics.TransferProved), ByeWatson{}}, StateOver},
	{"operator: on failure caller and Watson talk on", operator, waiting, []Event{busy486},
		[]Action{StopTimers{}, done(metrics.TransferFailed)}, StateOver},
	{"operator: when no method fits they talk on", Config{Origin: OriginOperator}, nil, []Event{Start{}},
		[]Action{StopTimers{}, Done{metrics.Us, metrics.TransferUnfit, metrics.MethodNone}}, StateOver},
	{"operator: silence leaves them bridged", operator, waiting, []Event{timeout},
		[]Action{StopTimers{}, done(metrics.TransferSilent), StartDoubt{}}, StateUnproved},
	{"operator: a hang-up lets Watson go", operator, asking, []Event{CallerBye{}},
		[]Action{StopTimers{}, done(metrics.TransferCallerGone), ByeWatson{}}, StateOver},
	{"operator: without Watson a failure ends the caller's call", operator, withoutWatson(waiting), []Event{busy486},
		[]Action{StopTimers{}, done(metrics.TransferFailed), EndCaller{metrics.TransferFailed}}, StateOver},
}
