package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"handoff/sip/simulator/twilio"
)

// TestWhoLooksWhileTheProcessChanges has somebody capture a call and another look at the console when the process is killed and when
// another takes its place: the file can be read, the page goes on by itself and says what it does not know.
func TestWhoLooksWhileTheProcessChanges(t *testing.T) {
	for _, tt := range []struct {
		name    string
		changes func(r *restarts)
	}{
		{"killed", func(r *restarts) { r.again() }},
		{"upgraded", func(r *restarts) { r.upgrade() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRestarts(t, restartConfig{YAML: portable})
			p := r.call(twilio.Options{From: "+14155550123"})
			id := r.held()[0].ID
			page := browser(t, "http://"+r.ops+"/console/#/calls")
			is := func(expression string) func() bool {
				return func() bool {
					holds, err := chromedp.Run(page, chromedp.Evaluate[bool](expression))
					return err == nil && holds
				}
			}
			const listed = `document.getElementById("link").textContent === "live" && document.querySelector("table.live tbody tr")?.innerText.includes("+14155550123") === true`
			r.until("the call in the list", is(listed))

			name := filepath.Join(t.TempDir(), "call.pcapng")
			var said bytes.Buffer
			capture := exec.CommandContext(r.ctx, os.Args[0], "calls", "--ops", "http://"+r.ops, "pcap", id, "--media", "15s", "-o", name)
			capture.Env, capture.Stderr = append(os.Environ(), asCommand+"=1"), &said
			r.must(capture.Start())
			const signalling = 25_000 // bytes at most
			r.until("media are captured", func() bool {
				info, err := os.Stat(name)
				return err == nil && info.Size() > signalling
			})
			tt.changes(r)
			if err := capture.Wait(); err == nil && tt.name == "killed" || err != nil && !strings.Contains(said.String(), "what came before that is there") {
				t.Errorf("the command: %v, %s", err, &said)
			}
			r.must(hearMore(r.ctx, p.phones(), 5))
			r.until("the call in the list again", is(listed+` && document.getElementById("lost").hidden`))
			r.must(chromedp.Do(page, chromedp.Click(chromedp.CSS("table.live a"))))
			r.until("what the story lacks", is(`document.querySelector(".findings")?.innerText.includes("restarted or upgraded") === true`))
			if exit := run([]string{"calls", "--ops", "http://" + r.ops, "pcap", id, "-o", name + ".2"}, streams{&said, &said}); exit != exitOK {
				t.Errorf("a capture behind it: %d, %s", exit, &said)
			}
			r.must(p.caller.Hangup(r.ctx))
			r.ended(p)

			requires(t, "tshark", "tshark")
			out, err := exec.Command("tshark", "-r", name, "-q", "-z", "rtp,streams").CombinedOutput()
			if n := strings.Count(string(out), "g711U"); err != nil || n != 4 || strings.Contains(string(out), "cut short") {
				t.Errorf("%d streams of 4, %v:\n%s", n, err, out)
			}
		})
	}
}
