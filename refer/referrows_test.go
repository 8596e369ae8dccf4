package refer

import "handoff/metrics"

// What method refer does, and what all methods share.

var (
	chain1 = Config{Methods: []metrics.Method{byRefer}}
	chain2 = Config{Methods: []metrics.Method{byRefer, byREST}}

	trying100 = Progress{byRefer, 100}
	ok200     = Progress{byRefer, 200}
	busy486   = Progress{byRefer, 486}
	accepted  = Accepted{byRefer}
	rejected  = Rejected{byRefer, 403}
	unsent    = Unsent{byRefer}
	silent    = Silent{byRefer}
	timeout   = MethodTimeout{byRefer}
	disproved = Disproved{byRefer}
	answered  = Answered{byRefer} // makes no sense, and must do no harm

	asking    = []Event{Start{}}
	waiting   = []Event{Start{}, accepted}
	grace     = []Event{Start{}, accepted, CallerBye{}}
	closing   = []Event{Start{}, accepted, ok200}
	unproved  = []Event{Start{}, accepted, timeout}
	unproved2 = []Event{Start{}, accepted, timeout, NotifyAnswered{}}
	over      = []Event{Start{}, rejected}
)

var referRows = []row{
	// idle
	{"the 202 comes first, then NOTIFY 100, then the attempt", chain1, nil, []Event{Start{}},
		[]Action{Accept{}, Notify{100, "Trying", false}, StartTotalTimer{}, StartMethodTimer{byRefer}, Attempt{byRefer}}, StateAsking},
	{"when no method fits Watson hears 488", Config{}, nil, []Event{Start{}},
		[]Action{Accept{}, Notify{100, "Trying", false}, final(488), StopTimers{},
			Done{metrics.Us, metrics.TransferUnfit, metrics.MethodNone}}, StateOver},
	{"before the start nothing is promised and nothing happens", chain1, nil, allEvents(byRefer)[1:], nil, StateIdle},

	// asking
	{"a 202 starts the wait for the outcome", chain1, asking, []Event{accepted}, nil, StateWaiting},
	{"a NOTIFY 100 before the 202 starts it too", chain1, asking, []Event{trying100}, nil, StateWaiting},
	{"a NOTIFY 200 before the 202 proves the transfer", chain1, asking, []Event{ok200},
		[]Action{ByeCaller{}, final(200), StopTimers{}, done(metrics.TransferProved)}, StateClosing},
	{"a NOTIFY 486 before the 202 proves the failure", chain1, asking, []Event{busy486},
		[]Action{final(486), StopTimers{}, done(metrics.TransferFailed)}, StateOver},
	{"a 403 proves the failure and Watson hears it", chain1, asking, []Event{rejected},
		[]Action{final(403), StopTimers{}, done(metrics.TransferRejected)}, StateOver},
	{"a request that never left is a 503", chain1, asking, []Event{unsent},
		[]Action{final(503), StopTimers{}, done(metrics.TransferUnsent)}, StateOver},
	{"a request without answer may have arrived: 408, indeterminate, still bridged", chain1, asking,
		[]Event{silent, timeout, TotalTimeout{}},
		[]Action{final(408), StopTimers{}, done(metrics.TransferSilent), StartDoubt{}}, StateUnproved},
	{"a BYE from the caller before the 202 is a hang-up", chain1, asking, []Event{CallerBye{}},
		[]Action{final(487), StopTimers{}, done(metrics.TransferCallerGone)}, StateClosing},
	{"Watson's BYE does not stop the transfer", chain1, asking, []Event{WatsonBye{}}, nil, StateAsking},
	{"at shutdown Watson hears 503", chain1, asking, []Event{Shutdown{}},
		[]Action{final(503), StopTimers{}, done(metrics.TransferInternal)}, StateOver},
	{"what the API disproves has failed", chain1, asking, []Event{disproved},
		[]Action{final(503), StopTimers{}, done(metrics.TransferFailed)}, StateOver},
	{"what is not awaited while asking is ignored", chain1, asking, []Event{Start{}, GraceOver{}, DoubtOver{}, NotifyAnswered{}, answered}, nil, StateAsking},

	{"a 403 hands over to the next method without a final NOTIFY", chain2, asking, []Event{rejected},
		[]Action{StartMethodTimer{byREST}, Attempt{byREST}}, StateAsking},
	{"an unsent request hands over too", chain2, asking, []Event{unsent},
		[]Action{StartMethodTimer{byREST}, Attempt{byREST}}, StateAsking},
	{"silence does not hand over", chain2, asking, []Event{silent, timeout, TotalTimeout{}},
		[]Action{final(408), StopTimers{}, done(metrics.TransferSilent), StartDoubt{}}, StateUnproved},
	{"answers to the first method are not taken for the second", chain2, []Event{Start{}, busy486},
		[]Event{accepted, rejected, unsent, silent, trying100, ok200, busy486, timeout}, nil, StateAsking},
	{"an HTTP code of the last method is a 503 for Watson", chain2, []Event{Start{}, rejected}, []Event{Rejected{byREST, 400}},
		[]Action{final(503), StopTimers{}, Done{metrics.Upstream, metrics.TransferRejected, byREST}}, StateOver},

	{"without Watson a proof ends the caller's leg and tells nobody", chain1, withoutWatson(asking), []Event{ok200},
		[]Action{ByeCaller{}, StopTimers{}, done(metrics.TransferProved)}, StateOver},
	{"without Watson a failure ends the caller's call", chain1, withoutWatson(asking), []Event{rejected},
		[]Action{StopTimers{}, done(metrics.TransferRejected), EndCaller{metrics.TransferRejected}}, StateOver},
	{"without Watson a failure still hands over to the next method", chain2, withoutWatson(asking), []Event{rejected},
		[]Action{StartMethodTimer{byREST}, Attempt{byREST}}, StateAsking},
	{"without Watson silence ends the caller's call", chain1, withoutWatson(asking), []Event{silent, timeout, TotalTimeout{}},
		[]Action{StopTimers{}, done(metrics.TransferSilent), EndCaller{metrics.TransferSilent}}, StateOver},
	{"without Watson a hang-up leaves nothing to do", chain1, withoutWatson(asking), []Event{CallerBye{}},
		[]Action{StopTimers{}, done(metrics.TransferCallerGone)}, StateOver},
	{"without Watson a shutdown tells nobody", chain1, withoutWatson(asking), []Event{Shutdown{}},
		[]Action{StopTimers{}, done(metrics.TransferInternal)}, StateOver},

	// waiting
	{"a NOTIFY 100 changes nothing, whatever its Subscription-State", chain1, waiting, []Event{trying100, Progress{byRefer, 183}}, nil, StateWaiting},
	{"a NOTIFY 200 sends the caller's BYE first, then tells Watson", chain1, waiting, []Event{ok200},
		[]Action{ByeCaller{}, final(200), StopTimers{}, done(metrics.TransferProved)}, StateClosing},
	{"any 2xx is a proof, and Watson hears 200", chain1, waiting, []Event{Progress{byRefer, 202}},
		[]Action{ByeCaller{}, final(200), StopTimers{}, done(metrics.TransferProved)}, StateClosing},
	{"a NOTIFY 486 is passed on and both stay on the line", chain1, waiting, []Event{busy486},
		[]Action{final(486), StopTimers{}, done(metrics.TransferFailed)}, StateOver},
	{"a NOTIFY 302 is a failure", chain1, waiting, []Event{Progress{byRefer, 302}},
		[]Action{final(302), StopTimers{}, done(metrics.TransferFailed)}, StateOver},
	{"a failing NOTIFY hands over to the next method", chain2, waiting, []Event{busy486},
		[]Action{StartMethodTimer{byREST}, Attempt{byREST}}, StateAsking},
	{"a rejection that a NOTIFY 100 overtook is a failure", chain1, []Event{Start{}, trying100}, []Event{rejected},
		[]Action{final(403), StopTimers{}, done(metrics.TransferRejected)}, StateOver},
	{"a 202 and then nothing: 408, indeterminate, still bridged", chain1, waiting, []Event{timeout, TotalTimeout{}},
		[]Action{final(408), StopTimers{}, done(metrics.TransferSilent), StartDoubt{}}, StateUnproved},
	{"a 202 and then nothing does not hand over", chain2, waiting, []Event{timeout, TotalTimeout{}},
		[]Action{final(408), StopTimers{}, done(metrics.TransferSilent), StartDoubt{}}, StateUnproved},
	{"a BYE from Twilio without a proof gets a second of grace", chain1, waiting, []Event{CallerBye{}},
		[]Action{StartGrace{}}, StateGrace},
	{"Watson's BYE does not stop the wait", chain1, waiting, []Event{WatsonBye{}}, nil, StateWaiting},
	{"at shutdown Watson hears 503 while waiting too", chain1, waiting, []Event{Shutdown{}},
		[]Action{final(503), StopTimers{}, done(metrics.TransferInternal)}, StateOver},
	{"the request arrived, so its late answer or silence says nothing new", chain1, waiting, []Event{accepted, silent, unsent}, nil, StateWaiting},
	{"a 202 that the API disproves has failed", chain1, waiting, []Event{disproved},
		[]Action{final(503), StopTimers{}, done(metrics.TransferFailed)}, StateOver},
	{"a 202 that the API disproves hands over", chain2, waiting, []Event{disproved},
		[]Action{StartMethodTimer{byREST}, Attempt{byREST}}, StateAsking},
	{"what is not awaited while waiting is ignored", chain1, waiting, []Event{Start{}, GraceOver{}, DoubtOver{}, NotifyAnswered{}, answered}, nil, StateWaiting},

	{"without Watson a late proof ends the caller's leg", chain1, withoutWatson(waiting), []Event{ok200},
		[]Action{ByeCaller{}, StopTimers{}, done(metrics.TransferProved)}, StateOver},
	{"without Watson a failing NOTIFY ends the caller's call", chain1, withoutWatson(waiting), []Event{busy486},
		[]Action{StopTimers{}, done(metrics.TransferFailed), EndCaller{metrics.TransferFailed}}, StateOver},
	{"without Watson nothing after the 202 ends the caller's call", chain1, withoutWatson(waiting), []Event{timeout, TotalTimeout{}},
		[]Action{StopTimers{}, done(metrics.TransferSilent), EndCaller{metrics.TransferSilent}}, StateOver},
	{"without Watson a BYE from Twilio gets its grace all the same", chain1, withoutWatson(waiting), []Event{CallerBye{}},
		[]Action{StartGrace{}}, StateGrace},

	// grace
	{"a NOTIFY 200 in the grace is a proof; the caller's leg is gone already", chain1, grace, []Event{ok200},
		[]Action{final(200), StopTimers{}, done(metrics.TransferProved)}, StateClosing},
	{"a NOTIFY 486 in the grace proves the failure; the caller is gone", chain1, grace, []Event{busy486},
		[]Action{final(487), StopTimers{}, done(metrics.TransferFailed)}, StateClosing},
	{"a failure in the grace does not hand over: there is no caller", chain2, grace, []Event{busy486},
		[]Action{final(487), StopTimers{}, done(metrics.TransferFailed)}, StateClosing},
	{"a grace without proof ends as indeterminate and Watson hears 487", chain1, grace, []Event{GraceOver{}},
		[]Action{final(487), StopTimers{}, done(metrics.TransferUnproved)}, StateClosing},
	{"a NOTIFY 100 in the grace proves nothing", chain1, grace, []Event{trying100}, nil, StateGrace},
	{"Watson's BYE in the grace changes nothing", chain1, grace, []Event{WatsonBye{}}, nil, StateGrace},
	{"at shutdown in the grace Watson hears 503", chain1, grace, []Event{Shutdown{}},
		[]Action{final(503), StopTimers{}, done(metrics.TransferInternal)}, StateOver},
	{"in the grace only the grace counts the time", chain1, grace, []Event{timeout, TotalTimeout{}}, nil, StateGrace},
	{"the caller's BYE again is a retransmission", chain1, grace, []Event{CallerBye{}}, nil, StateGrace},
	{"an answer to the request in the grace says nothing new", chain1, grace, []Event{accepted, rejected, unsent, silent, disproved}, nil, StateGrace},
	{"what is not awaited in the grace is ignored", chain1, grace, []Event{Start{}, DoubtOver{}, NotifyAnswered{}, answered}, nil, StateGrace},
	{"without Watson a proof in the grace ends all", chain1, withoutWatson(grace), []Event{ok200},
		[]Action{StopTimers{}, done(metrics.TransferProved)}, StateOver},
	{"without Watson a grace without proof ends all", chain1, withoutWatson(grace), []Event{GraceOver{}},
		[]Action{StopTimers{}, done(metrics.TransferUnproved)}, StateOver},

	// closing
	{"Watson gets BYE when it has answered the final NOTIFY", chain1, closing, []Event{NotifyAnswered{}}, []Action{ByeWatson{}}, StateOver},
	{"Watson's own BYE spares it ours", chain1, closing, []Event{WatsonBye{}}, nil, StateOver},
	{"at shutdown the legs are ended by who shuts down", chain1, closing, []Event{Shutdown{}}, nil, StateOver},
	{"the caller's BYE crosses ours", chain1, closing, []Event{CallerBye{}}, nil, StateClosing},
	{"after the outcome nothing about the request counts", chain1, closing,
		[]Event{accepted, answered, rejected, unsent, silent, disproved, trying100, ok200, busy486}, nil, StateClosing},
	{"timers that fired before they were stopped do no harm", chain1, closing, []Event{timeout, TotalTimeout{}, GraceOver{}, DoubtOver{}}, nil, StateClosing},
	{"a second start is ignored while closing", chain1, closing, []Event{Start{}}, nil, StateClosing},

	// unproved
	{"a late NOTIFY 200 ends the call as transferred, Watson after its answer", chain1, unproved, []Event{ok200},
		[]Action{ByeCaller{}, late(metrics.TransferProved)}, StateClosing},
	{"a late NOTIFY 200 ends the call as transferred", chain1, unproved2, []Event{ok200},
		[]Action{ByeCaller{}, late(metrics.TransferProved), ByeWatson{}}, StateOver},
	{"a late BYE from Twilio ends the call as transferred, Watson after its answer", chain1, unproved, []Event{CallerBye{}},
		[]Action{late(metrics.TransferProved)}, StateClosing},
	{"a late BYE from Twilio ends the call as transferred", chain1, unproved2, []Event{CallerBye{}},
		[]Action{late(metrics.TransferProved), ByeWatson{}}, StateOver},
	{"a late NOTIFY 486 makes it a failure and an ordinary call again", chain1, unproved, []Event{busy486},
		[]Action{late(metrics.TransferFailed)}, StateOver},
	{"a late failure does not hand over: Watson has heard the end", chain2, unproved, []Event{busy486},
		[]Action{late(metrics.TransferFailed)}, StateOver},
	{"a late disproof makes it a failure", chain1, unproved, []Event{disproved}, []Action{late(metrics.TransferFailed)}, StateOver},
	{"a late rejection makes it a failure", chain1, unproved, []Event{rejected}, []Action{late(metrics.TransferRejected)}, StateOver},
	{"a dial that failed late makes it a failure", chain1, unproved, []Event{unsent}, []Action{late(metrics.TransferUnsent)}, StateOver},
	{"when Watson hangs up on the unproved transfer nobody is left for the caller", chain1, unproved, []Event{WatsonBye{}},
		[]Action{EndCaller{metrics.TransferSilent}}, StateOver},
	{"when Twilio would have given up the leg, a BYE is a BYE and Watson may ask again", chain1, unproved, []Event{DoubtOver{}}, nil, StateOver},
	{"Watson's answer to the 408 leaves the legs bridged", chain1, unproved, []Event{NotifyAnswered{}}, nil, StateUnproved},
	{"at shutdown an unproved transfer stays unproved", chain1, unproved, []Event{Shutdown{}}, nil, StateOver},
	{"a late NOTIFY 100 or 202 proves nothing", chain1, unproved, []Event{trying100, accepted, silent, answered}, nil, StateUnproved},
	{"timers that fired late do no harm", chain1, unproved, []Event{timeout, TotalTimeout{}, GraceOver{}}, nil, StateUnproved},
	{"a second start is ignored while unproved", chain1, unproved, []Event{Start{}}, nil, StateUnproved},

	// over
	{"when it is over nothing happens any more", chain1, over, allEvents(byRefer), nil, StateOver},
}
