package twilio

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/wire"
)

const token = "simulated-auth-token"

func plainREST(c *Config) { c.PlainREST = true }

// api speaks to the account's REST API. The status is 0 when no answer came.
func api(t *testing.T, a *Account, method, callSid, password string, form url.Values) (int, map[string]any, http.Header) {
	t.Helper()
	at := a.RESTURL() + "/2010-04-01/Accounts/" + a.cfg.AccountSid + "/Calls/" + callSid + ".json"
	ctx, cancel := context.WithTimeout(bounded(t), 500*time.Millisecond) // what is to fail takes so long
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(a.cfg.AccountSid, password)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		return 0, nil, nil
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, nil
	}
	var body map[string]any
	if json.Unmarshal(raw, &body) != nil {
		return response.StatusCode, nil, response.Header
	}
	return response.StatusCode, body, response.Header
}

func enqueueTwiML(key string) url.Values {
	return url.Values{"Twiml": {`<Response><Enqueue workflowSid="WW1"><Task>{"sessionHistoryKey":"` + key + `"}</Task></Enqueue></Response>`}}
}

func TestUpdateOfTheParentEndsInFlexAndEndsTheLeg(t *testing.T) {
	for name, form := range map[string]func(*Account) url.Values{
		"enqueue": func(*Account) url.Values { return enqueueTwiML("dev::latest::1") },
		"redirect": func(a *Account) url.Values {
			at := a.studioURL + "?FlowEvent=return&amp;SessionHistoryKey=dev::latest::1"
			return url.Values{"Twiml": {`<Response><Redirect method="POST">` + at + `</Redirect></Response>`}}
		},
		"url": func(a *Account) url.Values {
			return url.Values{"Url": {a.studioURL + "?FlowEvent=return&SessionHistoryKey=dev::latest::1"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, e, c := talk(t, Options{}, plainREST)
			status, body, _ := api(t, a, http.MethodPost, c.ParentSid(), token, form(a))
			if status != 200 || body["sid"] != c.ParentSid() || body["status"] != "in-progress" || body["parent_call_sid"] != nil {
				t.Fatalf("answered %d %v", status, body)
			}
			if r := receive(t, e.requests); r.Method() != "BYE" {
				t.Errorf("the leg gets %s", r.Method())
			}
			task, err := a.Flex().Await(bounded(t), c.ParentSid())
			if err != nil || task.SessionHistoryKey() != "dev::latest::1" {
				t.Errorf("task %+v, %v", task, err)
			}
			if got, err := c.Await(bounded(t)); err != nil || got.How != Redirected || got.ByEdge {
				t.Errorf("ended %+v, %v", got, err)
			}
			if _, body, _ := api(t, a, http.MethodGet, c.ParentSid(), token, nil); body["status"] != "in-progress" {
				t.Errorf("the caller's call is %v", body["status"])
			}
			if _, body, _ := api(t, a, http.MethodGet, c.Sid(), token, nil); body["status"] != "completed" || body["parent_call_sid"] != c.ParentSid() {
				t.Errorf("the leg is %v", body)
			}
			clean(t, a)
		})
	}
}

func TestUpdatesThatAreRefused(t *testing.T) {
	good := enqueueTwiML("k")
	for name, c := range map[string]struct {
		sid, token string // empty: the parent's, the right one
		form       url.Values
		rest       REST
		status     int
		code       int
	}{
		"wrong token":    {"", "wrong", good, REST{}, 401, 20003},
		"unknown call":   {"CA" + strings.Repeat("9", 32), "", good, REST{}, 404, 20404},
		"no TwiML":       {"", "", nil, REST{}, 400, 20001},
		"two of them":    {"", "", url.Values{"Twiml": {"x"}, "Url": {"y"}}, REST{}, 400, 20001},
		"too long":       {"", "", url.Values{"Twiml": {strings.Repeat("x", 4001)}}, REST{}, 400, 32018},
		"not in order":   {"", "", good, REST{Status: 400}, 400, 21220},
		"not found":      {"", "", good, REST{Status: 404}, 404, 20404},
		"server's fault": {"", "", good, REST{Status: 500}, 500, 20500},
		"busy":           {"", "", good, REST{Busy: 1, RetryAfter: "3"}, 429, 20429},
		"cut before":     {"", "", good, REST{Loss: CutBefore}, 0, 0},
		"mute before":    {"", "", good, REST{Loss: MuteBefore}, 0, 0},
		"slow":           {"", "", good, REST{Delay: time.Minute}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a, e, call := talk(t, Options{}, plainREST)
			a.BehaveREST(c.rest)
			if c.sid == "" {
				c.sid = call.ParentSid()
			}
			if c.token == "" {
				c.token = token
			}
			status, body, header := api(t, a, http.MethodPost, c.sid, c.token, c.form)
			if status != c.status || status != 0 && (body["code"] != float64(c.code) || body["status"] != float64(status) || body["message"] == "") {
				t.Errorf("answered %d %v", status, body)
			}
			if status == 429 && header.Get("Retry-After") != "3" {
				t.Errorf("Retry-After %q", header.Get("Retry-After"))
			}
			if r := e.send("OPTIONS", nil); r.Status() != 200 || call.Ending().How != Alive || len(a.Flex().Tasks()) != 0 {
				t.Errorf("something happened: %+v", call.Ending())
			}
			clean(t, a)
		})
	}
}

func TestUpdateWhoseAnswerIsLostActs(t *testing.T) {
	for loss, want := range map[Loss]int{CutAfter: 0, MuteAfter: 0, GarbageBody: 200} {
		t.Run(loss.String(), func(t *testing.T) {
			a, _, c := talk(t, Options{}, plainREST)
			a.BehaveREST(REST{Loss: loss, ByeAfter: time.Millisecond})
			status, body, _ := api(t, a, http.MethodPost, c.ParentSid(), token, enqueueTwiML("k"))
			if status != want || body != nil || a.Updates() != 1 {
				t.Errorf("answered %d %v, %d updates", status, body, a.Updates())
			}
			if _, err := a.Flex().Await(bounded(t), c.ParentSid()); err != nil {
				t.Error(err)
			}
			clean(t, a)
		})
	}
}

func TestUpdateAfterTheCallerHasGone(t *testing.T) {
	a, _, c := talk(t, Options{}, plainREST)
	if err := c.Hangup(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if status, body, _ := api(t, a, http.MethodPost, c.ParentSid(), token, enqueueTwiML("k")); status != 400 || body["code"] != float64(21220) {
		t.Errorf("answered %d %v", status, body)
	}
}

func TestUpdateOfTheChildIsNoticed(t *testing.T) {
	a, e, c := talk(t, Options{}, plainREST)
	if status, _, _ := api(t, a, http.MethodPost, c.Sid(), token, enqueueTwiML("k")); status != 200 {
		t.Errorf("answered %d", status)
	}
	if task, err := a.Flex().Await(bounded(t), c.Sid()); err != nil || task.SessionHistoryKey() != "k" {
		t.Errorf("the leg itself goes to the agent: %+v, %v", task, err)
	}
	if r := e.send("OPTIONS", nil); r.Status() != 200 {
		t.Error("the leg is gone")
	}
	clean(t, a, simulator.ParentCall)
}

func TestSecondTransferOfAnyMethodIsNoticed(t *testing.T) {
	a, e, c := talk(t, Options{Refer: Refer{Then: Nothing}}, plainREST)
	e.refer(target)
	if status, _, _ := api(t, a, http.MethodPost, c.ParentSid(), token, enqueueTwiML("k")); status != 200 {
		t.Errorf("answered %d", status)
	}
	clean(t, a, simulator.OneTransfer)

	a, e, c = talk(t, Options{Refer: Refer{Then: Nothing}}, plainREST)
	e.refer(target)
	api(t, a, http.MethodGet, c.Sid(), token, nil) // proves that nothing came of it
	api(t, a, http.MethodPost, c.ParentSid(), token, enqueueTwiML("k"))
	clean(t, a)

	a, e, c = talk(t, Options{}, plainREST)
	api(t, a, http.MethodPost, c.ParentSid(), token, enqueueTwiML("k"))
	if r := e.refer(target); r.Status() != 491 {
		t.Errorf("answered %d", r.Status())
	}
	clean(t, a, simulator.OneTransfer)
}

func TestBadTwiMLLosesTheCallerWithAnAlert(t *testing.T) {
	for twiml, code := range map[string]int{"<Response><Enq": 12100, "<Response><Redirect>/rel</Redirect></Response>": 15004, "<Response/>": 0} {
		a, _, c := talk(t, Options{}, plainREST)
		a.BehaveREST(REST{ByeAfter: time.Millisecond})
		if status, _, _ := api(t, a, http.MethodPost, c.ParentSid(), token, url.Values{"Twiml": {twiml}}); status != 200 {
			t.Errorf("answered %d", status)
		}
		if got, err := c.Await(bounded(t)); err != nil || got.How != Redirected {
			t.Errorf("ended %+v, %v", got, err)
		}
		until(t, func() bool { return code == 0 || len(a.Alerts()) == 1 && a.Alerts()[0].Code == code })
		if len(a.Flex().Tasks()) != 0 {
			t.Error("a task came out")
		}
	}
}

func TestTrunkCallRunsNoTwiML(t *testing.T) {
	e := newEdge(t)
	a := newAccount(t, func(c *Config) {
		c.PlainREST, c.Origination = true, "sip:"+e.addr(wire.TLS)+";transport=tls"
	})
	c, err := a.PlaceTrunk(bounded(t), number, true, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitAnswer(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if _, body, _ := api(t, a, http.MethodGet, c.Sid(), token, nil); body["parent_call_sid"] != nil {
		t.Errorf("it has a parent: %v", body)
	}
	if status, body, _ := api(t, a, http.MethodPost, c.Sid(), token, enqueueTwiML("k")); status != 400 || body["code"] != float64(21220) {
		t.Errorf("answered %d %v", status, body)
	}
	clean(t, a)
}

func TestLookups(t *testing.T) {
	a, _, c := talk(t, Options{}, plainREST)
	for sid, parent := range map[string]any{c.Sid(): c.ParentSid(), c.ParentSid(): nil} {
		status, body, _ := api(t, a, http.MethodGet, sid, token, nil)
		if status != 200 || body["status"] != "in-progress" || body["parent_call_sid"] != parent {
			t.Errorf("%d %v", status, body)
		}
	}
	a.BehaveREST(REST{Orphan: true})
	if _, body, _ := api(t, a, http.MethodGet, c.Sid(), token, nil); body["parent_call_sid"] != nil {
		t.Errorf("orphan: %v", body)
	}
	a.BehaveREST(REST{LookupStatus: 503})
	if status, body, _ := api(t, a, http.MethodGet, c.Sid(), token, nil); status != 503 || body["code"] != float64(20503) {
		t.Errorf("%d %v", status, body)
	}
	a.BehaveREST(REST{})
	for _, method := range []string{http.MethodDelete, http.MethodPut} {
		if status, _, _ := api(t, a, method, c.Sid(), token, nil); status != 405 {
			t.Errorf("%s: %d", method, status)
		}
	}
	if status, _, _ := api(t, a, http.MethodGet, "CA1", token, nil); status != 404 {
		t.Errorf("unknown: %d", status)
	}
	if status, _, _ := api(t, a, http.MethodGet, "../x", token, nil); status != 404 && status != 405 {
		t.Errorf("another path: %d", status)
	}
}

func TestRESTOverTLS(t *testing.T) {
	a := newAccount(t, func(c *Config) { c.Certificate = issue(t, "sip.twilio.com", "127.0.0.2") })
	if !strings.HasPrefix(a.RESTURL(), "https://127.0.0.2:") {
		t.Fatal(a.RESTURL())
	}
	ca, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: tlsOf(ca), DisableKeepAlives: true}}
	response, err := client.Get(a.RESTURL())
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 401 {
		t.Errorf("without credentials: %d", response.StatusCode)
	}
}

func TestLossesAndEndingsHaveWords(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range Losses() {
		seen["loss "+l.String()] = true
	}
	for _, h := range Hows() {
		seen["how "+h.String()] = true
	}
	for _, h := range Handlers() {
		seen["handler "+h.String()] = true
	}
	if want := len(Losses()) + len(Hows()) + len(Handlers()); len(seen) != want || seen["unknown"] {
		t.Errorf("%d words for %d values", len(seen), want)
	}
	if fmt.Sprint(Loss(99), How(99), Handler(99)) != "unknown unknown unknown" {
		t.Error("what does not exist has a word")
	}
}
