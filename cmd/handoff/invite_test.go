package main

import (
	"strings"
	"testing"
	"time"

	"handoff/configs"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// TestInvite plays transfers by a new call into a SIP domain of Twilio's.
func TestInvite(t *testing.T) {
	t.Parallel()
	const proved = `handoff_transfers_total{method="invite",reason="proved",result="success"} 1`
	for name, reception := range map[string]twilio.Reception{
		"challenged":                 {},
		"behind an access list":      {NoAuth: true},
		"after ringing":              {RingFor: 300 * time.Millisecond},
		"with early media":           {RingFor: 300 * time.Millisecond, EarlyMedia: true},
		"answered without a ringing": {NoRinging: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc, caller, assistant, outcome := invited(t, reception, nil)
			agent, err := sc.twilio.Domain().Accept(sc.ctx)
			sc.must(err)
			sc.must(agent.AwaitAnswer(sc.ctx))
			sc.told(<-outcome, 100, 200)
			sc.hear(caller.Phone(), agent.Phone())
			sc.flexHas(agent.Sid(), testKey)
			_, err = assistant.Await(sc.ctx)
			sc.must(err)
			sc.hear(caller.Phone(), agent.Phone()) // Watson's end changes nothing
			sc.must(caller.Hangup(sc.ctx))
			_, err = agent.Await(sc.ctx)
			sc.must(err)
			sc.over(caller, assistant)
			sc.clean()
			sc.counted(proved)
			sc.counted(`handoff_calls_total{reason="transferred",result="success"} 1`)
		})
	}
	t.Run("a caller with plain RTP, Watson and agent with SRTP", func(t *testing.T) {
		t.Parallel()
		sc := newScene(t, stageConfig{Domain: true, Set: func(c *configs.Config) { c.Twilio.SRTP = configs.SRTPOptional }})
		caller, err := sc.twilio.PlaceTrunk(sc.ctx, "+18885557777", false, twilio.Options{})
		sc.must(err)
		assistant := sc.answered(caller)
		sc.stillTalk(caller, assistant)
		outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
		sc.must(err)
		sc.told(outcome, 100, 200)
		agent, err := sc.twilio.Domain().Accept(sc.ctx)
		sc.must(err)
		sc.hear(caller.Phone(), agent.Phone())
		sc.must(caller.Hangup(sc.ctx))
		sc.over(caller, assistant)
		sc.clean()
	})
	t.Run("a caller who took another codec when Watson moved", func(t *testing.T) {
		t.Parallel()
		sc := newScene(t, stageConfig{Domain: true})
		caller, err := sc.twilio.PlaceTrunk(sc.ctx, "+18885557777", true, twilio.Options{})
		sc.must(err)
		assistant := sc.answered(caller)
		if status, err := caller.Reinvite(sc.ctx, twilio.Codec); err != nil || status != 200 {
			t.Fatal(status, err)
		}
		sc.must(assistant.Phone().Move())
		if status, err := assistant.Reinvite(sc.ctx); err != nil || status != 200 {
			t.Fatal(status, err)
		}
		outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
		sc.must(err)
		sc.told(outcome, 100, 200)
		agent, err := sc.twilio.Domain().Accept(sc.ctx)
		sc.must(err)
		sc.hear(caller.Phone(), agent.Phone())
		sc.must(caller.Hangup(sc.ctx))
		sc.over(caller, assistant)
		sc.clean()
	})
	t.Run("an operator can't take the caller from the agent", func(t *testing.T) {
		t.Parallel()
		sc, caller, assistant, outcome := invited(t, twilio.Reception{}, nil)
		agent, err := sc.twilio.Domain().Accept(sc.ctx)
		sc.must(err)
		sc.must(agent.AwaitAnswer(sc.ctx))
		sc.told(<-outcome, 100, 200)
		_, err = assistant.Await(sc.ctx)
		sc.must(err)
		id := sc.listed(caller)
		sc.until("he is refused", func() bool { // as soon as Watson's leg is over at the edge, for that reason
			code, said := sc.calls("transfer", id, "--to=sip:queue@flex.twilio.com")
			return code == exitError && strings.Contains(said, "an agent already")
		})
		sc.hear(caller.Phone(), agent.Phone())
		sc.must(caller.Hangup(sc.ctx))
		_, err = agent.Await(sc.ctx)
		sc.must(err)
		sc.over(caller, assistant)
		sc.clean()
	})
	t.Run("the agent hangs up", func(t *testing.T) {
		t.Parallel()
		sc, caller, assistant, outcome := invited(t, twilio.Reception{}, nil)
		agent, err := sc.twilio.Domain().Accept(sc.ctx)
		sc.must(err)
		sc.must(agent.AwaitAnswer(sc.ctx))
		sc.told(<-outcome, 100, 200)
		sc.must(agent.Hangup(sc.ctx))
		sc.over(caller, assistant)
		if how := caller.Ending().How; how != twilio.EdgeHungUp {
			t.Errorf("at Twilio: %s", how)
		}
		sc.clean()
	})
	t.Run("the SIP domain is silent", func(t *testing.T) {
		t.Parallel()
		sc, caller, assistant, outcome := invited(t, twilio.Reception{Silent: true}, func(c *configs.Config) {
			c.Transfer.Timeout = time.Second
		})
		assistant.Phone().Mute()
		sc.until("he hears a comfort tone", func() bool { return caller.Phone().Stats().Sound() > 5 })
		sc.told(<-outcome, 100, 408)
		sc.stillTalk(caller, assistant)
		sc.must(caller.Hangup(sc.ctx)) // leg C stays until timer B: CANCEL may not be sent before a provisional response
		sc.clean()
		sc.counted(`handoff_transfers_total{method="invite",reason="silent",result="indeterminate"} 1`)
	})
	t.Run("the caller hangs up while it rings", func(t *testing.T) {
		t.Parallel()
		sc, caller, assistant, _ := invited(t, twilio.Reception{RingFor: time.Minute}, nil)
		agent, err := sc.twilio.Domain().Accept(sc.ctx)
		sc.must(err)
		assistant.Phone().Mute()
		sc.until("he hears a ringback tone", func() bool { return caller.Phone().Stats().Sound() > 5 })
		sc.must(caller.Hangup(sc.ctx))
		_, err = agent.Await(sc.ctx)
		sc.must(err)
		sc.over(caller, assistant)
		sc.clean()
	})
}

// invited places a call of an elastic trunk, which Twilio refers nowhere, and lets Watson transfer it.
func invited(t *testing.T, r twilio.Reception, set func(*configs.Config)) (*scene, *twilio.Call, *watson.Call, <-chan watson.Outcome) {
	t.Helper()
	sc := newScene(t, stageConfig{Domain: true, Set: set})
	r.Key = testKey
	sc.twilio.Domain().Receive(r)
	caller, err := sc.twilio.PlaceTrunk(sc.ctx, "+18885557777", true, twilio.Options{})
	sc.must(err)
	assistant := sc.answered(caller)
	told := make(chan watson.Outcome, 1)
	go func() {
		outcome, _ := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey, OnFailure: watson.ResumeCall})
		told <- outcome
	}()
	return sc, caller, assistant, told
}

// hear waits until two phones hear each other, from now on.
func (sc *scene) hear(a, b *phone.Phone) {
	sc.t.Helper()
	before := [2]uint64{a.Stats().Heard, b.Stats().Heard}
	a.Talk()
	b.Talk()
	sc.until("both hear each other", func() bool {
		return a.Stats().Heard > before[0]+5 && b.Stats().Heard > before[1]+5
	})
}

// flexHas waits until Flex has a task of this call with key.
func (sc *scene) flexHas(sid, key string) {
	sc.t.Helper()
	task, err := sc.twilio.Flex().Await(sc.ctx, sid)
	sc.must(err)
	if got := task.SessionHistoryKey(); got != key {
		sc.t.Errorf("Flex has the key %q, want %q", got, key)
	}
}
