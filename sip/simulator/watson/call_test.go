package watson

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

func TestCallTalksAndEitherSideHangsUp(t *testing.T) {
	for name, byAssistant := range map[string]bool{"the assistant": true, "the edge": false} {
		t.Run(name, func(t *testing.T) {
			a, e, c := talk(t, Behaviour{EarlyMedia: true})
			for _, status := range []int{100, 180, 183, 200} {
				if m := e.reply(status); status > 100 && wire.Tag(m.Get("To")) != wire.Tag(c.dialog.Local) {
					t.Errorf("%d has another tag", status)
				}
			}
			for _, p := range []*phone.Phone{c.Phone(), e.phone} {
				if err := p.Until(bounded(t), func(s phone.Stats) bool { return s.Heard >= 5 }); err != nil {
					t.Fatal(err)
				}
			}
			if c.CallID() == "" || c.Invite().Method() != "INVITE" || c.ACKs() != 1 || len(c.Violations()) != 0 {
				t.Errorf("call %s, %d ACKs, violations %v", c.CallID(), c.ACKs(), c.Violations())
			}
			want := Ending{How: AssistantHungUp}
			if byAssistant {
				if err := c.Hangup(bounded(t), wire.Header{Name: "Transfer-Target", Value: "sip:queue@flex.twilio.com"}); err != nil {
					t.Fatal(err)
				}
				if bye := receive(t, e.requests); bye.Method() != "BYE" || bye.Get("Transfer-Target") == "" {
					t.Errorf("got\n%s", bye.Bytes())
				}
			} else {
				want = Ending{How: EdgeHungUp, Reason: "x"}
				e.send("BYE", func(m *wire.Message) { m.Add("Reason", "x") })
			}
			if got, err := c.Await(bounded(t)); err != nil || got != want {
				t.Errorf("ended %+v, %v", got, err)
			}
			if r := e.notify("200 OK", nil); r.Status() != 481 {
				t.Errorf("a late NOTIFY was answered %d", r.Status())
			}
			if c.Hangup(bounded(t)) == nil {
				t.Error("hung up twice")
			}
			if s := c.Phone().Stats(); s.Lost+s.Undecryptable+s.Damaged != 0 || !slices.Equal(s.Voices, []uint32{88}) {
				t.Errorf("heard %+v", s)
			}
			clean(t, a)
		})
	}
}

func TestCallsThatAreNotAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		behaviour Behaviour
		config    func(*Config)
		replies   []int
	}{
		"busy":           {Behaviour{Reject: 486, NoTrying: true}, nil, []int{180, 486}},
		"zone down":      {Behaviour{Reject: 503, NoRinging: true}, nil, []int{100, 503}},
		"unknown number": {Behaviour{}, func(c *Config) { c.Numbers = []string{"+1"} }, []int{100, 403}},
		"plain wanted":   {Behaviour{}, func(c *Config) { c.PlainMedia = true }, []int{100, 488}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAssistant(t, c.behaviour, c.config)
			e := newEdge(t, a)
			e.start(e.invite(), nil)
			for _, status := range c.replies {
				e.reply(status)
			}
			call, err := a.Accept(bounded(t))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := call.Await(bounded(t)); err != nil || got.How != Rejected || got.Status != c.replies[1] {
				t.Errorf("ended %+v, %v", got, err)
			}
			if call.AwaitAnswer(bounded(t)) == nil {
				t.Error("counts as answered")
			}
		})
	}
}

func TestAssistantThatTellsWhereItIs(t *testing.T) {
	const host = "mrcp7.watson.cloud.ibm.com"
	a := newAssistant(t, Behaviour{Tells: host, Reject: 503}, nil)
	e := newEdge(t, a)
	e.start(e.invite(), nil)
	for _, status := range []int{100, 180} {
		e.reply(status)
	}
	if m := e.reply(503); m.Start != "SIP/2.0 503 Service Unavailable at "+host || m.Get("Server") != host || !strings.Contains(m.Get("Warning"), host) {
		t.Errorf("got\n%s", m.Bytes())
	}
	_, e, call := talk(t, Behaviour{Tells: host})
	if status, err := call.Reinvite(bounded(t)); err != nil || status != 200 {
		t.Fatalf("re-INVITE: %d, %v", status, err)
	}
	r := receive(t, e.requests)
	if r.Get("Referred-By") != "<sips:wa@"+host+">" || !strings.Contains(string(r.Body), "a=tool:"+host+"\r\n") {
		t.Errorf("got\n%s", r.Bytes())
	}
}

func TestCallThatIsCancelled(t *testing.T) {
	a := newAssistant(t, Behaviour{RingFor: time.Minute}, nil)
	e := newEdge(t, a)
	tx := e.start(e.invite(), nil)
	e.reply(100)
	e.reply(180)
	if m, err := tx.Cancel(bounded(t), wire.Header{Name: "Reason", Value: "r"}); err != nil || m.Status() != 200 {
		t.Fatalf("%v, %v", m, err)
	}
	e.reply(487)
	c, err := a.Accept(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Await(bounded(t)); err != nil || got.How != Cancelled || got.Reason != "r" {
		t.Errorf("ended %+v, %v", got, err)
	}
	clean(t, a)
}

func TestSilentAssistantStaysSilent(t *testing.T) {
	a := newAssistant(t, Behaviour{Silent: true}, nil)
	e := newEdge(t, a)
	e.start(e.invite(), nil)
	if _, err := a.Accept(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if r := outOfDialog(e, "OPTIONS"); r.Status() != 200 || len(e.replies) != 0 {
		t.Errorf("OPTIONS %d, %d replies to the INVITE", r.Status(), len(e.replies))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := a.Accept(ctx); err == nil {
		t.Error("a call out of nothing")
	}
}

func outOfDialog(e *edge, method string) *wire.Message {
	m := wire.NewRequest(method, "sips:watson.example.com").Add("From", "<sips:e@x>;tag=1").Add("To", "<sips:watson.example.com>").
		Add("Call-ID", wire.Token(4)).Add("CSeq", "1 "+method)
	r, err := e.wire.Do(bounded(e.t), e.conn, m)
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

func TestForkedAndRepeatedAnswers(t *testing.T) {
	a, e, c := talk(t, Behaviour{Fork: true, Repeat: 2})
	until(t, func() bool { return c.ACKs() == 3 })
	var fork string
	for fork == "" {
		if to := receive(t, e.replies).Get("To"); wire.Tag(to) != "" && wire.Tag(to) != wire.Tag(c.dialog.Local) {
			fork = to
		}
	}
	if r := e.send("BYE", func(m *wire.Message) { m.Set("To", fork) }); r.Status() != 200 {
		t.Errorf("the fork's BYE: %d", r.Status())
	}
	e.send("BYE", nil)
	if _, err := c.Await(bounded(t)); err != nil {
		t.Fatal(err)
	}
	clean(t, a)
}

func TestHoldResumeMoveAndTheEdgesReinvite(t *testing.T) {
	a, e, c := talk(t, Behaviour{})
	for _, h := range []Hold{HoldSendOnly, HoldInactive} {
		if err := c.Hold(bounded(t), h); err != nil {
			t.Fatal(err)
		}
		if r := receive(t, e.requests); !strings.Contains(string(r.Body), "a="+h.String()) {
			t.Errorf("offer\n%s", r.Body)
		}
	}
	if err := c.Resume(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if err := c.Phone().Move(); err != nil {
		t.Fatal(err)
	}
	c.Phone().Prefer(phone.PCMA)
	if status, err := c.Reinvite(bounded(t)); err != nil || status != 200 {
		t.Fatalf("%d, %v", status, err)
	}
	r := e.send("INVITE", func(m *wire.Message) { m.Add("Contact", e.dialog.Contact).SetBody("application/sdp", e.phone.Offer()) })
	if r.Status() != 200 {
		t.Errorf("the edge's re-INVITE: %d", r.Status())
	}
	e.onAccepted(r, nil)
	for _, method := range []string{"OPTIONS", "UPDATE", "INFO"} {
		if r := e.send(method, nil); r.Status() != 200 {
			t.Errorf("%s: %d", method, r.Status())
		}
	}
	if r := e.send("MESSAGE", nil); r.Status() != 405 || r.Get("Allow") == "" {
		t.Errorf("MESSAGE: %d", r.Status())
	}
	heard := c.Phone().Stats().Heard
	if err := c.Phone().Until(bounded(t), func(s phone.Stats) bool { return s.Heard > heard+3 }); err != nil {
		t.Error(err)
	}
	clean(t, a)
}

func TestGlareAndRefusedReinvite(t *testing.T) {
	refused := make(chan int, 1)
	_, _, c := talk(t, Behaviour{}, func(e *edge) {
		e.spoil = func(r *wire.Request, m *wire.Message) { // the edge's re-INVITE crosses the assistant's
			ours := e.request("INVITE").SetBody("application/sdp", e.phone.Offer())
			if _, err := e.wire.Start(r.Conn, ours, func(r wire.Reply) { refused <- r.Response.Status() }); err != nil {
				t.Error(err)
			}
			m.Start = "SIP/2.0 491 Request Pending"
		}
	})
	c.assistant.Wire().Misbehave(wire.Fault{Direction: wire.In, Count: 1, Match: wire.StatusIs(491, "INVITE"), Delay: 50 * time.Millisecond})
	if err := c.Hold(bounded(t), HoldSendOnly); err == nil || !strings.Contains(err.Error(), "491") {
		t.Errorf("got %v", err)
	}
	if got := receive(t, refused); got != 491 {
		t.Errorf("the edge's was answered %d", got)
	}
	_, e, _ := talk(t, Behaviour{RefuseReinvite: 488})
	if r := e.send("INVITE", nil); r.Status() != 488 {
		t.Errorf("refused with %d", r.Status())
	}
}

func TestOwnConnectionAndCutConnection(t *testing.T) {
	for name, own := range map[string]bool{"own": true, "cut": false} {
		t.Run(name, func(t *testing.T) {
			a, e, c := talk(t, Behaviour{OwnConnection: own})
			if !own {
				c.Cut()
				receive(t, e.conn.Closed())
			}
			if r, err := c.Send(bounded(t), c.Request("OPTIONS")); err != nil || r.Status() != 200 {
				t.Fatalf("%v, %v", r, err)
			}
			if r := receive(t, e.requests); r.Conn == e.conn {
				t.Error("came over the edge's connection")
			}
			if err := c.SendRaw(c.Request("INFO").Push("Via", wire.Via(wire.TLS, "w", wire.Branch())).Bytes()); err != nil {
				t.Fatal(err)
			}
			if r := receive(t, e.requests); r.Method() != "INFO" {
				t.Errorf("got %s", r.Method())
			}
			clean(t, a)
		})
	}
}

func TestScriptRunsOnceTheCallIsAnswered(t *testing.T) {
	done := make(chan error, 1)
	_, e, c := talk(t, Behaviour{Script: func(ctx context.Context, c *Call) { done <- c.Hangup(ctx) }})
	if err := receive(t, done); err != nil {
		t.Fatal(err)
	}
	if r := receive(t, e.requests); r.Method() != "BYE" || c.Ending().How != AssistantHungUp {
		t.Errorf("%s, %+v", r.Method(), c.Ending())
	}
}

func TestCloseAbandonsCalls(t *testing.T) {
	a, _, c := talk(t, Behaviour{})
	a.Close()
	if c.Ending().How != Abandoned {
		t.Errorf("ended %+v", c.Ending())
	}
	if _, err := New(Config{}, Deps{}); err == nil {
		t.Error("an assistant without collector")
	}
}

func TestEnumsAreNamed(t *testing.T) {
	var all []string
	add := func(s interface{ String() string }) { all = append(all, s.String()) }
	for _, h := range append(Hows(), 99) {
		add(h)
	}
	for i := range uint8(4) {
		add(Way(i))
	}
	for i := range uint8(4) {
		add(Hold(i))
	}
	for i := range uint8(5) {
		add(Reaction(i))
	}
	for i := range uint8(4) {
		add(OnFailure(i))
	}
	const want = "alive,assistant hung up,edge hung up,cancelled,rejected,not acknowledged,abandoned,unknown," +
		"refer_to_header,custom_header,contact_header,unknown,none,sendonly,inactive,unknown," +
		"wait for bye,bye after final,bye after trying,bye after accept,unknown,hang up,resume,refer again,unknown"
	if got := strings.Join(all, ","); got != want {
		t.Errorf("got %s", got)
	}
}
