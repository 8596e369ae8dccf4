package main

import (
	"maps"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// Whatever becomes of the process, each call that it or another one has taken is told once: killed, upgraded, or drained with a call up.
func TestACallIsToldOnceWhateverBecomesOfTheProcess(t *testing.T) {
	r := newRestarts(t, restartConfig{YAML: portable})
	over := r.call(twilio.Options{From: "+15005550101"})
	r.must(over.caller.Hangup(r.ctx))
	killed, upgraded, drained := r.call(twilio.Options{From: "+15005550102"}), r.call(twilio.Options{From: "+15005550103"}), r.call(twilio.Options{From: "+15005550104"})
	r.watson.Behave(watson.Behaviour{RingFor: time.Minute})
	ringing, err := r.twilio.Place(r.ctx, "+18885557777", twilio.Options{From: "+15005550105"})
	r.must(err)
	<-ringing.Ringing()
	path := filepath.Join(r.dir, "state", "cdr.jsonl")
	toldOf(t, path, 1)
	r.again()
	r.must(killed.caller.Hangup(r.ctx))
	toldOf(t, path, 3)
	r.awaitPage("/metrics", "handoff_calls_active 2")
	pid := r.upgrade()
	r.must(hearMore(r.ctx, append(upgraded.phones(), drained.phones()...), 5))
	r.must(upgraded.caller.Hangup(r.ctx))
	toldOf(t, path, 4)
	r.must(syscall.Kill(pid, syscall.SIGTERM))
	_, err = drained.caller.Await(r.ctx)
	r.must(err)
	told := map[string]string{}
	all := toldOf(t, path, 5)
	for _, c := range all {
		told[c.From] = c.Reason
	}
	want := map[string]string{
		"+15005550101": "caller_hangup", "+15005550102": "caller_hangup", "+15005550103": "caller_hangup", "+15005550104": "shutdown", "+15005550105": "restart",
	}
	if len(all) != len(want) || !maps.Equal(told, want) {
		t.Errorf("told %d times: %v", len(all), told)
	}
}
