package watson

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/wire"
)

// refer starts a transfer; its end comes through the channel.
func refer(t *testing.T, c *Call, tr Transfer) <-chan ended {
	done := make(chan ended, 1)
	ctx := bounded(t)
	go func() {
		o, err := c.Refer(ctx, tr)
		done <- ended{o, err}
	}()
	return done
}

type ended struct {
	Outcome
	err error
}

// next waits for the next request that is no REFER-related NOTIFY of ours.
func (e *edge) next(method string) *wire.Request {
	e.t.Helper()
	r := receive(e.t, e.requests)
	if r.Method() != method {
		e.t.Fatalf("got %s, want %s", r.Method(), method)
	}
	return r
}

func TestTransferThatWorks(t *testing.T) {
	for name, c := range map[string]struct {
		reaction Reaction
		notifies []string
		how      How
	}{
		"the edge hangs up": {WaitForBye, []string{"100 Trying", "200 OK"}, EdgeHungUp},
		"bye after final":   {ByeAfterFinal, []string{"100 Trying", "200 OK"}, AssistantHungUp},
		"bye after trying":  {ByeAfterTrying, []string{"100 Trying"}, AssistantHungUp},
		"bye after accept":  {ByeAfterAccept, nil, AssistantHungUp},
	} {
		t.Run(name, func(t *testing.T) {
			a, e, call := talk(t, Behaviour{})
			done := refer(t, call, Transfer{Key: "dev::latest::1", Hold: HoldInactive, Reaction: c.reaction})
			e.next("INVITE")
			r := e.next("REFER")
			if got, want := r.Get("Refer-To"), "<sip:queue@flex.twilio.com?"+KeyHeader+"=dev::latest::1>"; got != want {
				t.Errorf("Refer-To: %s", got)
			}
			for _, n := range c.notifies {
				if r := e.notify(n, nil); r.Status() != 200 {
					t.Errorf("NOTIFY %s: %d", n, r.Status())
				}
			}
			if c.how == EdgeHungUp {
				e.send("BYE", nil)
			} else {
				e.next("BYE")
			}
			got := receive(t, done)
			if got.err != nil || got.Status != 202 || len(got.Codes) != len(c.notifies) || call.Ending().How != c.how {
				t.Errorf("outcome %+v, ended %+v", got, call.Ending())
			}
			if len(c.notifies) == 2 && (got.Final != 200 || !slices.Equal(call.Codes(), []int{100, 200})) {
				t.Errorf("told %v", call.Codes())
			}
			clean(t, a)
		})
	}
}

func TestTransferThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		onFailure OnFailure
		follows   []string
	}{
		"hang up":     {HangUp, []string{"BYE"}},
		"resume":      {ResumeCall, []string{"INVITE"}},
		"refer again": {ReferAgain, []string{"INVITE", "REFER"}},
	} {
		t.Run(name, func(t *testing.T) {
			a, e, call := talk(t, Behaviour{NotifyDelay: time.Millisecond})
			done := refer(t, call, Transfer{Hold: HoldSendOnly, OnFailure: c.onFailure, Reaction: ByeAfterFinal})
			e.next("INVITE")
			e.next("REFER")
			e.notify("100 Trying", nil)
			e.notify("603 Decline", nil)
			for _, method := range c.follows {
				e.next(method)
			}
			want := 603
			if c.onFailure == ReferAgain {
				e.notify("100 Trying", nil)
				e.notify("200 OK", nil)
				e.next("BYE")
				want = 200
			}
			if got := receive(t, done); got.err != nil || got.Final != want {
				t.Errorf("outcome %+v", got)
			}
			if alive := call.Ending().How == Alive; alive != (c.onFailure == ResumeCall) {
				t.Errorf("ended %+v", call.Ending())
			}
			clean(t, a)
		})
	}
}

func TestReferThatIsRefused(t *testing.T) {
	a, e, call := talk(t, Behaviour{}, func(e *edge) {
		e.spoil = func(r *wire.Request, m *wire.Message) {
			if r.Method() == "REFER" {
				m.Start = "SIP/2.0 603 Decline"
			}
		}
	})
	done := refer(t, call, Transfer{})
	e.next("REFER")
	e.next("BYE")
	if got := receive(t, done); got.err != nil || got.Status != 603 {
		t.Errorf("outcome %+v", got)
	}
	clean(t, a)
}

func TestTransferThatIsNeverTold(t *testing.T) {
	_, e, call := talk(t, Behaviour{})
	ctx, cancel := context.WithCancel(bounded(t))
	done := make(chan error, 1)
	go func() {
		_, err := call.Refer(ctx, Transfer{})
		done <- err
	}()
	e.next("REFER")
	e.notify("100 Trying", nil)
	cancel()
	if err := receive(t, done); err == nil {
		t.Error("a transfer without an end ended")
	}
}

func TestReferIsWrittenInEachWay(t *testing.T) {
	more := []wire.Header{{Name: "User-to-User", Value: "a;b=c"}}
	for name, c := range map[string]struct {
		transfer Transfer
		header   string
		want     []string
	}{
		"as published":   {Transfer{Key: "a::b"}, "Refer-To", []string{"<sip:queue@flex.twilio.com?" + KeyHeader + "=a::b>"}},
		"bare":           {Transfer{Key: "a::b", Bare: true}, "Refer-To", []string{"sip:queue@flex.twilio.com?" + KeyHeader + "=a::b"}},
		"encoded":        {Transfer{Key: "a:+b", EncodeColons: true}, "Refer-To", []string{"<sip:queue@flex.twilio.com?" + KeyHeader + "=a%3A%2Bb>"}},
		"other case":     {Transfer{Key: "k", Name: "x-WATSON"}, "Refer-To", []string{"<sip:queue@flex.twilio.com?x-WATSON=k>"}},
		"two headers":    {Transfer{Key: "k", More: more}, "Refer-To", []string{"<sip:queue@flex.twilio.com?User-to-User=a%3Bb%3Dc&" + KeyHeader + "=k>"}},
		"no key":         {Transfer{Target: "tel:+1"}, "Refer-To", []string{"<tel:+1>"}},
		"compact":        {Transfer{Compact: true}, "r", []string{"<sip:queue@flex.twilio.com>"}},
		"custom header":  {Transfer{Key: "a;b", Way: CustomHeader}, KeyHeader, []string{"a;b"}},
		"contact header": {Transfer{Key: "k", Way: ContactHeader}, "Contact", []string{"<sips:w?" + KeyHeader + "=k>"}},
		"two Refer-To":   {Transfer{ReferTo: []string{"<sip:a>", "<sip:b>"}}, "Refer-To", []string{"<sip:a>", "<sip:b>"}},
		"none":           {Transfer{ReferTo: []string{}}, "Refer-To", nil},
	} {
		m := wire.NewRequest("REFER", "sips:e")
		c.transfer.write(m, "<sips:w>")
		if got := m.All(c.header); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
		if c.header == "r" && !strings.Contains(string(m.Bytes()), "\r\nr: <") {
			t.Error("not in compact form")
		}
	}
}

// TestWrongNotifiesAreNoticed sends a spoilt sequence of NOTIFYs after a good REFER.
func TestWrongNotifiesAreNoticed(t *testing.T) {
	set := func(name, value string) func(*wire.Message) { return func(m *wire.Message) { m.Set(name, value) } }
	body := func(text string) func(*wire.Message) { return func(m *wire.Message) { m.Body = []byte(text) } }
	type notify struct {
		code string
		edit func(*wire.Message)
	}
	trying := notify{"100 Trying", nil}
	for name, c := range map[string]struct {
		notifies []notify
		status   int
		rule     simulator.Rule
	}{
		"final first":           {[]notify{{"200 OK", nil}}, 200, simulator.TryingFirst},
		"two finals":            {[]notify{trying, {"503 X", nil}, {"200 OK", nil}}, 200, simulator.OneFinal},
		"active final":          {[]notify{trying, {"200 OK", set("Subscription-State", "active;expires=5")}}, 200, simulator.SubscriptionState},
		"terminated trying":     {[]notify{{"100 Trying", set("Subscription-State", "terminated")}}, 200, simulator.SubscriptionState},
		"no expires":            {[]notify{{"100 Trying", set("Subscription-State", "active")}}, 200, simulator.SubscriptionState},
		"other event":           {[]notify{{"100 Trying", set("Event", "presence")}}, 200, simulator.EventRefer},
		"id of another":         {[]notify{{"100 Trying", set("Event", "refer;id=99")}}, 200, simulator.EventRefer},
		"other type":            {[]notify{{"100 Trying", set("Content-Type", "text/plain")}}, 400, simulator.Sipfrag},
		"no body":               {[]notify{{"100 Trying", body("")}}, 400, simulator.Sipfrag},
		"not a status":          {[]notify{{"100 Trying", body("SIP/2.0 abc\r\n")}}, 400, simulator.Sipfrag},
		"cseq used twice":       {[]notify{trying, {"200 OK", set("CSeq", "2 NOTIFY")}}, 500, simulator.RisingCSeq},
		"with a Route":          {[]notify{{"100 Trying", set("Route", "<sip:x;lr>")}}, 200, simulator.RouteSet},
		"with a sip Contact":    {[]notify{{"100 Trying", set("Contact", "<sip:x>")}}, 200, simulator.SecureURI},
		"to another URI":        {[]notify{{"100 Trying", func(m *wire.Message) { m.Start = "NOTIFY sips:w SIP/2.0" }}}, 200, simulator.RemoteTarget},
		"from another URI":      {[]notify{{"100 Trying", func(m *wire.Message) { m.Set("From", "<sips:x>;tag=e1") }}}, 200, simulator.DialogURIs},
		"with another tag":      {[]notify{{"100 Trying", func(m *wire.Message) { m.Set("From", m.Get("From")+"2") }}}, 481, simulator.InDialog},
		"without hops":          {[]notify{{"100 Trying", func(m *wire.Message) { m.Remove("Max-Forwards") }}}, 200, simulator.MaxForwards},
		"showing Twilio's host": {[]notify{{"100 Trying", set("Reason", "sip.Twilio.com said so")}}, 200, simulator.Hidden},
	} {
		t.Run(name, func(t *testing.T) {
			a, e, call := talk(t, Behaviour{})
			done := refer(t, call, Transfer{Reaction: WaitForBye, OnFailure: ResumeCall})
			e.next("REFER")
			status := 0
			for _, n := range c.notifies {
				status = e.notify(n.code, n.edit).Status()
			}
			if status != c.status {
				t.Errorf("answered %d, want %d", status, c.status)
			}
			clean(t, a, c.rule)
			a.Close()
			receive(t, done)
		})
	}
}

func TestNotifyBeforeAcceptAndLateAccept(t *testing.T) {
	a := newAssistant(t, Behaviour{}, func(c *Config) { c.AcceptWithin = time.Nanosecond })
	e := newEdge(t, a, func(e *edge) {
		e.spoil = func(r *wire.Request, _ *wire.Message) {
			if r.Method() == "REFER" {
				n := e.request("NOTIFY").Push("Via", wire.Via(wire.TLS, "edge", wire.Branch())).Add("Event", "refer;id=1")
				e.conn.Send(n.Add("Subscription-State", "active;expires=1").SetBody("message/sipfrag", []byte("SIP/2.0 100 Trying\r\n")))
			}
		}
	})
	e.start(e.invite(), nil)
	c, err := a.Accept(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitAnswer(bounded(t)); err != nil {
		t.Fatal(err)
	}
	done := refer(t, c, Transfer{Reaction: ByeAfterTrying})
	e.next("REFER")
	if got := receive(t, done); got.err != nil || !slices.Equal(got.Codes, []int{100}) {
		t.Errorf("outcome %+v", got)
	}
	clean(t, a, simulator.NotifyAfterAccept, simulator.AcceptedInTime)
}

func TestReferThatIsNotAnswered(t *testing.T) {
	a, e, call := talk(t, Behaviour{})
	a.Wire().Misbehave(wire.Fault{Direction: wire.Out, Count: 1, Match: wire.MethodIs("REFER")})
	ctx, cancel := context.WithTimeout(bounded(t), 50*time.Millisecond)
	defer cancel()
	if _, err := call.Refer(ctx, Transfer{}); err == nil {
		t.Error("a REFER that was lost was answered")
	}
	if len(e.requests) != 0 {
		t.Error("it was not lost")
	}
	clean(t, a, simulator.AcceptedInTime)
}

func TestByeBeforeTheFinalNotifyIsNoticed(t *testing.T) {
	a, e, call := talk(t, Behaviour{})
	done := refer(t, call, Transfer{})
	e.next("REFER")
	e.notify("100 Trying", nil)
	e.send("BYE", nil)
	if got := receive(t, done); got.err != nil || got.Final != 0 {
		t.Errorf("outcome %+v", got)
	}
	clean(t, a, simulator.ByeBeforeFinal)
}

func TestNotifyWithoutReferIsNoticed(t *testing.T) {
	a, e, _ := talk(t, Behaviour{NotifyStatus: 200})
	if r := e.notify("100 Trying", nil); r.Status() != 481 {
		t.Errorf("answered %d", r.Status())
	}
	clean(t, a, simulator.EventRefer)
}

func TestUnansweredHoldIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		rule     simulator.Rule
	}{
		"still sending": {"a=recvonly", "a=sendrecv", simulator.HoldAnswered},
		"plain":         {"RTP/SAVP", "RTP/AVP", simulator.AnswerSDP},
	} {
		t.Run(name, func(t *testing.T) {
			a, _, call := talk(t, Behaviour{}, func(e *edge) {
				e.spoil = func(_ *wire.Request, m *wire.Message) {
					m.Body = []byte(strings.Replace(string(m.Body), c.old, c.new, 1))
				}
			})
			if err := call.Hold(bounded(t), HoldSendOnly); err != nil {
				t.Fatal(err)
			}
			clean(t, a, c.rule)
		})
	}
}
