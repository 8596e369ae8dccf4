package main

import (
	"fmt"
	"net"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// contact is where a 302 sends the number to.
func contact(at fmt.Stringer) string { return "<sips:+18885557777@" + at.String() + ">" }

func TestRedirectToAConfiguredHost(t *testing.T) {
	t.Parallel()
	var there *watson.Assistant
	sc := newScene(t, stageConfig{
		Set: func(c *configs.Config) { c.Watson.RedirectHosts = []string{"127.0.0.4"} },
		WatsonSet: func(c *watson.Config) {
			there = anotherWatson(t, *c, watson.Behaviour{}, newViolations(t))
			c.Behaviour.Redirect = []string{"<sips:+18885557777@127.0.0.1:1>;q=1", contact(there.Addr()) + ";q=0.5"}
		},
	})
	at := sc.stage.watson
	sc.stage.watson = there
	sc.talked(2 * time.Second)
	sc.stage.watson = at
	sc.counted(`handoff_watson_target_up{target="127.0.0.3"} 1`) // it lives
	sc.counted(`handoff_calls_total{reason="caller_hangup",result="success"} 1`)
	sc.clean()
}

// A foreign host gets not one packet.
func TestRedirectToAForeignHost(t *testing.T) {
	t.Parallel()
	foreign, asked := listenAs(t, func(conn net.Conn) { conn.Close() })
	core, logs := observer.New(zap.WarnLevel)
	sc := newScene(t, stageConfig{Log: zap.New(core), WatsonSet: func(c *watson.Config) {
		c.Behaviour.Redirect = []string{"<sips:+18885557777@" + foreign + ">"}
	}})
	caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
	sc.must(err)
	sc.over(caller, nil)
	if status := caller.Ending().Status; status != 502 || asked.Load() != 0 {
		t.Errorf("the caller heard %d, the foreign host was called %d times", status, asked.Load())
	}
	if lines := logs.FilterMessage("redirect not followed").All(); len(lines) != 1 || lines[0].ContextMap()["host"] != "127.0.0.1" {
		t.Errorf("logged %v", lines)
	}
	sc.counted(`handoff_calls_total{reason="watson_redirected",result="upstream"} 1`)
	sc.clean()
}

func TestNextTargetAfterARedirectToAForeignHost(t *testing.T) {
	t.Parallel()
	foreign, asked := listenAs(t, func(conn net.Conn) { conn.Close() })
	sc, _ := newZones(t, watson.Behaviour{Redirect: []string{"<sips:+18885557777@" + foreign + ">"}})
	sc.talked(2 * time.Second)
	if n := asked.Load(); n != 0 {
		t.Errorf("the foreign host was called %d times", n)
	}
	sc.clean()
}

// Two targets that send every call to each other are called once each.
func TestRedirectInACircle(t *testing.T) {
	t.Parallel()
	sc, first := newZones(t, watson.Behaviour{})
	first.Behave(watson.Behaviour{Redirect: []string{contact(sc.watson.Addr())}})
	sc.watson.Behave(watson.Behaviour{Redirect: []string{contact(first.Addr())}})
	caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
	sc.must(err)
	sc.over(caller, nil)
	if status := caller.Ending().Status; status != 502 {
		t.Errorf("the caller heard %d", status)
	}
	for name, a := range map[string]*watson.Assistant{"first": first, "second": sc.watson} {
		if n := len(sc.callsAt(a)); n != 1 {
			t.Errorf("the %s was called %d times", name, n)
		}
	}
	if sc.sent(metrics.PeerTwilio, "SIP/2.0 3") {
		t.Error("a redirect went on to Twilio")
	}
	sc.counted(`handoff_calls_total{reason="watson_redirected",result="upstream"} 1`)
	sc.clean()
}
