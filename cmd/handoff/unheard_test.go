package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"handoff/configs"
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

// What looks like silence and is none is in no count, and so in no alert.
func TestNobodyIsMissedWhoNeedNotSpeak(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg  stageConfig
		o    twilio.Options
		play func(sc *scene, caller *twilio.Call, assistant *watson.Call)
	}{
		"the caller changes his address": {play: func(sc *scene, caller *twilio.Call, assistant *watson.Call) {
			status, err := caller.Reinvite(sc.ctx, twilio.Address)
			sc.must(err)
			if status != 200 {
				sc.t.Errorf("%d", status)
			}
		}},
		"Watson is silent in a transfer that fails": {
			o: twilio.Options{Refer: twilio.Refer{AnswerDelay: 1500 * time.Millisecond, Status: 603}},
			play: func(sc *scene, _ *twilio.Call, assistant *watson.Call) {
				assistant.Phone().Mute()
				_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey, OnFailure: watson.ResumeCall})
				sc.must(err)
				time.Sleep(500 * time.Millisecond) // it thinks of what to say
				assistant.Phone().Talk()
			},
		},
		"media begin late behind an early answer": {
			cfg: behaves(watson.Behaviour{EarlyMedia: true, RingFor: 3 * time.Second}), play: func(*scene, *twilio.Call, *watson.Call) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, tt.cfg)
			caller, assistant := sc.place(tt.o)
			tt.play(sc, caller, assistant)
			sc.stillTalk(caller, assistant)
			ticks := func() string { return samples(sc.get("/metrics"))[`handoff_mos_count{leg="b"}`] }
			for range 2 { // looks
				last := ticks()
				sc.until("a second has passed", func() bool { return ticks() != last })
			}
			for name, n := range samples(sc.get("/metrics")) {
				if strings.HasPrefix(name, "handoff_rtp_one_way_total{") && n != "0" {
					t.Errorf("%s %s", name, n)
				}
			}
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		})
	}
}

// Of packets that come and can't be heard, the counter, the log and the CDR know why within two seconds, on each media path.
func TestTheOperatorSeesWhyPacketsAreNotHeard(t *testing.T) {
	t.Parallel()
	terminates := func(c *configs.Config) { c.Media.SRTPKeys = configs.SRTPKeysTerminate }
	spoilt := func(b []byte) { b[len(b)-1] ^= 1 } // of the authentication tag
	for _, path := range []configs.MediaPath{configs.MediaPathPortable, configs.MediaPathUserspace, configs.MediaPathKernel} {
		for _, tt := range []struct {
			name  string
			spoil func([]byte)
			set   func(*configs.Config)
			want  metrics.OneWay
		}{
			{"SRTP that passes, by another key", spoilt, func(*configs.Config) {}, metrics.OneWayAuth},
			{"SRTP that is terminated, by another key", spoilt, terminates, metrics.OneWayAuth},
			{"a payload type of its own", func(b []byte) { b[1] = 96 }, func(*configs.Config) {}, metrics.OneWayPayloadType},
		} {
			t.Run(string(path)+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				if path != configs.MediaPathPortable && (runtime.GOOS != "linux" || os.Geteuid() != 0) {
					t.Skip("not Linux, or not root")
				}
				core, lines := observer.New(zap.WarnLevel)
				file := filepath.Join(t.TempDir(), "cdr.jsonl")
				sc := newScene(t, withCDR(stageConfig{Log: zap.New(core), Set: both(tt.set, func(c *configs.Config) { c.Media.Path = path })}, file))
				caller, assistant := sc.place(twilio.Options{})
				sc.stillTalk(caller, assistant)
				said := caller.Phone().Said()
				caller.Phone().Mute()
				began, quit := time.Now(), make(chan struct{})
				var wg sync.WaitGroup
				wg.Go(func() { // ends with quit
					pace := time.NewTicker(20 * time.Millisecond)
					defer pace.Stop()
					for n := binary.BigEndian.Uint16(said[2:]) + 1; ; n++ {
						b := bytes.Clone(said)
						binary.BigEndian.PutUint16(b[2:], n)
						tt.spoil(b)
						_ = caller.Phone().Send(b, false)
						select {
						case <-pace.C:
						case <-quit:
							return
						}
					}
				})
				sc.counted(`handoff_rtp_one_way_total{leg="a",reason="` + tt.want.String() + `"} 1`)
				if took := time.Since(began); took > 3*time.Second { // two, and what a busy machine adds
					t.Errorf("it took %v", took)
				}
				close(quit)
				wg.Wait()
				if said := lines.FilterMessage("leg is not heard").All(); len(said) == 0 || said[0].ContextMap()["why"] != tt.want.String() || said[0].ContextMap()["call"] == nil {
					t.Errorf("the log says %v", said)
				}
				sc.must(caller.Hangup(sc.ctx))
				sc.quiet()
				if told := toldOf(t, file, 1)[0].OneWay; len(told) == 0 || told[0].Leg != "a" || told[0].Reason != tt.want.String() {
					t.Errorf("the CDR says %+v", told)
				}
			})
		}
	}
}
