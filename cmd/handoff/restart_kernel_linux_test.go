package main

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// The kernel's maps and programs are pinned: both sides hear each other while no process lives, and while the next
// one takes the call over.
func TestMediaFlowOnWhileTheProcessIsDead(t *testing.T) {
	pins := t.TempDir()
	if err := unix.Mount("bpf", pins, "bpf", 0, "mode=0700"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("a bpffs of its own takes root: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(pins, unix.MNT_DETACH) })
	yaml := "media: path: kernel\nmedia: pins: " + pins
	for name, cfg := range map[string]restartConfig{
		"SRTP whose keys pass": {YAML: yaml + "/srtp\n"},
		"plain RTP": {
			stageConfig: stageConfig{WatsonSet: func(c *watson.Config) { c.PlainMedia = true }, TwilioSet: func(c *twilio.Config) { c.Transport = "udp" }},
			YAML:        yaml + "/plain\ntwilio: srtp: off\nwatson: srtp: off\n",
		},
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
