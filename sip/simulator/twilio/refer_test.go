package twilio

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/wire"
)

const target = "<sip:queue@flex.twilio.com?" + keyHeader + "=dev::latest::1>"

// told reads what the edge was told: methods, NOTIFY as "state code". The BYE ends it.
func told(t *testing.T, e *edge, n int) string {
	t.Helper()
	var all []string
	for range n {
		r := receive(t, e.requests)
		word := r.Method()
		if word == "NOTIFY" {
			state, _, _ := strings.Cut(r.Get("Subscription-State"), ";")
			fragment, _, _ := strings.Cut(strings.TrimPrefix(string(r.Body), "SIP/2.0 "), " ")
			word = state + " " + fragment
		}
		all = append(all, word)
	}
	return strings.Join(all, ", ")
}

func TestReferEndsInFlex(t *testing.T) {
	a, e, c := talk(t, Options{}, nil)
	if r := e.refer(target); r.Status() != 202 || r.Get("X-Twilio-CallSid") != c.Sid() {
		t.Fatalf("answered\n%s", r.Bytes())
	}
	task, err := a.Flex().Await(bounded(t), c.ParentSid())
	if err != nil || task.SessionHistoryKey() != "dev::latest::1" {
		t.Errorf("task %+v, %v", task, err)
	}
	if got := told(t, e, 3); got != "active 100, terminated 200, BYE" {
		t.Errorf("told %s", got)
	}
	if got, err := c.Await(bounded(t)); err != nil || got.How != Transferred || got.ByEdge {
		t.Errorf("ended %+v, %v", got, err)
	}
	if got := c.NotifyAnswers(); !slices.Equal(got, []int{200, 200}) || !slices.Equal(c.ReferTos(), []string{target}) {
		t.Errorf("NOTIFYs answered %v, Refer-To %v", got, c.ReferTos())
	}
	clean(t, a)
}

func TestNotifyIsDressedAsTwilios(t *testing.T) {
	a, e, _ := talk(t, Options{Refer: Refer{EventID: true, LowCSeq: true}}, nil)
	e.refer(target)
	for i, want := range []string{"100 Trying", "200 OK"} {
		n := receive(t, e.requests)
		if n.Get("CSeq") != fmt.Sprintf("%d NOTIFY", i+1) || n.Get("Event") != "refer;id=1" || string(n.Body) != "SIP/2.0 "+want+"\r\n" ||
			n.Get("Content-Type") != "message/sipfrag" || n.Get("User-Agent") != "Twilio Gateway" || len(n.All("Via")) != 2 {
			t.Errorf("NOTIFY\n%s", n.Bytes())
		}
	}
	if bye := receive(t, e.requests); bye.Get("CSeq") != "2 BYE" {
		t.Errorf("the low NOTIFYs touched the dialog's CSeq: %s", bye.Get("CSeq"))
	}
	clean(t, a)
}

func TestWhatFollowsTheRefer(t *testing.T) {
	for name, c := range map[string]struct {
		refer  Refer
		status int
		told   []string
		how    How
		tasks  int
	}{
		"refused 403":        {Refer{Status: 403}, 403, nil, Alive, 0},
		"refused 603":        {Refer{Status: 603}, 603, nil, Alive, 0},
		"target busy":        {Refer{Final: 486}, 202, []string{"active 100", "terminated 486"}, Alive, 0},
		"target declines":    {Refer{Final: 603, Terminated: true}, 202, []string{"terminated 100", "terminated 603"}, Alive, 0},
		"no notify":          {Refer{Then: Nothing}, 202, nil, Alive, 0},
		"trying and no more": {Refer{Then: OnlyTrying}, 202, []string{"active 100"}, Alive, 0},
		"bye without notify": {Refer{Then: OnlyBye}, 202, []string{"BYE"}, CrossedByBye, 1},
		"notify before 202":  {Refer{Before202: true}, 202, []string{"terminated 200", "BYE"}, Transferred, 1},
		"terminated trying":  {Refer{Terminated: true, Delay: time.Millisecond}, 202, []string{"terminated 100", "terminated 200", "BYE"}, Transferred, 1},
		"bye crosses":        {Refer{ByeCrossing: true}, 481, []string{"BYE"}, CrossedByBye, 0},
		"notify after bye":   {Refer{AfterBye: true}, 202, []string{"active 100", "BYE", "terminated 200"}, Transferred, 1},
		"twilio gives up":    {Refer{Hangup: AfterPatience, PatienceTime: time.Millisecond}, 202, []string{"active 100", "terminated 200", "BYE"}, Transferred, 1},
	} {
		t.Run(name, func(t *testing.T) {
			a, e, call := talk(t, Options{Refer: c.refer}, nil)
			if r := e.refer(target); r.Status() != c.status {
				t.Errorf("answered %d", r.Status())
			}
			if got, want := told(t, e, len(c.told)), strings.Join(c.told, ", "); got != want {
				t.Errorf("told %s, want %s", got, want)
			}
			if c.how != Alive {
				if got, err := call.Await(bounded(t)); err != nil || got.How != c.how {
					t.Errorf("ended %+v, %v", got, err)
				}
			} else if r := e.send("OPTIONS", nil); r.Status() != 200 || call.Ending().How != Alive {
				t.Errorf("the caller does not stay: %d, %+v", r.Status(), call.Ending())
			}
			if got := len(a.Flex().Tasks()); got != c.tasks {
				t.Errorf("%d tasks", got)
			}
			clean(t, a)
		})
	}
}

func TestSilentRefer(t *testing.T) {
	a, e, _ := talk(t, Options{Refer: Refer{Silent: true}}, nil)
	if err := e.conn.Send(e.dialog.Request("REFER").Push("Via", wire.Via(wire.TLS, "edge", wire.Branch())).Add("Refer-To", target)); err != nil {
		t.Fatal(err)
	}
	if r := e.refer(target); r.Status() != 491 {
		t.Errorf("a second REFER: %d", r.Status())
	}
	clean(t, a, simulator.OneTransfer)
}

func TestEdgeHangsUpAfterTheTransfer(t *testing.T) {
	a, e, c := talk(t, Options{Refer: Refer{Hangup: AfterPatience}}, nil)
	e.refer(target)
	told(t, e, 2)
	if r := e.send("BYE", nil); r.Status() != 200 {
		t.Errorf("BYE: %d", r.Status())
	}
	if got, err := c.Await(bounded(t)); err != nil || got.How != Transferred || !got.ByEdge {
		t.Errorf("ended %+v, %v", got, err)
	}
	clean(t, a)
}

func TestReferWithoutReferURLOrWithoutApp(t *testing.T) {
	a, e, _ := talk(t, Options{}, func(c *Config) { c.NoReferURL = true })
	e.refer(target)
	if got := told(t, e, 2); got != "active 100, terminated 503" {
		t.Errorf("told %s", got)
	}
	if alerts := a.Alerts(); len(alerts) != 1 || alerts[0].Code != 13802 {
		t.Errorf("alerts %v", alerts)
	}

	a, e, c := talk(t, Options{}, nil)
	a.studio.Forget(c.ParentSid())
	e.refer(target)
	if got := told(t, e, 2); got != "active 100, terminated 503" {
		t.Errorf("told %s", got)
	}
	if alerts := a.Alerts(); len(alerts) != 1 || alerts[0].Code != 11200 {
		t.Errorf("alerts %v", alerts)
	}
	clean(t, a)
}

func TestLongReferTo(t *testing.T) {
	long := "<sip:queue@flex.twilio.com?" + keyHeader + "=" + strings.Repeat("k", 300) + ">"
	for mode, want := range map[TooLong]int{RejectLong: 400, TruncateLong: 202, AcceptLong: 202} {
		t.Run(mode.String(), func(t *testing.T) {
			a, e, c := talk(t, Options{Refer: Refer{TooLong: mode}}, nil)
			if r := e.refer(long); r.Status() != want {
				t.Errorf("answered %d", r.Status())
			}
			if want == 202 {
				task, err := a.Flex().Await(bounded(t), c.ParentSid())
				if got := len(task.SessionHistoryKey()); err != nil || (got == 300) != (mode == AcceptLong) {
					t.Errorf("a key of %d characters, %v", got, err)
				}
			}
			clean(t, a, simulator.ReferToLength)
		})
	}
}
