package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

const (
	watsonUser = "apikey"
	watsonPass = "simulated-watson-password"
	opsToken   = "simulated-ops-token"
)

// TestNoSecretIsWritten plays calls in which every secret is used, lets the process die with all its stacks on the screen, and
// looks for the secrets in all that it wrote and showed but the journal.
func TestNoSecretIsWritten(t *testing.T) {
	const (
		rest   = "twilio: rest: {account_sid: " + accountSID + ", auth_token_file: token, base_url: \"REST\", twiml: redirect, studio_url: \"STUDIO\", workflow_sid: " + workflow + "}\n"
		domain = "twilio: sip_domain: {uri: \"DOMAIN\", username: " + domainUser + ", password_file: password}\n"
		auth   = "watson: auth: {username: " + watsonUser + ", password_file: watson-password}\n"
		ops    = "ops: token_file: ops-token\n"
	)
	hooks := func(listen string) string {
		return strings.ReplaceAll("webhooks: listen: \"AT\"\nwebhooks: public_url: \"https://AT\"\nwebhooks: auth_token_file: token\nwebhooks: studio_url: \"STUDIO\"\nwebhooks: workflow_sid: "+workflow+"\n", "AT", listen)
	}
	for _, tt := range []struct{ level, keys string }{{"debug", "pass"}, {"info", "terminate"}} {
		t.Run(tt.level+", keys "+tt.keys, func(t *testing.T) {
			before := syscall.Umask(0o022)
			defer syscall.Umask(before)
			webhooks := fmt.Sprintf("127.0.0.1:%d", freePort(loopback))
			r := newRestarts(t, restartConfig{
				YAML:  rest + domain + auth + ops + hooks(webhooks) + "log: level: " + tt.level + "\nmedia: srtp_keys: " + tt.keys + "\n",
				Files: map[string]string{"watson-password": watsonPass, "ops-token": opsToken}, Token: opsToken,
				stageConfig: stageConfig{WatsonSet: func(c *watson.Config) {
					c.Username, c.Password, c.Behaviour.Digest = watsonUser, watsonPass, &twilio.Digest{AsServer: true}
				}},
			})
			s := &secrets{restarts: r, known: map[string]string{
				authToken: "the auth token", domainPass: "the domain's password", watsonPass: "Watson's password", opsToken: "the operator's token",
				testKey: "the session key", strings.ReplaceAll(testKey, ":", "%3A"): "the session key, escaped",
			}}
			s.privateKeys()
			s.play(webhooks)

			// What a crash prints: the stacks of all goroutines, while two calls are up.
			for range 2 {
				s.of(r.call(twilio.Options{}).phones()...)
			}
			time.Sleep(written)
			s.pages()
			s.commands()
			s.stories()
			s.journal()
			if limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", r.cmd.Process.Pid)); err != nil || !regexp.MustCompile(`Max core file size +0 `).Match(limits) {
				t.Errorf("core dumps are on: %v\n%s", err, limits)
			}
			r.must(r.cmd.Process.Signal(syscall.SIGQUIT))
			for line := range r.log.found { // closed when the process has ended
				fmt.Fprintln(&r.log.all, line)
			}
			if !strings.Contains(r.log.all.String(), "goroutine ") {
				t.Error("no stacks were printed")
			}
			s.seen("the log and the stacks", r.log.all.String())
			if tt.level == "info" {
				s.anonymous("the log of level info", r.log.all.String())
			}
		})
	}
}

// secrets is a world with what must not be seen of it, by what it is.
type secrets struct {
	*restarts
	known map[string]string
}

// privateKeys adds those of the edge's certificate, a line each.
func (s *secrets) privateKeys() {
	text, err := os.ReadFile(filepath.Join(s.dir, "edge.key"))
	s.must(err)
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "-----") {
			s.known[strings.TrimSpace(line)] = "the certificate's key"
		}
	}
}

// of adds what a call's phones know.
func (s *secrets) of(phones ...*phone.Phone) {
	for _, p := range phones {
		for _, params := range p.Keys() {
			key, _, _ := strings.Cut(strings.TrimPrefix(params, "inline:"), "|")
			s.known[key] = "an SRTP key"
		}
	}
}

// play hands callers over by each method, and in ways that go wrong.
func (s *secrets) play(webhooks string) {
	up := func(o twilio.Options) pair {
		p := s.call(o)
		s.must(hearMore(s.ctx, p.phones(), 5))
		s.of(p.phones()...)
		s.pages()
		return p
	}
	p := up(twilio.Options{})
	outcome, err := p.assistant.Refer(s.ctx, watson.Transfer{Key: testKey, Hold: watson.HoldSendOnly})
	s.must(err)
	s.told(outcome, 100, 200)
	s.ended(p)

	p = up(twilio.Options{Refer: twilio.Refer{Status: 603}})
	outcome, err = p.assistant.Refer(s.ctx, watson.Transfer{Key: testKey})
	s.must(err)
	s.told(outcome, 100, 200)
	s.ended(p)

	s.twilio.BehaveREST(twilio.REST{Status: 401})
	p = up(twilio.Options{Refer: twilio.Refer{Status: 603}})
	agents := make(chan *twilio.Inbound, 1)
	go func() { // ends with the agent's call
		agent, err := s.twilio.Domain().Accept(s.ctx)
		if err == nil {
			err = agent.AwaitAnswer(s.ctx)
		}
		if err != nil {
			s.t.Error(err)
		}
		agents <- agent
	}()
	outcome, err = p.assistant.Refer(s.ctx, watson.Transfer{Key: testKey})
	s.must(err)
	s.told(outcome, 100, 200)
	agent := <-agents
	s.must(hearMore(s.ctx, []*phone.Phone{agent.Phone(), p.caller.Phone()}, 5))
	s.of(agent.Phone())
	s.must(p.caller.Hangup(s.ctx))
	s.ended(p)

	p = up(twilio.Options{}) // keys that are wrong in all ways, and in places where nobody looks for them
	for _, referTo := range []string{
		"<sip:queue@flex.twilio.com?" + watson.KeyHeader + "=" + testKey + "&" + watson.KeyHeader + "=other>", "<sip:queue@flex.twilio.com?" + watson.KeyHeader + "=" + testKey + "%0d%0aX: y>",
		"<sip:" + testKey + "@elsewhere.example?" + watson.KeyHeader + "=" + testKey + ">", "<sip:queue@flex.twilio.com?" + watson.KeyHeader + "=" + testKey, "<sip:queue@flex.twilio.com>;" + testKey,
		"<sip:queue@flex.twilio.com?" + watson.KeyHeader + "=" + testKey + strings.Repeat("x", 1000) + ">",
	} {
		res, err := p.assistant.Send(s.ctx, p.assistant.Request("REFER").Add("Refer-To", referTo))
		s.must(err)
		if res.Status() < 400 {
			s.t.Logf("%s: %s", referTo, res.Start)
			break // it is under way
		}
	}
	s.must(p.assistant.SendRaw([]byte("REFER " + testKey + "\r\n\r\n")))
	s.must(p.caller.Hangup(s.ctx))
	s.ended(p)

	a := newAsks(s.t) // webhooks that nobody has signed
	posts := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "X-Twilio-Signature": {authToken}}
	a.refused("POST", "https://"+webhooks+"/twilio/refer-handler?key="+testKey, "ReferTransferTarget="+testKey, posts, 403)
	a.refused("GET", "https://"+webhooks+"/twilio/"+testKey, "", nil, 404)
	a.refused("GET", "http://"+s.ops+"/metrics?token="+opsToken, "", nil, 401)
	conn, err := net.Dial("tcp", webhooks) // no TLS
	s.must(err)
	_, err = conn.Write([]byte("GET /" + authToken + " HTTP/1.1\r\n\r\n"))
	s.must(err)
	conn.Close()
}

// pages looks at all that the operator's listener shows.
func (s *secrets) pages() {
	s.t.Helper()
	for _, path := range []string{
		"/metrics", "/healthz", "/readyz", "/api/v1/calls", "/api/v1/calls/ended", "/api/v1/overview", "/api/v1/drain", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/goroutine?debug=1", "/debug/pprof/heap?debug=1",
	} {
		page := s.page(path)
		s.seen(path, page)
		if path == "/metrics" {
			s.anonymous(path, page)
		}
	}
}

// anonymous fails on the numbers of the calls.
func (s *secrets) anonymous(where, text string) {
	s.t.Helper()
	for _, number := range []string{"15005550001", "18885557777"} {
		if strings.Contains(text, number) {
			s.t.Errorf("%s shows %s: %s", where, number, lineWith(text, number))
		}
	}
}

// stories looks at those of all calls, live and ended: everything that was said stands there.
func (s *secrets) stories() {
	s.t.Helper()
	found := 0
	for _, path := range []string{"/api/v1/calls", "/api/v1/calls/ended"} {
		var all struct{ Calls []struct{ ID, Call string } }
		s.must(json.Unmarshal([]byte(s.page(path)), &all))
		found += len(all.Calls)
		for _, c := range all.Calls {
			told := s.page("/api/v1/calls/" + c.ID + c.Call)
			if !strings.Contains(told, "…sha256:") {
				s.t.Errorf("nothing is masked in %s", told)
			}
			s.seen("the story of "+c.ID+c.Call, told)
			var out bytes.Buffer
			for _, args := range [][]string{{"explain", c.ID + c.Call, "--raw"}, {"explain", c.ID + c.Call, "--json"}, {"calls", "show", c.ID + c.Call}} {
				args = append(args, "--ops", "http://"+s.restarts.ops, "--token-file", filepath.Join(s.dir, "ops-token"))
				if code := run(args, streams{&out, &out}); code != exitOK {
					s.t.Errorf("%v: exit code %d: %s", args, code, &out)
				}
			}
			s.seen("explain", out.String())
		}
	}
	if found < 6 {
		s.t.Errorf("only %d calls were found", found)
	}
}

// commands looks at what the operator's commands print.
func (s *secrets) commands() {
	s.t.Helper()
	var out bytes.Buffer
	for _, format := range [][]string{nil, {"--json"}} {
		args := append([]string{"calls", "--ops", "http://" + s.restarts.ops, "--token-file", filepath.Join(s.dir, "ops-token"), "list"}, format...)
		if code := run(args, streams{&out, &out}); code != exitOK {
			s.t.Errorf("%v: exit code %d: %s", args, code, &out)
		}
	}
	for _, command := range []string{"check", "doctor"} {
		_ = run([]string{command, "--config", s.config}, streams{&out, &out}) // whatever it finds
	}
	s.seen("commands", out.String())
}

// seen fails on every secret in a text.
func (s *secrets) seen(where, text string) {
	s.t.Helper()
	for secret, what := range s.known {
		if strings.Contains(text, secret) {
			s.t.Errorf("%s shows %s: %s", where, what, lineWith(text, secret))
		}
	}
}

// journal finds the secrets where they have to be, and wants that to be the edge's alone.
func (s *secrets) journal() {
	s.t.Helper()
	made, keys := 0, 0
	s.must(filepath.WalkDir(filepath.Join(s.dir, "state"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		made++
		if entry.Type().IsRegular() {
			text, err := os.ReadFile(path)
			s.must(err)
			for secret, what := range s.known {
				if what == "an SRTP key" && bytes.Contains(text, []byte(secret)) {
					keys++
				}
			}
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			s.t.Errorf("%s has mode %o", path, mode)
		}
		return nil
	}))
	if made < 2 || keys < 2 {
		s.t.Errorf("%d files and folders, %d keys in them", made, keys)
	}
}
