package b2bua

import (
	"context"
	"testing"
	"time"

	"handoff/metrics"
)

func TestACallThatStandsStillIsSeen(t *testing.T) {
	r := newRig(t)
	if err := r.engine.Turning(t.Context()); err != nil {
		t.Errorf("without calls: %v", err)
	}
	r.up()
	if err := r.engine.Turning(t.Context()); err != nil {
		t.Errorf("of a call that turns: %v", err)
	}
	stuck := r.engine.calls.all()[0]
	leave := make(chan struct{})
	stuck.mail.put(func() { <-leave })
	turning := func() error {
		soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return r.engine.Turning(soon)
	}
	if err := turning(); err != errStandstill {
		t.Errorf("of one that stands still: %v", err)
	}
	r.request(&dialogue{callID: "a-2", from: "t2", peer: metrics.PeerTwilio}, "INVITE", "", offerSDP)
	if err := turning(); err != nil {
		t.Errorf("of one that stands still beside another: %v", err)
	}
	close(leave)
	if err := r.engine.Turning(t.Context()); err != nil {
		t.Errorf("of two that turn: %v", err)
	}
	now, cancel := context.WithCancel(t.Context())
	cancel()
	go r.engine.Drain(now) // ends with the calls
	<-r.ended
	r.over()
}
