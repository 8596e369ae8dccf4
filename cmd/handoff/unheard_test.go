package main

import (
	"testing"

	"handoff/metrics"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// A caller who is not heard, or hears nobody, is what operators are asked about: the counter and one line of the log say
// whose audio it is and why, while the call is still up.
func TestTheOperatorSeesWhoIsNotHeard(t *testing.T) {
	t.Parallel()
	oneWay := func(leg metrics.Leg, why metrics.OneWay) string {
		return `handoff_rtp_one_way_total{leg="` + leg.String() + `",reason="` + why.String() + `"} 1`
	}
	for name, play := range map[string]func(sc *scene, caller *twilio.Call, assistant *watson.Call){
		"the caller's line is dead": func(sc *scene, caller *twilio.Call, _ *watson.Call) {
			caller.Phone().Mute()
			sc.counted(oneWay(metrics.LegA, metrics.OneWayNothing))
		},
		"Watson says nothing": func(sc *scene, _ *twilio.Call, assistant *watson.Call) {
			assistant.Phone().Mute()
			sc.counted(oneWay(metrics.LegB, metrics.OneWayNothing))
			assistant.Phone().Talk()
		},
		"Watson holds the caller": func(sc *scene, _ *twilio.Call, assistant *watson.Call) {
			sc.must(assistant.Hold(sc.ctx, watson.HoldSendOnly))
			sc.counted(oneWay(metrics.LegA, metrics.OneWayHold))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, stageConfig{})
			caller, assistant := sc.place(twilio.Options{})
			play(sc, caller, assistant)
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
			sc.clean()
		})
	}
	t.Run("the caller sends from another port", func(t *testing.T) {
		t.Parallel()
		sc := newScene(t, stageConfig{})
		caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{NAT: true})
		sc.must(err)
		sc.must(caller.AwaitAnswer(sc.ctx))
		sc.counted(oneWay(metrics.LegA, metrics.OneWaySource))
		sc.must(caller.Hangup(sc.ctx))
		sc.clean()
	})
}
