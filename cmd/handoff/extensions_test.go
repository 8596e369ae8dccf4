package main

import (
	"strings"
	"testing"
	"time"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// TestExtensions plays calls in which a peer asks for more than RFC 3261: reliable provisional responses,
// session timers, offers that come late.
func TestExtensions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		cfg    stageConfig
		ladder bool
		play   func(sc *scene)
	}{
		{"reliable early media", behaves(watson.Behaviour{Reliable: true, EarlyMedia: true, RingFor: 100 * time.Millisecond}), true, talkAndHangUp},
		{"reliable ringing", behaves(watson.Behaviour{Reliable: true}), false, holdAndTransfer},
		{"early media of two forks", behaves(watson.Behaviour{EarlyMedia: true, EarlyFork: true, RingFor: 300 * time.Millisecond}), false, talkAndHangUp},
		{"caller without an offer", stageConfig{}, true, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{LateOffer: true})
			sc.stillTalk(caller, assistant)
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"caller without an offer is transferred", behaves(watson.Behaviour{EarlyMedia: true, RingFor: 100 * time.Millisecond}), false, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{LateOffer: true})
			sc.stillTalk(caller, assistant)
			sc.must(assistant.Hold(sc.ctx, watson.HoldSendOnly))
			sc.must(assistant.Resume(sc.ctx))
			if status, err := caller.Reinvite(sc.ctx, twilio.Address); err != nil || status != 200 {
				sc.t.Errorf("address: %d, %v", status, err)
			}
			sc.stillTalk(caller, assistant)
			outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
			sc.must(err)
			sc.told(outcome, 100, 200)
			sc.over(caller, assistant)
			sc.inFlex(caller, testKey)
		}},
		{"caller without an offer, plain RTP", plain("tcp"), false, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{LateOffer: true})
			sc.stillTalk(caller, assistant)
			sc.must(assistant.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"caller with a session timer", stageConfig{}, false, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{SessionExpires: "1800"})
			if !sc.wrote(metrics.PeerTwilio, "SIP/2.0 200", "Session-Expires: 1800;refresher=uac") {
				sc.t.Error("the timer was not agreed to")
			}
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"caller whose timer is too short", stageConfig{}, false, func(sc *scene) {
			caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{SessionExpires: "60"})
			sc.must(err)
			sc.over(caller, nil)
			if got := caller.Ending(); got.Status != 422 {
				sc.t.Errorf("ended %+v", got)
			}
		}},
		{"the edge refreshes by UPDATE", behaves(watson.Behaviour{SessionExpires: 10 * time.Second}), true, refreshedTwice},
		{"the edge refreshes by re-INVITE", behaves(watson.Behaviour{SessionExpires: 10 * time.Second, NoUpdate: true}), true, refreshedTwice},
		{"watson refreshes", behaves(watson.Behaviour{SessionExpires: 10 * time.Second, Refreshes: true}), false, refreshedTwice},
		{"watson forgets to refresh", behaves(watson.Behaviour{SessionExpires: 10 * time.Second, Refreshes: true, Forgetful: true}), false, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			sc.over(caller, assistant)
			sc.counted(`handoff_calls_total{reason="watson_expired",result="upstream"} 1`)
			if got := caller.Ending(); got.How != twilio.EdgeHungUp {
				sc.t.Errorf("the caller ended %+v", got)
			}
		}},
		{"watson is asked for a session timer", stageConfig{Set: func(c *configs.Config) { c.Watson.SessionExpires = 30 * time.Minute }}, false, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			if got := assistant.Invite().Get("Session-Expires"); got != "1800" {
				sc.t.Errorf("asked for %q", got)
			}
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, tt.cfg)
			tt.play(sc)
			if tt.ladder {
				sc.goldenOf("extensions/"+strings.ReplaceAll(tt.name, " ", "_"), func() string { return sc.legLadders(0) })
			}
			sc.clean()
		})
	}
}

// refreshedTwice talks until the session was refreshed twice.
func refreshedTwice(sc *scene) {
	caller, assistant := sc.place(twilio.Options{})
	sc.until("the session was refreshed twice", func() bool { return assistant.Refreshes() == 2 })
	sc.stillTalk(caller, assistant)
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
}

// wrote tells whether the edge sent a message to peer that begins and has a line so.
func (sc *scene) wrote(peer metrics.Peer, start, line string) bool {
	for _, m := range sc.recorder.Messages() {
		if m.Peer == peer && m.Direction == metrics.Out && strings.HasPrefix(string(m.Raw), start) && strings.Contains(string(m.Raw), line) {
			return true
		}
	}
	return false
}
