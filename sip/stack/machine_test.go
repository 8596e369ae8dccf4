package stack

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// allRules are the four machines.
var allRules = []struct {
	name  string
	rules *rules
	first state
}{
	{"INVITE client", &inviteClient, calling},
	{"other client", &otherClient, calling},
	{"INVITE server", &inviteServer, proceeding},
	{"other server", &otherServer, trying},
}

func (a action) String() string {
	var words []string
	for i, name := range []string{"pass", "send", "ack", "timeout"} {
		if a&(1<<i) != 0 {
			words = append(words, name)
		}
	}
	return strings.Join(words, " ")
}

// The figures of RFC 3261 §17 and RFC 6026, arrow by arrow. What does not stand here is ignored.
const figures = `
INVITE client: calling, provisional: proceeding, pass
INVITE client: calling, success: accepted, pass
INVITE client: calling, failure: completed, pass ack
INVITE client: calling, again: calling, send
INVITE client: calling, enough: terminated, timeout
INVITE client: proceeding, provisional: proceeding, pass
INVITE client: proceeding, success: accepted, pass
INVITE client: proceeding, failure: completed, pass ack
INVITE client: accepted, success: accepted, pass
INVITE client: accepted, enough: terminated, 
INVITE client: completed, failure: completed, ack
INVITE client: completed, enough: terminated, 
other client: calling, provisional: proceeding, pass
other client: calling, success: completed, pass
other client: calling, failure: completed, pass
other client: calling, again: calling, send
other client: calling, enough: terminated, timeout
other client: proceeding, provisional: proceeding, pass
other client: proceeding, success: completed, pass
other client: proceeding, failure: completed, pass
other client: proceeding, again: proceeding, send
other client: proceeding, enough: terminated, timeout
other client: completed, enough: terminated, 
INVITE server: proceeding, provisional: proceeding, send
INVITE server: proceeding, success: accepted, send
INVITE server: proceeding, failure: completed, send
INVITE server: proceeding, request: proceeding, send
INVITE server: accepted, success: accepted, send
INVITE server: accepted, acknowledge: accepted, pass
INVITE server: accepted, enough: terminated, 
INVITE server: completed, request: completed, send
INVITE server: completed, acknowledge: confirmed, 
INVITE server: completed, again: completed, send
INVITE server: completed, enough: terminated, 
INVITE server: confirmed, enough: terminated, 
other server: trying, provisional: proceeding, send
other server: trying, success: completed, send
other server: trying, failure: completed, send
other server: proceeding, provisional: proceeding, send
other server: proceeding, success: completed, send
other server: proceeding, failure: completed, send
other server: proceeding, request: proceeding, send
other server: completed, request: completed, send
other server: completed, enough: terminated, 
`

func TestMachinesAreThoseOfTheFigures(t *testing.T) {
	var got []string
	for _, m := range allRules {
		for s, p := range m.rules {
			for e, step := range p.on {
				if step.to != 0 {
					got = append(got, fmt.Sprintf("%s: %s, %s: %s, %s", m.name, state(s), event(e), step.to, step.do))
				}
			}
		}
	}
	want := strings.Split(strings.Trim(figures, "\n"), "\n")
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Error("not in the figures:", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Error("missing:", line)
		}
	}
}

// A timer that nothing answers to would leave a transaction behind for good.
func TestEveryTimerLeadsSomewhere(t *testing.T) {
	for _, m := range allRules {
		for s, p := range m.rules {
			if (p.first > 0) != (p.on[again].to != 0) {
				t.Errorf("%s, %s: copies are wanted and not sent, or the other way round", m.name, state(s))
			}
			if (p.lasts > 0 || p.carries) != (p.on[enough].to == terminated) {
				t.Errorf("%s, %s: no end, or one that nothing leads to", m.name, state(s))
			}
		}
	}
}

// owner is a machine by itself, in a synctest bubble.
type owner struct {
	sync.Mutex
	machine
	began time.Time
	seen  []string
}

func (o *owner) onTimer(rung *timer) {
	o.Lock()
	defer o.Unlock()
	if e, ok := o.rang(rung); ok {
		do := o.step(e)
		o.seen = append(o.seen, strings.TrimSpace(fmt.Sprint(time.Since(o.began).Seconds(), " ", do)))
	}
}

func TestTimersOfTheMachines(t *testing.T) {
	tests := []struct {
		name   string
		rules  *rules
		first  state
		stream bool
		events []event
		want   string // second and action of each timer
		rests  state
	}{
		{"A doubles until B", &inviteClient, calling, false, nil, "0.5 send, 1.5 send, 3.5 send, 7.5 send, 15.5 send, 31.5 send, 32 timeout", terminated},
		{"no A over a stream, only B", &inviteClient, calling, true, nil, "32 timeout", terminated},
		{"an INVITE may ring for ever", &inviteClient, calling, false, []event{provisional}, "", proceeding},
		{"M ends accepted", &inviteClient, calling, false, []event{provisional, success}, "32", terminated},
		{"M ends accepted over a stream", &inviteClient, calling, true, []event{success}, "32", terminated},
		{"D ends a refused INVITE", &inviteClient, calling, false, []event{failure}, "32", terminated},
		{"D is 0 over a stream", &inviteClient, calling, true, []event{failure}, "", terminated},
		{"E doubles up to T2 until F", &otherClient, calling, false, nil,
			"0.5 send, 1.5 send, 3.5 send, 7.5 send, 11.5 send, 15.5 send, 19.5 send, 23.5 send, 27.5 send, 31.5 send, 32 timeout", terminated},
		{"E waits T2 behind a provisional, from its next copy on", &otherClient, calling, false, []event{provisional},
			"0.5 send, 4.5 send, 8.5 send, 12.5 send, 16.5 send, 20.5 send, 24.5 send, 28.5 send, 32 timeout", terminated},
		{"no E over a stream, only F", &otherClient, calling, true, []event{provisional}, "32 timeout", terminated},
		{"K ends a request", &otherClient, calling, false, []event{provisional, failure}, "5", terminated},
		{"K is 0 over a stream", &otherClient, calling, true, []event{success}, "", terminated},
		{"the user answers an INVITE when he likes", &inviteServer, proceeding, false, []event{provisional, request}, "", proceeding},
		{"L ends accepted, and the dialog repeats the 2xx", &inviteServer, proceeding, false, []event{success, success}, "32", terminated},
		{"L ends accepted over a stream", &inviteServer, proceeding, true, []event{success, acknowledge}, "32", terminated},
		{"G repeats a refusal until H", &inviteServer, proceeding, false, []event{failure},
			"0.5 send, 1.5 send, 3.5 send, 7.5 send, 11.5 send, 15.5 send, 19.5 send, 23.5 send, 27.5 send, 31.5 send, 32", terminated},
		{"no G over a stream, only H", &inviteServer, proceeding, true, []event{failure}, "32", terminated},
		{"I ends an acknowledged refusal", &inviteServer, proceeding, false, []event{failure, request, acknowledge}, "5", terminated},
		{"I is 0 over a stream", &inviteServer, proceeding, true, []event{failure, acknowledge}, "", terminated},
		{"the user answers a request when he likes", &otherServer, trying, false, []event{request, provisional}, "", proceeding},
		{"J ends an answered request", &otherServer, trying, false, []event{failure, request}, "32", terminated},
		{"J is 0 over a stream", &otherServer, trying, true, []event{success}, "", terminated},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &clock{began: time.Now()}
				o := &owner{began: time.Now()}
				o.Lock()
				o.begin(c, tt.rules, tt.first, tt.stream, o)
				for _, e := range tt.events {
					o.step(e)
				}
				o.Unlock()
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				if got := strings.Join(o.seen, ", "); got != tt.want || o.state != tt.rests {
					t.Errorf("%s in %q, want %s in %q", o.state, got, tt.rests, tt.want)
				}
			})
		})
	}
}

func TestStoppedMachineIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{began: time.Now()}
		o := &owner{began: time.Now()}
		o.Lock()
		o.begin(c, &inviteClient, calling, false, o)
		o.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		o.stop()
		if o.step(success) != 0 || o.state != terminated {
			t.Error("still answers in", o.state)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(o.seen) != 1 {
			t.Error(o.seen)
		}
	})
}
