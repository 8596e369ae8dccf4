package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"handoff/configs"
	"handoff/refer/corpus"
	"handoff/refer/webhook"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
	simwire "handoff/sip/simulator/wire"
)

// TestDeployments plays the corpus of ways to ask in whole calls of each deployment: Programmable Voice
// with Functions, with the edge's webhooks, and a trunk with a SIP domain. The key is in Flex byte for
// byte, but for those of which the corpus says that this way can't carry them.
func TestDeployments(t *testing.T) {
	t.Parallel()
	cases := playable(t)
	everyTarget := func(c *configs.Config) {
		c.Limits.InvitesPerSecond, c.Limits.PerSource = 10_000, 10_000 // one after the other, as fast as it goes
		for _, one := range cases {
			c.Transfer.Intercept = append(c.Transfer.Intercept, one.All("intercept")...)
		}
	}
	tests := []struct {
		name  string
		cfg   stageConfig
		trunk bool
	}{
		{"a: Functions", stageConfig{Set: everyTarget}, false},
		{"b: the edge's webhooks", stageConfig{Webhooks: true, Set: everyTarget}, false},
		{"c: a trunk and a SIP domain", stageConfig{Webhooks: true, Domain: true, Set: everyTarget}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, tt.cfg)
			var stop context.CancelFunc
			sc.ctx, stop = context.WithTimeout(t.Context(), 3*time.Minute)
			defer stop()
			for _, c := range cases {
				sc.deliver(c, tt.trunk)
			}
			sc.quiet()
			sc.clean()
		})
	}
}

// playable are the cases that are carried out, but for those that need a Contact of nobody's.
func playable(t *testing.T) []corpus.Case {
	t.Helper()
	all, err := corpus.Read("../../testdata/refer/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := slices.DeleteFunc(all, func(c corpus.Case) bool {
		return c.One("verdict") != "accept" || c.Has("contact") || c.Has("policy")
	})
	if len(cases) < 80 {
		t.Fatalf("only %d", len(cases))
	}
	return cases
}

// ownHeaders are those that Watson's agent writes itself.
var ownHeaders = []string{"Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Contact", "Route", "Content-Length"}

// deliver plays one case and looks into Flex.
func (sc *scene) deliver(c corpus.Case, trunk bool) {
	sc.t.Helper()
	key, err := c.Key()
	sc.must(err)
	var caller *twilio.Call
	carried := !strings.HasPrefix(c.One("reissue"), "!")
	if trunk {
		carried = !slices.ContainsFunc(c.Words("unfit"), func(w string) bool { // the domain's webhook makes a task of it
			return strings.HasPrefix(w, "invite:") || strings.HasPrefix(w, "task:")
		})
		caller, err = sc.twilio.PlaceTrunk(sc.ctx, "+18885557777", true, twilio.Options{})
	} else {
		caller, err = sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
	}
	sc.must(err)
	assistant := sc.answered(caller)
	ask := watson.Transfer{ReferTo: c.All("refer-to"), Way: watson.CustomHeader, Reaction: watson.ByeAfterFinal, OnFailure: watson.ResumeCall}
	for _, line := range c.All("header") {
		name, value, _ := strings.Cut(line, ":")
		if slices.Contains(ownHeaders, name) {
			continue
		}
		ask.More = append(ask.More, simwire.Header{Name: name, Value: strings.TrimSpace(value)})
	}
	if c.Has("hangup") {
		ask.Method, ask.ReferTo = watson.ByHangup, c.All("hangup")
	}
	outcome, err := assistant.Refer(sc.ctx, ask)
	sc.must(err)
	where := caller.ParentSid()
	switch {
	case !carried && c.Has("hangup"):
		_, err := caller.Await(sc.ctx) // nobody is left for him
		sc.must(err)
		return
	case !carried:
		if outcome.Final != 488 && !(trunk && outcome.Final == 503) { // predicted, or refused by the domain's webhook
			sc.t.Errorf("%s: %+v", c.One("name"), outcome)
		}
		sc.must(caller.Hangup(sc.ctx))
		return
	case outcome.Final != 200 && !c.Has("hangup"):
		sc.t.Fatalf("%s: %+v", c.One("name"), outcome)
	}
	if trunk {
		where = sc.agent().Sid()
		sc.must(caller.Hangup(sc.ctx))
	}
	task, err := sc.twilio.Flex().Await(sc.ctx, where)
	sc.must(err)
	if got := task.SessionHistoryKey(); got != key {
		sc.t.Errorf("%s: Flex has the key %q, want %q", c.One("name"), got, key)
	}
}

// TestWebhooksTellOneStory looks at what an operator sees of a call that Twilio's requests were about.
func TestWebhooksTellOneStory(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.DebugLevel)
	sc := newScene(t, stageConfig{Webhooks: true, REST: true, Log: zap.New(core)})
	caller, assistant := sc.place(twilio.Options{Refer: twilio.Refer{Status: 603}}) // moved by REST: the parent is known from our own TwiML
	_, err := assistant.Refer(sc.ctx, watson.Transfer{Key: testKey})
	sc.must(err)
	sc.over(caller, assistant)
	sc.inFlex(caller, testKey)
	sc.counted(`handoff_webhooks_total{endpoint="receive_call",result="served"} 1`)
	sc.counted(`handoff_webhooks_total{endpoint="dial_action",result="served"} 1`) // comes behind the call's end
	sc.clean()
	var id string
	said := map[string]bool{}
	for _, entry := range logs.All() {
		fields := entry.ContextMap()
		switch entry.Message {
		case "call":
			id = fields["call"].(string)
		case "announced", "twilio says":
			if webhook, ok := fields["webhook"].(string); !ok || webhook != "receive_call" { // it announces a call that has no name yet
				said[entry.Message] = fields["call"] == id
			}
		case "call ended":
			if fields["twilio_parent_call_sid"] != caller.ParentSid() || fields["twilio_call_sid"] != caller.Sid() || len(fields["call_ids"].([]any)) != 2 ||
				fmt.Sprint(fields["transfers"]) != "[rest proved]" {
				t.Errorf("the last line: %v", fields)
			}
		}
		for name, value := range fields {
			if text, ok := value.(string); ok && strings.Contains(text, testKey) {
				t.Errorf("the key in %s: %s", entry.Message, name)
			}
		}
	}
	if !said["announced"] || !said["twilio says"] {
		t.Errorf("call %s: %v", id, said)
	}
}

// TestWebhooksAreAttacked sends what Twilio never would to the real listener.
func TestWebhooksAreAttacked(t *testing.T) {
	t.Parallel()
	t.Run("signatures", func(t *testing.T) {
		t.Parallel()
		sc := newScene(t, stageConfig{Webhooks: true})
		for _, s := range twilio.Signatures() {
			sc.twilio.SignWith(s)
			caller, err := sc.twilio.Place(sc.ctx, "+18885557777", twilio.Options{})
			if s == twilio.SignRight {
				sc.must(err)
				assistant := sc.answered(caller)
				sc.must(caller.Hangup(sc.ctx))
				sc.over(caller, assistant)
				continue
			}
			if err == nil {
				t.Errorf("%s: a call came of it", s)
			}
		}
		sc.clean()
		sc.counted(`handoff_webhooks_total{endpoint="receive_call",result="unsigned"} ` + strconv.Itoa(len(twilio.Signatures())-1))
	})
	for _, port := range twilio.SignedPorts() {
		t.Run("the port in what is signed: "+port.String(), func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, stageConfig{Webhooks: true, TwilioSet: func(c *twilio.Config) { c.SignedPort = port }})
			caller, assistant := sc.place(twilio.Options{})
			sc.must(caller.Hangup(sc.ctx))
			sc.over(caller, assistant)
			sc.clean()
		})
	}
	t.Run("a client that is slow, one that says too much, and one in clear", func(t *testing.T) {
		t.Parallel()
		sc := newScene(t, stageConfig{Webhooks: true})
		at := sc.edge.webhooks.Addr().String()
		secured := &tls.Config{InsecureSkipVerify: true} // whose certificate it is does not matter here
		for name, text := range map[string]string{
			"half a header": "POST " + webhook.Status + " HTTP/1.1\r\nHost: x\r\nX-",
			"half a body":   "POST " + webhook.Status + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\na=",
			"long headers":  "POST " + webhook.Status + " HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
		} {
			conn, err := tls.Dial("tcp", at, secured)
			sc.must(err)
			defer conn.Close()
			sc.must(conn.SetDeadline(time.Now().Add(20 * time.Second)))
			_, _ = io.WriteString(conn, text) // the server may have hung up already
			if _, err := io.ReadAll(conn); err != nil && os.IsTimeout(err) {
				t.Errorf("%s: still connected after 20 s", name)
			}
		}
		plain, err := net.Dial("tcp", at)
		sc.must(err)
		defer plain.Close()
		_, err = io.WriteString(plain, "POST "+webhook.Status+" HTTP/1.1\r\nHost: x\r\n\r\n")
		sc.must(err)
		sc.must(plain.SetDeadline(time.Now().Add(20 * time.Second)))
		if answer, _ := io.ReadAll(plain); !strings.Contains(string(answer), "400") {
			t.Errorf("in clear: %s", answer)
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: secured, DisableKeepAlives: true}}
		res, err := client.PostForm("https://"+at+webhook.ReceiveCall, url.Values{"Called": {"+1888"}})
		sc.must(err)
		defer res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("unsigned: %s", res.Status)
		}
	})
}
