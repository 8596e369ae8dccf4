//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"handoff/metrics/cdr"
	"handoff/sip/simulator/twilio"
)

// TestUpgradeDuringATransfer: Twilio's HTTP requests come to the new process, its SIP to whichever process has the call. The key
// arrives, each side hears one BYE, there is one CDR, and what Twilio says stands under the call that it is about.
func TestUpgradeDuringATransfer(t *testing.T) {
	const (
		rest   = "twilio: rest: {account_sid: " + accountSID + ", auth_token_file: token, base_url: \"REST\", twiml: redirect, studio_url: \"STUDIO\", workflow_sid: " + workflow + "}\n"
		domain = "twilio: sip_domain: {uri: \"DOMAIN\", username: " + domainUser + ", password_file: password}\n"
	)
	for _, tt := range []struct {
		name      string
		yaml      string
		refer     twilio.Refer
		rest      twilio.REST
		reception twilio.Reception
		// until what: then a new process takes over
		until func(*restarts, pair)
		// after ends the call; nil: it ends by itself
		after func(*restarts, pair, *twilio.Inbound)
		tried []string
	}{
		{
			name: "REFER is not answered yet", refer: twilio.Refer{AnswerDelay: 3 * time.Second}, until: referred, tried: []string{"refer"},
		},
		{
			name: "REFER is accepted and NOTIFYs are to come", refer: twilio.Refer{Delay: 3 * time.Second}, until: referred, tried: []string{"refer"},
		},
		{
			name: "the API has not answered yet", yaml: rest, refer: twilio.Refer{Status: 603}, rest: twilio.REST{Delay: 4 * time.Second},
			until: asked, tried: []string{"refer", "rest"},
		},
		{
			name: "the API has said yes and the BYE has not come yet", yaml: rest, refer: twilio.Refer{Status: 603}, rest: twilio.REST{ByeAfter: 5 * time.Second},
			until: func(r *restarts, p pair) { asked(r, p); time.Sleep(written) }, tried: []string{"refer", "rest"},
		},
		{
			name: "an agent is called", yaml: domain, refer: twilio.Refer{Status: 603}, reception: twilio.Reception{RingFor: 4 * time.Second},
			until: func(r *restarts, _ pair) { r.await(r.t, `"method":"invite"`) }, tried: []string{"refer", "invite"},
			after: func(r *restarts, p pair, agent *twilio.Inbound) { r.must(agent.Hangup(r.ctx)) },
		},
		{
			name: "the caller talks to the agent who hangs up", yaml: domain + "transfer: methods: [invite]\n",
			until: released, tried: []string{"invite"}, after: func(r *restarts, p pair, agent *twilio.Inbound) { r.must(agent.Hangup(r.ctx)) },
		},
		{
			name: "the caller talks to the agent and hangs up", yaml: domain + "transfer: methods: [invite]\n",
			until: released, tried: []string{"invite"}, after: func(r *restarts, p pair, agent *twilio.Inbound) { r.must(p.caller.Hangup(r.ctx)) },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRestarts(t, withWebhooks(restartConfig{YAML: portable + tt.yaml}))
			r.twilio.BehaveREST(tt.rest)
			tt.reception.Key = testKey
			r.twilio.Domain().Receive(tt.reception)
			p := r.call(twilio.Options{Refer: tt.refer})
			r.must(hearMore(r.ctx, p.phones(), 5))
			outcome := r.refer(p)
			tt.until(r, p)
			r.must(r.cmd.Process.Signal(syscall.SIGUSR2))
			r.succeeded()
			r.told(<-outcome, 100, 200)
			sid := p.caller.ParentSid()
			if tt.after != nil {
				agent, err := r.twilio.Domain().Accept(r.ctx)
				r.must(err)
				r.must(agent.AwaitAnswer(r.ctx))
				both := p.phones()
				both[1] = agent.Phone()
				r.must(hearMore(r.ctx, both, 20))
				r.until("the call has moved", func() bool { return len(r.held()) == 1 })
				r.must(hearMore(r.ctx, both, 20))
				lossless(t, both)
				tt.after(r, p, agent)
				_, err = agent.Await(r.ctx)
				r.must(err)
				sid = agent.Sid()
			}
			r.ended(p)
			task, err := r.twilio.Flex().Await(r.ctx, sid)
			r.must(err)
			if got := task.SessionHistoryKey(); got != testKey {
				t.Errorf("Flex has the key %q", got)
			}
			told := toldOf(t, filepath.Join(r.dir, "state", "cdr.jsonl"), 1)
			if len(told) != 1 || len(told[0].Transfers) != 1 {
				t.Fatalf("CDRs: %+v", told)
			}
			if got := told[0].Transfers[0]; told[0].Result != "success" || !slices.Equal(got.Tried, tt.tried) || got.Result != "success" || got.Context != "delivered" {
				t.Errorf("CDR: %+v", told[0])
			}
			r.saysOf(told[0], `"webhook":"dial_action"`)
			r.fair()
		})
	}
}

// withWebhooks lets Twilio ask the edge what to do with its callers, and those of the SIP domain.
func withWebhooks(cfg restartConfig) restartConfig {
	at := fmt.Sprintf("%s:%d", loopback, freePort(loopback))
	cfg.YAML += fmt.Sprintf("webhooks: listen: %q\nwebhooks: public_url: \"https://%[1]s\"\n", at) +
		"webhooks: auth_token_file: token\nwebhooks: studio_url: \"STUDIO\"\nwebhooks: workflow_sid: " + workflow +
		"\nwebhooks: tls: {certificate: edge.pem, key: edge.key}\n"
	cfg.TwilioSet = func(c *twilio.Config) { c.Webhooks = "https://" + at + "/twilio" }
	return cfg
}

// asked waits until Twilio's API has the request.
func asked(r *restarts, _ pair) { r.await(r.t, `"method":"rest"`) }

// released waits until Watson has been released.
func released(r *restarts, p pair) {
	_, err := p.assistant.Await(r.ctx)
	r.must(err)
}

// saysOf waits until Twilio has said something, and wants it to stand under the name of a call.
func (r *restarts) saysOf(call cdr.Record, what string) {
	r.t.Helper()
	var found string
	r.until("Twilio says "+what, func() bool {
		for line := range strings.Lines(r.lines()) {
			if strings.Contains(line, `"twilio says"`) && strings.Contains(line, what) {
				found = line
			}
		}
		return found != ""
	})
	if !strings.Contains(found, fmt.Sprintf(`"call":%q`, call.Call)) {
		r.t.Errorf("not under call %s: %s", call.Call, found)
	}
}
