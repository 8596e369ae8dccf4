package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"handoff/sip/simulator/twilio"
	simwire "handoff/sip/simulator/wire"
)

// contract are the metrics that dashboards of others may rely on, by type.
var contract = map[string]string{
	"calls_active": "gauge", "calls_total": "counter", "call_setup_seconds": "histogram", "call_duration_seconds": "histogram",
	"transfers_total": "counter", "transfer_seconds": "histogram", "transfer_context_total": "counter", "transfer_dead_air_seconds": "histogram",
	"transfers_active": "gauge", "sip_requests_total": "counter", "sip_responses_total": "counter", "sip_rejected_total": "counter",
	"tls_connections": "gauge", "tls_certificate_expiry_seconds": "gauge", "watson_target_up": "gauge", "rtp_packets_total": "counter",
	"rtp_lost_total": "counter", "rtp_jitter_seconds": "histogram", "rtp_foreign_packets_total": "counter", "rtp_one_way_total": "counter",
	"media_sessions": "gauge", "media_ports_free": "gauge", "mos": "histogram", "journal_written_total": "counter", "mailbox_full_total": "counter",
	"build_info": "gauge",
}

// names of series, without values.
func (sc *scene) series() (all []string) {
	for name := range samples(sc.get("/metrics")) {
		all = append(all, name)
	}
	return all
}

func TestEveryMetricIsThereBeforeTheFirstCall(t *testing.T) {
	t.Parallel()
	sc := newScene(t, stageConfig{})
	page, all := sc.get("/metrics"), sc.series()
	for name, kind := range contract {
		if !strings.Contains(page, "\n# TYPE handoff_"+name+" "+kind+"\n") {
			t.Errorf("%s is no %s", name, kind)
		}
		sample := regexp.MustCompile("^handoff_" + name + "(_bucket|_sum|_count)?({|$)")
		if !slices.ContainsFunc(all, sample.MatchString) {
			t.Errorf("%s has no series", name)
		}
	}
}

// What strangers and callers say becomes no series: neither a name, nor a number, a product, a method or a header of theirs.
func TestWhatCallersSayBecomesNoSeries(t *testing.T) {
	t.Parallel()
	sc := newScene(t, stageConfig{})
	talkAndHangUp(sc)
	before := sc.series()
	for _, o := range []twilio.Options{
		{From: "+19998887777", Name: "Mallory } 1", Headers: []simwire.Header{{Name: "User-Agent", Value: "evil/6.6"}, {Name: "X-Twilio-Evil", Value: "evil"}}},
		{From: "+19998887778", Anonymous: true},
	} {
		caller, assistant := sc.place(o)
		for _, method := range []string{"BREW", "EVIL", "evil"} {
			if _, err := caller.Send(sc.ctx, caller.Request(method)); err != nil && !errors.Is(err, sc.ctx.Err()) {
				t.Log(err)
			}
		}
		sc.must(caller.Hangup(sc.ctx))
		sc.over(caller, assistant)
	}
	sc.counted("handoff_calls_active 0")
	code := regexp.MustCompile(`^handoff_sip_responses_total{code="(\d{3}|other)",`)
	for _, name := range sc.series() {
		if !slices.Contains(before, name) && !code.MatchString(name) {
			t.Errorf("new is %s", name)
		}
		for _, said := range []string{"1999888", "Mallory", "evil", "EVIL", "BREW"} {
			if strings.Contains(name, said) {
				t.Errorf("%s is in %s", said, name)
			}
		}
	}
}
