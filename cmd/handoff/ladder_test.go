package main

import (
	"context"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"handoff/metrics"
	"handoff/metrics/trace"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

var update = flag.Bool("update", false, "rewrite testdata/ladders")

// scene is a stage with everything that a test of a whole call needs to look at.
type scene struct {
	*stage
	t        *testing.T
	ctx      context.Context
	recorder *trace.Recorder
}

var watsonAddr = netip.MustParseAddr("127.0.0.3")

// newScene sets a stage whose parties live at addresses of their own, so that an address of one
// that shows at another is seen.
func newScene(t *testing.T, cfg stageConfig) *scene {
	t.Helper()
	if runtime.GOOS == "linux" && !cfg.At.Edge.IsValid() { // elsewhere only 127.0.0.1 is there
		cfg.At = stageAddrs{
			Edge:   loopback,
			Twilio: netip.MustParseAddr("127.0.0.2"),
			Watson: watsonAddr,
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	sc := &scene{t: t, ctx: ctx, recorder: trace.NewRecorder(10_000)}
	cfg.Tap = sc.recorder.Add
	own := cfg.WatsonSet
	cfg.WatsonSet = func(c *watson.Config) {
		c.AcceptWithin = 3 * time.Second // a REFER's 202 must not wait for Twilio; how fast it is no crowd of tests can tell
		if own != nil {
			own(c)
		}
	}
	if cfg.Log == nil {
		cfg.Log = zaptest.NewLogger(t, zaptest.Level(zap.InfoLevel))
	}
	var err error
	if sc.stage, err = newStage(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		now, stop := context.WithTimeout(context.Background(), 5*time.Second)
		defer stop()
		sc.stage.Close(now)
		cancel()
	})
	return sc
}

// place lets the caller ring and returns both ends, answered.
func (sc *scene) place(o twilio.Options) (*twilio.Call, *watson.Call) {
	sc.t.Helper()
	caller, err := sc.twilio.Place(sc.ctx, "+18885557777", o)
	sc.must(err)
	return caller, sc.answered(caller)
}

// answered waits until both ends talk.
func (sc *scene) answered(caller *twilio.Call) *watson.Call {
	sc.t.Helper()
	assistant, err := sc.watson.Accept(sc.ctx)
	sc.must(err)
	sc.must(errors.Join(caller.AwaitAnswer(sc.ctx), assistant.AwaitAnswer(sc.ctx)))
	// Twilio has sent its ACK; what follows shall not overtake it on its way into the edge.
	sc.until("the edge has the ACK", func() bool { return sc.received(metrics.PeerTwilio, "ACK ") })
	return assistant
}

// received tells whether the edge has had a message from peer that begins so; sent, whether it sent one.
func (sc *scene) received(peer metrics.Peer, start string) bool {
	return sc.passed(peer, metrics.In, start)
}
func (sc *scene) sent(peer metrics.Peer, start string) bool {
	return sc.passed(peer, metrics.Out, start)
}

func (sc *scene) passed(peer metrics.Peer, d metrics.Direction, start string) bool {
	for _, m := range sc.recorder.Messages() {
		if m.Peer == peer && m.Direction == d && strings.HasPrefix(string(m.Raw), start) {
			return true
		}
	}
	return false
}

// over waits until both ends and the edge have forgotten the call.
func (sc *scene) over(caller *twilio.Call, assistant *watson.Call) {
	sc.t.Helper()
	_, err := caller.Await(sc.ctx)
	sc.must(err)
	if assistant != nil {
		_, err = assistant.Await(sc.ctx)
		sc.must(err)
	}
	sc.quiet()
}

// quiet waits until the edge holds no call.
func (sc *scene) quiet() {
	sc.t.Helper()
	sc.until("the edge holds no call", func() bool { return sc.edge.engine.Calls() == 0 })
}

func (sc *scene) until(what string, holds func() bool) {
	sc.t.Helper()
	for !holds() {
		select {
		case <-sc.ctx.Done():
			sc.t.Fatalf("waited in vain until %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (sc *scene) must(err error) {
	sc.t.Helper()
	if err != nil {
		sc.t.Fatal(err)
	}
}

// clean fails on everything that a simulator saw the edge do wrong.
func (sc *scene) clean() {
	sc.t.Helper()
	for _, v := range sc.violations.All() {
		sc.t.Error(v)
	}
}

// golden compares the exchange with testdata/ladders. The last messages may still be on their way.
func (sc *scene) golden(name string) {
	sc.t.Helper()
	sc.goldenOf(strings.ReplaceAll(name, " ", "_"), func() string { return trace.Normalise(sc.recorder.Messages()) })
}

func (sc *scene) goldenOf(name string, got func() string) {
	sc.t.Helper()
	path := filepath.Join("..", "..", "testdata", "ladders", name+".txt")
	if *update {
		time.Sleep(100 * time.Millisecond) // nobody waits for a golden that is being written
		sc.must(os.MkdirAll(filepath.Dir(path), 0o755))
		sc.must(os.WriteFile(path, []byte(got()), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		sc.t.Fatalf("%v; go test ./cmd/handoff -run '%s' -update writes it", err, sc.t.Name())
	}
	deadline := time.Now().Add(2 * time.Second)
	for got() != string(want) {
		if time.Now().After(deadline) {
			sc.t.Fatalf("ladder is\n%s\nwant\n%s", got(), want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

const testKey = "dev::latest::212033::0a64c30d-c558-4055-85ad-ef75ad6cc29d::978f1fd7-4e24-47d8-adb0-24a8a6eff69e::b5ffd6c2-902f-4658-b586-e3fc170a6cf3::7ad616a350cc48078f17e3ee3df551de"

// TestLadders plays the calls whose exchange is written down in testdata/ladders.
func TestLadders(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cfg  stageConfig
		play func(sc *scene)
	}{
		{"caller hangs up", quiet(), func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"watson hangs up", quiet(), func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			sc.must(assistant.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"caller cancels", rings(time.Minute), func(sc *scene) {
			caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
			sc.must(err)
			<-caller.Ringing()
			assistant, err := sc.watson.Accept(sc.ctx)
			sc.must(err)
			sc.must(caller.Cancel(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"watson rejects", rejects(486), func(sc *scene) {
			caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
			sc.must(err)
			sc.over(caller, nil)
			if got := caller.Ending().Status; got != 486 {
				sc.t.Errorf("caller heard %d", got)
			}
		}},
		{"transfer succeeds", quiet(), func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Hangup: twilio.AfterPatience}})
			outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey, Hold: watson.HoldSendOnly})
			sc.must(err)
			sc.over(caller, assistant)
			sc.told(outcome, 100, 200)
			sc.inFlex(caller, testKey)
		}},
		{"transfer by rest", func() stageConfig { c := quiet(); c.REST = true; return c }(), func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
			outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
			sc.must(err)
			sc.over(caller, assistant)
			sc.told(outcome, 100, 200)
			sc.inFlex(caller, testKey)
		}},
		{"transfer by invite", func() stageConfig { c := quiet(); c.Domain = true; return c }(), func(sc *scene) {
			sc.twilio.Domain().Receive(twilio.Reception{NoRinging: true})
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
			outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
			sc.must(err)
			agent, err := sc.twilio.Domain().Accept(sc.ctx)
			sc.must(err)
			sc.must(agent.AwaitAnswer(sc.ctx))
			sc.told(outcome, 100, 200)
			sc.flexHas(agent.Sid(), testKey)
			_, err = assistant.Await(sc.ctx)
			sc.must(err)
			sc.must(agent.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"transfer refused", quiet(), func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
			outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey, OnFailure: watson.ResumeCall})
			sc.must(err)
			sc.told(outcome, 100, 603)
			sc.stillTalk(caller, assistant)
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"transfer fails after the 202", quiet(), func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Final: 486}})
			outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey, Hold: watson.HoldInactive, OnFailure: watson.ResumeCall})
			sc.must(err)
			sc.told(outcome, 100, 486)
			sc.stillTalk(caller, assistant)
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"bye crosses refer", quiet(), func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{ByeCrossing: true}})
			outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
			sc.must(err)
			sc.over(caller, assistant)
			sc.told(outcome, 100, 487)
		}},
		{"hold and resume", quiet(), func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			sc.must(assistant.Hold(sc.ctx, watson.HoldSendOnly))
			sc.must(assistant.Resume(sc.ctx))
			sc.must(assistant.Hold(sc.ctx, watson.HoldInactive))
			sc.must(assistant.Resume(sc.ctx))
			sc.stillTalk(caller, assistant)
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"connection closed before the transfer", func() stageConfig {
			c := quiet()
			c.TwilioSet = func(tc *twilio.Config) { tc.IdleClose = 2 * time.Second } // without close_notify; Twilio's is 120 s
			return c
		}(), func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Hangup: twilio.AfterPatience}})
			sc.counted(`handoff_tls_connections{peer="twilio"} 0`)
			outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
			sc.must(err)
			sc.told(outcome, 100, 200)
			sc.over(caller, assistant)
			asked, taken := sc.when(metrics.PeerWatson, metrics.In, "REFER "), sc.when(metrics.PeerTwilio, metrics.In, "SIP/2.0 202 ")
			if took := taken.Sub(asked); took > time.Second {
				sc.t.Errorf("Twilio took the REFER after %s", took)
			}
			if n := sc.twilio.Wire().Accepted(); n != 1 {
				sc.t.Errorf("Twilio was dialled %d times", n)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, tt.cfg)
			tt.play(sc)
			sc.clean()
			sc.golden(tt.name)
		})
	}
}

// quiet lets Watson answer without a 180: whether the edge passes it on before or after it reads the
// 200 is nobody's business, and would be another ladder. The one that is cancelled rings.
func quiet() stageConfig { return behaves(watson.Behaviour{NoRinging: true}) }

// rings lets Watson ring so long before it answers.
func rings(d time.Duration) stageConfig {
	return stageConfig{WatsonSet: func(c *watson.Config) { c.Behaviour.RingFor = d }}
}

// rejects lets Watson refuse every call.
func rejects(code int) stageConfig {
	return stageConfig{WatsonSet: func(c *watson.Config) { c.Behaviour.Reject, c.Behaviour.NoRinging = code, true }}
}

// told checks what Watson was notified of.
func (sc *scene) told(o watson.Outcome, codes ...int) {
	sc.t.Helper()
	if len(o.Codes) != len(codes) {
		sc.t.Errorf("Watson was told %v, want %v", o.Codes, codes)
		return
	}
	for i := range codes {
		if o.Codes[i] != codes[i] {
			sc.t.Errorf("Watson was told %v, want %v", o.Codes, codes)
		}
	}
}

// stillTalk proves that audio flows both ways, from now on.
func (sc *scene) stillTalk(caller *twilio.Call, assistant *watson.Call) {
	sc.t.Helper()
	sc.hear(caller.Phone(), assistant.Phone())
}
