package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"handoff/configs"
	"handoff/metrics"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
	simwire "handoff/sip/simulator/wire"
)

const (
	gateway     = "mgw7.us1.twilio.com"
	node        = "mrcp7.watson.cloud.ibm.com"
	hostileName = `Eve" <sip:ceo@corp>;tag=x, "\`
)

// TestNeitherSideLearnsOfTheOther plays calls between peers that name themselves wherever they may, and
// reads everything that the edge sent to either.
func TestNeitherSideLearnsOfTheOther(t *testing.T) {
	t.Parallel()
	const number = "+18885557777"
	talkative := func(o twilio.Options) twilio.Options {
		o.Tells = gateway
		o.Headers = []simwire.Header{
			{Name: "User-to-User", Value: "56a390f3d2b7310023a2;encoding=hex"}, {Name: "X-Twilio-VerStat", Value: "TN-Validation-Passed-A"},
			{Name: "X-Secret", Value: "on " + gateway}, {Name: watson.KeyHeader, Value: "forged"},
			{Name: "Diversion", Value: "Bob <sip:+18005550002@" + gateway + ":5060;x=172.18.4.191>;reason=user-busy;via=172.18.4.191, <tel:+18005550003>;privacy=full"},
			{Name: "Remote-Party-ID", Value: "<sip:+15005550001@" + gateway + ">"}, {Name: "P-Asserted-Identity", Value: "who knows, at 172.18.4.191"},
		}
		return o
	}
	tests := []struct {
		name string
		cfg  stageConfig
		play func(*scene)
	}{
		{"a transfer by refer", stageConfig{}, func(sc *scene) {
			caller, err := sc.twilio.Place(sc.ctx, number, talkative(twilio.Options{Name: hostileName}))
			sc.must(err)
			assistant := sc.answered(caller)
			sc.changeAll(caller, assistant)
			sc.introduced(assistant, `"Eve\" <sip:ceo@corp>;tag=x, \"\\" <sips:+15005550001@127.0.0.1>`,
				"Diversion: \"Bob\" <sip:+18005550002@127.0.0.1>;reason=user-busy", "User-to-User: 56a390f3d2b7310023a2;encoding=hex",
				"X-Twilio-VerStat: TN-Validation-Passed-A")
			outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey, Hold: watson.HoldSendOnly})
			sc.must(err)
			sc.told(outcome, 100, 200)
			sc.over(caller, assistant)
			sc.inFlex(caller, testKey)
			sc.counted("handoff_headers_held_total 1") // the identity that nobody understands
		}},
		{"a transfer by invite", stageConfig{Domain: true}, func(sc *scene) {
			caller, err := sc.twilio.PlaceTrunk(sc.ctx, number, true, talkative(twilio.Options{Name: "Eve"}))
			sc.must(err)
			assistant := sc.answered(caller)
			sc.changeAll(caller, assistant)
			sc.introduced(assistant, `"Eve" <sips:+15005550001@127.0.0.1>`,
				`Diversion: "Bob" <sip:+18005550002@127.0.0.1>;reason=user-busy`, "Diversion: <sip:+18885557777@127.0.0.1>;reason=unconditional",
				`P-Asserted-Identity: "Eve" <sip:+15005550001@127.0.0.1>`, "User-to-User: 56a390f3d2b7310023a2;encoding=hex", "X-Twilio-VerStat: TN-Validation-Passed-A")
			sc.agentSees(caller, assistant, `"Eve" <sip:+15005550001@127.0.0.1>`)
		}},
		{"a private caller, and a transfer by invite", stageConfig{Domain: true}, func(sc *scene) {
			caller, err := sc.twilio.PlaceTrunk(sc.ctx, number, true, twilio.Options{Name: "Eve", Privacy: "id;critical", Tells: gateway})
			sc.must(err)
			assistant := sc.answered(caller)
			sc.introduced(assistant, `"Anonymous" <sips:anonymous@anonymous.invalid>`, "Diversion: <sip:+18885557777@127.0.0.1>;reason=unconditional")
			sc.agentSees(caller, assistant, `"Anonymous" <sip:anonymous@anonymous.invalid>`)
		}},
		{"a caller whom Twilio does not show", stageConfig{Domain: true}, func(sc *scene) {
			caller, err := sc.twilio.PlaceTrunk(sc.ctx, number, true, twilio.Options{Name: "Eve", Anonymous: true, Tells: gateway})
			sc.must(err)
			assistant := sc.answered(caller)
			sc.introduced(assistant, `"Anonymous" <sips:anonymous@anonymous.invalid>`, "Diversion: <sip:+18885557777@127.0.0.1>;reason=unconditional")
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
		}},
		{"as the operator wants it", stageConfig{Domain: true, Set: func(c *configs.Config) {
			c.Watson.Headers = []string{"x-twilio-callsid", "X-Secret*", "remote-party-id"}
			c.Watson.Caller.Privacy, c.Watson.Caller.Name = configs.PrivacyIgnore, configs.CallerNameHide
			c.Twilio.SIPDomain.Caller = configs.Caller{Number: "+18880000000", Name: configs.CallerNamePass}
		}}, func(sc *scene) {
			sc.twilio.Domain().Receive(twilio.Reception{Key: testKey, Caller: "+18880000000"})
			o := twilio.Options{Name: "Eve", Privacy: "user", Tells: gateway, Headers: []simwire.Header{
				{Name: "X-Secret", Value: "1"}, {Name: "Remote-Party-ID", Value: `"Eve" <sip:+15005550001@` + gateway + `>;party=calling;screen=yes;x=y`},
			}}
			caller, err := sc.twilio.PlaceTrunk(sc.ctx, number, true, o)
			sc.must(err)
			assistant := sc.answered(caller)
			sc.introduced(assistant, `<sips:+15005550001@127.0.0.1>`, "Remote-Party-ID: <sip:+15005550001@127.0.0.1>;party=calling;screen=yes", "X-Secret: 1")
			sc.agentSees(caller, assistant, `<sip:+18880000000@127.0.0.1>`)
		}},
		{"Watson refuses", stageConfig{WatsonSet: func(c *watson.Config) { c.Numbers = []string{"+1900"} }}, func(sc *scene) {
			sc.refused(talkative(twilio.Options{Name: "Eve"}), 403)
		}},
		{"Watson is ill", stageConfig{WatsonSet: func(c *watson.Config) { c.Behaviour.Reject = 503 }}, func(sc *scene) {
			sc.refused(talkative(twilio.Options{Name: "Eve"}), 503)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := tt.cfg
			cfg.WatsonSet = func(c *watson.Config) {
				if tt.cfg.WatsonSet != nil {
					tt.cfg.WatsonSet(c)
				}
				c.Behaviour.Tells = node
			}
			sc := newScene(t, cfg)
			tt.play(sc)
			sc.hidden()
			sc.clean()
		})
	}
}

// changeAll lets either side send every kind of re-INVITE.
func (sc *scene) changeAll(caller *twilio.Call, assistant *watson.Call) {
	sc.t.Helper()
	sc.must(assistant.Hold(sc.ctx, watson.HoldInactive))
	sc.must(assistant.Resume(sc.ctx))
	sc.must(assistant.Phone().Move())
	if status, err := assistant.Reinvite(sc.ctx); err != nil || status != 200 {
		sc.t.Errorf("address of Watson: %d, %v", status, err)
	}
	for _, change := range []twilio.Change{twilio.Refresh, twilio.Codec, twilio.Address} {
		if status, err := caller.Reinvite(sc.ctx, change); err != nil || status != 200 {
			sc.t.Errorf("%s: %d, %v", change, status, err)
		}
	}
	sc.stillTalk(caller, assistant)
}

// crossed are the headers in which Watson's INVITE may tell of the caller.
var crossed = regexp.MustCompile(`(?i)^(diversion|history-info|p-.*|privacy|remote-party-id|user-to-user|x-secret|x-twilio-verstat|x-watson-.*)$`)

// introduced fails unless Watson learnt exactly this: From, without its tag, and headers, sorted.
func (sc *scene) introduced(assistant *watson.Call, from string, headers ...string) {
	sc.t.Helper()
	var got []string
	for _, h := range assistant.Invite().Headers {
		if crossed.MatchString(h.Name) {
			got = append(got, h.Name+": "+h.Value)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, headers) {
		sc.t.Errorf("Watson has the headers\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(headers, "\n"))
	}
	sc.shown(metrics.PeerWatson, from)
}

// shown fails unless every request of ours on the legs that we dialled has this From.
func (sc *scene) shown(peer metrics.Peer, from string) {
	sc.t.Helper()
	ours := map[string]bool{} // Call-IDs
	seen := 0
	for _, raw := range sc.said(metrics.Out, peer) {
		m, err := simwire.Parse(raw)
		sc.must(err)
		if m.Status() != 0 {
			continue
		}
		if m.Method() == "INVITE" && simwire.Tag(m.Get("To")) == "" {
			ours[m.Get("Call-ID")] = true
		}
		if !ours[m.Get("Call-ID")] {
			continue
		}
		seen++
		if got := m.Get("From"); got != from+";tag="+simwire.Tag(got) {
			sc.t.Errorf("%s to %s is from %s, want %s", m.Method(), peer, got, from)
		}
	}
	if seen == 0 {
		sc.t.Errorf("nothing was sent to %s on a leg of ours", peer)
	}
}

// agentSees lets Watson transfer by invite, and fails unless the agent's side learns this of the caller.
func (sc *scene) agentSees(caller *twilio.Call, assistant *watson.Call, from string) {
	sc.t.Helper()
	outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
	sc.must(err)
	sc.told(outcome, 100, 200)
	agent := sc.agent()
	sc.hear(caller.Phone(), agent.Phone())
	sc.must(agent.Hangup(sc.ctx))
	sc.over(caller, assistant)
	sc.shown(metrics.PeerTwilio, from)
	for _, h := range agent.Invite().Headers {
		if crossed.MatchString(h.Name) && h.Name != watson.KeyHeader {
			sc.t.Errorf("the agent's side has %s", h.Name)
		}
	}
}

// refused plays a caller whom Watson does not take.
func (sc *scene) refused(o twilio.Options, status int) {
	sc.t.Helper()
	caller, err := sc.twilio.Place(sc.ctx, "+18885557777", o)
	sc.must(err)
	if caller.AwaitAnswer(sc.ctx) == nil {
		sc.t.Fatal("he was answered")
	}
	assistant, err := sc.watson.Accept(sc.ctx)
	sc.must(err)
	sc.over(caller, assistant)
	if got := caller.Ending().Status; got != status {
		sc.t.Errorf("the caller heard %d", got)
	}
}

// said are the messages between the edge and a peer, in one direction.
func (sc *scene) said(d metrics.Direction, peer metrics.Peer) (messages [][]byte) {
	for _, m := range sc.recorder.Messages() {
		if m.Direction == d && m.Peer == peer && len(strings.TrimSpace(string(m.Raw))) > 0 {
			messages = append(messages, m.Raw)
		}
	}
	return messages
}

// telling are what in a message tells where it comes from: addresses, names of hosts, Call-IDs, tags,
// branches, and who wrote the SDP.
var telling = []*regexp.Regexp{
	regexp.MustCompile(`\d+\.\d+\.\d+\.\d+`),
	regexp.MustCompile(`(?i)[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|net|invalid)`),
	regexp.MustCompile(`(?im)^call-id: *(\S+)`),
	regexp.MustCompile(`(?i);f?tag=([^;>\s]+)`),
	regexp.MustCompile(`(?i);branch=([^;\s]+)`),
	regexp.MustCompile(`(?m)^o=\S+ (\d+)`),
	regexp.MustCompile(`(?m)^s=(.+)\r$`),
	regexp.MustCompile(`(?im)^(?:user-agent|server|organization): *(.+)\r$`),
}

// shared is what the edge says by itself: its address, who is nobody, the transfer's target, and what
// Twilio's own headers are called.
var shared = []string{"127.0.0.1", "anonymous.invalid", "flex.twilio.com", "twilio"}

// hidden fails if anything that tells of one side was sent to the other.
func (sc *scene) hidden() {
	sc.t.Helper()
	peers := map[metrics.Peer]metrics.Peer{metrics.PeerTwilio: metrics.PeerWatson, metrics.PeerWatson: metrics.PeerTwilio}
	for from, to := range peers {
		secrets := map[string]bool{}
		for _, raw := range sc.said(metrics.In, from) {
			for _, kind := range telling {
				for _, found := range kind.FindAllStringSubmatch(string(raw), -1) {
					if text := strings.ToLower(found[len(found)-1]); len(text) >= 6 && !slices.Contains(shared, text) {
						secrets[text] = true
					}
				}
			}
		}
		name := map[metrics.Peer]string{metrics.PeerTwilio: gateway, metrics.PeerWatson: node}[from]
		if !secrets[name] || len(secrets) < 5 {
			sc.t.Errorf("only %d words of %s are known", len(secrets), from)
		}
		for _, raw := range sc.said(metrics.Out, to) {
			text := strings.ToLower(string(raw))
			for secret := range secrets {
				if strings.Contains(text, secret) {
					sc.t.Errorf("%s of %s was sent to %s in\n%s", secret, from, to, raw)
				}
			}
		}
	}
}
