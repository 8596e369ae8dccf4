package twilio

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// app is Functions, Studio and Flex with Voice's HTTP client in front, without SIP.
func app(t *testing.T, sipParams string, noReferTo bool) (*Account, string) {
	t.Helper()
	a := newAccount(t, func(c *Config) { c.Transport, c.NoReferURL = sipParams, noReferTo })
	return a, a.studioURL
}

// transferred plays what happens at Twilio once a REFER with that Refer-To came for a call that talks.
func transferred(t *testing.T, target string) (Task, error) {
	t.Helper()
	a, studio := app(t, "", false)
	ctx := bounded(t)
	leg := &parent{sid: sid("CA"), from: "+15005550001", to: "+15005550002"}
	dial, err := a.execute(ctx, leg, studio, nil)
	if err != nil || dial == nil {
		t.Fatalf("no Dial came out of the flow: %v", err)
	}
	if _, err := a.execute(ctx, leg, dial.referURL, url.Values{"ReferTransferTarget": {target}}); err != nil {
		return Task{}, err
	}
	tasks := a.Flex().Tasks()
	if len(tasks) != 1 || tasks[0].CallSid != leg.sid {
		t.Fatalf("tasks %+v", tasks)
	}
	return tasks[0], nil
}

func TestWhatFlexReceivesForEachReferTo(t *testing.T) {
	const x = "<sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key="
	for name, c := range map[string]struct{ target, want string }{
		"raw colons":            {x + "dev::latest::1::u>", "dev::latest::1::u"},
		"encoded colons":        {x + "dev%3A%3Alatest>", "dev::latest"},
		"encoded ampersand":     {x + "a%26b>", "a&b"},
		"encoded twice":         {x + "dev%253Alatest>", "dev%3Alatest"},
		"raw plus":              {x + "a+b>", "a b"},
		"encoded plus":          {x + "a%2Bb>", "a+b"},
		"cut at equals":         {x + "a=b>", "a"},
		"cut at ampersand":      {x + "a&b>", "a"},
		"cut at question mark":  {x + "a?b>", "a"},
		"cut at fragment":       {x + "a#b>", "a"},
		"semicolon is kept":     {x + "a;b>", "a;b"},
		"broken escape is kept": {x + "a%ZZb%4>", "a%ZZb%4"},
		"space is carried":      {x + "a b>", "a b"},
		"after the bracket":     {x + "k>;tag=1", "k;tag"}, // "=1" goes with the split
		"two brackets":          {x + "k>>", "k>"},
		"empty":                 {x + ">", ""},
		"last of two":           {x + "a&X-Watson-Assistant-Session-History-Key=b>", "b"},
		"without brackets":      {"sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key=k", "k"},
		"behind another header": {"<sip:q@x?User-to-User=u%3Bencoding%3Dhex&X-Watson-Assistant-Session-History-Key=k>", "k"},
		"User-to-User only":     {"<sip:q@x?User-to-User=k%3Bencoding%3Dascii>", "undefined"},
		"lower case":            {"<sip:q@x?x-watson-assistant-session-history-key=k>", "undefined"},
		"encoded name":          {"<sip:q@x?X%2DWatson-Assistant-Session-History-Key=k>", "undefined"},
		"name without value":    {"<sip:q@x?X-Watson-Assistant-Session-History-Key>", "undefined"},
		"no header":             {"<sip:queue@flex.twilio.com>", ""},
		"nothing after the ?":   {"sip:queue@flex.twilio.com?", ""},
		"only a bracket":        {"<sip:queue@flex.twilio.com?>", "undefined"},
	} {
		t.Run(name, func(t *testing.T) {
			task, err := transferred(t, c.target)
			if err != nil {
				t.Fatal(err)
			}
			if got := task.SessionHistoryKey(); got != c.want {
				t.Errorf("the agent gets %q, want %q (attributes %s)", got, c.want, task.Attributes)
			}
		})
	}
}

func TestKeyThatBreaksTheAttributesMakesNoTask(t *testing.T) {
	if _, err := transferred(t, `<sip:q@x?X-Watson-Assistant-Session-History-Key=a"b>`); err == nil || !strings.Contains(err.Error(), "attributes") {
		t.Errorf("got %v", err)
	}
}

func TestWebhookErrorsDoNotShowTheKey(t *testing.T) {
	a := newAccount(t, nil)
	for _, at := range []string{"http://127.0.0.1:1/?SessionHistoryKey=secret", "http://[/secret", a.studioURL + "?FlowEvent=return&K=secret"} {
		_, err := a.execute(bounded(t), &parent{sid: sid("CA")}, at, nil)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
		if _, err := resolve(a.studioURL, at); err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
	}
}

func TestReceiveCallDialsWithReferURLAndSecureSIP(t *testing.T) {
	for name, c := range map[string]struct {
		transport string
		noReferTo bool
		sip       string
	}{
		"as published": {"", false, "sip:+15005550002@edge.example.com;secure=true"},
		"plain":        {"tcp", true, "sip:+15005550002@edge.example.com;transport=tcp"},
	} {
		t.Run(name, func(t *testing.T) {
			a, studio := app(t, c.transport, c.noReferTo)
			dial, err := a.execute(bounded(t), &parent{sid: sid("CA"), to: "+15005550002"}, studio, nil)
			if err != nil {
				t.Fatal(err)
			}
			if dial.sip != c.sip || (dial.referURL == "") != c.noReferTo || !dial.answerOnBridge {
				t.Errorf("got %+v", dial)
			}
		})
	}
}

func TestFunctionsWithoutTheirParametersDoAsJavaScript(t *testing.T) {
	h := Functions(FunctionsConfig{SIPHost: "edge", StudioURL: "http://studio"})
	for path, want := range map[string]string{"/receive-call": "sip:undefined@edge", "/refer-handler": "TypeError"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, nil))
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
}

func TestStudioAnswersOnlyForExecutionsThatWait(t *testing.T) {
	s := NewStudio(StudioConfig{Path: "/flow", RedirectURL: "http://f/receive-call", WorkflowSid: "WW1", Attributes: `{"a":"{{ trigger.call.x }}{{widgets.redirect_to_watson.K}}"}`})
	post := func(target string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, target, strings.NewReader("CallSid=CA1"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	if w := post("/flow?FlowEvent=return"); w.Code != http.StatusBadRequest {
		t.Errorf("a return before the start: %d", w.Code)
	}
	post("/flow")
	if w := post("/flow?FlowEvent=return&K=v"); !strings.Contains(w.Body.String(), "WW1") || !strings.Contains(w.Body.String(), "{&#34;a&#34;:&#34;v&#34;}") {
		t.Errorf("the return gives %s", w.Body)
	}
	if w := post("/other"); w.Code != http.StatusNotFound {
		t.Errorf("another path: %d", w.Code)
	}
	for range maxExecutions {
		s.park(sid("CA"))
	}
	if w := post("/flow"); w.Code != http.StatusTooManyRequests {
		t.Errorf("one too many: %d", w.Code)
	}
}

func TestFlexListsAwaitsAndForgetsTheOldest(t *testing.T) {
	f := NewFlex()
	arrived := make(chan Task, 1)
	go func() {
		task, err := f.Await(bounded(t), "CA2")
		if err != nil {
			t.Error(err)
		}
		arrived <- task
	}()
	for _, call := range []string{"CA1", "CA2"} {
		if _, err := f.add(call, "WW", `{"sessionHistoryKey":"k"}`); err != nil {
			t.Fatal(err)
		}
	}
	if task := <-arrived; task.CallSid != "CA2" || task.SessionHistoryKey() != "k" {
		t.Errorf("got %+v", task)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	var list struct{ Tasks []Task }
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list.Tasks) != 2 {
		t.Errorf("listed %s: %v", w.Body, err)
	}
	for range maxTasks {
		f.add("CA3", "WW", `{}`)
	}
	if got := f.Tasks(); len(got) != maxTasks || got[0].CallSid != "CA3" {
		t.Errorf("%d tasks, the oldest of %s", len(got), got[0].CallSid)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := f.Await(ctx, "CA9"); err == nil {
		t.Error("a task that never came")
	}
}
