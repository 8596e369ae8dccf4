package twilio

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"handoff/sip/simulator/wire"
)

// customer has webhooks of his own, over HTTPS.
type customer struct {
	t      *testing.T
	server *httptest.Server
	posted chan posted
	answer map[string]string // TwiML of each path
}

type posted struct {
	path   string
	form   url.Values
	signed bool
}

func newCustomer(t *testing.T, answer map[string]string) *customer {
	t.Helper()
	c := &customer{t: t, posted: make(chan posted, 64), answer: answer}
	c.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		signed := signedBy(token, r)
		c.posted <- posted{strings.TrimPrefix(r.URL.Path, "/twilio"), r.PostForm, signed}
		if r.URL.Path == "/twilio/status" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		writeTwiML(w, c.answer[strings.TrimPrefix(r.URL.Path, "/twilio")])
	}))
	c.server.TLS = &tls.Config{Certificates: []tls.Certificate{issue(t, "127.0.0.1")}}
	c.server.StartTLS()
	t.Cleanup(c.server.Close)
	return c
}

// next is the next request, which must be to that path and signed right.
func (c *customer) next(path string) url.Values {
	c.t.Helper()
	p := receive(c.t, c.posted)
	if p.path != path || !p.signed {
		c.t.Fatalf("got %s, signed right %t, want %s", p.path, p.signed, path)
	}
	return p.form
}

func expectForm(t *testing.T, got url.Values, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if !got.Has(name) && value != "" || got.Get(name) != value {
			t.Errorf("%s is %q, want %q", name, got.Get(name), value)
		}
	}
}

// dialing answers /receive-call with a Dial to the edge and further attributes.
func dialing(e *edge, attributes string) map[string]string {
	return map[string]string{
		"/receive-call": `<Dial answerOnBridge="true" referUrl="/twilio/refer-handler" ` + attributes + `><Sip>sip:` + number + "@" + e.addr(wire.TLS) +
			`;secure=true?X-Parent-CallSid=CA1</Sip></Dial>`,
	}
}

const action = `action="/twilio/dial-action"`

func toCustomer(e *edge, answer map[string]string) (*customer, func(*Config)) {
	c := newCustomer(e.t, answer)
	return c, func(cfg *Config) {
		cfg.Edge, cfg.Webhooks, cfg.PlainREST = e.addr(wire.TLS), c.server.URL+"/twilio", true
	}
}

// called is a call that the customer's webhooks dialled, answered unless the edge is manual.
func called(t *testing.T, answer func(*edge) map[string]string, o Options, prepare ...func(*edge)) (*Account, *edge, *Call, *customer) {
	t.Helper()
	e := newEdge(t, prepare...)
	customer, edit := toCustomer(e, answer(e))
	a := newAccount(t, edit)
	c, err := a.Place(bounded(t), number, o)
	if err != nil {
		t.Fatal(err)
	}
	expectForm(t, customer.next("/receive-call"), map[string]string{
		"CallSid": c.ParentSid(), "CallStatus": "ringing", "Called": number, "From": "+15005550001", "Direction": "inbound",
	})
	if !e.manual {
		if err := c.AwaitAnswer(bounded(t)); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, e.invites).Get(parentHeader); got != "CA1" {
			t.Errorf("the URI's header is %q", got)
		}
	}
	return a, e, c, customer
}

func TestReferThroughTheCustomersWebhooks(t *testing.T) {
	a, e, c, customer := called(t, func(e *edge) map[string]string {
		m := dialing(e, action)
		m["/dial-action"] = "<Say>not heard</Say><Hangup/>"
		return m
	}, Options{})
	returns := a.studioURL + "?FlowEvent=return&amp;SessionHistoryKey=dev%3A%3A1"
	customer.answer["/refer-handler"] = `<Redirect method="POST">` + returns + `</Redirect>`
	if r := e.refer(target); r.Status() != 202 {
		t.Fatalf("answered %d", r.Status())
	}
	expectForm(t, customer.next("/refer-handler"), map[string]string{
		"CallSid": c.ParentSid(), "CallStatus": "in-progress", "ReferTransferTarget": target,
	})
	task, err := a.Flex().Await(bounded(t), c.ParentSid())
	if err != nil || task.SessionHistoryKey() != "dev::1" {
		t.Errorf("task %+v, %v", task, err)
	}
	if got := told(t, e, 3); got != "active 100, terminated 200, BYE" {
		t.Errorf("told %s", got)
	}
	expectForm(t, customer.next("/dial-action"), map[string]string{
		"DialCallStatus": "completed", "DialCallSid": c.Sid(), "DialBridged": "true", "DialSipCallId": c.CallID(), "DialSipResponseCode": "200",
		"DialCallDuration": "1", "CallStatus": "in-progress",
	})
	if err := c.LeaveFlex(); err != nil {
		t.Errorf("he was not in Flex, the action's TwiML was played: %v", err)
	}
	status := customer.next("/status")
	expectForm(t, status, map[string]string{
		"CallSid": c.ParentSid(), "CallStatus": "completed", "CallDuration": "1", "Duration": "1", "To": number, "SequenceNumber": "0",
		"CallbackSource": "call-progress-events",
	})
	if _, err := time.Parse(time.RFC1123Z, status.Get("Timestamp")); err != nil {
		t.Error(err)
	}
	if c.LeaveFlex() == nil {
		t.Error("he left twice")
	}
	clean(t, a)
}

func TestActionIsToldHowTheDialEnded(t *testing.T) {
	for name, c := range map[string]struct {
		status string
		want   map[string]string
	}{
		"busy":      {"486 Busy Here", map[string]string{"DialCallStatus": "busy", "DialSipResponseCode": "486", "DialSipHeader_X-Reason": "drain"}},
		"no answer": {"480 Temporarily Unavailable", map[string]string{"DialCallStatus": "no-answer", "DialSipResponseCode": "480"}},
		"failed":    {"503 Service Unavailable", map[string]string{"DialCallStatus": "failed", "DialSipResponseCode": "503"}},
	} {
		t.Run(name, func(t *testing.T) {
			a, e, call, customer := called(t, func(e *edge) map[string]string { return dialing(e, action) }, Options{}, manual)
			r := receive(t, e.invites)
			m := wire.Respond(r.Message, 500, "", "e1").Add("X-Reason", "drain")
			m.Start = "SIP/2.0 " + c.status
			r.Respond(m)
			form := customer.next("/dial-action")
			expectForm(t, form, c.want)
			expectForm(t, form, map[string]string{"DialBridged": "false", "DialCallDuration": "", "CallStatus": "ringing"})
			expectForm(t, customer.next("/status"), map[string]string{"CallStatus": "no-answer", "CallDuration": "0"})
			if got := call.Ending(); got.How != Rejected {
				t.Errorf("ended %+v", got)
			}
			clean(t, a)
		})
	}
}

func TestActionDecidesWhatBecomesOfTheCaller(t *testing.T) {
	for name, c := range map[string]struct {
		twiml string // STUDIO stands for the flow's return
		task  bool
	}{
		"nothing":           {"", false},
		"hangup":            {"<Pause/><Hangup/>", false},
		"back to Studio":    {`<Redirect>STUDIO</Redirect>`, true},
		"into the queue":    {`<Say>Sorry.</Say><Enqueue workflowSid="WW1"><Task>{"sessionHistoryKey":"k"}</Task></Enqueue>`, true},
		"what is not there": {`<Gather/>`, false},
	} {
		t.Run(name, func(t *testing.T) {
			a, e, call, customer := called(t, func(e *edge) map[string]string { return dialing(e, action) }, Options{})
			studio := a.studioURL + "?FlowEvent=return&amp;SessionHistoryKey=k"
			customer.answer["/dial-action"] = strings.Replace(c.twiml, "STUDIO", studio, 1)
			if r := e.send("BYE", nil); r.Status() != 200 {
				t.Errorf("BYE: %d", r.Status())
			}
			customer.next("/dial-action")
			if !c.task {
				expectForm(t, customer.next("/status"), map[string]string{"CallStatus": "completed"})
				if call.ParentStatus() != "completed" || len(a.Flex().Tasks()) != 0 {
					t.Errorf("his call is %s", call.ParentStatus())
				}
				return
			}
			task, err := a.Flex().Await(bounded(t), call.ParentSid())
			if err != nil || task.SessionHistoryKey() != "k" || call.ParentStatus() != "in-progress" {
				t.Errorf("task %+v, %v, his call is %s", task, err, call.ParentStatus())
			}
			clean(t, a)
		})
	}
}

func TestActionOfAnUpdatedCallIsAskedFirstAndIgnored(t *testing.T) {
	a, _, c, customer := called(t, func(e *edge) map[string]string { return dialing(e, action) }, Options{})
	a.BehaveREST(REST{ByeAfter: time.Millisecond})
	customer.answer["/dial-action"], customer.answer["/new"] = "<Hangup/>", `<Enqueue><Task>{}</Task></Enqueue>`
	if status, _, _ := api(t, a, http.MethodPost, c.ParentSid(), token, url.Values{"Url": {customer.server.URL + "/twilio/new"}}); status != 200 {
		t.Fatalf("answered %d", status)
	}
	expectForm(t, customer.next("/dial-action"), map[string]string{"DialCallStatus": "completed", "CallStatus": "in-progress"})
	customer.next("/new")
	if _, err := a.Flex().Await(bounded(t), c.ParentSid()); err != nil {
		t.Error(err)
	}
	clean(t, a)
}

func TestCallerWhoHangsUpLeavesTheActionNothingToDo(t *testing.T) {
	a, _, c, customer := called(t, func(e *edge) map[string]string { return dialing(e, action) }, Options{})
	customer.answer["/dial-action"] = `<Enqueue><Task>{}</Task></Enqueue>`
	if err := c.Hangup(bounded(t)); err != nil {
		t.Fatal(err)
	}
	expectForm(t, customer.next("/dial-action"), map[string]string{"DialCallStatus": "completed", "CallStatus": "completed"})
	expectForm(t, customer.next("/status"), map[string]string{"CallStatus": "completed"})
	if len(a.Flex().Tasks()) != 0 {
		t.Error("he is in Flex")
	}
	clean(t, a)
}

func TestDialThatRingsTooLong(t *testing.T) {
	a, e, c, customer := called(t, func(e *edge) map[string]string { return dialing(e, action) }, Options{}, manual)
	r := receive(t, e.invites)
	r.Respond(e.ok(r, 180))
	c.ringNoLonger(time.Millisecond) // beside the one of 35 s
	if got, err := c.Await(bounded(t)); err != nil || got.How != Cancelled {
		t.Errorf("ended %+v, %v", got, err)
	}
	expectForm(t, customer.next("/dial-action"), map[string]string{"DialCallStatus": "no-answer", "DialSipResponseCode": "487", "CallStatus": "ringing"})
	expectForm(t, customer.next("/status"), map[string]string{"CallStatus": "no-answer"})
	clean(t, a)
}

func TestActionWhenTheEdgeIsDown(t *testing.T) {
	customer := newCustomer(t, map[string]string{
		"/receive-call": `<Dial action="/twilio/dial-action"><Sip>sip:1@127.0.0.1:1;transport=tls</Sip></Dial>`,
		"/dial-action":  `<Enqueue><Task>{"sessionHistoryKey":""}</Task></Enqueue>`,
	})
	a := newAccount(t, func(c *Config) { c.Webhooks = customer.server.URL + "/twilio" })
	if _, err := a.Place(bounded(t), number, Options{}); err == nil {
		t.Fatal("nobody listens there")
	}
	call := customer.next("/receive-call")
	expectForm(t, customer.next("/dial-action"), map[string]string{"DialCallStatus": "failed", "DialSipResponseCode": "", "CallStatus": "in-progress"})
	if _, err := a.Flex().Await(bounded(t), call.Get("CallSid")); err != nil {
		t.Error(err)
	}
}

func TestWebhooksThatTakeNobody(t *testing.T) {
	for twiml, want := range map[string]error{
		"": ErrHungUp, "<Hangup/>": ErrHungUp, "<Reject/>": ErrRejected, `<Reject reason="busy"/>`: ErrBusy,
	} {
		customer := newCustomer(t, map[string]string{"/receive-call": twiml, "/sip-domain": twiml})
		a := newAccount(t, func(c *Config) { withDomain(t)(c); c.Webhooks = customer.server.URL + "/twilio" })
		if _, err := a.Place(bounded(t), number, Options{}); !errors.Is(err, want) {
			t.Errorf("%s: %v", twiml, err)
		}
		customer.next("/receive-call")
		customer.next("/status")
		d := dialTo(t, a, Reception{})
		d.enter(180)
		status := map[error]int{ErrHungUp: 503, ErrRejected: 404, ErrBusy: 486}[want]
		d.expect(status)
		expectForm(t, customer.next("/sip-domain"), map[string]string{
			"SipDomain": domainName, "SipUsername": "edge", "SipHeader_" + keyHeader: "dev::latest::1", "CallStatus": "ringing",
		})
	}
}

func TestTwiMLOfAnotherTypeIsNotRead(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte("<Response/>"))
	}))
	defer s.Close()
	a := newAccount(t, nil)
	if _, err := a.fetch(bounded(t), &parent{sid: sid("CA")}, s.URL, nil); err == nil || len(a.Alerts()) != 1 || a.Alerts()[0].Code != 12300 {
		t.Errorf("%v, alerts %v", err, a.Alerts())
	}
}
