package refer

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"handoff/metrics"
)

const (
	byRefer  = metrics.MethodRefer
	byREST   = metrics.MethodREST
	byInvite = metrics.MethodInvite
)

// row is one sentence of the table: what happened before leads to the state in which each of the
// events, by itself, must cause these actions and lead to this state.
type row struct {
	name   string
	cfg    Config
	before []Event
	events []Event
	want   []Action
	state  State
}

// allEvents has one of each kind, and one of each class of Progress, about one method.
func allEvents(m metrics.Method) []Event {
	return []Event{
		Start{}, Accepted{m}, Answered{m}, Rejected{m, 403}, Unsent{m}, Silent{m}, Disproved{m},
		Progress{m, 100}, Progress{m, 200}, Progress{m, 486}, MethodTimeout{m},
		CallerBye{}, WatsonBye{}, TotalTimeout{}, GraceOver{}, DoubtOver{}, NotifyAnswered{}, Shutdown{},
	}
}

func final(code int) Notify { return Notify{code, phrase(code), true} }

func done(why metrics.TransferReason) Done { return doneBy(byRefer, why) }

func late(why metrics.TransferReason) Late { return lateBy(byRefer, why) }

func doneBy(m metrics.Method, why metrics.TransferReason) Done { return Done{why.Result(), why, m} }

func lateBy(m metrics.Method, why metrics.TransferReason) Late { return Late{why.Result(), why, m} }

func withoutWatson(before []Event) []Event {
	return append(slices.Clone(before), WatsonBye{})
}

// then appends events to those that lead to a state.
func then(before []Event, events ...Event) []Event {
	return append(slices.Clone(before), events...)
}

// reachable are the states in which a chain of this one method can be.
var reachable = map[metrics.Method][]State{
	byRefer:  {StateIdle, StateAsking, StateWaiting, StateGrace, StateClosing, StateUnproved, StateOver},
	byREST:   {StateAsking, StateWaiting, StateGrace, StateClosing, StateUnproved},
	byInvite: {StateAsking, StateCanceling, StateClosing, StateUnproved},
}

func TestMachine(t *testing.T) {
	written := map[string]bool{}
	for _, r := range slices.Concat(referRows, restRows, inviteRows, doubtRows, originRows) {
		for _, event := range r.events {
			t.Run(fmt.Sprintf("%s/%T%v", r.name, event, event), func(t *testing.T) {
				m := machine(t, r.cfg)
				for _, e := range r.before {
					m.Step(e)
				}
				written[fmt.Sprintf("%v: %v %T%v", m.Method(), m.State(), event, event)] = true
				if got := m.Step(event); !reflect.DeepEqual(got, r.want) && len(got)+len(r.want) > 0 {
					t.Errorf("got  %#v\nwant %#v", got, r.want)
				}
				if m.State() != r.state || m.Over() != (r.state == StateOver) {
					t.Errorf("state %v, over %v; want %v", m.State(), m.Over(), r.state)
				}
			})
		}
	}
	for method, states := range reachable {
		for _, s := range states {
			for _, e := range allEvents(method) {
				if key := fmt.Sprintf("%v: %v %T%v", method, s, e, e); !written[key] {
					t.Errorf("the table says nothing about %s", key)
				}
			}
		}
	}
}

func TestMachineRefusesAMethodTwiceOrNone(t *testing.T) {
	for _, methods := range [][]metrics.Method{{metrics.MethodNone}, {byRefer, byREST, byRefer}} {
		if _, err := NewMachine(Config{Methods: methods}); err == nil {
			t.Errorf("%v taken", methods)
		}
	}
}

func machine(t testing.TB, cfg Config) *Machine {
	t.Helper()
	m, err := NewMachine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
