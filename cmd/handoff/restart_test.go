package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"handoff/sip/b2bua"
	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// restarts is a world whose edge is a process of its own, which can die and come back: `handoff serve`, with the journal
// and the CDRs that it has by default. Of the scene all but the edge is there.
type restarts struct {
	*scene
	*serving
	as     restartConfig
	config string
	ops    string
	token  string
	sip    uint16    // over TLS
	served time.Time // since when the process does
}

// restartConfig adds to the stage's configuration what lets another process take its place.
type restartConfig struct {
	stageConfig
	YAML    string                          // further keys, each a line "section: key: value"
	Ports   string                          // for media; empty: some
	Files   map[string]string               // further secrets beside the configuration, by their names
	Token   string                          // of the ops listener; empty: it wants none
	As      func(cmd *exec.Cmd, dir string) // changes who the edge runs as; nil: this test's user
	Program string                          // that serves; empty: this one
	Args    []string                        // further ones

	Journal string // its path; empty: in the world's own folder
}

func newRestarts(t *testing.T, cfg restartConfig) *restarts {
	t.Helper()
	switch {
	case cfg.At.Edge.Is6():
	case runtime.GOOS == "linux":
		cfg.At = stageAddrs{loopback, netip.MustParseAddr("127.0.0.2"), watsonAddr}
	default:
		cfg.At = stageAddrs{loopback, loopback, loopback}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r := &restarts{as: cfg, scene: &scene{t: t, ctx: ctx, stage: &stage{violations: &simulator.Violations{}, dir: t.TempDir()}}}
	authority, err := simulator.NewAuthority()
	r.must(err)
	own := cfg.WatsonSet
	cfg.WatsonSet = func(c *watson.Config) {
		c.AcceptWithin = 3 * time.Second
		if own != nil {
			own(c)
		}
	}
	r.must(r.startWatson(cfg.stageConfig, authority))
	t.Cleanup(r.watson.Close)
	_, err = authority.Write(r.dir)
	r.must(err)
	_, _, err = authority.WriteIssued(r.dir, "edge", cfg.At.Edge.String())
	r.must(err)
	r.must(os.WriteFile(filepath.Join(r.dir, "token"), []byte(authToken), 0o600))
	r.must(os.WriteFile(filepath.Join(r.dir, "password"), []byte(domainPass), 0o600))

	for name, secret := range cfg.Files {
		r.must(os.WriteFile(filepath.Join(r.dir, name), []byte(secret), 0o600))
	}
	r.token = cfg.Token

	r.ports = stagePorts{rest: freePort(cfg.At.Twilio), studio: freePort(cfg.At.Twilio), domain: freePort(cfg.At.Twilio)}
	r.sip = freePort(cfg.At.Edge)
	udp, host := freePort(cfg.At.Edge), hostText(cfg.At.Edge.String())
	r.ops = fmt.Sprintf("%s:%d", host, freePort(cfg.At.Edge))
	text := configOf(cfg.At, r.watson.Addr(), cmp.Or(cfg.Ports, rangeOfPorts()))
	for old, new := range map[string]string{
		"tls:" + host + ":0": fmt.Sprintf("tls:%s:%d", host, r.sip), "tcp:" + host + ":0": fmt.Sprintf("tcp:%s:%d", host, freePort(cfg.At.Edge)),
		"udp:" + host + ":0": fmt.Sprintf("udp:%s:%d", host, udp), `ops: {listen: "` + host + `:0"}`: `ops: {listen: "` + r.ops + `"}`,
		"journal: {kind: memory}": "journal: {path: " + cmp.Or(cfg.Journal, "state/calls.db") + "}", `cdr: {kind: "off"}`: "cdr: {path: state/cdr.jsonl}",
	} {
		if !strings.Contains(text, old) {
			t.Fatalf("no %s in\n%s", old, text)
		}
		text = strings.Replace(text, old, new, 1)
	}
	if strings.Contains(cfg.YAML, "pins:") {
		text = strings.Replace(text, `, pins: ""`, "", 1)
	}
	for line := range strings.Lines(strings.NewReplacer(
		"REST", fmt.Sprintf("http://%s:%d", hostText(cfg.At.Twilio.String()), r.ports.rest), "STUDIO", twilio.StudioURL(accountSID, netip.AddrPortFrom(cfg.At.Twilio, r.ports.studio)),
		"DOMAIN", fmt.Sprintf("sip:queue@%s:%d;transport=tls", domainName, r.ports.domain),
	).Replace(cfg.YAML)) {
		section, rest, _ := strings.Cut(line, ": ")
		switch block, flow := "\n"+section+":\n", "\n"+section+": {"; {
		case strings.Contains(text, block):
			text = strings.Replace(text, block, block+"  "+rest, 1)
		case strings.Contains(text, flow):
			text = strings.Replace(text, flow, flow+strings.TrimSuffix(rest, "\n")+", ", 1)
		default:
			text += section + ": {" + strings.TrimSuffix(rest, "\n") + "}\n"
		}
	}
	names := newNameServer(t)
	names.set(func(s *nameServer) { s.zone[domainName+"."] = []dnsBody{address(cfg.At.Twilio)} })
	t.Setenv(withNames, names.conn.LocalAddr().String())
	r.config = filepath.Join(r.dir, "edge.yaml")
	r.must(os.WriteFile(r.config, []byte(text), 0o600))
	r.start()

	certificate, err := authority.Issue(regionName, "trunk1.pstn.twilio.com", domainName)
	r.must(err)
	at := fmt.Sprintf("%s:%d", host, r.sip)
	tc := twilio.Config{
		Addr: cfg.At.Twilio, Certificate: certificate, Roots: authority.Pool(), Edge: at, Origination: "sip:" + at + ";transport=tls",
		Hidden: []string{zoneName, "watson.cloud.ibm.com"}, AccountSid: accountSID, AuthToken: authToken, ParentHeader: true, PlainREST: true,
		RESTPort: r.ports.rest, WebhookPort: r.ports.studio, Username: domainUser, Password: domainPass, Domain: domainName, DomainPort: r.ports.domain,
	}
	if cfg.TwilioSet != nil {
		cfg.TwilioSet(&tc)
	}
	if tc.Transport == "udp" {
		tc.Edge = fmt.Sprintf("%s:%d", host, udp)
	}
	r.twilio, err = twilio.New(tc, twilio.Deps{Violations: r.violations})
	r.must(err)
	t.Cleanup(r.twilio.Close)
	return r
}

func (r *restarts) start() {
	r.t.Helper()
	r.serving = serveBy(r.t, cmp.Or(r.as.Program, os.Args[0]), r.config, r.as.Args, func(cmd *exec.Cmd) {
		if r.as.As != nil {
			r.as.As(cmd, r.dir)
		}
	})
	r.await(r.t, `"serving"`)
	r.served = time.Now()
}

// useUp lets the first four calls do what a call may do in another process than it began in: each side hangs up, Watson
// holds and transfers, the caller moves. The last one goes on.
func (r *restarts) useUp(pairs []pair) {
	r.t.Helper()
	r.must(pairs[0].caller.Hangup(r.ctx))
	r.must(pairs[1].assistant.Hangup(r.ctx))
	r.must(pairs[2].assistant.Hold(r.ctx, watson.HoldInactive))
	r.must(pairs[2].assistant.Resume(r.ctx))
	r.must(hearMore(r.ctx, pairs[2].phones(), 5))
	outcome, err := pairs[2].assistant.Refer(r.ctx, watson.Transfer{Key: testKey})
	r.must(err)
	r.told(outcome, 100, 200)
	r.inFlex(pairs[2].caller, testKey)
	if status, err := pairs[3].caller.Reinvite(r.ctx, twilio.Address); err != nil || status != 200 {
		r.t.Errorf("a re-INVITE of the caller: %d, %v", status, err)
	}
}

// kill ends the edge as the kernel does, without a word.
func (r *restarts) kill() {
	r.t.Helper()
	_ = r.cmd.Process.Kill() // or it is dead already
	_ = r.cmd.Wait()
}

// again kills the edge and starts it anew.
func (r *restarts) again() {
	r.t.Helper()
	r.kill()
	r.start()
}

// written is how long after something has happened the journal surely has it, on a machine that has other things to do. What
// is promised to nobody is written some milliseconds behind.
const written = 300 * time.Millisecond

// pair is a call at both its ends.
type pair struct {
	caller    *twilio.Call
	assistant *watson.Call
}

func (r *restarts) call(o twilio.Options) pair {
	r.t.Helper()
	caller, err := r.twilio.Place(r.ctx, "+18885557777", o)
	r.must(err)
	assistant, err := r.watson.Accept(r.ctx)
	r.must(err)
	r.must(caller.AwaitAnswer(r.ctx))
	r.must(assistant.AwaitAnswer(r.ctx))
	return pair{caller, assistant}
}

func (p pair) phones() []*phone.Phone { return []*phone.Phone{p.caller.Phone(), p.assistant.Phone()} }

// hearMore waits until each phone has heard some more packets of a voice than it has now.
func hearMore(ctx context.Context, phones []*phone.Phone, more uint64) error {
	before := make([]uint64, len(phones))
	for i, p := range phones {
		before[i] = p.Stats().Heard
	}
	for i, p := range phones {
		if err := p.Until(ctx, func(s phone.Stats) bool { return s.Heard >= before[i]+more }); err != nil {
			return fmt.Errorf("phone %d of %d, which has heard %+v: %w", i, len(phones), p.Stats(), err)
		}
	}
	return nil
}

// held asks the edge for its calls.
func (r *restarts) held() []b2bua.Info {
	r.t.Helper()
	var answer struct{ Calls []b2bua.Info }
	r.must(json.Unmarshal([]byte(r.page("/api/v1/calls")), &answer))
	return answer.Calls
}

// awaitPage waits until a page of the ops listener holds part.
func (r *restarts) awaitPage(path, part string) {
	r.t.Helper()
	r.until(path+" has "+part, func() bool { return strings.Contains(r.page(path), part) })
}

func (r *restarts) page(path string) string {
	r.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, "http://"+r.ops+path, nil)
	r.must(err)
	req.Header.Set("Authorization", "Bearer "+r.token)
	res, err := client.Do(req)
	r.must(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	r.must(err)
	return string(body)
}

// ended waits until both ends and the edge have forgotten the calls.
func (r *restarts) ended(pairs ...pair) {
	r.t.Helper()
	for _, p := range pairs {
		_, err := p.caller.Await(r.ctx)
		r.must(err)
		_, err = p.assistant.Await(r.ctx)
		r.must(err)
	}
	r.until("the edge holds no call", func() bool { return len(r.held()) == 0 })
}

// fair fails on what a simulator saw the edge do wrong. Behind a restart a leg may have two connections, one that the
// edge has dialled and one that its peer has: between these nothing keeps a NOTIFY behind its 202.
func (r *restarts) fair(but ...simulator.Rule) {
	r.t.Helper()
	for _, v := range r.violations.All() {
		if v.Rule != simulator.NotifyAfterAccept && !slices.Contains(but, v.Rule) {
			r.t.Error(v)
		}
	}
}

// TestKilledInMidCall kills the edge under its calls. Its successor finds them in the journal: both directions of media are back
// within a second, and whatever either side does then works.
func TestKilledInMidCall(t *testing.T) {
	for _, tt := range []struct {
		name  string
		calls int
		cfg   restartConfig
	}{
		{"SRTP whose keys pass", 20, restartConfig{}},
		{"SRTP that is terminated", 4, restartConfig{YAML: "media: srtp_keys: terminate\n"}},
		{"plain RTP over UDP", 4, restartConfig{
			stageConfig: stageConfig{WatsonSet: func(c *watson.Config) { c.PlainMedia = true }, TwilioSet: func(c *twilio.Config) { c.Transport = "udp" }},
			YAML:        "twilio: srtp: off\nwatson: srtp: off\n",
		}},
		{"SRTP from Twilio, plain to Watson", 4, restartConfig{
			stageConfig: stageConfig{WatsonSet: func(c *watson.Config) { c.PlainMedia = true }},
			YAML:        "watson: srtp: off\n",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRestarts(t, tt.cfg)
			var pairs []pair
			var phones []*phone.Phone
			for range tt.calls {
				p := r.call(twilio.Options{})
				pairs, phones = append(pairs, p), append(phones, p.phones()...)
			}
			r.must(hearMore(r.ctx, phones, 5))
			r.kill()
			began := time.Now()
			r.start()
			soon, cancel := context.WithTimeout(r.ctx, time.Second)
			defer cancel()
			r.must(hearMore(soon, phones, 5))
			t.Logf("%d calls heard again %v after the process began", tt.calls, time.Since(began))
			if n := len(r.held()); n != tt.calls {
				t.Errorf("%d calls are held", n)
			}

			r.useUp(pairs)
			r.again() // what was agreed on since is known too
			r.must(hearMore(r.ctx, pairs[3].phones(), 5))
			for _, p := range pairs[3:] {
				r.must(p.caller.Hangup(r.ctx))
			}
			r.ended(pairs...)
			for _, p := range phones {
				if s := p.Stats(); s.Undecryptable+s.Damaged+s.Foreign > 0 {
					t.Errorf("heard %+v", s)
				}
			}
			r.fair()
		})
	}
}

// TestKilledBehindTheTurnOfASequenceNumber: the roll-over counter of SRTP, which no packet carries, is found again.
func TestKilledBehindTheTurnOfASequenceNumber(t *testing.T) {
	const first = 1<<16 - 25
	for _, keys := range []string{"pass", "terminate"} {
		t.Run(keys, func(t *testing.T) {
			r := newRestarts(t, restartConfig{stageConfig: behaves(watson.Behaviour{First: first}), YAML: "media: srtp_keys: " + keys + "\n"})
			p := r.call(twilio.Options{First: first})
			r.must(hearMore(r.ctx, p.phones(), 50))     // the turn is behind them
			time.Sleep(1500*time.Millisecond + written) // a call looks once a second
			for range 2 {
				r.again()
				soon, cancel := context.WithTimeout(r.ctx, 2*time.Second)
				defer cancel()
				r.must(hearMore(soon, p.phones(), 25))
			}
			r.must(p.assistant.Hangup(r.ctx))
			r.ended(p)
			for _, phone := range p.phones() {
				if s := phone.Stats(); s.Undecryptable+s.Damaged+s.Foreign > 0 {
					t.Errorf("heard %+v", s)
				}
			}
			r.fair()
		})
	}
}

// TestWhatNobodyEndsBehindARestart: the duration counts from the answer, whoever gave it, and silence from the start on.
func TestWhatNobodyEndsBehindARestart(t *testing.T) {
	t.Run("it lasts too long", func(t *testing.T) {
		const most = 8 * time.Second
		r := newRestarts(t, restartConfig{YAML: "limits: duration: " + most.String() + "\n"})
		p := r.call(twilio.Options{})
		answered := time.Now()
		r.must(hearMore(r.ctx, p.phones(), 150))
		r.again()
		began := time.Now()
		r.ended(p)
		if lasted := time.Since(answered); lasted < most-time.Second || time.Since(began) >= most {
			t.Errorf("it lasted %v, and %v behind the restart", lasted, time.Since(began))
		}
		if got := p.caller.Ending().Reason; !strings.Contains(got, `text="duration"`) {
			t.Errorf("the caller heard %q", got)
		}
		r.fair()
	})
	t.Run("the caller falls silent", func(t *testing.T) {
		r := newRestarts(t, restartConfig{YAML: "media: timeout: 3s\n"})
		p := r.call(twilio.Options{})
		r.must(hearMore(r.ctx, p.phones(), 5))
		time.Sleep(written)
		r.again()
		r.must(hearMore(r.ctx, p.phones(), 100)) // and does not end while he talks
		p.caller.Phone().Mute()
		r.ended(p)
		if got := p.assistant.Ending().Reason; !strings.Contains(got, `text="caller_silent"`) {
			t.Errorf("Watson heard %q", got)
		}
		r.fair()
	})
}
