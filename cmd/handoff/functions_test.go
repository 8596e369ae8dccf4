//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/xml"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"handoff/configs"
	"handoff/metrics"
	"handoff/metrics/trace"
	"handoff/refer/corpus"
	"handoff/sip/simulator/twilio"
	"handoff/sip/simulator/watson"
)

// The functions that setup writes, run by Node: what Twilio would do with them.

// TestFunctionsReadEveryReferTo gives the refer handler every Refer-To that the edge sends for a case
// of the corpus, in both of its forms: decoded once, Studio must have the key.
func TestFunctionsReadEveryReferTo(t *testing.T) {
	t.Parallel()
	cases, err := corpus.Read("../../testdata/refer/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	for field, header := range map[string]string{"reissue": "x-watson", "uui": "user-to-user"} {
		at := serveFunctions(t, setupKit(t, strings.Replace(setupText, "twilio: {", "twilio: {refer: {header: "+header+"}, ", 1)), loopback)
		played := 0
		for _, c := range cases {
			target := c.One(field)
			if target == "" || strings.HasPrefix(target, "!") || c.One("verdict") == "pass" {
				continue // what is only handed on doesn't return to Studio
			}
			played++
			want, err := c.Key()
			if err != nil {
				t.Fatal(err)
			}
			if got := returned(t, at, target); got != want {
				t.Errorf("%s: %s of %q: Studio has %q, want %q", c.One("name"), field, target, got, want)
			}
		}
		if played < 5 {
			t.Errorf("%s: only %d cases", field, played)
		}
	}
}

// What the edge never sends, the handler survives: the caller goes on without a key rather than not at all.
func TestFunctionsSurviveAnyReferTo(t *testing.T) {
	t.Parallel()
	at := serveFunctions(t, setupKit(t, setupText), loopback)
	const x = "X-Watson-Assistant-Session-History-Key="
	for target, want := range map[string]string{
		"<sip:q@x?" + strings.ToLower(x) + "k>":                      "k",
		"<sip:q@x?x%2dwatson-Assistant-Session-History-Key=k>":       "k",
		"sip:q@x?" + x + "dev::1":                                    "dev::1",
		"sip:q@x;transport=tls?" + x + "a=b":                         "a=b",
		"<sip:q@x?" + x + "k>;tag=1":                                 "k",
		"\"?\" <sip:q@x?" + x + "k>":                                 "k",
		"<sip:q@x?A=1&" + x + "a%26b&B=2>":                           "a&b",
		"<sip:q@x?" + x + "a+b%2Bc>":                                 "a+b+c",
		"<sip:q@x?" + x + "%25%33%41>":                               "%3A",
		"<sip:q@x?" + x + "a%0d%0aEvil:%201>":                        "",
		"<sip:q@x?" + x + "a%22b>":                                   "",
		"<sip:q@x?" + x + "a%5Cb>":                                   "",
		"<sip:q@x?" + x + "a%ZZ>":                                    "",
		"<sip:q@x?" + x + "%ff>":                                     "",
		"<sip:q@x?" + x + ">":                                        "",
		"<sip:q@x?User-to-User=k%3Bencoding%3Dascii>":                "",
		"<sip:queue@flex.twilio.com>":                                "",
		"<sip:q@x?>":                                                 "",
		"":                                                           "",
		"<sip:q@x?" + x + "%C3%BC" + strings.Repeat("::1", 40) + ">": "ü" + strings.Repeat("::1", 40),
	} {
		if got := returned(t, at, target); got != want {
			t.Errorf("%q: Studio has %q, want %q", target, got, want)
		}
	}
}

func TestFunctionsReceiveCall(t *testing.T) {
	t.Parallel()
	at := serveFunctions(t, setupKit(t, setupText), loopback)
	const call = "CA0123456789abcdef0123456789abcdef"
	for name, tt := range map[string]struct {
		event url.Values
		want  string
	}{
		"a call":          {url.Values{"Called": {"+18885557777"}, "CallSid": {call}}, "sip:+18885557777@edge.example.com;secure=true?X-Parent-CallSid=" + call},
		"no CallSid":      {url.Values{"Called": {"+18885557777"}, "CallSid": {"x&From=y"}}, "sip:+18885557777@edge.example.com;secure=true"},
		"To alone":        {url.Values{"To": {"18885557777"}}, "sip:18885557777@edge.example.com;secure=true"},
		"no number":       {url.Values{"Called": {"sip:a@b"}}, ""},
		"no called party": {url.Values{}, ""},
	} {
		status, r := post(t, at+"/receive-call", tt.event)
		switch {
		case tt.want == "":
			if status != http.StatusInternalServerError {
				t.Errorf("%s: %d %+v", name, status, r)
			}
		case status != http.StatusOK || r.Dial.Sip != tt.want || r.Dial.AnswerOnBridge != "true" || r.Dial.ReferURL != "/refer-handler" || r.Dial.Action != "":
			t.Errorf("%s: %d %+v", name, status, r)
		}
	}
}

// TestSetupMovesACaller plays whole calls at a Twilio whose flow is the JSON that setup wrote, with the
// functions that it wrote, run by Node.
func TestSetupMovesACaller(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		cfg    stageConfig
		args   []string
		header string // twilio.refer.header
		key    string
	}{
		{"by REFER, with Enqueue Call", stageConfig{}, nil, "x-watson", testKey},
		{"by REFER, with Send to Flex", stageConfig{}, []string{"--task-channel", "TC00000000000000000000000000000000"}, "x-watson", testKey},
		{"by REFER, with a key that must be escaped", stageConfig{}, nil, "x-watson", "ü&=?#%2B+ ;>"},
		{"by REFER, with User-to-User", stageConfig{
			Set: func(c *configs.Config) { c.Twilio.Refer.Header = configs.KeyHeaderUserToUser },
		}, nil, "user-to-user", testKey},
		{"by REST, as the key is too long for REFER", stageConfig{}, nil, "x-watson", strings.Repeat(testKey, 3)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			requires(t, "node", "nodejs")
			tt.cfg.REST = true
			tt.cfg.TwilioSet = func(c *twilio.Config) {
				// The functions' address is known when they run, and the flow needs it: setup is asked twice.
				text := setupFor(c, tt.header)
				at := serveFunctions(t, setupKit(t, text), c.Addr)
				c.Flow = loadFlow(t, setupKit(t, text, append(tt.args, "--functions", at)...))
			}
			sc := newScene(t, tt.cfg)
			caller, assistant := sc.place(twilio.Options{})
			outcome, err := assistant.Refer(sc.ctx, watson.Transfer{Key: tt.key})
			sc.must(err)
			sc.told(outcome, 100, 200)
			sc.over(caller, assistant)
			sc.inFlex(caller, tt.key)
			sc.inWorkflow(setupWorkflow)
			if !slices.ContainsFunc(sc.recorder.Messages(), func(m trace.Message) bool {
				return m.Peer == metrics.PeerTwilio && strings.Contains(string(m.Raw), "\r\nX-Parent-CallSid: "+caller.ParentSid()+"\r\n")
			}) {
				t.Error("no INVITE with the parent's CallSid")
			}
			sc.clean()
		})
	}
}

// serveFunctions lets Node serve the functions of a kit and returns their address.
func serveFunctions(t *testing.T, kit string, addr netip.Addr) string {
	t.Helper()
	requires(t, "node", "nodejs")
	host, err := filepath.Abs("../../testdata/functions/host.js")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), processLimit)
	cmd := exec.CommandContext(ctx, "node", host, filepath.Join(kit, "twilio"), addr.String())
	var errs lockedBuffer
	cmd.Stderr, cmd.WaitDelay = &errs, time.Second
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // ends it
		if err := cmd.Wait(); err != nil {
			t.Errorf("node: %v\n%s", err, shorten(errs.String()))
		}
		cancel()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("node: %v\n%s", err, errs.String())
	}
	return strings.TrimSpace(line)
}

// twimlResponse is as much of TwiML as the functions answer.
type twimlResponse struct {
	Dial struct {
		AnswerOnBridge string `xml:"answerOnBridge,attr"`
		ReferURL       string `xml:"referUrl,attr"`
		Action         string `xml:"action,attr"`
		Sip            string
	}
	Redirect struct {
		Method string `xml:"method,attr"`
		URL    string `xml:",chardata"`
	}
}

func post(t *testing.T, at string, form url.Values) (status int, r twimlResponse) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.PostForm(at, form)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK {
		if err := xml.Unmarshal(body, &r); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
	}
	return res.StatusCode, r
}

// returned asks the refer handler and decodes the query of its Redirect once, as Studio does. No key
// must be no parameter.
func returned(t *testing.T, at, target string) string {
	t.Helper()
	status, r := post(t, at+"/refer-handler", url.Values{"ReferTransferTarget": {target}})
	base, query, _ := strings.Cut(r.Redirect.URL, "?")
	values, err := url.ParseQuery(query)
	if status != http.StatusOK || err != nil || r.Redirect.Method != "POST" || !strings.HasPrefix(base, "https://webhooks.twilio.com/v1/Accounts/AC") ||
		values.Get("FlowEvent") != "return" {
		t.Fatalf("%q: %d %+v, %v", target, status, r, err)
	}
	if key, there := values["SessionHistoryKey"]; there && (len(key) != 1 || key[0] == "") {
		t.Errorf("%q: %s", target, r.Redirect.URL)
	}
	return values.Get("SessionHistoryKey")
}
