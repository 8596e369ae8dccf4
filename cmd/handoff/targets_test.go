package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/simulator"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// TestZonesThatAreDown plays calls past a first zone that takes none. What the first call has found out
// spares the second the wait. These tests hold the edge to its time, and so none runs beside another.
func TestZonesThatAreDown(t *testing.T) {
	tests := []struct {
		name   string
		within time.Duration  // the second zone has taken the call
		zone   func(net.Conn) // what it does with a connection; nil: there is no listener
	}{
		{"nobody listens", time.Second, nil},
		{"it hangs up", time.Second, func(conn net.Conn) { conn.Close() }},
		{"it says nothing", 4 * time.Second, swallow},
		{"it is no TLS", time.Second, func(conn net.Conn) { io.WriteString(conn, "SIP/2.0 400 Bad Request\r\n\r\n"); conn.Close() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			zone, asked := listenAs(t, tt.zone)
			sc := newScene(t, stageConfig{Set: func(c *configs.Config) {
				c.Watson.Targets = append([]string{"sips:" + zone}, c.Watson.Targets...)
			}})
			sc.talked(tt.within)
			sc.talked(time.Second)
			if n := asked.Load(); tt.zone != nil && n != 1 {
				t.Errorf("the zone was tried %d times", n)
			}
			sc.counted(`handoff_watson_target_up{target="127.0.0.1"} 0`)
			sc.counted(`handoff_watson_target_up{target="127.0.0.3"} 1`)
			sc.clean()
		})
	}
}

// talked plays a call and wants it set up within a time.
func (sc *scene) talked(within time.Duration) *watson.Call {
	sc.t.Helper()
	caller, assistant := sc.place(twilio.Options{})
	sc.setUp(within)
	sc.stillTalk(caller, assistant)
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
	return assistant
}

// setUp fails when the edge took longer than that from the caller's last INVITE to its 200.
func (sc *scene) setUp(within time.Duration) {
	sc.t.Helper()
	var called time.Time
	var took time.Duration
	for _, m := range sc.recorder.Messages() {
		switch raw := string(m.Raw); {
		case m.Peer != metrics.PeerTwilio:
		case m.Direction == metrics.In && strings.HasPrefix(raw, "INVITE "):
			called = m.Time
		case m.Direction == metrics.Out && strings.HasPrefix(raw, "SIP/2.0 200 ") && strings.Contains(raw, " INVITE\r\n"):
			took = m.Time.Sub(called)
		}
	}
	if took <= 0 || took > within {
		sc.t.Errorf("set up after %v", took)
	}
}

func swallow(conn net.Conn) { io.Copy(io.Discard, conn) }

// TestZonesThatTakeNoCalls plays calls past a first zone that speaks SIP over TLS, and takes none.
func TestZonesThatTakeNoCalls(t *testing.T) {
	for name, tt := range map[string]struct {
		within time.Duration
		zone   watson.Behaviour
	}{
		"500":                  {time.Second, watson.Behaviour{Reject: 500}},
		"503 with Retry-After": {time.Second, watson.Behaviour{Reject: 503, RetryAfter: 60}},
		"503 after it rang":    {time.Second, watson.Behaviour{Reject: 503, RingFor: 100 * time.Millisecond}},
		"503 without 100":      {time.Second, watson.Behaviour{Reject: 503, NoTrying: true, NoRinging: true}},
	} {
		t.Run(name, func(t *testing.T) {
			sc, first := newZones(t, tt.zone)
			sc.talked(tt.within)
			sc.talked(time.Second)
			if n := len(sc.callsAt(first)); n != 1 {
				t.Errorf("the zone was called %d times", n)
			}
			sc.counted(`handoff_watson_target_up{target="127.0.0.4"} 0`)
			sc.clean()
		})
	}
}

// A zone that says nothing may still come back with an answer, so such a call lives until it can't any more.
func TestAZoneThatNeverSaysAWord(t *testing.T) {
	sc, first := newZones(t, watson.Behaviour{Silent: true})
	for _, within := range []time.Duration{4 * time.Second, time.Second} {
		caller, assistant := sc.place(twilio.Options{})
		sc.setUp(within)
		sc.stillTalk(caller, assistant)
		sc.must(caller.Hangup(sc.ctx))
		_, err := assistant.Await(sc.ctx)
		sc.must(err)
	}
	if n := len(sc.callsAt(first)); n != 1 {
		t.Errorf("the zone was called %d times", n)
	}
	sc.clean()
}

// What a zone says about the call itself is the last word.
func TestRefusalsThatAreFinal(t *testing.T) {
	t.Parallel()
	for _, code := range []int{403, 404, 486, 600, 603} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			sc, _ := newZones(t, watson.Behaviour{Reject: code})
			caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
			sc.must(err)
			sc.over(caller, nil)
			if status := caller.Ending().Status; status != code {
				t.Errorf("the caller heard %d", status)
			}
			if sc.sent(metrics.PeerWatson, "INVITE sips:+18885557777@127.0.0.3:") {
				t.Error("the second zone was called")
			}
			sc.counted(`handoff_watson_target_up{target="127.0.0.4"} 1`)
			sc.clean()
		})
	}
}

// newZones sets a scene with a zone before the stage's own, at 127.0.0.4.
func newZones(t *testing.T, first watson.Behaviour) (*scene, *watson.Assistant) {
	t.Helper()
	var zone *watson.Assistant
	sc := newScene(t, stageConfig{
		WatsonSet: func(c *watson.Config) { zone = anotherWatson(t, *c, first, newViolations(t)) },
		Set: func(c *configs.Config) {
			c.Watson.Targets = append([]string{"sips:" + zone.Addr().String()}, c.Watson.Targets...)
		},
	})
	return sc, zone
}

// newViolations fails the test at its end if there are any.
func newViolations(t *testing.T) *simulator.Violations {
	violations := &simulator.Violations{}
	t.Cleanup(func() {
		for _, v := range violations.All() {
			t.Error(v)
		}
	})
	return violations
}

// anotherWatson is one like that of cfg, at 127.0.0.4.
func anotherWatson(t *testing.T, cfg watson.Config, b watson.Behaviour, violations *simulator.Violations) *watson.Assistant {
	t.Helper()
	cfg.Addr, cfg.Port, cfg.Behaviour = netip.MustParseAddr("127.0.0.4"), 0, b
	a, err := watson.New(cfg, watson.Deps{Violations: violations})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// callsAt are those that an assistant has had and nobody has taken yet.
func (sc *scene) callsAt(a *watson.Assistant) (all []*watson.Call) {
	for {
		now, stop := context.WithTimeout(sc.ctx, 10*time.Millisecond)
		call, err := a.Accept(now)
		stop()
		if err != nil {
			return all
		}
		all = append(all, call)
	}
}

// listenAs is a zone at 127.0.0.1 that treats connections so, and how many came.
func listenAs(t *testing.T, zone func(net.Conn)) (address string, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	if zone == nil {
		return "127.0.0.1:" + strconv.Itoa(int(freePort(loopback))), asked
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() { // ends with l
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			go zone(conn) // ends with the edge
		}
	}()
	return l.Addr().String(), asked
}

func TestOptionsTellWhichTargetsAreUp(t *testing.T) {
	t.Parallel()
	zone, _ := listenAs(t, nil)
	sc := newScene(t, stageConfig{Set: func(c *configs.Config) {
		c.Watson.Targets = append([]string{"sips:" + zone}, c.Watson.Targets...)
		c.Watson.Health.OptionsEvery = time.Second
	}})
	ready := func(code int, words ...string) func() bool {
		return func() bool {
			res, err := http.Get("http://" + sc.edge.ops.Addr().String() + "/readyz")
			sc.must(err)
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			sc.must(err)
			for _, word := range words {
				if !strings.Contains(string(body), word) {
					return false
				}
			}
			return res.StatusCode == code
		}
	}
	sc.until("one is known to be down and one to be up", ready(200, "ok\n", "watson 127.0.0.1 down since 2", "watson 127.0.0.3 up since 2"))
	caller, assistant := sc.place(twilio.Options{}) // the one that is up, at once
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
	sc.clean()
	sc.watson.Close()
	sc.until("the edge is not ready", ready(503, "no Watson target is up", "watson 127.0.0.3 down since 2"))
}
