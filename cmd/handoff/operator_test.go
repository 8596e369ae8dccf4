package main

import (
	"bytes"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"handoff/sip/simulator/twilio"
)

// drains runs `handoff drain` on the edge; said is closed behind its last line.
func (r *restarts) drains(args ...string) (said <-chan string, exit <-chan int) {
	out, in := io.Pipe()
	lines, code := make(chan string, 100), make(chan int, 1)
	go func() { // ends with the command
		code <- run(append([]string{"drain", "--ops", "http://" + r.ops}, args...), streams{in, in})
		in.Close()
	}()
	go func() { // ends with it too
		defer close(lines)
		buf := make([]byte, 4096)
		for {
			n, err := out.Read(buf)
			if err != nil {
				return
			}
			lines <- string(buf[:n])
		}
	}()
	return lines, code
}

// TestDrain lets calls and a transfer finish, turns new callers away, and tells how far it is.
func TestDrain(t *testing.T) {
	r := newRestarts(t, restartConfig{})
	p, q := r.call(twilio.Options{}), r.call(twilio.Options{})
	said, exit := r.drains("--within", "20s")
	if line := <-said; !strings.HasPrefix(line, "2 calls left, until ") {
		t.Errorf("it says %q", line)
	}
	r.awaitPage("/readyz", "draining: 2 calls left")
	turned, err := r.twilio.Place(r.ctx, "+18885557777", twilio.Options{})
	r.must(err)
	if ending, err := turned.Await(r.ctx); err != nil || ending.Status != 503 {
		t.Errorf("a new caller: %+v, %v", ending, err)
	}
	r.must(hearMore(r.ctx, append(p.phones(), q.phones()...), 5))
	r.must(p.caller.Hangup(r.ctx))
	if line := <-said; !strings.HasPrefix(line, "1 calls left, until ") {
		t.Errorf("it says %q", line)
	}
	r.must(q.assistant.Hangup(r.ctx))
	for line := range said {
		if !strings.Contains(line, "the edge has ended") && !strings.Contains(line, "0 calls left") {
			t.Errorf("it says %q", line)
		}
	}
	if code := <-exit; code != exitOK {
		t.Errorf("exit code %d", code)
	}
	r.await(t, `"stopped"`)
	if err := r.cmd.Wait(); err != nil {
		t.Error(err)
	}
	r.start() // a drain leaves nothing behind
	if n := len(r.held()); n != 0 {
		t.Errorf("%d calls", n)
	}
	r.clean()
}

func TestTheDeadlineOfADrainEndsCalls(t *testing.T) {
	r := newRestarts(t, restartConfig{})
	p := r.call(twilio.Options{})
	said, exit := r.drains("--within", "1s")
	if ending, err := p.caller.Await(r.ctx); err != nil || ending.How != twilio.EdgeHungUp {
		t.Errorf("at Twilio: %+v, %v", ending, err)
	}
	var all strings.Builder
	for line := range said {
		all.WriteString(line)
	}
	if code := <-exit; code != exitOK || !strings.Contains(all.String(), "the edge has ended") {
		t.Errorf("exit code %d, it says %q", code, &all)
	}
	r.clean()
}

// TestReload changes what can be changed under a call, by signal and by command, and nothing by a bad file.
func TestReload(t *testing.T) {
	r := newRestarts(t, restartConfig{})
	p := r.call(twilio.Options{})
	good, err := os.ReadFile(r.config)
	r.must(err)
	write := func(text string) { r.must(os.WriteFile(r.config, []byte(text), 0o600)) }
	reload := func() (exit int, said string) {
		var out bytes.Buffer
		exit = run([]string{"reload", "--ops", "http://" + r.ops}, streams{&out, &out})
		return exit, out.String()
	}
	if exit, said := reload(); exit != exitOK || said != "nothing has changed\n" {
		t.Errorf("the same file: %d %q", exit, said)
	}

	write(string(good) + "frobnicate: 1\n")
	if exit, said := reload(); exit != exitError || !strings.Contains(said, "frobnicate") {
		t.Errorf("a bad file: %d %q", exit, said)
	}
	r.must(r.cmd.Process.Signal(syscall.SIGHUP))
	r.await(t, "not reloaded: nothing has changed")

	write(string(good) + "limits: {calls: 1}\n")
	r.must(r.cmd.Process.Signal(syscall.SIGHUP))
	r.await(t, `"changed":["limits.calls"]`)
	turned, err := r.twilio.Place(r.ctx, "+18885557777", twilio.Options{})
	r.must(err)
	if ending, err := turned.Await(r.ctx); err != nil || ending.Status != 503 {
		t.Errorf("one call too many: %+v, %v", ending, err)
	}

	// Other sources, another policy, another target; and what can't be changed is named.
	text := strings.Replace(string(good), `sources: ["127.0.0.2"]`, `sources: ["127.0.0.9"]`, 1)
	write(strings.Replace(text, "node: stage", "node: other", 1) + "transfer: {timeout: 7s}\nlog: {level: debug}\n")
	exit, said := reload()
	for _, want := range []string{"changed: twilio.sources\n", "changed: transfer\n", "changed: log.level\n", "changed: limits.calls\n", "wants a restart: node\n"} {
		if exit != exitOK || !strings.Contains(said, want) {
			t.Errorf("%d %q, want %s", exit, said, want)
		}
	}
	if runtime.GOOS == "linux" { // elsewhere all share one address
		if _, err := r.twilio.Place(r.ctx, "+18885557777", twilio.Options{}); err == nil {
			t.Error("a source that is listed no more is taken")
		}
	}
	r.must(hearMore(r.ctx, p.phones(), 5))

	write(string(good))
	if exit, said := reload(); exit != exitOK {
		t.Errorf("%d %q", exit, said)
	}
	again := r.call(twilio.Options{})
	r.must(p.caller.Hangup(r.ctx))
	r.must(again.caller.Hangup(r.ctx))
	r.ended(p, again)
	r.fair()
}
