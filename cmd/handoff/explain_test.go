package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/control"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// explained runs a command on the scene's edge and returns what it says.
func (sc *scene) explained(exit int, args ...string) string {
	sc.t.Helper()
	var out bytes.Buffer
	args = append(args, "--ops", "http://"+sc.edge.ops.Addr().String())
	if code := run(args, streams{&out, &out}); code != exit {
		sc.t.Errorf("%q: exit code %d: %s", args, code, &out)
	}
	if strings.Contains(out.String(), "0a64c30d") {
		sc.t.Errorf("%q shows the key: %s", args, lineWith(out.String(), "0a64c30d"))
	}
	return out.String()
}

func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return line
		}
	}
	return ""
}

// says fails unless a text has all parts, whatever lines it is broken into.
func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	plain := strings.Join(strings.Fields(text), " ")
	for _, part := range parts {
		if !strings.Contains(plain, part) {
			t.Errorf("%q is missing in\n%s", part, text)
		}
	}
}

// callIDOf is the Call-ID of the caller's INVITE.
func (sc *scene) callIDOf() string {
	sc.t.Helper()
	found := regexp.MustCompile(`(?m)^Call-ID: (\S+)`)
	for _, m := range sc.recorder.Messages() {
		if m.Peer == metrics.PeerTwilio && bytes.HasPrefix(m.Raw, []byte("INVITE ")) {
			return string(found.FindSubmatch(m.Raw)[1])
		}
	}
	sc.t.Fatal("no INVITE")
	return ""
}

// TestExplain plays what operators are called at night for, and wants the cause and a remedy to be said.
func TestExplain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		cfg   stageConfig
		play  func(sc *scene) (id string)
		wants []string
	}{
		{"a good transfer", quiet(), func(sc *scene) string {
			caller, assistant := sc.place(twilio.Options{})
			sc.stillTalk(caller, assistant)
			_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey, Hold: watson.HoldSendOnly})
			sc.must(err)
			sc.over(caller, assistant)
			return caller.Sid()
		}, []string{
			"ended: transferred (success)", "+15005550001 called +18885557777, Programmable Voice", "◀── REFER ──────────│ #2, sip:queue@flex.twilio.com key:",
			"refer: proved (success) after", "context delivered", "A from caller", "B from Watson", "Nothing went wrong",
		}},
		{"a transfer that is refused", quiet(), func(sc *scene) string {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
			_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey, OnFailure: watson.ResumeCall})
			sc.must(err)
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
			return caller.Sid()
		}, []string{
			"why Twilio refused the transfer (to sip:queue@flex.twilio.com, by refer). Twilio answered 603", "refer: rejected (upstream)", "What went wrong",
			"has no referUrl", "history key did not reach an agent",
		}},
		{"a chain to an agent", func() stageConfig { c := quiet(); c.Domain = true; return c }(), func(sc *scene) string {
			caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
			_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
			sc.must(err)
			agent, err := sc.twilio.Domain().Accept(sc.ctx)
			sc.must(err)
			sc.must(agent.AwaitAnswer(sc.ctx))
			sc.must(agent.Hangup(sc.ctx))
			sc.over(caller, assistant)
			return caller.Sid()
		}, []string{
			"leg C 200, it hung up, to acme.sip.twilio.com", "◀── INVITE ─────────│ │ leg C #1, tls key:", "refer, then invite: proved", "It took more than one method: refer failed, invite did it. Twilio answered 603",
		}},
		{"a zone that is down", quiet(), func(sc *scene) string {
			caller, assistant := sc.place(twilio.Options{})
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
			return caller.Sid()
		}, []string{
			"leg B not reached, to 127.0.0.1,", "Watson's target 127.0.0.1 did not take the call: it could not be reached:", "connection refused", "Run handoff doctor", "leg B 200, ended by the edge, to 127.0.0.",
		}},
		{"no zone at all", stageConfig{Set: func(c *configs.Config) { c.Watson.Targets = c.Watson.Targets[:0] }}, func(sc *scene) string {
			return sc.turnedAway().Sid()
		}, []string{
			"ended: watson_unreachable (upstream)", "None of Watson's targets could be reached. The caller heard 503 Service Unavailable.", "never answered", "IBM's status page",
		}},
		{"a Watson whose certificate is another's", stageConfig{Set: func(c *configs.Config) { c.Watson.ServerName = "voip.example.com" }}, func(sc *scene) string {
			return sc.turnedAway().Sid()
		}, []string{
			"could not be reached: ", "certificate is for " + zoneName + ", want voip.example.com", "watson.tls.server_name", "The caller heard 503",
		}},
		{"a Watson that is busy", rejects(486), func(sc *scene) string { return sc.turnedAway().Sid() }, []string{
			"answered 486 Busy Here. The caller heard 486", "│◀── 486 Busy Here ──│ #1 INVITE", "its capacity",
		}},
		{"one-way audio", quiet(), func(sc *scene) string {
			caller, assistant := sc.place(twilio.Options{})
			caller.Phone().Mute()
			sc.counted(`handoff_rtp_one_way_total{leg="a",reason="nothing"} 1`)
			live := sc.explained(exitOK, "explain", caller.Sid())
			says(sc.t, live, "live", "No media at all came from the caller (leg A). It lasts.", "and still is: nothing")
			says(sc.t, sc.explained(exitOK, "calls", "show", caller.Sid()), "legs: A up, B up; transfer under way: none", "No media at all came from the caller")
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
			return caller.Sid()
		}, []string{
			"why No media at all came from the caller (leg A). It lasted", "A from caller", "leg A was not heard from", "firewall for UDP to media.ports",
		}},
		{"an INVITE that is refused at once", stageConfig{Set: func(c *configs.Config) { c.Limits.Calls = 1 }}, func(sc *scene) string {
			caller, assistant := sc.place(twilio.Options{})
			first := sc.callIDOf()
			turned := sc.turnedAway()
			sc.must(caller.Hangup(sc.ctx))
			_, err := assistant.Await(sc.ctx)
			sc.must(err)
			for _, m := range sc.recorder.Messages() {
				if raw := string(m.Raw); strings.HasPrefix(raw, "INVITE ") && m.Peer == metrics.PeerTwilio && strings.Contains(raw, turned.Sid()) {
					_, rest, _ := strings.Cut(raw, "Call-ID: ")
					id, _, _ := strings.Cut(rest, "\r\n")
					if id == first {
						sc.t.Error("two calls have one Call-ID")
					}
					return id
				}
			}
			return ""
		}, []string{
			"No call: its request was refused", "INVITE was refused with 503 Service Unavailable. A limit was reached.", "raise limits.calls", "── INVITE ─────────▶│",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			switch tt.name {
			case "a zone that is down":
				zone, _ := listenAs(t, nil)
				tt.cfg.Set = func(c *configs.Config) { c.Watson.Targets = append([]string{"sips:" + zone}, c.Watson.Targets...) }
			case "no zone at all":
				zone, _ := listenAs(t, nil)
				tt.cfg.Set = func(c *configs.Config) { c.Watson.Targets = []string{"sips:" + zone} }
			}
			sc := newScene(t, tt.cfg)
			id := tt.play(sc)
			text := sc.explained(exitOK, "explain", id)
			says(t, text, tt.wants...)
			for line := range strings.Lines(text) {
				if n := len([]rune(strings.TrimRight(line, "\n"))); n > 100 {
					t.Errorf("%d columns: %s", n, line)
				}
			}
			sc.clean()
		})
	}
}

// turnedAway lets a caller ring in vain.
func (sc *scene) turnedAway() *twilio.Call {
	sc.t.Helper()
	caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
	sc.must(err)
	_, err = caller.Await(sc.ctx)
	sc.must(err)
	return caller
}

// plainStory leaves out of a story what differs from run to run.
var plainStory = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\b[A-Z2-7]{26}\b`), "CALL"},
	{regexp.MustCompile(`\bCA[0-9a-f]{32}\b`), "CA"},
	{regexp.MustCompile(`\b[0-9a-f]{32}@0\.0\.0\.0`), "ID@twilio"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d `), "DAY "},
	{regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3}`), "TIME"},
	{regexp.MustCompile(`\b\d+(\.\d)? m?s\b`), "SPAN"},
	{regexp.MustCompile(`127\.0\.0\.\d(:\d+)?`), "ADDRESS"},
	{regexp.MustCompile(` +\d+ +[\d.]+ % +SPAN +[\d.]+ +\w+ path`), " PACKETS"},
	{regexp.MustCompile(`(to (?:caller|Watson)) +\d+ +`), "$1 PACKETS "},
}

// The text of a story is read in review; the ladder in it, whose lines cross, by itself (testdata/ladders).
func TestTheTextOfAStory(t *testing.T) {
	t.Parallel()
	sc := newScene(t, quiet())
	caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}})
	sc.stillTalk(caller, assistant)
	_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey, OnFailure: watson.ResumeCall})
	sc.must(err)
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
	sc.goldenOf("explain/transfer_refused", func() string {
		text := sc.explained(exitOK, "explain", caller.Sid(), "--no-messages")
		for _, p := range plainStory {
			text = p.what.ReplaceAllString(text, p.as)
		}
		return text
	})
}

// By each of its names a call is found, as JSON too; what is not known is said, and what a file of CDRs has of it.
func TestACallIsFoundByItsNames(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cdr.jsonl")
	cfg := withCDR(quiet(), path)
	cfg.REST = true // so that the caller's own call is known
	sc := newScene(t, cfg)
	caller, assistant := sc.place(twilio.Options{})
	sc.stillTalk(caller, assistant)
	_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
	sc.must(err)
	sc.over(caller, assistant)
	record := toldOf(t, path, 1)[0]

	for _, id := range []string{record.Call, record.Call[:6], caller.Sid(), caller.ParentSid(), sc.callIDOf(), record.Legs[1].CallID} {
		var told control.Story
		sc.must(json.Unmarshal([]byte(sc.explained(exitOK, "explain", id, "--json")), &told))
		if told.Call != record.Call || told.Live || told.State != nil || told.Record.Reason != "transferred" || len(told.Messages) < 20 || len(told.Quality) != 2 {
			t.Errorf("%s: %s, live %v, %d messages, %d legs of quality", id, told.Call, told.Live, len(told.Messages), len(told.Quality))
		}
		for _, m := range told.Messages {
			if m.At.IsZero() || m.Offset < 0 || m.Label == "" || m.Leg != "a" && m.Leg != "b" || m.Local == "" || m.Remote == "" || m.Transport != "tls" {
				t.Errorf("%s: %+v", id, m)
			}
		}
	}
	for _, id := range []string{"..", "ended"} { // what the API has other paths for
		says(t, sc.explained(exitError, "explain", id), "is no call's name")
	}
	says(t, sc.explained(exitError, "explain", "NOBODYS"), "no such call: looked through the last 1 calls", "--cdr FILE")
	says(t, sc.explained(exitError, "explain", "NOBODYS", "--cdr", path), "no such call: looked through the last 1 calls", path+" has no such call among 1")
	says(t, sc.explained(exitOK, "explain", record.Call, "--raw"), "X-Watson-Assistant-Session-History-Key=…sha256:", "inline:…sha256:", "Call-ID: "+sc.callIDOf())

	var ended struct{ Calls []struct{ Call string } }
	sc.must(json.Unmarshal([]byte(sc.get("/api/v1/calls/ended")), &ended))
	if len(ended.Calls) != 1 || ended.Calls[0].Call != record.Call {
		t.Errorf("ended: %+v", ended)
	}
	var over control.Overview
	sc.must(json.Unmarshal([]byte(sc.get("/api/v1/overview")), &over))
	if !over.Ready || over.Node != "stage" || len(over.Targets) != 1 || !over.Targets[0].Up || len(over.Flows) != 2 || over.PortsFree == 0 ||
		len(over.Certificates) == 0 || len(over.Paths) != 3 || len(over.Ended) != 1 || over.Ended[0].Reason != "transferred" || len(over.Transfers) != 1 {
		t.Errorf("overview: %+v", over)
	}

	// Without the edge, the file has what is left.
	var out bytes.Buffer
	nobody := []string{"explain", caller.Sid(), "--ops", "http://127.0.0.1:1"}
	if code := run(append(nobody, "--cdr", path), streams{&out, &out}); code != exitOK {
		t.Errorf("exit code %d: %s", code, &out)
	}
	says(t, out.String(), "Call "+record.Call+", ended: transferred", "refer: proved (success)", "messages and samples are not kept there")
	if code := run(nobody, streams{&out, &out}); code != exitError {
		t.Errorf("exit code %d", code)
	}
	sc.must(os.Rename(path, path+".1"))
	sc.must(os.WriteFile(path, []byte("{\"call\":\"cut o"), 0o600))
	if code := run(append(nobody, "--cdr", path), streams{&out, &out}); code != exitOK {
		t.Errorf("of a file that was rotated: exit code %d: %s", code, &out)
	}
}

// What was said before the process died is not there, and the story says so.
func TestAStoryBehindARestart(t *testing.T) {
	r := newRestarts(t, restartConfig{})
	p := r.call(twilio.Options{})
	r.again()
	r.must(hearMore(r.ctx, p.phones(), 5))
	_, err := p.assistant.Refer(r.ctx, watson.Transfer{Key: testKey})
	r.must(err)
	r.ended(p)
	var out bytes.Buffer
	if code := run([]string{"explain", p.caller.Sid(), "--ops", "http://" + r.ops}, streams{&out, &out}); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	says(t, out.String(), "ended: transferred", "◀── REFER ──────────│", "The process was restarted or upgraded at", "messages and samples from before are not here")
	if strings.Contains(out.String(), "── INVITE ─") {
		t.Errorf("it has what was before:\n%s", &out)
	}
}

// Without traces only calls that are live are told of.
func TestWithoutTraces(t *testing.T) {
	t.Parallel()
	sc := newScene(t, stageConfig{Set: func(c *configs.Config) { c.Trace.Calls = 0 }})
	caller, assistant := sc.place(twilio.Options{})
	var list struct{ Calls []struct{ ID string } }
	sc.must(json.Unmarshal([]byte(sc.get("/api/v1/calls")), &list))
	says(t, sc.explained(exitOK, "explain", list.Calls[0].ID), "live", "Messages: none are remembered")
	sc.must(caller.Hangup(sc.ctx))
	sc.over(caller, assistant)
	says(t, sc.explained(exitError, "explain", list.Calls[0].ID), "trace.calls is 0")
	if got := sc.get("/api/v1/calls/ended"); strings.TrimSpace(got) != `{"calls":[]}` {
		t.Errorf("ended: %s", got)
	}
	res, err := http.Get("http://" + sc.edge.ops.Addr().String() + "/api/v1/calls/" + url.PathEscape(caller.Sid()))
	sc.must(err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("%d", res.StatusCode)
	}
}
