package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
)

// bpffs mounts one until the test ends.
func bpffs(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, "mode=0700"); err != nil {
		missing(t, "a bpffs of its own takes root: "+err.Error())
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// The kernel's maps and programs are pinned: both sides hear each other while no process lives, and while the next
// one takes the call over.
func TestMediaFlowOnWhileTheProcessIsDead(t *testing.T) {
	yaml := "media: path: kernel\nmedia: pins: " + bpffs(t)
	for name, cfg := range map[string]restartConfig{
		"SRTP whose keys pass": {YAML: yaml + "/srtp\n"},
		"plain RTP":            inClear(yaml + "/plain\n"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRestarts(t, cfg)
			p := r.call(twilio.Options{})
			r.must(hearMore(r.ctx, p.phones(), 5))
			r.awaitPage("/metrics", "\nhandoff_media_sessions{path=\"kernel\"} 1\n")
			time.Sleep(written)
			for range 2 {
				r.kill()
				r.must(hearMore(r.ctx, p.phones(), 25))
				r.start()
				r.must(hearMore(r.ctx, p.phones(), 25))
				r.awaitPage("/metrics", "\nhandoff_media_sessions{path=\"kernel\"} 1\n")
			}
			r.must(p.caller.Hangup(r.ctx))
			r.ended(p)
			for _, phone := range p.phones() {
				if s := phone.Stats(); s.Lost+s.Undecryptable+s.Damaged+s.Foreign > 0 {
					t.Errorf("heard %+v", s)
				}
			}
			r.fair()
		})
	}
}

// TestHowLongNobodyIsHeard measures, path by path, what a kill and a start at once cost: a phone that hears a voice again tells what
// of it was lost.
func TestHowLongNobodyIsHeard(t *testing.T) {
	for _, name := range []string{"portable", "portable, its sockets kept", "userspace"} {
		t.Run(name, func(t *testing.T) {
			path, _, kept := strings.Cut(name, ",")
			if path == "userspace" && os.Geteuid() != 0 {
				t.Skip("userspace takes rights: this is not root")
			}
			cfg := restartConfig{YAML: "media: path: " + path + "\n"}
			var r *restarts
			var start func()
			if kept {
				s := newSupervised(t, 4096, cfg)
				r, start = s.restarts, s.start
			} else {
				r = newRestarts(t, cfg)
				start = r.start
			}
			var pairs []pair
			var phones []*phone.Phone
			for range 10 {
				p := r.call(twilio.Options{})
				pairs, phones = append(pairs, p), append(phones, p.phones()...)
			}
			r.must(hearMore(r.ctx, phones, 5))
			time.Sleep(written)
			r.kill()
			dead := time.Now()
			start()
			r.must(hearMore(r.ctx, phones, 25))
			var lost []uint64
			for _, p := range phones {
				lost = append(lost, p.Stats().Lost)
			}
			slices.Sort(lost)
			const packet = 20 * time.Millisecond
			t.Logf("serves %v after the kill; not heard for %v (median), %v (longest)", r.served.Sub(dead), time.Duration(lost[len(lost)/2])*packet, time.Duration(lost[len(lost)-1])*packet)
			if lost[len(lost)-1] == 0 {
				t.Error("all voices were heard while nobody carried them: the measurement is wrong")
			}
			for _, p := range pairs {
				r.must(p.caller.Hangup(r.ctx))
			}
			r.ended(pairs...)
			r.fair()
		})
	}
}
