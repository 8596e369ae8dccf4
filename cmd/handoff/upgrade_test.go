//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"handoff/sip/control"
	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// upgrade lets a new process take the place of the edge, and returns its process id when the old one holds no call.
func (r *restarts) upgrade() (pid int) {
	r.t.Helper()
	exit, said := r.tryUpgrade()
	pid = r.succeeded()
	if exit != exitOK || !strings.Contains(said, fmt.Sprintf("process %d serves", pid)) {
		r.t.Fatalf("exit code %d: %s", exit, said)
	}
	return pid
}

// tryUpgrade is the command.
func (r *restarts) tryUpgrade() (exit int, said string) {
	var out bytes.Buffer
	exit = run([]string{"upgrade", "--ops", "http://" + r.ops}, streams{&out, &out})
	return exit, out.String()
}

// succeeded waits for the process that follows.
func (r *restarts) succeeded() (pid int) {
	r.t.Helper()
	r.until("another process serves", func() bool { pid = r.upgraded().PID; return pid != r.cmd.Process.Pid })
	r.t.Cleanup(func() {
		_ = syscall.Kill(pid, syscall.SIGKILL) // or it has ended
		if r.t.Failed() {
			time.Sleep(200 * time.Millisecond)
			r.t.Log(r.lines())
		}
	})
	return pid
}

// lines are those that the edge has written and nobody has waited for.
func (r *restarts) lines() string {
	var all strings.Builder
	for {
		select {
		case line, open := <-r.log.found:
			if all.WriteString(line + "\n"); open {
				continue
			}
		default:
		}
		return all.String()
	}
}

// upgraded tells how far it is.
func (r *restarts) upgraded() (now control.Upgraded) {
	r.t.Helper()
	r.must(json.Unmarshal([]byte(r.page("/api/v1/upgrade")), &now))
	return now
}

// aPinsFolder stands in a configuration for one that mounted makes.
const aPinsFolder = "PINS"

// pinned takes a media path that outlives processes.
func pinned(path string) string {
	return "media: path: " + path + "\nmedia: pins: " + aPinsFolder + "/handoff\n"
}

// mounted has a bpffs of its own, where it wants one.
func (c restartConfig) mounted(t *testing.T) restartConfig {
	t.Helper()
	if !strings.Contains(c.YAML, aPinsFolder) {
		return c
	}
	c.YAML = strings.Replace(c.YAML, aPinsFolder, bpffs(t), 1)
	return c
}

// inClear is a world in which Twilio speaks UDP and nobody SRTP.
func inClear(yaml string) restartConfig {
	return restartConfig{
		stageConfig: stageConfig{WatsonSet: func(c *watson.Config) { c.PlainMedia = true }, TwilioSet: func(c *twilio.Config) { c.Transport = "udp" }},
		YAML:        yaml + "twilio: srtp: off\nwatson: srtp: off\n",
	}
}

// onIPv6 is a world without IPv4.
func onIPv6(cfg restartConfig) restartConfig {
	cfg.stageConfig = inIPv6(cfg.stageConfig)
	return cfg
}

// lossless fails on packets that did not arrive, or twice.
func lossless(t *testing.T, phones []*phone.Phone) {
	t.Helper()
	for i, p := range phones {
		if s := p.Stats(); s.Lost+s.Doubled+s.Damaged+s.Undecryptable+s.Foreign+s.Malformed > 0 || s.Heard == 0 {
			t.Errorf("phone %d: %+v", i, s)
		}
	}
}

// TestUpgradeMovesCalls moves calls that are up, and whatever either side does then works as if nothing had been.
func TestUpgradeMovesCalls(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  restartConfig
	}{
		{"userspace and SRTP that is terminated", restartConfig{YAML: pinned("userspace") + "media: srtp_keys: terminate\n"}},
		{"kernel and SRTP whose keys pass", restartConfig{YAML: pinned("kernel")}},
		{"kernel and plain RTP", inClear(pinned("kernel"))},
		{"SRTP whose keys pass", restartConfig{YAML: portable}},
		{"SRTP that is terminated", restartConfig{YAML: portable + "media: srtp_keys: terminate\n"}},
		{"plain RTP over UDP", inClear(portable)},
		{"IPv6 with userspace and SRTP that is terminated", onIPv6(restartConfig{YAML: pinned("userspace") + "media: srtp_keys: terminate\n"})},
		{"IPv6 with kernel and SRTP whose keys pass", onIPv6(restartConfig{YAML: pinned("kernel")})},
		{"IPv6 with SRTP whose keys pass", onIPv6(restartConfig{YAML: portable})},
		{"IPv6 with plain RTP over UDP", onIPv6(inClear(portable))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRestarts(t, tt.cfg.mounted(t))
			var pairs []pair
			var phones []*phone.Phone
			for range 4 {
				p := r.call(twilio.Options{})
				pairs, phones = append(pairs, p), append(phones, p.phones()...)
			}
			r.must(hearMore(r.ctx, phones, 5))
			if strings.Contains(tt.cfg.YAML, "path: kernel") {
				r.awaitPage("/metrics", fmt.Sprintf("\nhandoff_media_sessions{path=\"kernel\"} %d\n", len(pairs)))
			}
			r.upgrade()
			if n := len(r.held()); n != len(pairs) {
				t.Errorf("%d calls are held", n)
			}
			r.must(hearMore(r.ctx, phones, 50))
			if strings.Contains(tt.cfg.YAML, "path: kernel") {
				r.awaitPage("/metrics", fmt.Sprintf("\nhandoff_media_sessions{path=\"kernel\"} %d\n", len(pairs)))
				r.must(hearMore(r.ctx, phones, 50))
			}
			lossless(t, phones)

			fresh := r.call(twilio.Options{})
			r.must(hearMore(r.ctx, fresh.phones(), 5))
			r.useUp(pairs)
			r.must(hearMore(r.ctx, pairs[3].phones(), 5))
			r.must(pairs[3].caller.Hangup(r.ctx))
			r.must(fresh.caller.Hangup(r.ctx))
			r.ended(append(pairs, fresh)...)
			r.clean()
		})
	}
}

// TestUpgradeAroundTheTurnOfASequenceNumber: the roll-over counter of SRTP goes over with its call, whether the turn is behind it, or
// comes about when it moves.
func TestUpgradeAroundTheTurnOfASequenceNumber(t *testing.T) {
	for _, keys := range []string{"pass", "terminate"} {
		for name, before := range map[string]uint16{"behind": 20, "about": 240} { // a call moves some seconds after its answer
			t.Run(keys+" "+name, func(t *testing.T) {
				first := -before
				r := newRestarts(t, restartConfig{stageConfig: behaves(watson.Behaviour{First: first}), YAML: portable + "media: srtp_keys: " + keys + "\n"})
				p := r.call(twilio.Options{First: first})
				r.must(hearMore(r.ctx, p.phones(), 50))
				r.upgrade()
				r.must(hearMore(r.ctx, p.phones(), 100))
				lossless(t, p.phones())
				r.must(p.caller.Hangup(r.ctx))
				r.ended(p)
				r.fair()
			})
		}
	}
}

// TestUpgradeMovesManyCalls: each of them once, and then nothing keeps the old process but connections.
func TestUpgradeMovesManyCalls(t *testing.T) {
	r := newRestarts(t, restartConfig{Ports: "24000-24499", YAML: portable + "limits: invites_per_second: 1000\nlimits: per_source: 1000\n"})
	var pairs []pair
	var phones []*phone.Phone
	for range 60 {
		p := r.call(twilio.Options{})
		pairs, phones = append(pairs, p), append(phones, p.phones()...)
	}
	r.upgrade()
	if n := len(r.held()); n != len(pairs) {
		t.Errorf("%d calls are held", n)
	}
	r.must(hearMore(r.ctx, phones, 20))
	lossless(t, phones)
	for _, p := range pairs {
		r.must(p.caller.Hangup(r.ctx))
	}
	r.ended(pairs...)
	if all := toldOf(t, filepath.Join(r.dir, "state/cdr.jsonl"), len(pairs)); len(all) != len(pairs) {
		t.Errorf("%d CDRs", len(all))
	}
	r.clean()
}

// TestUpgradeWhileItEnds: who ends the edge while the new process is asked whether it is well ends both, and soon.
func TestUpgradeWhileItEnds(t *testing.T) {
	program := filepath.Join(t.TempDir(), "handoff")
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	r := newRestarts(t, restartConfig{YAML: portable, Program: program})
	p := r.call(twilio.Options{})
	r.must(os.Remove(program))
	r.must(os.WriteFile(program, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o700))
	r.must(r.cmd.Process.Signal(syscall.SIGUSR2))
	pid := r.child()
	began := time.Now()
	r.must(r.cmd.Process.Signal(syscall.SIGTERM))
	r.await(t, `"draining"`)
	r.must(r.cmd.Process.Signal(syscall.SIGTERM)) // now
	if ending, err := p.caller.Await(r.ctx); err != nil || ending.How != twilio.EdgeHungUp {
		t.Errorf("at Twilio: %+v, %v", ending, err)
	}
	r.must(r.cmd.Wait())
	if took := time.Since(began); took >= proveTime/2 {
		t.Errorf("it took %v", took)
	}
	if alive(pid) {
		t.Error("the process that never was one goes on")
	}
	r.fair()
}

// portable lets all media of an edge take sockets of their own.
const portable = "media: path: portable\n"

// TestUpgradeUnderLoad is the promise: callers come five a second, talk and go, some stay, and a transfer is under way. Not
// one INVITE fails and not one packet is lost or comes twice, whichever process has whichever call.
func TestUpgradeUnderLoad(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  restartConfig
	}{
		{"SRTP with Twilio over TLS", restartConfig{YAML: portable}},
		{"plain RTP in the kernel with Twilio over UDP", inClear(pinned("kernel"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Ports = "20000-20999" // fewer would do if what has just been used did not rest
			r := newRestarts(t, tt.cfg.mounted(t))
			var held []pair
			var all []*phone.Phone
			for range 3 {
				p := r.call(twilio.Options{})
				held, all = append(held, p), append(all, p.phones()...)
			}
			moving := r.call(twilio.Options{Refer: twilio.Refer{Delay: 3 * time.Second}})
			callers := r.callers(5)
			r.until("callers have come and gone", func() bool { return callers.ended() >= 5 })

			outcome := make(chan watson.Outcome, 1)
			go func() { // ends with the transfer
				o, _ := moving.assistant.Refer(r.ctx, watson.Transfer{Key: testKey})
				outcome <- o
			}()
			r.until("Twilio has the REFER", func() bool { return len(moving.caller.ReferTos()) == 1 })
			r.upgrade()
			r.told(<-outcome, 100, 200)
			r.inFlex(moving.caller, testKey)
			gone := callers.ended()
			r.until("the new process has served callers from their first to their last word", func() bool { return callers.ended() >= gone+10 })
			callers.stop()
			r.must(hearMore(r.ctx, all, 20))
			lossless(t, all)
			for _, p := range held {
				r.must(p.caller.Hangup(r.ctx))
			}
			r.ended(append(held, moving)...)
			r.clean()
		})
	}
}

// callers are those who come at a rate, talk for a second, and go.
type callers struct {
	r    *restarts
	quit chan struct{}
	wg   sync.WaitGroup

	mu   sync.Mutex
	gone int
}

func (r *restarts) callers(perSecond int) *callers {
	c := &callers{r: r, quit: make(chan struct{})}
	c.wg.Go(func() { // ends with quit
		pace := time.NewTicker(time.Second / time.Duration(perSecond))
		defer pace.Stop()
		for {
			select {
			case <-pace.C:
				c.wg.Go(func() { c.note(c.caller()) }) // ends with his call
			case <-c.quit:
				return
			}
		}
	})
	return c
}

// caller comes and goes. Which assistant it is that he talks to is all the same.
func (c *callers) caller() error {
	ctx := c.r.ctx
	caller, err := c.r.twilio.Place(ctx, "+18885557777", twilio.Options{})
	if err != nil {
		return fmt.Errorf("INVITE: %w", err)
	}
	assistant, err := c.r.watson.Accept(ctx)
	if err != nil {
		return err
	}
	if err := caller.AwaitAnswer(ctx); err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	if err := assistant.AwaitAnswer(ctx); err != nil {
		return fmt.Errorf("no ACK: %w", err)
	}
	phones := []*phone.Phone{caller.Phone(), assistant.Phone()}
	if err := hearMore(ctx, phones, 50); err != nil {
		return err
	}
	lossless(c.r.t, phones)
	if err := caller.Hangup(ctx); err != nil {
		return fmt.Errorf("BYE: %w", err)
	}
	_, err = caller.Await(ctx)
	return err
}

func (c *callers) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone++
	if err != nil {
		c.r.t.Error(err)
	}
}

func (c *callers) ended() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone
}

func (c *callers) stop() {
	close(c.quit)
	c.wg.Wait()
}

// TestUpgradeToAnUnhealthyProcess leaves the edge as it is when the new process does not come up, and says why.
func TestUpgradeToAnUnhealthyProcess(t *testing.T) {
	program := filepath.Join(t.TempDir(), "handoff")
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	r := newRestarts(t, restartConfig{YAML: portable, Program: program})
	p := r.call(twilio.Options{})
	refused := func(name, why string) {
		t.Helper()
		if exit, said := r.tryUpgrade(); exit != exitError || !strings.Contains(said, why) {
			t.Errorf("%s: exit code %d, %q", name, exit, said)
		}
		if now := r.upgraded(); now.PID != r.cmd.Process.Pid || now.Before != 0 {
			t.Errorf("%s: %+v", name, now)
		}
		fresh := r.call(twilio.Options{})
		r.must(hearMore(r.ctx, append(p.phones(), fresh.phones()...), 5))
		r.must(fresh.caller.Hangup(r.ctx))
	}
	good, err := os.ReadFile(r.config)
	r.must(err)
	r.must(os.WriteFile(r.config, append(good, "frobnicate: 1\n"...), 0o600))
	refused("a bad configuration", "the new process says: "+r.config+":")
	r.must(os.WriteFile(r.config, good, 0o600))
	unhealthy := []struct{ name, script, why string }{
		{"that crashes", "exit 3", "the new process has ended"},
		{"that ends at once", "exit 0", "the new process has ended"},
		{"that hangs", "exec sleep 1000", "the new process was not ready within"},
		{"that talks nonsense", "echo healthy >&3; exec sleep 1000", "the new process"},
		{"that writes garbage", "head -c 100000 /dev/urandom | tr -d '\\n' >&2; exit 1", "the new process has ended"},
		{"that is none", "", "start "},
	}
	for _, tt := range unhealthy {
		other := filepath.Join(t.TempDir(), "other")
		if tt.script != "" {
			r.must(os.WriteFile(other, []byte("#!/bin/sh\n"+tt.script+"\n"), 0o700))
		}
		r.must(os.Symlink(other, program+".next"))
		r.must(os.Rename(program+".next", program))
		refused("a process "+tt.name, tt.why)
	}
	r.awaitPage("/metrics", fmt.Sprintf(`handoff_upgrades_total{result="refused"} %d`, 1+len(unhealthy)))
	lossless(t, p.phones())
	r.must(os.Remove(program))
	r.must(os.Symlink(self, program))
	r.upgrade() // a good one
	r.awaitPage("/metrics", `handoff_upgrades_total{result="done"} 1`)
	r.must(hearMore(r.ctx, p.phones(), 5))
	lossless(t, p.phones())
	r.must(p.caller.Hangup(r.ctx))
	r.ended(p)
	r.clean()
}

// TestUpgradeWhoseNewProcessDies gives everything back to the old one, which still is there.
func TestUpgradeWhoseNewProcessDies(t *testing.T) {
	r := newRestarts(t, restartConfig{YAML: portable})
	p, q := r.call(twilio.Options{}), r.call(twilio.Options{})
	pid := r.upgrade()
	young := r.call(twilio.Options{})
	r.must(hearMore(r.ctx, append(p.phones(), young.phones()...), 5))
	r.must(syscall.Kill(pid, syscall.SIGKILL))
	r.await(t, "the new process is gone; this one goes on")
	r.until("the old process holds all calls", func() bool { return len(r.held()) == 3 })
	if now := r.upgraded(); now.PID != r.cmd.Process.Pid {
		t.Errorf("%+v", now)
	}
	r.must(hearMore(r.ctx, append(append(p.phones(), q.phones()...), young.phones()...), 5))
	fresh := r.call(twilio.Options{})
	r.must(hearMore(r.ctx, fresh.phones(), 5))
	for _, c := range []pair{p, q, young, fresh} {
		r.must(c.caller.Hangup(r.ctx))
	}
	r.ended(p, q, young, fresh)
	r.fair(simulator.SameConnection) // those who were brought back have none
}

// TestUpgradeWhoseOldProcessDies brings back from the journal what had not moved yet.
func TestUpgradeWhoseOldProcessDies(t *testing.T) {
	r := newRestarts(t, restartConfig{YAML: portable})
	p := r.call(twilio.Options{})
	r.must(r.cmd.Process.Signal(syscall.SIGUSR2))
	r.succeeded()
	if exit, said := r.tryUpgrade(); exit != exitError {
		t.Errorf("a second upgrade: exit code %d: %s", exit, said)
	}
	if len(r.held()) > 0 {
		t.Fatal("a call has moved that is too young for it")
	}
	r.kill()
	r.until("the new process holds the call", func() bool { return len(r.held()) == 1 })
	r.must(hearMore(r.ctx, p.phones(), 5))
	r.must(p.caller.Hangup(r.ctx))
	r.ended(p)
	r.fair()
}

// TestUpgradeWhoseOldProcessDiesBeforeTheAnswer: a caller over UDP whose call was being set up there hears 503 from the new one.
func TestUpgradeWhoseOldProcessDiesBeforeTheAnswer(t *testing.T) {
	cfg := inClear(portable)
	clear := cfg.WatsonSet
	cfg.WatsonSet = func(c *watson.Config) {
		clear(c)
		c.Behaviour.RingFor = 20 * time.Second
	}
	r := newRestarts(t, cfg)
	caller, err := r.twilio.Place(r.ctx, "+18885557777", twilio.Options{})
	r.must(err)
	assistant, err := r.watson.Accept(r.ctx)
	r.must(err)
	<-caller.Ringing()
	time.Sleep(written)
	r.must(r.cmd.Process.Signal(syscall.SIGUSR2))
	r.succeeded()
	r.kill()
	if ending, err := caller.Await(r.ctx); err != nil || ending.How != twilio.Rejected || ending.Status != 503 {
		t.Errorf("the caller: %+v, %v", ending, err)
	}
	if ending, err := assistant.Await(r.ctx); err != nil || ending.How != watson.Cancelled {
		t.Errorf("at Watson: %+v, %v", ending, err)
	}
	r.until("the edge holds no call", func() bool { return len(r.held()) == 0 })
	r.fair()
}

// TestUpgradeEndsTheOldProcess does so at the latest when it has lingered, and costs nobody anything.
func TestUpgradeEndsTheOldProcess(t *testing.T) {
	r := newRestarts(t, restartConfig{YAML: portable, Args: []string{"--linger", "8s"}})
	p, q := r.call(twilio.Options{}), r.call(twilio.Options{})
	r.upgrade()
	r.until("the old process has ended", func() bool { return r.upgraded().Before == 0 })
	if err := r.cmd.Wait(); err != nil {
		t.Error(err)
	}
	r.must(hearMore(r.ctx, append(p.phones(), q.phones()...), 5))
	lossless(t, append(p.phones(), q.phones()...))
	r.must(p.caller.Hangup(r.ctx))
	r.must(q.assistant.Hangup(r.ctx))
	r.ended(p, q)
	second := r.call(twilio.Options{})
	if exit, said := r.tryUpgrade(); exit != exitOK { // and the next one may come
		t.Errorf("exit code %d: %s", exit, said)
	}
	r.succeeded()
	r.must(hearMore(r.ctx, second.phones(), 5))
	lossless(t, second.phones())
	r.must(second.caller.Hangup(r.ctx))
	r.ended(second)
	r.fair()
}

// TestUpgradeBehindAnUpgrade: as long as the old process has calls the next upgrade is refused, and then connections keep it from
// nothing: who has put a bad build in place need not wait until Twilio closes them.
func TestUpgradeBehindAnUpgrade(t *testing.T) {
	r := newRestarts(t, restartConfig{YAML: portable})
	p, q := r.call(twilio.Options{}), r.call(twilio.Options{})
	r.must(r.cmd.Process.Signal(syscall.SIGUSR2))
	first := r.succeeded()
	if exit, said := r.tryUpgrade(); exit != exitError || !strings.Contains(said, "try again when it has no calls") {
		t.Errorf("while calls are in the old process: exit code %d: %s", exit, said)
	}
	r.until("both calls have moved", func() bool { return len(r.held()) == 2 })
	r.until("the old process has none", func() bool { return r.upgraded().Calls == 0 })
	if now := r.upgraded(); now.Before == 0 || now.Connections == 0 {
		t.Fatalf("nothing keeps the old process: %+v", now)
	}
	r.until("a second upgrade works", func() bool {
		exit, said := r.tryUpgrade()
		if exit != exitOK && !strings.Contains(said, errHastening.Error()) {
			t.Fatalf("exit code %d: %s", exit, said)
		}
		return exit == exitOK
	})
	var second int
	r.until("a third process serves", func() bool { second = r.upgraded().PID; return second != first && second != r.cmd.Process.Pid })
	t.Cleanup(func() { _ = syscall.Kill(second, syscall.SIGKILL) }) // or it has ended
	if err := r.cmd.Wait(); err != nil {
		t.Error(err)
	}
	fresh := r.call(twilio.Options{})
	all := append(append(p.phones(), q.phones()...), fresh.phones()...)
	r.must(hearMore(r.ctx, all, 20))
	lossless(t, all)
	r.must(p.caller.Hangup(r.ctx))
	r.must(q.assistant.Hangup(r.ctx))
	r.must(fresh.caller.Hangup(r.ctx))
	r.ended(p, q, fresh)
	r.fair()
}

// TestUpgradedEdgeEndsWhole: who ends the new process ends the edge, also when the old one still is there.
func TestUpgradedEdgeEndsWhole(t *testing.T) {
	r := newRestarts(t, restartConfig{YAML: portable})
	p := r.call(twilio.Options{})
	r.must(r.cmd.Process.Signal(syscall.SIGUSR2))
	pid := r.succeeded()
	r.must(syscall.Kill(pid, syscall.SIGTERM))
	if ending, err := p.caller.Await(r.ctx); err != nil || ending.How != twilio.EdgeHungUp {
		t.Errorf("at Twilio: %+v, %v", ending, err)
	}
	if err := r.cmd.Wait(); err != nil {
		t.Error(err)
	}
	r.fair()
}
