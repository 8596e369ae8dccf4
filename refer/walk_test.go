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
	t                                           testing.TB
	cfg                                         Config
	accepts, finals, dones, lates               int
	byesCaller, byesWatson, endsCaller, bridges int
	started, watsonGone, proved, moved          bool
	answered                                    bool // the final NOTIFY, or none is owed
	answering                                   bool // the event is an Answered
	outcome                                     Done
	attempts                                    map[metrics.Method]bool
	alive                                       map[metrics.Method]bool // attempts whose failure is not proved
}

// event notes what the machine is about to be told.
func (w *witness) event(e Event) {
	w.answering = false
	switch e := e.(type) {
	case Start:
		if !w.started {
			w.started = true
			w.watsonGone = w.cfg.Origin == OriginHangup
		}
	case WatsonBye:
		w.watsonGone = w.watsonGone || w.started // Watson can't leave before it has asked
	case NotifyAnswered:
		w.answered = w.answered || w.finals > 0
	case Progress:
		if e.Method == byRefer && w.attempts[byRefer] && e.Code >= 200 {
			w.proved = w.proved || e.Code < 300
			delete(w.alive, byRefer)
		}
	case Accepted:
		w.moved = w.moved || e.Method == byREST && w.attempts[byREST]
	case CallerBye: // proves what was accepted, or what is in doubt
		w.proved = w.proved || w.moved || w.dones > 0
	case Answered:
		w.answering = e.Method == byInvite && w.attempts[byInvite]
	case Rejected:
		delete(w.alive, e.Method)
	case Unsent:
		delete(w.alive, e.Method)
	case Disproved:
		delete(w.alive, e.Method)
	}
	// Behind HTTP 200, also when the BYE has come first.
	if e, ok := e.(Accepted); ok && e.Method == byREST {
		w.proved = w.proved || w.moved
	}
}

// action checks what the machine wants done.
func (w *witness) action(a Action) {
	w.must(w.started, "%T before the start", a)
	w.must(w.accepts == 1 || w.cfg.Origin != OriginRefer || a == Action(Accept{}), "%T before the 202", a)
	switch a := a.(type) {
	case Accept:
		w.accepts++
		w.must(w.accepts == 1 && w.cfg.Origin == OriginRefer, "a second 202, or one that nobody asked for")
	case Notify:
		w.must(!w.watsonGone, "a NOTIFY to a Watson that has left")
		w.must(w.cfg.Origin == OriginRefer && !w.cfg.NoSubscription, "a NOTIFY that nobody subscribed to")
		w.must(w.finals == 0, "a NOTIFY behind the final one")
		if a.Final {
			w.finals++
		}
	case Attempt:
		w.must(w.dones == 0, "an attempt behind the outcome")
		w.must(!w.attempts[a.Method], "method %v twice", a.Method)
		w.must(len(w.alive) == 0 || w.cfg.AfterSilence, "an attempt beside %v", w.alive)
		w.attempts[a.Method], w.alive[a.Method] = true, true
	case CancelAttempt:
		w.must(a.Method == byInvite && w.attempts[byInvite], "a CANCEL of %v", a.Method)
	case Bridge:
		w.bridges++
		w.must(w.answering && w.bridges == 1 && w.byesCaller == 0, "a bridge without leg C, or twice, or for a caller who is gone")
		w.proved = true
	case ByeCaller:
		w.byesCaller++
		w.must(w.proved && w.byesCaller == 1 && w.bridges == 0, "BYE to the caller without proof, twice or off the bridge")
	case EndCaller:
		w.endsCaller++
		w.must(w.watsonGone && w.endsCaller == 1 && w.byesCaller+w.bridges == 0, "the caller's call ended although Watson or an agent is there, or twice")
	case ByeWatson:
		w.byesWatson++
		w.must(!w.watsonGone && w.answered && w.byesWatson == 1, "BYE to Watson too early, too late or twice")
	case Done:
		w.dones++
		w.outcome = a
		w.must(w.dones == 1, "a second outcome")
		w.must(a.Result == a.Reason.Result(), "%v is not %v", a.Reason, a.Result)
		w.must(a.Result != metrics.Success || w.proved, "success without proof")
		w.must(a.Result != metrics.Success || a.Method == byInvite == (w.bridges == 1), "success of %v with %d bridges", a.Method, w.bridges)
		w.must(w.finals == 1 || w.watsonGone || w.cfg.Origin != OriginRefer || w.cfg.NoSubscription, "an outcome that Watson does not hear")
	case Late:
		w.lates++
		w.must(w.lates == 1 && w.outcome.Result == metrics.Indeterminate, "a correction of %v, number %d", w.outcome, w.lates)
		w.must(a.Result == a.Reason.Result() && a.Result != metrics.Indeterminate, "a correction to %v", a.Reason)
		w.must(a.Result != metrics.Success || w.proved, "a correction to success without proof")
	}
}

func (w *witness) must(ok bool, format string, args ...any) {
	if !ok {
		w.t.Helper()
		w.t.Errorf(format, args...)
	}
}

// walk drives one transfer by the bytes: the first two choose who asked and the chain, each further
// one an event. After every step the machine is written down and read back, and the copy goes on.
func walk(t testing.TB, choices []byte) {
	if len(choices) < 2 {
		return
	}
	cfg := chosen(choices[0], choices[1])
	m := machine(t, cfg)
	w := &witness{t: t, cfg: cfg, attempts: map[metrics.Method]bool{}, alive: map[metrics.Method]bool{}}
	w.answered = cfg.NoSubscription || cfg.Origin != OriginRefer
	step := func(e Event) {
		w.event(e)
		over := m.Over()
		actions := m.Step(e)
		for _, a := range actions {
			w.action(a)
		}
		w.must(!over || len(actions) == 0, "%T behind the end", e)
		m = rewritten(t, m)
	}
	step(Start{})
	for _, c := range choices[2:] {
		step(choose(c))
	}
	// However it went, the timers bring it to an outcome and to its end.
	step(TotalTimeout{})
	step(MethodTimeout{m.Method()})
	step(GraceOver{})
	step(NotifyAnswered{})
	step(DoubtOver{})
	w.must(w.dones == 1, "%d outcomes", w.dones)
	w.must(m.Over(), "%v at the end", m.State())
	if t.Failed() {
		t.Fatalf("walk %v", choices)
	}
}

// chosen makes a configuration: any order of any of the methods, any origin, any switch.
func chosen(a, b byte) Config {
	orders := [][]metrics.Method{
		nil, {byRefer}, {byREST}, {byInvite}, {byRefer, byREST}, {byREST, byInvite}, {byInvite, byRefer},
		{byRefer, byREST, byInvite}, {byInvite, byREST, byRefer}, {byREST, byInvite, byRefer},
	}
	return Config{
		Methods:        orders[int(a)%len(orders)],
		Origin:         Origin(b % 3),
		NoSubscription: b&4 != 0,
		AfterSilence:   b&8 != 0,
	}
}

// choose makes an event of any kind, about any method.
func choose(c byte) Event {
	methods := []metrics.Method{byRefer, byREST, byInvite}
	events := allEvents(methods[int(c)%3])
	return events[int(c)/3%len(events)]
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
		choices := make([]byte, 2+random.IntN(14))
		for i := range choices {
			choices[i] = byte(random.Uint32())
		}
		walk(t, choices)
	}
}

func FuzzMachine(f *testing.F) {
	f.Add([]byte{7, 8, 3, 30, 12})
	f.Fuzz(func(t *testing.T, choices []byte) { walk(t, choices) })
}

func TestRestoreRefusesWhatNoMachineWrote(t *testing.T) {
	for _, s := range []Snapshot{
		{},
		{State: "flying", Methods: []string{"refer"}},
		{State: "asking", Methods: []string{"pigeon"}},
		{State: "asking", Methods: []string{"none"}},
		{State: "asking", Methods: []string{"refer", "refer"}},
		{State: "asking", Origin: "pigeon"},
		{State: "asking", Methods: []string{"refer"}, Doubt: []string{"refer", "refer"}},
		{State: "asking", Methods: []string{"refer"}, Current: 1},
		{State: "asking", Methods: []string{"refer"}, Current: -1},
	} {
		if _, err := Restore(s); err == nil {
			t.Errorf("%+v read back", s)
		}
	}
}
