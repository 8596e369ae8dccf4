package twilio

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"handoff/sip/simulator/wire"
)

// onTrunk is a trunk call that talks.
func onTrunk(t *testing.T, mode TransferMode, o Options) (*Account, *edge, *Call) {
	t.Helper()
	e := newEdge(t)
	a := newAccount(t, func(c *Config) { c.Origination, c.TransferMode = "sip:"+e.addr(wire.TLS)+";transport=tls", mode })
	c, err := a.PlaceTrunk(bounded(t), number, true, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitAnswer(bounded(t)); err != nil {
		t.Fatal(err)
	}
	return a, e, c
}

func TestTrunkTransfers(t *testing.T) {
	const inside, outside, tel = "<sip:+15005550009@trunk1.pstn.twilio.com>", "<sip:agent@example.com>", "<tel:+15005550009>"
	for _, c := range []struct {
		mode   TransferMode
		target string
		status int
	}{
		{DisableAll, outside, 603}, {DisableAll, inside, 603},
		{SIPOnly, outside, 202}, {SIPOnly, inside, 603}, {SIPOnly, tel, 603}, {SIPOnly, "<sip:+15005550009@192.0.2.1>", 403},
		{EnableAll, outside, 202}, {EnableAll, inside, 202}, {EnableAll, tel, 202}, {EnableAll, "<mailto:x@y>", 603},
	} {
		t.Run(c.mode.String()+" "+c.target, func(t *testing.T) {
			a, e, call := onTrunk(t, c.mode, Options{})
			r := e.refer(c.target)
			if r.Status() != c.status {
				t.Errorf("answered %d", r.Status())
			}
			if declined := c.status == 603; declined != (r.Get("X-Twilio-Error") == "32218 Transfer not allowed") || declined != (len(a.Alerts()) == 1) {
				t.Errorf("X-Twilio-Error %q, alerts %v", r.Get("X-Twilio-Error"), a.Alerts())
			}
			if c.status == 202 {
				if got := told(t, e, 2); got != "active 100, terminated 200" {
					t.Errorf("told %s", got)
				}
				e.send("BYE", nil)
				if got, err := call.Await(bounded(t)); err != nil || got.How != Transferred || !got.ByEdge {
					t.Errorf("ended %+v, %v", got, err)
				}
			}
			clean(t, a)
		})
	}
	_, e, call := onTrunk(t, EnableAll, Options{Refer: Refer{PatienceTime: time.Millisecond}})
	e.refer(tel)
	if got := told(t, e, 3); got != "active 100, terminated 200, BYE" {
		t.Errorf("Twilio's patience: %s", got)
	}
	if got, err := call.Await(bounded(t)); err != nil || got.ByEdge {
		t.Errorf("ended %+v, %v", got, err)
	}
}

func TestReferIsRefusedWithTwiliosError(t *testing.T) {
	a, e, _ := talk(t, Options{Refer: Refer{Status: 403, Error: "32204 Invalid Caller ID"}}, nil)
	if r := e.refer(target); r.Status() != 403 || r.Get("X-Twilio-Error") != "32204 Invalid Caller ID" {
		t.Errorf("answered\n%s", r.Bytes())
	}
	clean(t, a)
	d := newDialler(t, Reception{Status: 603, Error: "32203 Call blocked as potential fraud"})
	if r := d.enter(180); r.Has("X-Twilio-Error") {
		t.Errorf("got\n%s", r.Bytes())
	}
	if r := d.expect(603); r.Get("X-Twilio-Error") != "32203 Call blocked as potential fraud" {
		t.Errorf("got\n%s", r.Bytes())
	}
}

func TestReferIsAnsweredAndToldLate(t *testing.T) {
	const late = 20 * time.Millisecond
	a, e, _ := talk(t, Options{Refer: Refer{AnswerDelay: late, TryingDelay: late}}, nil)
	began := time.Now()
	if r := e.refer(target); r.Status() != 202 || time.Since(began) < late {
		t.Errorf("answered %d after %s", r.Status(), time.Since(began))
	}
	if got := told(t, e, 3); got != "active 100, terminated 200, BYE" || time.Since(began) < 2*late {
		t.Errorf("told %s after %s", got, time.Since(began))
	}
	clean(t, a)
}

func TestIdleConnectionIsDroppedAndBothSidesDialAnew(t *testing.T) {
	a, e, c := talk(t, Options{Twnat: true}, func(c *Config) { c.IdleClose = 300 * time.Millisecond })
	select {
	case <-e.conn.Closed():
	case <-bounded(t).Done():
		t.Fatal("it stays open")
	}
	fresh, err := e.wire.Dial(bounded(t), wire.TLS, a.Addr(wire.TLS), hostName)
	if err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	e.conn = fresh
	e.mu.Unlock()
	routes := e.send("OPTIONS", nil).List("Record-Route")
	if len(routes) != 2 || !strings.HasSuffix(routes[0], ";twnat=sip:"+fresh.Local().String()+">") {
		t.Errorf("Record-Routes %v", routes)
	}
	if status, err := c.Reinvite(bounded(t), Refresh); err != nil || status != 200 {
		t.Errorf("re-INVITE over the second connection: %d, %v", status, err)
	}
	clean(t, a)
}

func TestTwnatIsNotForTheFirstConnection(t *testing.T) {
	a, e, _ := talk(t, Options{Twnat: true}, nil)
	if routes := e.send("OPTIONS", nil).List("Record-Route"); len(routes) != 0 {
		t.Errorf("Record-Routes %v", routes)
	}
	clean(t, a)
}

func TestStudioWaitsNoLongerThanItsWidget(t *testing.T) {
	a, e, _ := talk(t, Options{}, func(c *Config) { c.StudioWait = time.Nanosecond })
	e.refer(target)
	if got := told(t, e, 2); got != "active 100, terminated 503" {
		t.Errorf("told %s", got)
	}
	clean(t, a)
}

func TestTaskRouterKnowsItsWorkflows(t *testing.T) {
	for workflow, tasks := range map[string]int{workflowSid: 1, "WW1": 0} {
		a, e, _ := talk(t, Options{}, func(c *Config) { c.Workflows = []string{workflow} })
		e.refer(target)
		told(t, e, 2)
		refused := slices.ContainsFunc(a.Alerts(), func(l Alert) bool { return l.Code == 14220 })
		if got := len(a.Flex().Tasks()); got != tasks || refused == (tasks == 1) {
			t.Errorf("%s: %d tasks, alerts %v", workflow, got, a.Alerts())
		}
	}
}

func TestWordsOfKnobs(t *testing.T) {
	got := fmt.Sprint(TooLongs(), Thens(), Hangups(), TransferModes(), TransferMode(9))
	const want = "[reject truncate accept] [transfer nothing only trying only bye] [twilio at once after patience] [disable-all sip-only enable-all] unknown"
	if got != want {
		t.Errorf("got %s", got)
	}
}
