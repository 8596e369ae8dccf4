package main

import (
	"encoding/binary"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// TestStories plays whole calls whose point is not the exact exchange but that they end well, with
// nothing that a simulator could object to.
func TestStories(t *testing.T) {
	t.Parallel()
	audio := writeSquareWave(t)
	holds := stageConfig{Set: func(c *configs.Config) { c.Transfer.HoldAudio = audio }}
	plainHolds := plain("udp")
	plainHolds.Set = both(plainHolds.Set, holds.Set)
	tests := []struct {
		name string
		cfg  stageConfig
		play func(sc *scene)
	}{
		{"the operator's audio, SRTP and PCMU", holds, waitWith(phone.PCMU, 120, 127)},
		{"the operator's audio, SRTP and PCMA", holds, waitWith(phone.PCMA, 120, 127)},
		{"the operator's audio, plain RTP", plainHolds, waitWith(phone.PCMU, 120, 127)},
		{"the operator's audio for a caller whom nobody takes", stageConfig{Set: func(c *configs.Config) { c.Transfer.FailureAudio = audio }}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
			_, err := assistant.Refer(sc.ctx, watson.Transfer{Method: watson.ByHangup, Key: testKey, Way: watson.ReferToHeader})
			sc.must(err)
			sc.over(caller, assistant)
			if s := caller.Phone().Stats(); s.Sound() < 20 || s.Loudest < 120 {
				sc.t.Errorf("he heard %+v", s)
			}
		}},
		{"a comfort tone, SRTP and PCMA", stageConfig{}, waitWith(phone.PCMA, 1, 80)},
		{"a target that is not intercepted is handed on", stageConfig{Set: func(c *configs.Config) { c.Transfer.Unmatched = configs.UnmatchedPass }}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Target: "sip:sales@example.com;user=phone"})
			sc.must(err)
			sc.told(outcome, 100, 200)
			sc.over(caller, assistant)
			if got := caller.ReferTos(); len(got) != 1 || got[0] != "<sip:sales@example.com;user=phone>" {
				sc.t.Errorf("Twilio was referred to %q", got)
			}
		}},
		{"a handler that reads User-to-User", stageConfig{
			Set:       func(c *configs.Config) { c.Twilio.Refer.Header = configs.KeyHeaderUserToUser },
			TwilioSet: func(c *twilio.Config) { c.Handler = twilio.HandlerCurrent },
		}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
			sc.must(err)
			sc.told(outcome, 100, 200)
			sc.over(caller, assistant)
			sc.inFlex(caller, testKey)
		}},
		{"a call over UDP with plain RTP", plain("udp"), talkAndHangUp},
		{"a call over TCP with plain RTP", plain("tcp"), talkAndHangUp},
		{"plain RTP from Twilio, SRTP to Watson", stageConfig{
			Set:       func(c *configs.Config) { c.Twilio.SRTP = configs.SRTPOff },
			TwilioSet: func(c *twilio.Config) { c.Transport = "tcp" },
		}, holdAndTransfer},
		{"SRTP from Twilio, plain RTP to Watson", stageConfig{
			Set:       func(c *configs.Config) { c.Watson.SRTP = configs.SRTPOff },
			WatsonSet: func(c *watson.Config) { c.PlainMedia = true },
		}, holdAndTransfer},
		{"keys of the edge's own on both legs", stageConfig{
			Set: func(c *configs.Config) { c.Media.SRTPKeys = configs.SRTPKeysTerminate },
		}, func(sc *scene) {
			holdAndTransfer(sc)
			sc.keysStay()
		}},
		{"keys of the edge's own, with a Watson that takes AES-GCM", stageConfig{
			Set:       func(c *configs.Config) { c.Media.SRTPKeys = configs.SRTPKeysTerminate },
			WatsonSet: func(c *watson.Config) { c.Suite = phone.SuiteGCM },
		}, func(sc *scene) {
			holdAndTransfer(sc)
			sc.keysStay()
		}},
		{"a call from an elastic trunk", stageConfig{}, func(sc *scene) {
			caller, err := sc.twilio.PlaceTrunk(sc.ctx, "+18885557777", true, twilio.Options{})
			sc.must(err)
			assistant := sc.answered(caller)
			sc.stillTalk(caller, assistant)
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"early media", behaves(watson.Behaviour{EarlyMedia: true, RingFor: 300 * time.Millisecond}), talkAndHangUp},
		{"watson answers twice", behaves(watson.Behaviour{Repeat: 2}), talkAndHangUp},
		{"watson forks", behaves(watson.Behaviour{Fork: true}), talkAndHangUp},
		{"watson dials back for its requests", behaves(watson.Behaviour{OwnConnection: true}), func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			sc.must(assistant.Hold(sc.ctx, watson.HoldInactive))
			sc.must(assistant.Resume(sc.ctx))
			sc.must(assistant.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"twilio changes codec and address", stageConfig{}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			for _, change := range []twilio.Change{twilio.Refresh, twilio.Codec, twilio.Address} {
				if status, err := caller.Reinvite(sc.ctx, change); err != nil || status != 200 {
					sc.t.Errorf("%s: %d, %v", change, status, err)
				}
				sc.stillTalk(caller, assistant)
			}
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"watson changes codec and address", stageConfig{}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			sc.must(assistant.Phone().Move())
			if status, err := assistant.Reinvite(sc.ctx); err != nil || status != 200 {
				sc.t.Errorf("address: %d, %v", status, err)
			}
			sc.stillTalk(caller, assistant)
			assistant.Phone().Prefer(8)
			if status, err := assistant.Reinvite(sc.ctx); err != nil || status != 200 {
				sc.t.Errorf("codec: %d, %v", status, err)
			}
			sc.stillTalk(caller, assistant)
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"twilio refuses a re-offer", stageConfig{}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{RefuseReinvite: 488})
			sc.must(assistant.Phone().Move())
			if status, err := assistant.Reinvite(sc.ctx); err != nil || status != 488 {
				sc.t.Errorf("Watson heard %d, %v", status, err)
			}
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"the caller's connection is cut and he hangs up over a new one", stageConfig{}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			caller.Cut()
			sc.stillTalk(caller, assistant)
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"the caller's connection is cut and watson hangs up", stageConfig{}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			caller.Cut()
			sc.must(assistant.Hangup(sc.ctx))
			sc.over(caller, assistant)
			if how := caller.Ending().How; how != twilio.EdgeHungUp {
				sc.t.Errorf("at Twilio: %s", how)
			}
		}},
		{"watson's connection is cut and the caller hangs up", stageConfig{}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			assistant.Cut()
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"a second refer after a failure works", stageConfig{}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 503}})
			outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey, OnFailure: watson.ReferAgain})
			sc.must(err)
			if outcome.Final != 503 {
				sc.t.Errorf("the second REFER ended with %d", outcome.Final)
			}
			if got := caller.ReferTos(); len(got) != 2 {
				sc.t.Errorf("Twilio was referred to %v", got)
			}
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"by REST into a workflow", stageConfig{REST: true, Set: func(c *configs.Config) { c.Twilio.REST.TwiML = configs.TwiMLEnqueue }}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
			outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
			sc.must(err)
			sc.told(outcome, 100, 200)
			sc.over(caller, assistant)
			sc.inFlex(caller, testKey)
		}},
		{"the caller does not listen to the reorder tone", stageConfig{}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
			_, err := assistant.Refer(sc.ctx, watson.Transfer{Method: watson.ByHangup, Key: testKey, Way: watson.ReferToHeader})
			sc.must(err)
			sc.until("the caller hears a reorder tone", func() bool { return caller.Phone().Stats().Sound() > 5 })
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
			sc.counted(`handoff_calls_total{reason="transfer_failed",result="upstream"} 1`)
		}},
		{"the key in lower case, bare and escaped", stageConfig{}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			_, err := assistant.Refer(sc.ctx, watson.Transfer{
				Key: testKey, Name: strings.ToLower(watson.KeyHeader), Bare: true, EncodeColons: true, Compact: true,
			})
			sc.must(err)
			sc.over(caller, assistant)
			sc.inFlex(caller, testKey)
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

// waitWith plays a transfer during which Watson is mute, and what the caller then hears has its loudest
// sample between low and high, companded.
func waitWith(codec, low, high uint8) func(*scene) {
	return func(sc *scene) {
		caller, assistant := sc.place(twilio.Options{Codecs: []uint8{codec}, Refer: twilio.Refer{Delay: 500 * time.Millisecond}})
		assistant.Phone().Mute()
		_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
		sc.must(err)
		sc.over(caller, assistant)
		sc.inFlex(caller, testKey)
		s := caller.Phone().Stats()
		if s.Sound() < 10 || s.Loudest < low || s.Loudest > high || s.Undecryptable+s.Malformed > 0 {
			sc.t.Errorf("he heard %+v", s)
		}
	}
}

// writeSquareWave writes a second of 200 Hz, as loud as can be, at 8 kHz and 16 bits.
func writeSquareWave(t *testing.T) string {
	t.Helper()
	wav := []byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x80\x3e\x00\x00")
	for i := range 8000 {
		sample := int16(32000)
		if i/20%2 == 1 {
			sample = -sample
		}
		wav = binary.LittleEndian.AppendUint16(wav, uint16(sample))
	}
	path := filepath.Join(t.TempDir(), "hold.wav")
	if err := os.WriteFile(path, wav, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func both(f, g func(*configs.Config)) func(*configs.Config) {
	return func(c *configs.Config) { f(c); g(c) }
}

func talkAndHangUp(sc *scene) {
	caller, assistant := sc.place(twilio.Options{})
	sc.stillTalk(caller, assistant)
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
}

// holdAndTransfer plays a call with everything that SDP can do in it: hold, another address, another
// codec, and a transfer.
func holdAndTransfer(sc *scene) {
	caller, assistant := sc.place(twilio.Options{})
	sc.stillTalk(caller, assistant)
	sc.must(assistant.Hold(sc.ctx, watson.HoldInactive))
	sc.must(assistant.Resume(sc.ctx))
	sc.stillTalk(caller, assistant)
	if sc.wrote(metrics.PeerTwilio, "INVITE ", "") {
		sc.t.Error("a hold of Watson's was passed to Twilio")
	}
	for _, change := range []twilio.Change{twilio.Refresh, twilio.Codec, twilio.Address} {
		if status, err := caller.Reinvite(sc.ctx, change); err != nil || status != 200 {
			sc.t.Errorf("%s: %d, %v", change, status, err)
		}
		sc.stillTalk(caller, assistant)
	}
	sc.must(assistant.Phone().Move())
	if status, err := assistant.Reinvite(sc.ctx); err != nil || status != 200 {
		sc.t.Errorf("address of Watson: %d, %v", status, err)
	}
	sc.stillTalk(caller, assistant)
	outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
	sc.must(err)
	sc.told(outcome, 100, 200)
	sc.over(caller, assistant)
	sc.inFlex(caller, testKey)
	for who, p := range map[string]*phone.Phone{"caller": caller.Phone(), "Watson": assistant.Phone()} {
		if s := p.Stats(); s.Undecryptable+s.Damaged+s.Foreign > 0 {
			sc.t.Errorf("%s heard: %+v", who, s)
		}
	}
}

var inlineKey = regexp.MustCompile(`inline:[^\s|]+`)

// keysStay fails if a key that one peer sent is one that the other peer got.
func (sc *scene) keysStay() {
	sc.t.Helper()
	from := make(map[string]metrics.Peer)
	for _, m := range sc.recorder.Messages() {
		for _, key := range inlineKey.FindAllString(string(m.Raw), -1) {
			if m.Direction == metrics.In {
				from[key] = m.Peer
			} else if peer, known := from[key]; known && peer != m.Peer {
				sc.t.Errorf("a key of %s was sent to %s", peer, m.Peer)
			}
		}
	}
	if len(from) < 2 {
		sc.t.Errorf("%d keys of the peers were seen", len(from))
	}
}

// plain is a world without SRTP in which Twilio calls over transport.
func plain(transport string) stageConfig {
	return stageConfig{
		Set:       func(c *configs.Config) { c.Twilio.SRTP, c.Watson.SRTP = configs.SRTPOff, configs.SRTPOff },
		TwilioSet: func(c *twilio.Config) { c.Transport = transport },
		WatsonSet: func(c *watson.Config) { c.PlainMedia = true },
	}
}

func behaves(b watson.Behaviour) stageConfig {
	return stageConfig{WatsonSet: func(c *watson.Config) { c.Behaviour = b }}
}

func (sc *scene) inFlex(caller *twilio.Call, key string) {
	sc.t.Helper()
	sc.flexHas(caller.ParentSid(), key)
}

// counted waits until /metrics has a line.
func (sc *scene) counted(line string) {
	sc.t.Helper()
	sc.until("/metrics has "+line, func() bool {
		return strings.Contains("\n"+sc.get("/metrics"), "\n"+line+"\n")
	})
}

// get reads a page of the ops listener.
func (sc *scene) get(path string) string {
	sc.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + sc.edge.ops.Addr().String() + path)
	sc.must(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	sc.must(err)
	return string(body)
}
