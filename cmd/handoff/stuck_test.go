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

// TestWhatNobodyEnds: a call whose end is lost ends all the same, and both legs hear why.
func TestWhatNobodyEnds(t *testing.T) {
	const timeout = 3 * time.Second
	wait := func(*scene, *twilio.Call, *watson.Call) {}
	asked := stageConfig{Set: func(c *configs.Config) { c.SIP.Keepalive.Options = time.Second }}
	for _, tt := range []struct {
		name     string
		cfg      stageConfig
		play     func(*scene, *twilio.Call, *watson.Call)
		reason   string
		result   string
		toCaller string // the text of the Reason, where it is not the reason
		toWatson string
	}{
		{"the caller falls silent", stageConfig{}, func(_ *scene, caller *twilio.Call, _ *watson.Call) {
			caller.Phone().Mute()
		}, "caller_silent", "caller", "", ""},
		{"Watson falls silent", stageConfig{}, func(_ *scene, _ *twilio.Call, assistant *watson.Call) {
			assistant.Phone().Mute()
		}, "watson_silent", "upstream", "", ""},
		{"Watson holds, resumes, and falls silent", stageConfig{}, func(sc *scene, caller *twilio.Call, assistant *watson.Call) {
			sc.must(assistant.Hold(sc.ctx, watson.HoldInactive))
			time.Sleep(timeout + 2*time.Second) // that is no silence
			sc.must(assistant.Resume(sc.ctx))
			sc.stillTalk(caller, assistant)
			assistant.Phone().Mute()
		}, "watson_silent", "upstream", "", ""},
		{"it lasts too long", stageConfig{Set: func(c *configs.Config) { c.Limits.Duration = timeout }}, wait, "duration", "us", "", ""},
		{"Watson forgets to refresh", behaves(watson.Behaviour{SessionExpires: 10 * time.Second, Refreshes: true, Forgetful: true}), wait,
			"watson_expired", "upstream", "", "Session expired"},
		{"Watson forgets the dialog", asked, func(_ *scene, _ *twilio.Call, assistant *watson.Call) {
			assistant.Vanish()
		}, "watson_lost", "upstream", "", "-"},
		{"the caller's side forgets the dialog", asked, func(_ *scene, caller *twilio.Call, _ *watson.Call) {
			caller.Vanish()
		}, "caller_lost", "caller", "-", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			set := tt.cfg.Set
			tt.cfg.Set = func(c *configs.Config) {
				c.Media.Timeout = timeout
				if set != nil {
					set(c)
				}
			}
			sc := newScene(t, tt.cfg)
			caller, assistant := sc.place(twilio.Options{})
			tt.play(sc, caller, assistant)
			sc.over(caller, assistant)
			sc.counted(`handoff_calls_total{reason="` + tt.reason + `",result="` + tt.result + `"} 1`)
			for leg, told := range map[string][2]string{"the caller": {caller.Ending().Reason, tt.toCaller}, "Watson": {assistant.Ending().Reason, tt.toWatson}} {
				want := told[1]
				if want == "" {
					want = tt.reason
				}
				if want != "-" && !strings.Contains(told[0], `;text="`+want+`"`) {
					t.Errorf("%s heard %q, want %s", leg, told[0], want)
				}
			}
			sc.clean()
		})
	}
}

// What nobody ends ends, too, when the caller talks to an agent whom the edge has called.
func TestWhatNobodyEndsWithAnAgent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		set            func(*configs.Config)
		mute           func(caller, agent *phone.Phone)
		reason, result string
	}{
		{"the agent falls silent", func(c *configs.Config) { c.Media.Timeout = 2 * time.Second }, func(_, agent *phone.Phone) { agent.Mute() }, "agent_silent", "upstream"},
		{"the caller falls silent", func(c *configs.Config) { c.Media.Timeout = 2 * time.Second }, func(caller, _ *phone.Phone) { caller.Mute() }, "caller_silent", "caller"},
		{"it lasts too long", func(c *configs.Config) { c.Limits.Duration = 4 * time.Second }, func(_, _ *phone.Phone) {}, "duration", "us"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sc, caller, assistant, told := invited(t, twilio.Reception{}, tt.set)
			agent := sc.agent()
			sc.told(<-told, 100, 200)
			sc.hear(caller.Phone(), agent.Phone())
			tt.mute(caller.Phone(), agent.Phone())
			_, err := agent.Await(sc.ctx)
			sc.must(err)
			sc.over(caller, assistant)
			sc.counted(`handoff_calls_total{reason="` + tt.reason + `",result="` + tt.result + `"} 1`)
			sc.counted(`handoff_calls_total{reason="transferred",result="success"} 0`)
			sc.counted(`handoff_transfers_total{method="invite",reason="proved",result="success"} 1`)
			for leg, heard := range map[string]string{"the caller": caller.Ending().Reason, "the agent": agent.Ending().Reason} {
				if !strings.Contains(heard, `;text="`+tt.reason+`"`) {
					t.Errorf("%s heard %q", leg, heard)
				}
			}
			sc.clean()
		})
	}
}
