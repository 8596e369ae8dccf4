package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// TestSignallingMeetsMedia plays whole calls in which offer and answer decide what passes.
func TestSignallingMeetsMedia(t *testing.T) {
	t.Parallel()
	const own = 96 // of Watson's, where everybody else has 101
	numbers := behaves(watson.Behaviour{Events: own})
	plainNumbers := plain("tcp")
	plainNumbers.WatsonSet = func(c *watson.Config) { c.PlainMedia, c.Behaviour.Events = true, own }
	ownKeys := numbers
	ownKeys.Set = func(c *configs.Config) { c.Media.SRTPKeys = configs.SRTPKeysTerminate }
	tests := []struct {
		name string
		cfg  stageConfig
		play func(sc *scene)
	}{
		{"digits under one number, SRTP", stageConfig{}, digits(twilio.Options{Events: 97})},
		{"digits under two numbers, SRTP", numbers, digits(twilio.Options{})},
		{"digits under two numbers, plain RTP", plainNumbers, digits(twilio.Options{})},
		{"digits under two numbers, keys of the edge's own", ownKeys, digits(twilio.Options{})},
		{"digits under two numbers, a late offer", numbers, digits(twilio.Options{LateOffer: true})},
		{"digits under a number of the caller's in his ACK", stageConfig{}, digits(twilio.Options{LateOffer: true, Events: 97})},
		{"digits under three numbers", func() stageConfig { c := numbers; c.Domain = true; return c }(), func(sc *scene) {
			sc.twilio.Domain().Receive(twilio.Reception{Events: 98})
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
			sc.press(caller.Phone(), assistant.Phone())
			_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
			sc.must(err)
			agent, err := sc.twilio.Domain().Accept(sc.ctx)
			sc.must(err)
			sc.must(agent.AwaitAnswer(sc.ctx))
			sc.hear(caller.Phone(), agent.Phone())
			sc.press(caller.Phone(), agent.Phone())
			sc.press(agent.Phone(), caller.Phone())
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
			sc.whole(caller.Phone(), assistant.Phone(), agent.Phone())
		}},
		{"early media is heard before the answer", behaves(watson.Behaviour{EarlyMedia: true, RingFor: time.Minute}), func(sc *scene) {
			caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
			sc.must(err)
			assistant, err := sc.watson.Accept(sc.ctx)
			sc.must(err)
			<-caller.Ringing()
			sc.hear(caller.Phone(), assistant.Phone())
			if sc.sent(metrics.PeerTwilio, "SIP/2.0 200 ") {
				sc.t.Error("answered")
			}
			sc.must(caller.Cancel(sc.ctx))
			sc.over(caller, assistant)
			sc.whole(caller.Phone(), assistant.Phone())
		}},
		{"streams besides the audio are refused and go nowhere", stageConfig{}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{Streams: []string{
				"video 40000 RTP/AVP 31", "audio 40004 RTP/AVP 0", "application 40002 UDP/BFCP 0",
			}})
			sc.stillTalk(caller, assistant)
			for _, change := range []twilio.Change{twilio.Refresh, twilio.Codec, twilio.Address} {
				if status, err := caller.Reinvite(sc.ctx, change); err != nil || status != 200 {
					sc.t.Errorf("%s: %d, %v", change, status, err)
				}
				sc.stillTalk(caller, assistant)
			}
			sc.must(assistant.Phone().Move()) // and Twilio is offered the m-lines that it has
			if status, err := assistant.Reinvite(sc.ctx); err != nil || status != 200 {
				sc.t.Errorf("address of Watson: %d, %v", status, err)
			}
			sc.stillTalk(caller, assistant)
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
			sc.whole(caller.Phone(), assistant.Phone())
			for _, m := range sc.recorder.Messages() {
				if m.Peer == metrics.PeerWatson && strings.Count(string(m.Raw), "\r\nm=") > 1 {
					sc.t.Errorf("on Watson's leg:\n%s", m.Raw)
				}
			}
		}},
		{"IPv6, SRTP that passes", inIPv6(stageConfig{}), holdAndTransfer},
		{"IPv6, plain RTP", inIPv6(plain("tcp")), talkAndHangUp},
		{"IPv6, a transfer by INVITE", inIPv6(stageConfig{Domain: true}), func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
			transferred := make(chan error, 1)
			go func() { // ends with the transfer
				_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
				transferred <- err
			}()
			agent, err := sc.twilio.Domain().Accept(sc.ctx)
			sc.must(err)
			sc.must(agent.AwaitAnswer(sc.ctx))
			sc.hear(caller.Phone(), agent.Phone())
			sc.must(<-transferred)
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"a caller behind a NAT, SRTP that passes", learns(stageConfig{}), behindNAT},
		{"a caller behind a NAT, keys of the edge's own", learns(ownKeys), behindNAT},
		{"a caller behind a NAT, plain RTP", learns(plain("tcp")), behindNAT},
		{"a caller behind a NAT whom nobody learns", stageConfig{}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{NAT: true})
			sc.until("his media are foreign", func() bool {
				return strings.Contains(sc.get("/metrics"), `rtp_foreign_packets_total{leg="a",reason="source"} `) &&
					!strings.Contains(sc.get("/metrics"), `rtp_foreign_packets_total{leg="a",reason="source"} 0`)
			})
			if n := assistant.Phone().Stats().Heard; n > 0 {
				sc.t.Errorf("Watson hears %d packets", n)
			}
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"a call for whom no port is left", stageConfig{Set: func(c *configs.Config) {
			c.Media.Ports.Last = c.Media.Ports.First + 3
		}}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			sc.counted("handoff_media_ports_free 0")
			refused, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
			sc.must(err)
			_, err = refused.Await(sc.ctx)
			sc.must(err)
			if status := refused.Ending().Status; status != 503 {
				sc.t.Errorf("the second caller heard %d", status)
			}
			sc.counted(`handoff_calls_total{reason="no_ports",result="us"} 1`)
			sc.counted("handoff_media_port_rest_shortened_total 0")
			sc.stillTalk(caller, assistant)
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
			caller, assistant = sc.place(twilio.Options{}) // the ports have not rested, and are better than none
			sc.counted("handoff_media_port_rest_shortened_total 2")
			sc.stillTalk(caller, assistant)
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"the codec changes while the caller hears a tone", stageConfig{Domain: true}, func(sc *scene) {
			sc.twilio.Domain().Receive(twilio.Reception{RingFor: time.Minute})
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
			assistant.Phone().Mute()
			go assistant.Refer(sc.ctx, watson.Transfer{Key: testKey}) // ends when the caller has gone
			agent, err := sc.twilio.Domain().Accept(sc.ctx)
			sc.must(err)
			hears := func(more uint64) {
				sc.t.Helper()
				before := caller.Phone().Stats().Sound()
				sc.until("he hears it", func() bool { return caller.Phone().Stats().Sound() > before+more })
			}
			hears(5)
			if status, err := caller.Reinvite(sc.ctx, twilio.Codec); err != nil || status != 200 {
				sc.t.Errorf("codec: %d, %v", status, err)
			}
			hears(20)
			sc.must(caller.Hangup(sc.ctx))
			_, err = agent.Await(sc.ctx)
			sc.must(err)
			sc.over(caller, assistant)
		}},
		{"RTCP on the port of RTP on one leg, SRTP that passes", reports(stageConfig{}), muxed},
		{"RTCP on the port of RTP on one leg, keys of the edge's own", reports(ownKeys), muxed},
		{"RTCP on the port of RTP on one leg, plain RTP", reports(plain("tcp")), muxed},
		{"hold and resume by either side", stageConfig{}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			for _, hold := range []watson.Hold{watson.HoldSendOnly, watson.HoldInactive} {
				sc.must(assistant.Hold(sc.ctx, hold))
				sc.must(assistant.Resume(sc.ctx))
				sc.stillTalk(caller, assistant)
			}
			for _, change := range []twilio.Change{twilio.Hold, twilio.Resume} {
				if status, err := caller.Reinvite(sc.ctx, change); err != nil || status != 200 {
					sc.t.Errorf("%s: %d, %v", change, status, err)
				}
			}
			sc.stillTalk(caller, assistant)
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
			sc.whole(caller.Phone(), assistant.Phone())
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, tt.cfg)
			tt.play(sc)
			sc.clean()
			sc.counted("handoff_calls_active 0")
		})
	}
}

// learns is a world in which the edge learns from where Twilio's media come.
func learns(cfg stageConfig) stageConfig {
	set := cfg.Set
	cfg.Set = func(c *configs.Config) {
		c.Twilio.MediaLearn = configs.MediaLearnWindow
		if set != nil {
			set(c)
		}
	}
	return cfg
}

// behindNAT plays a call of a caller whose media come from where his SDP does not say.
func behindNAT(sc *scene) {
	caller, assistant := sc.place(twilio.Options{NAT: true})
	sc.stillTalk(caller, assistant)
	sc.must(assistant.Hold(sc.ctx, watson.HoldInactive))
	sc.must(assistant.Resume(sc.ctx))
	sc.stillTalk(caller, assistant)
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
	sc.whole(caller.Phone(), assistant.Phone())
}

// reports is a world in which Watson sends reports.
func reports(cfg stageConfig) stageConfig {
	set := cfg.WatsonSet
	cfg.WatsonSet = func(c *watson.Config) {
		c.Report = 50 * time.Millisecond
		if set != nil {
			set(c)
		}
	}
	return cfg
}

// muxed plays a call of a caller who has RTCP on the port of RTP, with a Watson who has not.
func muxed(sc *scene) {
	caller, assistant := sc.place(twilio.Options{Mux: true, Report: 50 * time.Millisecond})
	sc.stillTalk(caller, assistant)
	for _, p := range []*phone.Phone{caller.Phone(), assistant.Phone()} {
		sc.until("reports are heard", func() bool { return p.Stats().Reports > 3 })
	}
	if status, err := caller.Reinvite(sc.ctx, twilio.Address); err != nil || status != 200 {
		sc.t.Errorf("address: %d, %v", status, err)
	}
	sc.stillTalk(caller, assistant)
	for _, p := range []*phone.Phone{caller.Phone(), assistant.Phone()} {
		before := p.Stats().Reports
		sc.until("reports are heard", func() bool { return p.Stats().Reports > before+3 })
	}
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
	sc.whole(caller.Phone(), assistant.Phone())
	for _, p := range []*phone.Phone{caller.Phone(), assistant.Phone()} {
		if n := p.Stats().BadReports; n > 0 {
			sc.t.Errorf("%d bad reports", n)
		}
	}
}

// inIPv6 is a world without IPv4.
func inIPv6(cfg stageConfig) stageConfig {
	six := netip.IPv6Loopback()
	cfg.At = stageAddrs{Edge: six, Twilio: six, Watson: six}
	return cfg
}

// digits plays a call in which either side presses some, before and behind a hold and a new offer.
func digits(o twilio.Options) func(*scene) {
	return func(sc *scene) {
		caller, assistant := sc.place(o)
		sc.stillTalk(caller, assistant)
		sc.press(caller.Phone(), assistant.Phone())
		sc.press(assistant.Phone(), caller.Phone())
		sc.must(assistant.Hold(sc.ctx, watson.HoldInactive))
		sc.must(assistant.Resume(sc.ctx))
		sc.press(caller.Phone(), assistant.Phone())
		sc.press(assistant.Phone(), caller.Phone())
		for _, p := range []*phone.Phone{caller.Phone(), assistant.Phone()} { // what is on its way while the codec changes is of no use to anybody
			if n := p.Stats().Malformed; n > 0 {
				sc.t.Errorf("%d packets under a number that nobody agreed on", n)
			}
		}
		if status, err := caller.Reinvite(sc.ctx, twilio.Codec); err != nil || status != 200 {
			sc.t.Errorf("codec: %d, %v", status, err)
		}
		sc.stillTalk(caller, assistant)
		sc.press(caller.Phone(), assistant.Phone())
		sc.press(assistant.Phone(), caller.Phone())
		sc.must(caller.Hangup(sc.ctx))
		sc.over(caller, assistant)
		sc.whole(caller.Phone(), assistant.Phone())
	}
}

// press lets one side press some digits, and wants the other to hear just those.
func (sc *scene) press(from, to *phone.Phone) {
	sc.t.Helper()
	before := to.Stats().Digits
	const pressed = "4711#"
	for _, digit := range []byte(pressed) {
		sc.must(from.Press(digit))
	}
	sc.until("the digits are heard", func() bool { return len(to.Stats().Digits) >= len(before)+len(pressed) })
	if got := strings.TrimPrefix(to.Stats().Digits, before); got != pressed {
		sc.t.Errorf("pressed %s, heard %s", pressed, got)
	}
}

// whole wants phones to have heard nothing from elsewhere, and nothing spoilt.
func (sc *scene) whole(phones ...*phone.Phone) {
	sc.t.Helper()
	for i, p := range phones {
		if s := p.Stats(); s.Undecryptable+s.Damaged+s.Foreign > 0 {
			sc.t.Errorf("phone %d heard: %+v", i, s)
		}
	}
}
