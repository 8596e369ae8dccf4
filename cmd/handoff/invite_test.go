package main

import (
	"strings"
	"testing"
	"time"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// TestInvite plays transfers by a new call into a SIP domain of Twilio's.
func TestInvite(t *testing.T) {
	t.Parallel()
	const (
		proved   = `handoff_transfers_total{method="invite",reason="proved",result="success"} 1`
		rejected = `handoff_transfers_total{method="invite",reason="rejected",result="upstream"} 1`
		timedOut = `handoff_transfers_total{method="invite",reason="silent",result="indeterminate"} 1`
	)
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
	for _, when := range []watson.Reaction{watson.ByeAfterAccept, watson.ByeAfterTrying, watson.ByeAfterFinal} {
		t.Run("watson leaves early: "+when.String(), func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, stageConfig{Domain: true})
			sc.twilio.Domain().Receive(twilio.Reception{Key: testKey, RingFor: 300 * time.Millisecond})
			caller, err := sc.twilio.PlaceTrunk(sc.ctx, "+18885557777", true, twilio.Options{})
			sc.must(err)
			assistant := sc.answered(caller)
			_, err = assistant.Refer(sc.ctx, watson.Transfer{Key: testKey, Reaction: when})
			sc.must(err)
			_, err = assistant.Await(sc.ctx)
			sc.must(err)
			agent, err := sc.twilio.Domain().Accept(sc.ctx)
			sc.must(err)
			sc.must(agent.AwaitAnswer(sc.ctx))
			sc.hear(caller.Phone(), agent.Phone())
			sc.must(agent.Hangup(sc.ctx))
			sc.over(caller, assistant)
			sc.clean()
			sc.counted(proved)
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
	for _, tt := range []struct {
		name      string
		reception twilio.Reception
		codes     []int
		count     string
	}{
		{"busy", twilio.Reception{Status: 486}, []int{100, 486}, rejected},
		{"no webhook", twilio.Reception{Status: 503}, []int{100, 503}, rejected},
		{"busy after early media", twilio.Reception{Status: 486, EarlyMedia: true, RingFor: 100 * time.Millisecond}, []int{100, 486}, rejected},
		{"not on the access list", twilio.Reception{Deny: true}, []int{100, 403}, rejected},
		{"wrong credentials", twilio.Reception{Refuse: true}, []int{100, 403}, rejected},
		{"no secure media", twilio.Reception{PlainMedia: true}, []int{100, 488}, rejected},
		{"nobody answers", twilio.Reception{RingFor: time.Minute}, []int{100, 408}, rejected},
		{"silence", twilio.Reception{Silent: true}, []int{100, 408}, timedOut},
	} {
		t.Run("the caller stays with Watson: "+tt.name, func(t *testing.T) {
			t.Parallel()
			sc, caller, assistant, outcome := invited(t, tt.reception, func(c *configs.Config) {
				c.Transfer.Timeout = time.Second
			})
			if tt.reception.Silent {
				assistant.Phone().Mute()
				sc.until("he hears a comfort tone", func() bool { return caller.Phone().Stats().Sound() > 5 })
			}
			sc.told(<-outcome, tt.codes...)
			sc.stillTalk(caller, assistant)
			sc.must(caller.Hangup(sc.ctx))
			if !tt.reception.Silent { // leg C waits for a provisional response to send CANCEL after, until timer B
				sc.over(caller, assistant)
			}
			sc.clean()
			sc.counted(tt.count)
		})
	}
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

// TestChain plays the three methods one after the other.
func TestChain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		refer     twilio.Refer
		rest      twilio.REST
		reception twilio.Reception
		codes     []int
		bridged   bool
		calledC   bool
		count     string
	}{
		{"the third works", twilio.Refer{Status: 603}, twilio.REST{Status: 404}, twilio.Reception{}, []int{100, 200}, true, true,
			`handoff_transfers_total{method="invite",reason="proved",result="success"} 1`},
		{"none works", twilio.Refer{Final: 486}, twilio.REST{Status: 400}, twilio.Reception{Status: 480}, []int{100, 480}, false, true,
			`handoff_transfers_total{method="invite",reason="rejected",result="upstream"} 1`},
		{"a silent REFER ends it", twilio.Refer{Then: twilio.Nothing}, twilio.REST{}, twilio.Reception{}, []int{100, 408}, false, false,
			`handoff_transfers_total{method="refer",reason="silent",result="indeterminate"} 1`},
		{"a REST request that may have arrived ends it", twilio.Refer{Status: 603}, twilio.REST{Loss: twilio.CutBefore}, twilio.Reception{},
			[]int{100, 408}, false, false, `handoff_transfers_total{method="rest",reason="silent",result="indeterminate"} 1`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, stageConfig{REST: true, Domain: true, Set: func(c *configs.Config) {
				c.Transfer.Timeout = 2 * time.Second
			}})
			sc.twilio.BehaveREST(tt.rest)
			tt.reception.Key = testKey
			sc.twilio.Domain().Receive(tt.reception)
			caller, assistant := sc.place(twilio.Options{Refer: tt.refer})
			outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey, OnFailure: watson.ResumeCall})
			sc.must(err)
			sc.told(outcome, tt.codes...)
			if got := sc.sent(metrics.PeerTwilio, "INVITE "); got != tt.calledC {
				t.Errorf("an agent was called: %t", got)
			}
			if tt.bridged {
				agent, err := sc.twilio.Domain().Accept(sc.ctx)
				sc.must(err)
				sc.hear(caller.Phone(), agent.Phone())
				sc.flexHas(agent.Sid(), testKey)
			} else {
				sc.stillTalk(caller, assistant)
			}
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
			sc.clean()
			sc.counted(tt.count)
		})
	}
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
