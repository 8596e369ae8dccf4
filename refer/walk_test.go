package refer

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"

	"handoff/metrics"
)

// witness watches one transfer from outside and holds the promises that no order of events may break.
type witness struct {
	t                                  testing.TB
	accepts, finals, dones, lates      int
	byesCaller, byesWatson, endsCaller int
	watsonGone, proved, answered       bool
	outcome                            Done
	attempts                           map[metrics.Method]bool
}

// event notes what the machine is about to be told.
func (w *witness) event(e Event, current metrics.Method) {
	switch e := e.(type) {
	case WatsonBye:
		w.watsonGone = w.watsonGone || w.accepts > 0 // Watson can't leave before it has asked
	case NotifyAnswered:
		w.answered = w.answered || w.finals > 0
	case Progress:
		w.proved = w.proved || w.accepts > 0 && e.Method == current && e.Code/100 == 2
	}
}

// action checks what the machine wants done.
func (w *witness) action(a Action) {
	w.must(w.accepts == 1 || a == Action(Accept{}), "%T before the 202", a)
	switch a := a.(type) {
	case Accept:
		w.accepts++
		w.must(w.accepts == 1, "a second 202")
	case Notify:
		w.must(!w.watsonGone, "a NOTIFY to a Watson that has left")
		w.must(w.finals == 0, "a NOTIFY behind the final one")
		if a.Final {
			w.finals++
		}
	case Attempt:
		w.must(w.dones == 0, "an attempt behind the outcome")
		w.must(!w.attempts[a.Method], "method %v twice", a.Method)
		w.attempts[a.Method] = true
	case ByeCaller:
		w.byesCaller++
		w.must(w.proved && w.byesCaller == 1, "BYE to the caller without proof, or twice")
	case EndCaller:
		w.endsCaller++
		w.must(w.watsonGone && w.endsCaller == 1 && w.byesCaller == 0, "the caller's call ended although Watson is there, or twice")
	case ByeWatson:
		w.byesWatson++
		w.must(!w.watsonGone && w.answered && w.byesWatson == 1, "BYE to Watson too early, too late or twice")
	case Done:
		w.dones++
		w.outcome = a
		w.must(w.dones == 1, "a second outcome")
		w.must(a.Result == a.Reason.Result(), "%v is not %v", a.Reason, a.Result)
		w.must(a.Result != metrics.Success || w.proved, "success without proof")
		w.must(w.finals == 1 || w.watsonGone, "an outcome that Watson does not hear")
	case Late:
		w.lates++
		w.must(w.lates == 1 && w.outcome.Result == metrics.Indeterminate, "a correction of %v, number %d", w.outcome, w.lates)
		w.must(a.Result == a.Reason.Result() && a.Result != metrics.Indeterminate, "a correction to %v", a.Reason)
	}
}

func (w *witness) must(ok bool, format string, args ...any) {
	if !ok {
		w.t.Helper()
		w.t.Errorf(format, args...)
	}
}

// walk drives one transfer by the bytes: the first chooses the chain, each further one an event.
// After every step the machine is written down and read back, and the copy goes on.
func walk(t testing.TB, choices []byte) {
	if len(choices) == 0 {
		return
	}
	all := []metrics.Method{metrics.MethodRefer, metrics.MethodREST, metrics.MethodInvite}
	methods := all[:int(choices[0])%(len(all)+1)]
	m := machine(t, methods)
	w := &witness{t: t, attempts: map[metrics.Method]bool{}}
	step := func(e Event) {
		w.event(e, m.Method())
		over := m.Over()
		actions := m.Step(e)
		for _, a := range actions {
			w.action(a)
		}
		w.must(!over || len(actions) == 0, "%T behind the end", e)
		m = rewritten(t, m)
	}
	step(Start{})
	for _, c := range choices[1:] {
		step(choose(c))
	}
	// However it went, the timers bring it to an outcome, and only an unproved one stays open.
	step(TotalTimeout{})
	step(GraceOver{})
	step(NotifyAnswered{})
	w.must(w.dones == 1, "%d outcomes", w.dones)
	w.must(m.Over() || m.State() == StateUnproved, "%v at the end", m.State())
	if t.Failed() {
		t.Fatalf("walk %v", choices)
	}
}

// choose makes an event of any kind, about any method.
func choose(c byte) Event {
	method := metrics.Methods()[int(c)/16%len(metrics.Methods())]
	switch e := allEvents[int(c)%16%len(allEvents)].(type) {
	case Accepted:
		return Accepted{method}
	case Rejected:
		return Rejected{method, e.Code}
	case Unsent:
		return Unsent{method}
	case Silent:
		return Silent{method}
	case Progress:
		return Progress{method, e.Code}
	case MethodTimeout:
		return MethodTimeout{method}
	default:
		return e
	}
}

// rewritten is the machine after a trip through JSON.
func rewritten(t testing.TB, m *Machine) *Machine {
	t.Helper()
	text, err := json.Marshal(m.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	var s Snapshot
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	again, err := Restore(s)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m.Snapshot(), again.Snapshot()) {
		t.Fatalf("%+v became %+v", m.Snapshot(), again.Snapshot())
	}
	return again
}

func TestNoOrderOfEventsBreaksThePromises(t *testing.T) {
	random := rand.New(rand.NewPCG(3515, 3420))
	for range 5000 {
		choices := make([]byte, 1+random.IntN(12))
		for i := range choices {
			choices[i] = byte(random.Uint32())
		}
		walk(t, choices)
	}
}

func FuzzMachine(f *testing.F) {
	f.Add([]byte{1, 17, 22, 13})
	f.Fuzz(func(t *testing.T, choices []byte) { walk(t, choices) })
}

func TestRestoreRefusesWhatNoMachineWrote(t *testing.T) {
	for _, s := range []Snapshot{
		{},
		{State: "flying", Methods: []string{"refer"}},
		{State: "asking", Methods: []string{"pigeon"}},
		{State: "asking", Methods: []string{"none"}},
		{State: "asking", Methods: []string{"refer", "refer"}},
		{State: "asking", Methods: []string{"refer"}, Current: 1},
		{State: "asking", Methods: []string{"refer"}, Current: -1},
	} {
		if _, err := Restore(s); err == nil {
			t.Errorf("%+v read back", s)
		}
	}
}
