package refer

import (
	"fmt"
	"reflect"
	"testing"

	"handoff/metrics"
)

// Short names for the table below.
const (
	byRefer = metrics.MethodRefer
	byREST  = metrics.MethodREST
)

var (
	chain1 = []metrics.Method{byRefer}
	chain2 = []metrics.Method{byRefer, byREST}

	trying100 = Progress{byRefer, 100}
	ok200     = Progress{byRefer, 200}
	busy486   = Progress{byRefer, 486}
	accepted  = Accepted{byRefer}
	rejected  = Rejected{byRefer, 403}
	unsent    = Unsent{byRefer}
	silent    = Silent{byRefer}
	timeout   = MethodTimeout{byRefer}
)

// allEvents has one of each kind, and one of each class of Progress.
var allEvents = []Event{
	Start{}, accepted, rejected, unsent, silent, trying100, ok200, busy486, timeout,
	CallerBye{}, WatsonBye{}, TotalTimeout{}, GraceOver{}, NotifyAnswered{}, Shutdown{},
}

func final(code int) Notify { return Notify{code, phrase(code), true} }

func done(why metrics.TransferReason) Done { return Done{why.Result(), why, byRefer} }

func late(why metrics.TransferReason) Late { return Late{why.Result(), why, byRefer} }

// steps is what happened before the row; where it leads is the state of the row.
var (
	asking    = []Event{Start{}}
	waiting   = []Event{Start{}, accepted}
	grace     = []Event{Start{}, accepted, CallerBye{}}
	closing   = []Event{Start{}, accepted, ok200}
	unproved  = []Event{Start{}, accepted, timeout}
	unproved2 = []Event{Start{}, accepted, timeout, NotifyAnswered{}}
	over      = []Event{Start{}, rejected}
)

func withoutWatson(before []Event) []Event {
	return append(append([]Event{}, before...), WatsonBye{})
}

var table = []struct {
	name    string
	methods []metrics.Method // chain1 when nil
	before  []Event
	events  []Event // each by itself
	want    []Action
	state   State
}{
	// idle
	{"the 202 comes first, then NOTIFY 100, then the attempt", nil, nil, []Event{Start{}},
		[]Action{Accept{}, Notify{100, "Trying", false}, StartTotalTimer{}, StartMethodTimer{byRefer}, Attempt{byRefer}}, StateAsking},
	{"when no method fits Watson hears 488", []metrics.Method{}, nil, []Event{Start{}},
		[]Action{Accept{}, Notify{100, "Trying", false}, final(488), StopTimers{},
			Done{metrics.Us, metrics.TransferUnfit, metrics.MethodNone}}, StateOver},
	{"before the start nothing is promised and nothing happens", nil, nil, allEvents[1:], nil, StateIdle},

	// asking
	{"a 202 starts the wait for the outcome", nil, asking, []Event{accepted}, nil, StateWaiting},
	{"a NOTIFY 100 before the 202 starts it too", nil, asking, []Event{trying100}, nil, StateWaiting},
	{"a NOTIFY 200 before the 202 proves the transfer", nil, asking, []Event{ok200},
		[]Action{ByeCaller{}, final(200), StopTimers{}, done(metrics.TransferProved)}, StateClosing},
	{"a NOTIFY 486 before the 202 proves the failure", nil, asking, []Event{busy486},
		[]Action{final(486), StopTimers{}, done(metrics.TransferFailed)}, StateOver},
	{"a 403 proves the failure and Watson hears it", nil, asking, []Event{rejected},
		[]Action{final(403), StopTimers{}, done(metrics.TransferRejected)}, StateOver},
	{"a request that never left is a 503", nil, asking, []Event{unsent},
		[]Action{final(503), StopTimers{}, done(metrics.TransferUnsent)}, StateOver},
	{"a request without answer may have arrived: 408, indeterminate, still bridged", nil, asking,
		[]Event{silent, timeout, TotalTimeout{}},
		[]Action{final(408), StopTimers{}, done(metrics.TransferSilent)}, StateUnproved},
	{"a BYE from the caller before the 202 is a hang-up", nil, asking, []Event{CallerBye{}},
		[]Action{final(487), StopTimers{}, done(metrics.TransferCallerGone)}, StateClosing},
	{"Watson's BYE does not stop the transfer", nil, asking, []Event{WatsonBye{}}, nil, StateAsking},
	{"at shutdown Watson hears 503", nil, asking, []Event{Shutdown{}},
		[]Action{final(503), StopTimers{}, done(metrics.TransferInternal)}, StateOver},
	{"what is not awaited while asking is ignored", nil, asking, []Event{Start{}, GraceOver{}, NotifyAnswered{}}, nil, StateAsking},

	{"a 403 hands over to the next method without a final NOTIFY", chain2, asking, []Event{rejected},
		[]Action{StartMethodTimer{byREST}, Attempt{byREST}}, StateAsking},
	{"an unsent request hands over too", chain2, asking, []Event{unsent},
		[]Action{StartMethodTimer{byREST}, Attempt{byREST}}, StateAsking},
	{"silence does not hand over", chain2, asking, []Event{silent, timeout, TotalTimeout{}},
		[]Action{final(408), StopTimers{}, done(metrics.TransferSilent)}, StateUnproved},
	{"answers to the first method are not taken for the second", chain2, []Event{Start{}, busy486},
		[]Event{accepted, rejected, unsent, silent, trying100, ok200, busy486, timeout}, nil, StateAsking},
	{"the last method's code is what Watson hears", chain2, []Event{Start{}, rejected}, []Event{Rejected{byREST, 500}},
		[]Action{final(500), StopTimers{}, Done{metrics.Upstream, metrics.TransferRejected, byREST}}, StateOver},

	{"without Watson a proof ends the caller's leg and tells nobody", nil, withoutWatson(asking), []Event{ok200},
		[]Action{ByeCaller{}, StopTimers{}, done(metrics.TransferProved)}, StateOver},
	{"without Watson a failure ends the caller's call", nil, withoutWatson(asking), []Event{rejected},
		[]Action{StopTimers{}, done(metrics.TransferRejected), EndCaller{metrics.TransferRejected}}, StateOver},
	{"without Watson a failure still hands over to the next method", chain2, withoutWatson(asking), []Event{rejected},
		[]Action{StartMethodTimer{byREST}, Attempt{byREST}}, StateAsking},
	{"without Watson silence ends the caller's call", nil, withoutWatson(asking), []Event{silent, timeout, TotalTimeout{}},
		[]Action{StopTimers{}, done(metrics.TransferSilent), EndCaller{metrics.TransferSilent}}, StateOver},
	{"without Watson a hang-up leaves nothing to do", nil, withoutWatson(asking), []Event{CallerBye{}},
		[]Action{StopTimers{}, done(metrics.TransferCallerGone)}, StateOver},
	{"without Watson a shutdown tells nobody", nil, withoutWatson(asking), []Event{Shutdown{}},
		[]Action{StopTimers{}, done(metrics.TransferInternal)}, StateOver},

	// waiting
	{"a NOTIFY 100 changes nothing, whatever its Subscription-State", nil, waiting, []Event{trying100, Progress{byRefer, 183}}, nil, StateWaiting},
	{"a NOTIFY 200 sends the caller's BYE first, then tells Watson", nil, waiting, []Event{ok200},
		[]Action{ByeCaller{}, final(200), StopTimers{}, done(metrics.TransferProved)}, StateClosing},
	{"any 2xx is a proof, and Watson hears 200", nil, waiting, []Event{Progress{byRefer, 202}},
		[]Action{ByeCaller{}, final(200), StopTimers{}, done(metrics.TransferProved)}, StateClosing},
	{"a NOTIFY 486 is passed on and both stay on the line", nil, waiting, []Event{busy486},
		[]Action{final(486), StopTimers{}, done(metrics.TransferFailed)}, StateOver},
	{"a NOTIFY 302 is a failure", nil, waiting, []Event{Progress{byRefer, 302}},
		[]Action{final(302), StopTimers{}, done(metrics.TransferFailed)}, StateOver},
	{"a failing NOTIFY hands over to the next method", chain2, waiting, []Event{busy486},
		[]Action{StartMethodTimer{byREST}, Attempt{byREST}}, StateAsking},
	{"a rejection that a NOTIFY 100 overtook is a failure", nil, []Event{Start{}, trying100}, []Event{rejected},
		[]Action{final(403), StopTimers{}, done(metrics.TransferRejected)}, StateOver},
	{"a 202 and then nothing: 408, indeterminate, still bridged", nil, waiting, []Event{timeout, TotalTimeout{}},
		[]Action{final(408), StopTimers{}, done(metrics.TransferSilent)}, StateUnproved},
	{"a 202 and then nothing does not hand over", chain2, waiting, []Event{timeout, TotalTimeout{}},
		[]Action{final(408), StopTimers{}, done(metrics.TransferSilent)}, StateUnproved},
	{"a BYE from Twilio without a proof gets a second of grace", nil, waiting, []Event{CallerBye{}},
		[]Action{StartGrace{}}, StateGrace},
	{"Watson's BYE does not stop the wait", nil, waiting, []Event{WatsonBye{}}, nil, StateWaiting},
	{"at shutdown Watson hears 503 while waiting too", nil, waiting, []Event{Shutdown{}},
		[]Action{final(503), StopTimers{}, done(metrics.TransferInternal)}, StateOver},
	{"the request arrived, so its late answer or silence says nothing new", nil, waiting, []Event{accepted, silent, unsent}, nil, StateWaiting},
	{"what is not awaited while waiting is ignored", nil, waiting, []Event{Start{}, GraceOver{}, NotifyAnswered{}}, nil, StateWaiting},

	{"without Watson a late proof ends the caller's leg", nil, withoutWatson(waiting), []Event{ok200},
		[]Action{ByeCaller{}, StopTimers{}, done(metrics.TransferProved)}, StateOver},
	{"without Watson a failing NOTIFY ends the caller's call", nil, withoutWatson(waiting), []Event{busy486},
		[]Action{StopTimers{}, done(metrics.TransferFailed), EndCaller{metrics.TransferFailed}}, StateOver},
	{"without Watson nothing after the 202 ends the caller's call", nil, withoutWatson(waiting), []Event{timeout, TotalTimeout{}},
		[]Action{StopTimers{}, done(metrics.TransferSilent), EndCaller{metrics.TransferSilent}}, StateOver},
	{"without Watson a BYE from Twilio gets its grace all the same", nil, withoutWatson(waiting), []Event{CallerBye{}},
		[]Action{StartGrace{}}, StateGrace},

	// grace
	{"a NOTIFY 200 in the grace is a proof; the caller's leg is gone already", nil, grace, []Event{ok200},
		[]Action{final(200), StopTimers{}, done(metrics.TransferProved)}, StateClosing},
	{"a NOTIFY 486 in the grace proves the failure; the caller is gone", nil, grace, []Event{busy486},
		[]Action{final(487), StopTimers{}, done(metrics.TransferFailed)}, StateClosing},
	{"a failure in the grace does not hand over: there is no caller", chain2, grace, []Event{busy486},
		[]Action{final(487), StopTimers{}, done(metrics.TransferFailed)}, StateClosing},
	{"a grace without proof ends as indeterminate and Watson hears 487", nil, grace, []Event{GraceOver{}},
		[]Action{final(487), StopTimers{}, done(metrics.TransferUnproved)}, StateClosing},
	{"a NOTIFY 100 in the grace proves nothing", nil, grace, []Event{trying100}, nil, StateGrace},
	{"Watson's BYE in the grace changes nothing", nil, grace, []Event{WatsonBye{}}, nil, StateGrace},
	{"at shutdown in the grace Watson hears 503", nil, grace, []Event{Shutdown{}},
		[]Action{final(503), StopTimers{}, done(metrics.TransferInternal)}, StateOver},
	{"in the grace only the grace counts the time", nil, grace, []Event{timeout, TotalTimeout{}}, nil, StateGrace},
	{"the caller's BYE again is a retransmission", nil, grace, []Event{CallerBye{}}, nil, StateGrace},
	{"an answer to the request in the grace says nothing new", nil, grace, []Event{accepted, rejected, unsent, silent}, nil, StateGrace},
	{"what is not awaited in the grace is ignored", nil, grace, []Event{Start{}, NotifyAnswered{}}, nil, StateGrace},
	{"without Watson a proof in the grace ends all", nil, withoutWatson(grace), []Event{ok200},
		[]Action{StopTimers{}, done(metrics.TransferProved)}, StateOver},
	{"without Watson a grace without proof ends all", nil, withoutWatson(grace), []Event{GraceOver{}},
		[]Action{StopTimers{}, done(metrics.TransferUnproved)}, StateOver},

	// closing
	{"Watson gets BYE when it has answered the final NOTIFY", nil, closing, []Event{NotifyAnswered{}}, []Action{ByeWatson{}}, StateOver},
	{"Watson's own BYE spares it ours", nil, closing, []Event{WatsonBye{}}, nil, StateOver},
	{"at shutdown the legs are ended by who shuts down", nil, closing, []Event{Shutdown{}}, nil, StateOver},
	{"the caller's BYE crosses ours", nil, closing, []Event{CallerBye{}}, nil, StateClosing},
	{"after the outcome nothing about the request counts", nil, closing,
		[]Event{accepted, rejected, unsent, silent, trying100, ok200, busy486}, nil, StateClosing},
	{"timers that fired before they were stopped do no harm", nil, closing, []Event{timeout, TotalTimeout{}, GraceOver{}}, nil, StateClosing},
	{"a second start is ignored while closing", nil, closing, []Event{Start{}}, nil, StateClosing},

	// unproved
	{"a late NOTIFY 200 ends the call as transferred, Watson after its answer", nil, unproved, []Event{ok200},
		[]Action{ByeCaller{}, late(metrics.TransferProved)}, StateClosing},
	{"a late NOTIFY 200 ends the call as transferred", nil, unproved2, []Event{ok200},
		[]Action{ByeCaller{}, late(metrics.TransferProved), ByeWatson{}}, StateOver},
	{"a late BYE from Twilio ends the call as transferred, Watson after its answer", nil, unproved, []Event{CallerBye{}},
		[]Action{late(metrics.TransferProved)}, StateClosing},
	{"a late BYE from Twilio ends the call as transferred", nil, unproved2, []Event{CallerBye{}},
		[]Action{late(metrics.TransferProved), ByeWatson{}}, StateOver},
	{"a late NOTIFY 486 makes it a failure and an ordinary call again", nil, unproved, []Event{busy486},
		[]Action{late(metrics.TransferFailed)}, StateOver},
	{"a late failure does not hand over: Watson has heard the end", chain2, unproved, []Event{busy486},
		[]Action{late(metrics.TransferFailed)}, StateOver},
	{"a late rejection makes it a failure", nil, unproved, []Event{rejected}, []Action{late(metrics.TransferRejected)}, StateOver},
	{"a dial that failed late makes it a failure", nil, unproved, []Event{unsent}, []Action{late(metrics.TransferUnsent)}, StateOver},
	{"when Watson hangs up on the unproved transfer nobody is left for the caller", nil, unproved, []Event{WatsonBye{}},
		[]Action{EndCaller{metrics.TransferSilent}}, StateOver},
	{"Watson's answer to the 408 leaves the legs bridged", nil, unproved, []Event{NotifyAnswered{}}, nil, StateUnproved},
	{"at shutdown an unproved transfer stays unproved", nil, unproved, []Event{Shutdown{}}, nil, StateOver},
	{"a late NOTIFY 100 or 202 proves nothing", nil, unproved, []Event{trying100, accepted, silent}, nil, StateUnproved},
	{"timers that fired late do no harm", nil, unproved, []Event{timeout, TotalTimeout{}, GraceOver{}}, nil, StateUnproved},
	{"a second start is ignored while unproved", nil, unproved, []Event{Start{}}, nil, StateUnproved},

	// over
	{"when it is over nothing happens any more", nil, over, allEvents, nil, StateOver},
}

func TestMachine(t *testing.T) {
	written := map[string]bool{}
	for _, row := range table {
		methods := row.methods
		if methods == nil {
			methods = chain1
		}
		for _, event := range row.events {
			t.Run(fmt.Sprintf("%s/%T%v", row.name, event, event), func(t *testing.T) {
				m := machine(t, methods)
				for _, e := range row.before {
					m.Step(e)
				}
				written[fmt.Sprintf("%v %T%v", m.State(), event, event)] = true
				if got := m.Step(event); !reflect.DeepEqual(got, row.want) && len(got)+len(row.want) > 0 {
					t.Errorf("got  %#v\nwant %#v", got, row.want)
				}
				if m.State() != row.state || m.Over() != (row.state == StateOver) {
					t.Errorf("state %v, over %v; want %v", m.State(), m.Over(), row.state)
				}
			})
		}
	}
	for s := StateIdle; s <= StateOver; s++ {
		for _, e := range allEvents {
			if key := fmt.Sprintf("%v %T%v", s, e, e); !written[key] {
				t.Errorf("the table says nothing about %s", key)
			}
		}
	}
}

func TestMachineRefusesAMethodTwiceOrNone(t *testing.T) {
	for _, methods := range [][]metrics.Method{{metrics.MethodNone}, {byRefer, byREST, byRefer}} {
		if _, err := NewMachine(Config{methods}); err == nil {
			t.Errorf("%v taken", methods)
		}
	}
}

func TestStatesAreClosed(t *testing.T) {
	for s := StateIdle; s <= StateOver; s++ {
		if s.String() == "" || s.String() != states[s] {
			t.Errorf("state %d is %q", s, s)
		}
	}
	if len(states) != int(StateOver)+1 || State(len(states)).String() != "unknown(7)" {
		t.Error("the list of states is not closed")
	}
}

func machine(t testing.TB, methods []metrics.Method) *Machine {
	t.Helper()
	m, err := NewMachine(Config{methods})
	if err != nil {
		t.Fatal(err)
	}
	return m
}
