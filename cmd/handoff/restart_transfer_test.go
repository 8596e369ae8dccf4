package main

import (
	"testing"
	"time"

	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// TestKilledDuringATransfer kills the edge in each state of a transfer. What was sent is not sent again, and what Watson hears is
// true.
func TestKilledDuringATransfer(t *testing.T) {
	const rest = "twilio: rest: {account_sid: " + accountSID + ", auth_token_file: token, base_url: \"REST\", twiml: redirect, studio_url: \"STUDIO\", workflow_sid: " + workflow + "}\n"
	const domain = "twilio: sip_domain: {uri: \"DOMAIN\", username: " + domainUser + ", password_file: password}\n"
	var agent *twilio.Inbound
	for _, tt := range []struct {
		name  string
		yaml  string
		refer twilio.Refer
		prep  func(*twilio.Account)
		// until what: then the edge is killed
		until func(*restarts, pair)
		after func(*restarts, pair, func() watson.Outcome)
	}{
		{"while REFER is not answered", "", twilio.Refer{AnswerDelay: 2 * time.Second}, nil, referred, transferred},
		{"between 202 and the last NOTIFY", "", twilio.Refer{Delay: 2 * time.Second}, nil, referred, transferred},
		{"while nothing is proved", "transfer: timeout: 1s\n", twilio.Refer{Silent: true}, nil, func(r *restarts, p pair) {
			r.await(r.t, `"transfer ended"`)
			time.Sleep(written) // the answer to its NOTIFY is written down
		}, func(r *restarts, p pair, told func() watson.Outcome) {
			if o := told(); o.Final != 408 {
				r.t.Errorf("Watson was told %v", o.Codes)
			}
			r.must(hearMore(r.ctx, p.phones(), 5))
			r.must(p.caller.Hangup(r.ctx))
			r.ended(p)
		}},
		{"while Watson may still say BYE", "", twilio.Refer{}, nil, func(r *restarts, p pair) {
			_, err := p.caller.Await(r.ctx)
			r.must(err)
			time.Sleep(written) // the answer to its NOTIFY is written down
		}, transferred},
		{"while the API is asked, and does it", rest, twilio.Refer{Status: 603}, func(a *twilio.Account) {
			a.BehaveREST(twilio.REST{Loss: twilio.MuteAfter})
		}, func(r *restarts, p pair) {
			updated(r, p)
			r.kill()
			_, err := p.caller.Await(r.ctx) // his BYE finds nobody
			r.must(err)
		}, func(r *restarts, p pair, told func() watson.Outcome) {
			transferred(r, p, told)
			if n := r.twilio.Updates(); n != 1 {
				r.t.Errorf("%d updates", n)
			}
		}},
		{"twice while the API is asked and does it", rest, twilio.Refer{Status: 603}, func(a *twilio.Account) {
			a.BehaveREST(twilio.REST{Loss: twilio.MuteAfter})
		}, func(r *restarts, p pair) {
			updated(r, p)
			r.kill()
			_, err := p.caller.Await(r.ctx)
			r.must(err)
			r.start()
			time.Sleep(written / 3) // his leg is gone by now, and the API has not said yet what became of him
		}, transferred},
		{"while the API is asked, and does nothing", rest, twilio.Refer{Status: 603}, func(a *twilio.Account) {
			a.BehaveREST(twilio.REST{Loss: twilio.MuteBefore})
		}, updated, func(r *restarts, p pair, told func() watson.Outcome) {
			if o := told(); o.Final != 503 {
				r.t.Errorf("Watson was told %v", o.Codes)
			}
			if n := r.twilio.Updates(); n != 1 {
				r.t.Errorf("%d updates", n)
			}
			stays(r, p)
		}},
		{"while an agent's phone rings", domain, twilio.Refer{Status: 603}, func(a *twilio.Account) {
			a.Domain().Receive(twilio.Reception{RingFor: 20 * time.Second})
		}, func(r *restarts, p pair) {
			var err error
			agent, err = r.twilio.Domain().Accept(r.ctx)
			r.must(err)
			time.Sleep(written) // it rings, and that is written down
		}, func(r *restarts, p pair, told func() watson.Outcome) {
			if o := told(); o.Final != 503 {
				r.t.Errorf("Watson was told %v", o.Codes)
			}
			if ending, err := agent.Await(r.ctx); err != nil || ending.How != twilio.Cancelled {
				r.t.Errorf("the agent's leg: %+v, %v", ending, err)
			}
			stays(r, p)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRestarts(t, restartConfig{YAML: tt.yaml})
			if tt.prep != nil {
				tt.prep(r.twilio)
			}
			p := r.call(twilio.Options{Refer: tt.refer})
			r.must(hearMore(r.ctx, p.phones(), 5))
			outcome := r.refer(p)
			tt.until(r, p)
			r.again()
			tt.after(r, p, func() watson.Outcome {
				select {
				case o := <-outcome:
					return o
				case <-r.ctx.Done():
					t.Fatal("Watson waits")
					return watson.Outcome{}
				}
			})
			if n := len(p.caller.ReferTos()); n > 1 {
				t.Errorf("%d REFERs", n)
			}
			r.fair()
		})
	}
}

// referred waits until Twilio has the REFER.
func referred(r *restarts, p pair) {
	r.until("Twilio has the REFER", func() bool { return len(p.caller.ReferTos()) == 1 })
	time.Sleep(written) // and, where it answers at once, the edge its answer
}

// updated waits until Twilio's API has the request.
func updated(r *restarts, _ pair) {
	r.until("the API is asked", func() bool { return r.twilio.Updates() == 1 })
}

// transferred is a transfer that works all the same.
func transferred(r *restarts, p pair, told func() watson.Outcome) {
	if o := told(); o.Final != 200 {
		r.t.Errorf("Watson was told %v", o.Codes)
	}
	r.ended(p)
	r.inFlex(p.caller, testKey)
}

// stays is a caller who goes on talking to Watson.
func stays(r *restarts, p pair) {
	r.must(hearMore(r.ctx, p.phones(), 5))
	r.must(p.caller.Hangup(r.ctx))
	r.ended(p)
}

// TestKilledWhileTheCallerTalksToAnAgent: leg C is found again too.
func TestKilledWhileTheCallerTalksToAnAgent(t *testing.T) {
	r := newRestarts(t, restartConfig{YAML: "twilio: sip_domain: {uri: \"DOMAIN\", username: " + domainUser + ", password_file: password}\ntransfer: methods: [invite]\n"})
	p := r.call(twilio.Options{})
	r.must(hearMore(r.ctx, p.phones(), 5))
	outcome, err := p.assistant.Refer(r.ctx, watson.Transfer{Key: testKey})
	r.must(err)
	r.told(outcome, 100, 200)
	agent, err := r.twilio.Domain().Accept(r.ctx)
	r.must(err)
	r.must(agent.AwaitAnswer(r.ctx))
	both := p.phones()
	both[1] = agent.Phone()
	r.must(hearMore(r.ctx, both, 5))
	r.again()
	r.must(hearMore(r.ctx, both, 5))
	r.must(agent.Hangup(r.ctx))
	r.ended(p)
	for _, p := range both {
		if s := p.Stats(); s.Undecryptable+s.Damaged+s.Foreign > 0 {
			t.Errorf("heard %+v", s)
		}
	}
	r.fair()
}

// refer has Watson ask for a transfer, and tells what it hears of it.
func (r *restarts) refer(p pair) <-chan watson.Outcome {
	outcome := make(chan watson.Outcome, 1)
	go func() { // ends with the transfer
		o, _ := p.assistant.Refer(r.ctx, watson.Transfer{Key: testKey, OnFailure: watson.ResumeCall})
		outcome <- o
	}()
	return outcome
}
