package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"handoff/configs"
	"handoff/metrics/cdr"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// toldOf waits until a file tells of so many calls.
func toldOf(t *testing.T, path string, calls int) (all []cdr.Record) {
	t.Helper()
	var data []byte
	for deadline := time.Now().Add(10 * time.Second); bytes.Count(data, []byte("\n")) < calls; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s tells of fewer than %d calls: %s", path, calls, data)
		}
		data, _ = os.ReadFile(path)
	}
	for line := range bytes.Lines(data) {
		all = append(all, documented(t, line))
	}
	if bytes.Contains(data, []byte(testKey)) {
		t.Error("the key stands in the CDR")
	}
	return all
}

// withCDR keeps CDRs of a stage in a file.
func withCDR(cfg stageConfig, path string) stageConfig {
	set := func(c *configs.Config) { c.CDR.Kind, c.CDR.Path = configs.CDRFile, path }
	if cfg.Set != nil {
		set = both(cfg.Set, set)
	}
	cfg.Set = set
	return cfg
}

// plainly leaves out what differs from call to call, having seen that it is there.
func plainly(t *testing.T, r cdr.Record, watson netip.Addr) cdr.Record {
	t.Helper()
	if r.Call == "" || r.Node != "stage" || r.Started.IsZero() || r.Ended.Before(r.Started) || r.Duration <= 0 || r.Source == "" || r.TwilioCallSID == "" {
		t.Errorf("not told: %+v", r)
	}
	r.Call, r.Source, r.TwilioCallSID, r.TwilioParentCallSID = "", "", "", ""
	r.Started, r.Answered, r.Ended, r.Duration, r.Talked = time.Time{}, time.Time{}, time.Time{}, 0, 0
	r.Legs, r.Transfers = slices.Clone(r.Legs), slices.Clone(r.Transfers)
	for i := range r.Legs {
		if r.Legs[i].CallID == "" {
			t.Errorf("leg %d has no Call-ID", i)
		}
		l := &r.Legs[i]
		if l.Started.IsZero() || l.Answered.IsZero() == (l.Code == 200) || l.Ended != "" && l.Over.IsZero() || !l.Over.IsZero() && l.Over.Before(l.Answered) {
			t.Errorf("leg %d has odd times: %+v", i, *l)
		}
		l.Started, l.Answered, l.Over = time.Time{}, time.Time{}, time.Time{}
		if r.Legs[i].CallID = ""; r.Legs[i].Target == watson.String() {
			r.Legs[i].Target = "watson"
		}
	}
	for i := range r.Transfers {
		if r.Transfers[i].At.IsZero() {
			t.Errorf("transfer %d has no time", i)
		}
		if len(r.Transfers[i].TriedAt) != len(r.Transfers[i].Tried) {
			t.Errorf("transfer %d tried %q at %v", i, r.Transfers[i].Tried, r.Transfers[i].TriedAt)
		}
		r.Transfers[i].TriedAt = nil
		r.Transfers[i].At, r.Transfers[i].Took, r.Transfers[i].DeadAir = time.Time{}, 0, 0
	}
	r.Media, r.OneWay = nil, nil
	return r
}

func TestACallIsToldInItsCDR(t *testing.T) {
	t.Parallel()
	told := func(result, reason string, legs []cdr.Leg, transfers ...cdr.Transfer) cdr.Record {
		return cdr.Record{
			Version: 1, Node: "stage", Result: result, Reason: reason, Kind: "pv",
			Story: cdr.Story{From: "+15005550001", To: "+18885557777", Legs: legs, Transfers: transfers},
		}
	}
	caller := func(ended string) cdr.Leg { return cdr.Leg{Leg: "a", Code: 200, Ended: ended} }
	target := func(code int, ended string) cdr.Leg {
		return cdr.Leg{Leg: "b", Target: "watson", Code: code, Ended: ended}
	}
	sum := sha256.Sum256([]byte(testKey))
	moved := cdr.Transfer{
		AskedBy: "refer", Target: "sip:queue@flex.twilio.com", KeySHA256: hex.EncodeToString(sum[:4]), Tried: []string{"refer"},
		Method: "refer", Result: "success", Reason: "proved", Context: "delivered",
	}
	byREST, refused := moved, moved
	byREST.Tried, byREST.Method = []string{"refer", "rest"}, "rest"
	refused.Result, refused.Reason, refused.Context = "upstream", "rejected", "rejected"
	tests := []struct {
		name string
		cfg  stageConfig
		play func(sc *scene)
		want cdr.Record
	}{
		{"the caller hangs up", stageConfig{}, talkAndHangUp, told("success", "caller_hangup", []cdr.Leg{caller("peer"), target(200, "us")})},
		{"a transfer", stageConfig{}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{})
			_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
			sc.must(err)
			sc.over(caller, assistant)
		}, told("success", "transferred", []cdr.Leg{caller("us"), target(200, "us")}, moved)},
		{"a chain of methods", stageConfig{REST: true}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
			_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
			sc.must(err)
			sc.over(caller, assistant)
		}, told("success", "transferred", []cdr.Leg{caller("peer"), target(200, "us")}, byREST)},
		{"a transfer that fails", stageConfig{}, func(sc *scene) {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
			_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
			sc.must(err)
			sc.over(caller, assistant)
		}, told("success", "watson_hangup", []cdr.Leg{caller("us"), target(200, "peer")}, refused)},
		{"Watson refuses", behaves(watson.Behaviour{Reject: 486}), func(sc *scene) {
			caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
			sc.must(err)
			_ = caller.AwaitAnswer(sc.ctx)
			_, err = caller.Await(sc.ctx)
			sc.must(err)
		}, told("upstream", "watson_rejected", []cdr.Leg{{Leg: "a", Code: 486, Ended: "us"}, target(486, "")})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "cdr.jsonl")
			sc := newScene(t, withCDR(tt.cfg, path))
			tt.play(sc)
			got := toldOf(t, path, 1)[0]
			want, err := json.MarshalIndent(tt.want, "", " ")
			sc.must(err)
			if had, err := json.MarshalIndent(plainly(t, got, sc.watson.Addr().Addr()), "", " "); err != nil || !bytes.Equal(had, want) {
				t.Errorf("told\n%s\nwant\n%s", had, want)
			}
			sc.counted("handoff_cdr_written_total 1")
		})
	}
}

// What was known before the process died stands in the CDR that its successor writes.
func TestACDRGoesOnBehindARestart(t *testing.T) {
	r := newRestarts(t, restartConfig{})
	p := r.call(twilio.Options{Refer: twilio.Refer{Status: 603}})
	r.must(p.assistant.Hold(r.ctx, watson.HoldSendOnly))
	r.awaitPage("/metrics", `handoff_rtp_one_way_total{leg="a",reason="hold"} 1`)
	_, err := p.assistant.Refer(r.ctx, watson.Transfer{Key: testKey, OnFailure: watson.ResumeCall})
	r.must(err)
	r.again()
	r.must(hearMore(r.ctx, p.phones(), 5))
	r.must(p.caller.Hangup(r.ctx))
	r.ended(p)
	got := toldOf(t, filepath.Join(r.dir, "state", "cdr.jsonl"), 1)[0]
	if len(got.Legs) != 2 || got.Legs[0].Code != 200 || got.Legs[1].Code != 200 || got.From != "+15005550001" || got.To != "+18885557777" {
		t.Errorf("of before the restart is told %+v", got.Story)
	}
	if len(got.Transfers) != 1 || got.Transfers[0].Reason != "rejected" || !slices.Equal(got.Transfers[0].Tried, []string{"refer"}) {
		t.Errorf("transfers: %+v", got.Transfers)
	}
	if len(got.OneWay) == 0 || got.OneWay[0].Leg != "a" || got.OneWay[0].Reason != "hold" || got.OneWay[0].Lasted < 0 {
		t.Errorf("one way: %+v", got.OneWay)
	}
	if got.Reason != "caller_hangup" || len(got.Media) != 2 || got.Media[0].Received.Packets == 0 || got.Media[0].Received.MOS < 1 {
		t.Errorf("at the end: %s, %+v", got.Reason, got.Media)
	}
}
