package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
)

// TestKilledWhileItRecovers kills processes that have just begun, one behind the other, each a little later than the one before.
// What the first has written is enough for whichever comes to serve.
func TestKilledWhileItRecovers(t *testing.T) {
	for _, keys := range []string{"pass", "terminate"} {
		t.Run(keys, func(t *testing.T) {
			r := newRestarts(t, restartConfig{YAML: "media: srtp_keys: " + keys + "\n"})
			var pairs []pair
			var phones []*phone.Phone
			for range 4 {
				p := r.call(twilio.Options{})
				pairs, phones = append(pairs, p), append(phones, p.phones()...)
			}
			r.must(hearMore(r.ctx, phones, 5))
			time.Sleep(written)
			r.kill()
			for later := 0 * time.Millisecond; later < 600*time.Millisecond; later += 60 * time.Millisecond {
				r.serving = serveBy(t, os.Args[0], r.config, nil)
				time.Sleep(later)
				r.kill()
			}
			r.start()
			soon, cancel := context.WithTimeout(r.ctx, 2*time.Second)
			defer cancel()
			r.must(hearMore(soon, phones, 5))
			if n := len(r.held()); n != len(pairs) {
				t.Errorf("%d calls are held", n)
			}
			r.useUp(pairs)
			r.must(hearMore(r.ctx, pairs[3].phones(), 5))
			r.must(pairs[3].caller.Hangup(r.ctx))
			r.ended(pairs...)
			if all := toldOf(t, filepath.Join(r.dir, "state/cdr.jsonl"), len(pairs)); len(all) != len(pairs) {
				t.Errorf("%d CDRs", len(all))
			}
			for _, p := range phones {
				if s := p.Stats(); s.Undecryptable+s.Damaged+s.Foreign > 0 {
					t.Errorf("heard %+v", s)
				}
			}
			r.fair()
		})
	}
}

// child waits for the process that an upgrade starts: it has its end of the channel. Before its first child Go starts another, to see
// what the system can do.
func (r *restarts) child() (pid int) {
	r.t.Helper()
	at := fmt.Sprintf("/proc/%d/task", r.cmd.Process.Pid)
	r.until("a process is started", func() bool {
		threads, _ := filepath.Glob(filepath.Join(at, "*", "children"))
		for _, name := range threads {
			text, _ := os.ReadFile(name)
			for _, field := range strings.Fields(string(text)) {
				environ, _ := os.ReadFile(filepath.Join("/proc", field, "environ"))
				if strings.Contains(string(environ), "HANDOFF_UPGRADE=") {
					pid, _ = strconv.Atoi(field)
				}
			}
		}
		return pid != 0
	})
	r.t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) }) // or it has ended
	return pid
}

// TestUpgradeWhoseNewProcessIsKilledAtAnyTime: however far it has come, the old process has everything, or has it again.
func TestUpgradeWhoseNewProcessIsKilledAtAnyTime(t *testing.T) {
	r := newRestarts(t, restartConfig{YAML: portable})
	p, q := r.call(twilio.Options{}), r.call(twilio.Options{})
	phones := append(p.phones(), q.phones()...)
	r.must(hearMore(r.ctx, phones, 5))
	for later := 0 * time.Millisecond; later < 600*time.Millisecond; later += 75 * time.Millisecond {
		r.must(r.cmd.Process.Signal(syscall.SIGUSR2))
		pid := r.child()
		time.Sleep(later)
		r.must(syscall.Kill(pid, syscall.SIGKILL))
		r.until("the old process has it again", func() bool { return !alive(pid) && len(r.held()) == 2 && r.upgraded().PID == r.cmd.Process.Pid })
		fresh := r.call(twilio.Options{})
		r.must(hearMore(r.ctx, append(phones, fresh.phones()...), 5))
		r.must(fresh.caller.Hangup(r.ctx))
		_, err := fresh.caller.Await(r.ctx)
		r.must(err)
		r.until("two calls are held", func() bool { return len(r.held()) == 2 })
	}
	r.upgrade()
	r.must(hearMore(r.ctx, phones, 5))
	r.must(p.caller.Hangup(r.ctx))
	r.must(q.assistant.Hangup(r.ctx))
	r.ended(p, q)
	r.fair(simulator.SameConnection)
}

// TestUpgradeWhoseOldProcessIsKilledAtAnyTime: either the new process has the calls, or the one has that is started next.
func TestUpgradeWhoseOldProcessIsKilledAtAnyTime(t *testing.T) {
	for later := 0 * time.Millisecond; later < 600*time.Millisecond; later += 100 * time.Millisecond {
		t.Run(later.String(), func(t *testing.T) {
			r := newRestarts(t, restartConfig{YAML: portable})
			p, q := r.call(twilio.Options{}), r.call(twilio.Options{})
			phones := append(p.phones(), q.phones()...)
			r.must(hearMore(r.ctx, phones, 5))
			time.Sleep(written)
			r.must(r.cmd.Process.Signal(syscall.SIGUSR2))
			pid := r.child()
			time.Sleep(later)
			r.kill()
			if !r.takesOver(pid) {
				r.until("it has ended too", func() bool { return !alive(pid) })
				r.start()
			}
			r.until("both calls are held", func() bool { return len(r.held()) == 2 })
			r.must(hearMore(r.ctx, phones, 5))
			fresh := r.call(twilio.Options{})
			r.must(hearMore(r.ctx, fresh.phones(), 5))
			for _, c := range []pair{p, q, fresh} {
				r.must(c.caller.Hangup(r.ctx))
			}
			r.ended(p, q, fresh)
			if all := toldOf(t, filepath.Join(r.dir, "state/cdr.jsonl"), 3); len(all) != 3 {
				t.Errorf("%d CDRs", len(all))
			}
			r.fair(simulator.SameConnection)
		})
	}
}

// takesOver waits until the process of an upgrade, whose old one has died, serves or has ended.
func (r *restarts) takesOver(pid int) (serves bool) {
	r.t.Helper()
	r.until("it serves or has ended", func() bool {
		for line := range strings.Lines(r.lines()) {
			serves = serves || strings.Contains(line, `"serving"`)
		}
		return serves || !alive(pid)
	})
	return serves
}

// alive tells whether a process, which nobody may wait for, goes on.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(state, "Z")
}
