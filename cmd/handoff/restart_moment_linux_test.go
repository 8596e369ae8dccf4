package main

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// TestKilledInTheMomentOfTheDial kills the edge when Watson's INVITE has just left. Watson is told that nobody wants it any more,
// and one line tells of the call. An INVITE waits 20 ms for its record and no longer: where the disk is slower than that, because
// the machine has other things to do, nothing can tell. So it may be tried again.
func TestKilledInTheMomentOfTheDial(t *testing.T) {
	for _, later := range []time.Duration{0, time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond} {
		t.Run(fmt.Sprint(later), func(t *testing.T) {
			for tries := 3; ; tries-- {
				err := killedWhenDialling(t, later)
				if err == nil {
					return
				}
				if tries == 1 {
					t.Fatal(err)
				}
				t.Log(err)
			}
		})
	}
}

// killedWhenDialling returns an error where nothing was written down of the call.
func killedWhenDialling(t *testing.T, later time.Duration) error {
	t.Helper()
	r := newRestarts(t, restartConfig{stageConfig: behaves(watson.Behaviour{RingFor: 20 * time.Second})})
	defer r.kill()
	caller, err := r.twilio.Place(r.ctx, "+18885557777", twilio.Options{})
	r.must(err)
	assistant, err := r.watson.Accept(r.ctx)
	r.must(err)
	time.Sleep(later)
	r.kill()
	if ending, err := caller.Await(r.ctx); err != nil || ending.How == twilio.EdgeHungUp {
		t.Errorf("the caller: %+v, %v", ending, err)
	}
	r.start()
	soon, cancel := context.WithTimeout(r.ctx, 5*time.Second)
	defer cancel()
	if ending, err := assistant.Await(soon); err != nil || ending.How != watson.Cancelled {
		return fmt.Errorf("at Watson: %+v, %w", ending, err)
	}
	r.until("the edge holds no call", func() bool { return len(r.held()) == 0 })
	if all := toldOf(t, filepath.Join(r.dir, "state/cdr.jsonl"), 1); len(all) != 1 || all[0].Reason != "restart" {
		t.Errorf("the CDRs: %+v", all)
	}
	r.fair(simulator.ACKMissing)
	return nil
}

// TestKilledBeforeTheAnswerOverUDP kills the edge while a caller over UDP waits for his answer, who has heard 100 or 180 and says nothing
// more. The next process refuses him at once, so that he is put through elsewhere, and one line tells of the call.
func TestKilledBeforeTheAnswerOverUDP(t *testing.T) {
	for name, b := range map[string]watson.Behaviour{
		"he has heard 180":             {RingFor: 20 * time.Second},
		"he has heard nothing but 100": {RingFor: 20 * time.Second, NoRinging: true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := inClear("")
			clear := cfg.WatsonSet
			cfg.WatsonSet = func(c *watson.Config) {
				clear(c)
				behaves(b).WatsonSet(c)
			}
			r := newRestarts(t, cfg)
			caller, err := r.twilio.Place(r.ctx, "+18885557777", twilio.Options{})
			r.must(err)
			assistant, err := r.watson.Accept(r.ctx)
			r.must(err)
			if !b.NoRinging {
				<-caller.Ringing()
			}
			time.Sleep(written)
			r.again()
			soon, cancel := context.WithTimeout(r.ctx, time.Second)
			defer cancel()
			if ending, err := caller.Await(soon); err != nil || ending.How != twilio.Rejected || ending.Status != 503 {
				t.Errorf("the caller: %+v, %v", ending, err)
			}
			if ending, err := assistant.Await(r.ctx); err != nil || ending.How != watson.Cancelled {
				t.Errorf("at Watson: %+v, %v", ending, err)
			}
			r.until("the edge holds no call", func() bool { return len(r.held()) == 0 })
			all := toldOf(t, filepath.Join(r.dir, "state/cdr.jsonl"), 1)
			if len(all) != 1 || all[0].Reason != "restart" || all[0].Legs[0].Code != 503 {
				t.Errorf("the CDRs: %+v", all)
			}
			r.fair()
		})
	}
}

// TestKilledDuringAReinvite kills the edge while the one side's re-INVITE waits for the other's answer, and just when it is
// answered. Whoever asks again gets what it asked for, both hear each other, and one line tells of the call.
func TestKilledDuringAReinvite(t *testing.T) {
	for _, tt := range []struct {
		name string
		ask  func(context.Context, pair) (int, error)
	}{
		{"of the caller", func(ctx context.Context, p pair) (int, error) { return p.caller.Reinvite(ctx, twilio.Address) }},
		{"of Watson", func(ctx context.Context, p pair) (int, error) { return p.assistant.Reinvite(ctx) }},
	} {
		for _, later := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond} {
			t.Run(fmt.Sprint(tt.name, ", ", later), func(t *testing.T) {
				r := newRestarts(t, restartConfig{})
				p := r.call(twilio.Options{})
				r.must(hearMore(r.ctx, p.phones(), 5))
				time.Sleep(written)
				asking, cancel := context.WithCancel(r.ctx)
				asked := make(chan struct{})
				go func() { // ends with its context, if nobody answers
					defer close(asked)
					_, _ = tt.ask(asking, p)
				}()
				time.Sleep(later)
				r.kill()
				r.start()
				cancel()
				<-asked
				if status, err := tt.ask(r.ctx, p); err != nil || status != 200 {
					t.Errorf("asked again: %d, %v", status, err)
				}
				r.must(hearMore(r.ctx, p.phones(), 5))
				r.must(p.caller.Hangup(r.ctx))
				r.ended(p)
				if all := toldOf(t, filepath.Join(r.dir, "state/cdr.jsonl"), 1); len(all) != 1 || all[0].Reason != "caller_hangup" {
					t.Errorf("the CDRs: %+v", all)
				}
				r.fair(simulator.ACKMissing)
			})
		}
	}
}
