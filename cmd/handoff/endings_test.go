package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"handoff/configs"
	"handoff/metrics"
	"handoff/metrics/cdr"
	"handoff/sip/leg"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// ringing lets a caller ring and returns him while Watson rings.
func (sc *scene) ringing() *twilio.Call {
	sc.t.Helper()
	caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
	sc.must(err)
	select {
	case <-caller.Ringing():
	case <-sc.ctx.Done():
		sc.t.Fatal("it does not ring")
	}
	return caller
}

// neverAnswered plays a call that is never answered.
func neverAnswered(sc *scene) {
	caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
	sc.must(err)
	_, err = caller.Await(sc.ctx)
	sc.must(err)
}

// transferOf plays a transfer that Twilio treats so.
func transferOf(r twilio.Refer) func(*scene) {
	return func(sc *scene) {
		caller, assistant := sc.place(twilio.Options{Refer: r})
		_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
		sc.must(err)
		sc.over(caller, assistant)
	}
}

// Each way in which a call can end is counted once, under who is answerable and why; its CDR says the same, is the only one, and
// keeps to what is documented; and every gauge is back where it was.
func TestEveryEndingIsCountedAndToldOnce(t *testing.T) {
	t.Parallel()
	transferTime := func(c *configs.Config) { c.Transfer.Timeout, c.Transfer.Total = time.Second, 2*time.Second }
	nobody := stageConfig{Set: func(c *configs.Config) {
		c.Watson.Targets = []string{fmt.Sprint("sips:", netip.AddrPortFrom(watsonAddr, freePort(watsonAddr)))}
	}}
	tests := []struct {
		name     string
		cfg      stageConfig
		play     func(*scene)
		want     metrics.Reason
		transfer metrics.TransferReason // of transfers that were asked for
		asked    int
	}{
		{name: "the caller gives up while Watson rings", cfg: behaves(watson.Behaviour{RingFor: 20 * time.Second}), play: func(sc *scene) {
			sc.must(sc.ringing().Cancel(sc.ctx))
		}, want: metrics.ReasonCancelled},
		{name: "the caller hangs up", play: talkAndHangUp, want: metrics.ReasonCallerHangup},
		{name: "Watson hangs up", play: func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			sc.must(assistant.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}, want: metrics.ReasonWatsonHangup},
		{name: "Watson refuses with 404", cfg: behaves(watson.Behaviour{Reject: 404}), play: neverAnswered, want: metrics.ReasonWatsonRejected},
		{name: "Watson refuses with 486", cfg: behaves(watson.Behaviour{Reject: 486}), play: neverAnswered, want: metrics.ReasonWatsonRejected},
		{name: "Watson refuses with 503", cfg: behaves(watson.Behaviour{Reject: 503}), play: neverAnswered, want: metrics.ReasonWatsonRejected},
		{name: "Watson refuses with 603", cfg: behaves(watson.Behaviour{Reject: 603}), play: neverAnswered, want: metrics.ReasonWatsonRejected},
		{name: "Watson sends it elsewhere", cfg: behaves(watson.Behaviour{Redirect: []string{"<sips:else@192.0.2.1>"}}), play: neverAnswered, want: metrics.ReasonWatsonRedirected},
		{name: "Watson is down", cfg: nobody, play: neverAnswered, want: metrics.ReasonWatsonUnreachable},
		{name: "the caller's offer is no good", cfg: stageConfig{TwilioSet: func(c *twilio.Config) { c.Transport = "tcp" }}, play: neverAnswered, want: metrics.ReasonMediaRefused},
		{name: "there are no ports", cfg: stageConfig{Set: func(c *configs.Config) { c.Media.Ports.Last = c.Media.Ports.First + 1 }}, play: neverAnswered, want: metrics.ReasonNoPorts},
		{name: "an operator ends it", play: func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			sc.must(sc.edge.engine.HangUp(sc.ctx, sc.edge.engine.List(sc.ctx)[0].ID))
			sc.over(caller, assistant)
		}, want: metrics.ReasonOperator},
		{name: "a transfer that is proved", play: transferOf(twilio.Refer{}), want: metrics.ReasonTransferred, asked: 1, transfer: metrics.TransferProved},
		{name: "a transfer that is refused, and Watson hangs up", play: transferOf(twilio.Refer{Status: 603}), want: metrics.ReasonWatsonHangup, asked: 1, transfer: metrics.TransferRejected},
		{name: "a transfer that fails, and Watson hangs up", play: transferOf(twilio.Refer{Final: 486}), want: metrics.ReasonWatsonHangup, asked: 1, transfer: metrics.TransferFailed},
		{name: "a transfer of which nothing is heard", cfg: stageConfig{Set: transferTime}, play: transferOf(twilio.Refer{Then: twilio.Nothing}), want: metrics.ReasonTransferUnproved, asked: 1, transfer: metrics.TransferSilent},
		{name: "a transfer that is not proved", play: transferOf(twilio.Refer{Then: twilio.OnlyBye}), want: metrics.ReasonTransferUnproved, asked: 1, transfer: metrics.TransferUnproved},
		{name: "the caller hangs up in a transfer", play: func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{AnswerDelay: 5 * time.Second}})
			go assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
			sc.until("it is referred", func() bool { return sc.sent(metrics.PeerTwilio, "REFER ") })
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}, want: metrics.ReasonCallerHangup, asked: 1, transfer: metrics.TransferCallerGone},
		{name: "Watson has left, and the transfer is refused", play: func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
			_, err := assistant.Refer(sc.ctx, watson.Transfer{Method: watson.ByHangup, Key: testKey, Way: watson.ReferToHeader})
			sc.must(err)
			sc.over(caller, assistant)
		}, want: metrics.ReasonTransferFailed, asked: 1, transfer: metrics.TransferRejected},
		{name: "it lasts too long", cfg: stageConfig{Set: func(c *configs.Config) { c.Limits.Duration = time.Second }}, play: func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			sc.over(caller, assistant)
		}, want: metrics.ReasonDuration},
		{name: "the caller falls silent", cfg: stageConfig{Set: func(c *configs.Config) { c.Media.Timeout = 2 * time.Second }}, play: func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			caller.Phone().Mute()
			sc.over(caller, assistant)
		}, want: metrics.ReasonCallerSilent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "cdr.jsonl")
			sc := newScene(t, withCDR(tt.cfg, path))
			free := samples(sc.get("/metrics"))["handoff_media_ports_free"]
			tt.play(sc)
			sc.quiet()
			told := toldOf(t, path, 1)
			if len(told) != 1 || told[0].Reason != tt.want.String() || len(told[0].Transfers) != tt.asked {
				t.Errorf("told %+v", told)
			}
			sc.counted("handoff_cdr_written_total 1")
			now := samples(sc.get("/metrics"))
			for _, r := range metrics.Reasons() {
				want := "0"
				if r == tt.want {
					want = "1"
				}
				name := fmt.Sprintf("handoff_calls_total{reason=%q,result=%q}", r, r.Result())
				if now[name] != want {
					t.Errorf("%s %s, want %s", name, now[name], want)
				}
			}
			sum := 0
			for name, value := range now {
				if strings.HasPrefix(name, "handoff_transfers_total{") && value != "0" {
					sum++
					if value != "1" || !strings.Contains(name, fmt.Sprintf("reason=%q,result=%q", tt.transfer, tt.transfer.Result())) {
						t.Errorf("%s %s", name, value)
					}
				}
			}
			if sum != tt.asked {
				t.Errorf("%d kinds of transfer are counted", sum)
			}
			for name, want := range map[string]string{
				"handoff_calls_active": "0", "handoff_transfers_active": "0", "handoff_media_ports_free": free,
				`handoff_media_sessions{path="portable"}`: "0", `handoff_media_sessions{path="userspace"}`: "0", `handoff_media_sessions{path="kernel"}`: "0",
				"handoff_call_duration_seconds_count": "1",
			} {
				if now[name] != want {
					t.Errorf("%s %s, want %s", name, now[name], want)
				}
			}
		})
	}
}

// What is turned away before it becomes a call is counted as that and as nothing else, and no CDR tells of it.
func TestWhatIsNoCallHasNoCDR(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cdr.jsonl")
	sc := newScene(t, withCDR(stageConfig{Set: func(c *configs.Config) { c.Limits.Calls = 1 }}, path))
	caller, assistant := sc.place(twilio.Options{})
	neverAnswered(sc)
	sc.counted(`handoff_sip_rejected_total{reason="limit"} 1`)
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
	sc.counted("handoff_cdr_written_total 1")
	if told := toldOf(t, path, 1); len(told) != 1 || told[0].Reason != "caller_hangup" {
		t.Errorf("told %+v", told)
	}
}

// A call that the end of the process ends is told, too.
func TestACallThatADrainEndsIsTold(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cdr.jsonl")
	sc := newScene(t, withCDR(stageConfig{}, path))
	caller, _ := sc.place(twilio.Options{})
	now, stop := context.WithTimeout(sc.ctx, 10*time.Millisecond)
	defer stop()
	sc.edge.engine.Drain(now)
	_, err := caller.Await(sc.ctx)
	sc.must(err)
	if told := toldOf(t, path, 1); len(told) != 1 || told[0].Reason != "shutdown" {
		t.Errorf("told %+v", told)
	}
	sc.counted(`handoff_calls_total{reason="shutdown",result="us"} 1`)
}

// samples are the lines of a page of metrics, by name and labels.
func samples(page string) map[string]string {
	all := make(map[string]string)
	for line := range strings.SplitSeq(page, "\n") {
		if at := strings.LastIndexByte(line, ' '); at > 0 && line[0] != '#' {
			all[line[:at]] = line[at+1:]
		}
	}
	return all
}

// documented fails on a line of a CDR that is not as the README has it.
func documented(t *testing.T, line []byte) (r cdr.Record) {
	t.Helper()
	strict := json.NewDecoder(bytes.NewReader(line))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&r); err != nil || bytes.Count(line, []byte("\n")) != 1 {
		t.Fatalf("%s: %v", line, err)
	}
	var plain map[string]any
	if err := json.Unmarshal(line, &plain); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"version", "node", "call", "started", "ended", "duration_seconds", "talked_seconds", "result", "reason", "kind", "source", "from", "to", "legs"} {
		if _, there := plain[name]; !there {
			t.Errorf("no %s in %s", name, line)
		}
	}
	holds := func(is bool, what string, about any) {
		t.Helper()
		if !is {
			t.Errorf("%s: %+v of %s", what, about, line)
		}
	}
	times := regexp.MustCompile(`"(?:\d{4}-\d\d-\d\dT[^"]*)"`).FindAllString(string(line), -1)
	for _, at := range times {
		holds(strings.HasSuffix(at, `Z"`), "not UTC", at)
	}
	reason, known := metrics.ParseReason(r.Reason)
	holds(known && r.Result == reason.Result().String(), "no result", r.Reason)
	holds(r.Version == cdr.Version && r.Call != "" && (r.Kind == "pv" || r.Kind == "trunk"), "no call", r)
	source, err := netip.ParseAddrPort(r.Source)
	holds(err == nil && source.IsValid(), "no address", r.Source)
	holds(!r.Ended.Before(r.Started) && r.Answered.IsZero() == (r.Talked == 0) && r.Talked <= r.Duration, "odd times", r)
	for _, l := range r.Legs {
		holds(l.Leg == "a" || l.Leg == "b" || l.Leg == "c", "no leg", l)
		holds(l.CallID != "" && (l.Target == "") == (l.Leg == "a"), "of nobody", l)
		holds(l.Code == 0 || l.Code >= 200 && l.Code < 700, "no final response", l)
		holds(l.Ended == "" || slices.Contains(legEndings, l.Ended), "no ending", l)
		holds(!l.Started.IsZero() && !l.Started.Before(r.Started) && (l.Over.IsZero() || !l.Over.Before(l.Started)), "odd times", l)
	}
	for _, x := range r.Transfers {
		holds(slices.Contains([]string{"", "refer", "hangup", "operator"}, x.AskedBy), "asked by nobody", x)
		holds(x.KeySHA256 == "" || regexp.MustCompile(`^[0-9a-f]{8}$`).MatchString(x.KeySHA256), "no hash", x)
		holds(len(x.Tried) == len(x.TriedAt) && !x.At.IsZero() && x.Took >= 0 && x.DeadAir >= 0, "odd times", x)
		holds(x.Context == "" || slices.Contains(words(metrics.Contexts()), x.Context), "no context", x)
		for _, m := range append(x.Tried, x.Method) {
			holds(m == "" || slices.Contains(words(metrics.Methods()), m), "no method", x)
		}
		at := slices.IndexFunc(metrics.TransferReasons(), func(r metrics.TransferReason) bool { return r.String() == x.Reason })
		holds(x.Reason == "" && x.Result == "" || at >= 0 && metrics.TransferReason(at).Result().String() == x.Result, "no result", x)
	}
	for _, m := range r.Media {
		holds(slices.Contains(words(metrics.Legs()), m.Leg) && slices.Contains(words(metrics.Paths()), m.Path), "no leg", m)
		for _, s := range []cdr.Stream{m.Received, m.Sent} {
			holds(s.Jitter >= 0 && (s.MOS == 0 || s.MOS >= 1 && s.MOS < 4.42), "no quality", m)
		}
		for why := range m.Dropped {
			holds(slices.Contains(words(metrics.Foreigns()), why), "no cause", m)
		}
	}
	for _, o := range r.OneWay {
		holds(slices.Contains(words(metrics.Legs()), o.Leg) && slices.Contains(words(metrics.OneWays()), o.Reason) && o.Lasted >= 0 && !o.At.IsZero(), "no silence", o)
	}
	return r
}

var legEndings = []string{leg.ByPeer.String(), leg.ByCancel.String(), leg.ByUs.String(), leg.ByNoACK.String(), leg.ByLoss.String(), leg.ByTimer.String()}

func words[T fmt.Stringer](all []T) (said []string) {
	for _, v := range all {
		said = append(said, v.String())
	}
	return said
}
