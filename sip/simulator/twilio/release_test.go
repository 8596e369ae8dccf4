package twilio

import (
	"net/http"
	"testing"

	"handoff/sip/simulator/wire"
)

func noBridge(c *Config) { c.NoBridge, c.PlainREST = true, true }

func TestCallerIsAnsweredBeforeTheEdgeWithoutAnswerOnBridge(t *testing.T) {
	for noBridge, want := range map[bool]string{true: "in-progress", false: "ringing"} {
		e := newEdge(t, manual)
		a := newAccount(t, func(c *Config) { c.Edge, c.NoBridge, c.PlainREST = e.addr(wire.TLS), noBridge, true })
		c, err := a.Place(bounded(t), number, Options{})
		if err != nil {
			t.Fatal(err)
		}
		receive(t, e.invites)
		if _, body, _ := api(t, a, http.MethodGet, c.ParentSid(), token, nil); body["status"] != want {
			t.Errorf("answerOnBridge %t: %v", !noBridge, body["status"])
		}
	}
}

func TestTransferorIsReleasedAtOnceWithoutAnswerOnBridge(t *testing.T) {
	for name, c := range map[string]struct {
		final  int
		edit   func(*Account, *Call)
		told   string
		how    How
		task   bool
		parent string
	}{
		"it works":                 {0, nil, "active 100, terminated 200, BYE", Transferred, true, "in-progress"},
		"the target is busy":       {486, nil, "active 100, terminated 486, BYE", Dropped, false, "completed"},
		"the handler does not run": {0, func(a *Account, _ *Call) { a.SignWith(SignWrong) }, "active 100, terminated 503, BYE", Dropped, false, "completed"},
		"Studio does not wait":     {0, func(a *Account, c *Call) { a.studio.Forget(c.ParentSid()) }, "active 100, terminated 200, BYE", Transferred, false, "completed"},
	} {
		t.Run(name, func(t *testing.T) {
			a, e, call := talk(t, Options{Refer: Refer{Final: c.final}}, noBridge)
			if c.edit != nil {
				c.edit(a, call)
			}
			if r := e.refer(target); r.Status() != 202 {
				t.Errorf("answered %d", r.Status())
			}
			if got := told(t, e, 3); got != c.told {
				t.Errorf("told %s", got)
			}
			if got, err := call.Await(bounded(t)); err != nil || got.How != c.how {
				t.Errorf("ended %+v, %v", got, err)
			}
			if c.task {
				if _, err := a.Flex().Await(bounded(t), call.ParentSid()); err != nil {
					t.Error(err)
				}
			}
			until(t, func() bool { return call.ParentStatus() == c.parent })
			if got := len(a.Flex().Tasks()) == 1; got != c.task {
				t.Errorf("task %t", got)
			}
			clean(t, a)
		})
	}
}

func TestWithoutReferURLTheCallerStays(t *testing.T) {
	a, e, c := talk(t, Options{}, func(cfg *Config) { cfg.NoBridge, cfg.NoReferURL = true, true })
	e.refer(target)
	if got := told(t, e, 2); got != "active 100, terminated 503" || c.Ending().How != Alive {
		t.Errorf("told %s, %s", got, c.Ending().How)
	}
	clean(t, a)
}
