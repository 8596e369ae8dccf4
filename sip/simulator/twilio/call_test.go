package twilio

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

func names(m *wire.Message) string {
	var all []string
	for _, h := range m.Headers {
		all = append(all, h.Name)
	}
	return strings.Join(all, " ")
}

func TestInviteIsThatOfTheCaptures(t *testing.T) {
	a, e, c := talk(t, Options{}, nil)
	m := receive(t, e.invites)
	const order = "Record-Route Record-Route CSeq From To Max-Forwards Date Min-SE Call-ID Via Via Contact Allow User-Agent " +
		"X-Twilio-ApiVersion X-Twilio-AccountSid Content-Type X-Twilio-CallSid Content-Length"
	if got := names(m.Message); got != order {
		t.Errorf("headers in the order %s", got)
	}
	for name, pattern := range map[string]string{
		"Record-Route": `^<sip:127\.0\.0\.2:\d+;transport=tls;r2=on;lr;ftag=[0-9a-f_]+>$`,
		"From":         `^"\+15005550001" <sip:\+15005550001@sip\.twilio\.com>;tag=[0-9a-f]+_[0-9a-f]+_[0-9a-f]+$`,
		"To":           `^<sip:\+18885557777@127\.0\.0\.1:\d+>$`,
		"Call-ID":      `^[0-9a-f]{32}@0\.0\.0\.0$`,
		"Via":          `^SIP/2\.0/TLS 127\.0\.0\.2:\d+;branch=z9hG4bK`,
		"Contact":      `^"\+15005550001" <sip:\+15005550001@172\.18\.4\.191:5060;transport=udp>$`,
		"Max-Forwards": `^67$`, "CSeq": `^1 INVITE$`, "User-Agent": `^Twilio Gateway$`, "X-Twilio-CallSid": `^CA[0-9a-f]{32}$`,
	} {
		if !regexp.MustCompile(pattern).MatchString(m.Get(name)) {
			t.Errorf("%s: %s", name, m.Get(name))
		}
	}
	if want := "sip:" + number + "@" + e.addr(wire.TLS) + ";transport=tls"; m.URI() != want {
		t.Errorf("to %s, want %s: secure=true is Twilio's own", m.URI(), want)
	}
	if !strings.Contains(m.Get("Via"), a.Addr(wire.TLS).String()) || m.Conn.Remote() == a.Addr(wire.TLS) {
		t.Errorf("the Via names the listener, the connection has another port: %s from %s", m.Get("Via"), m.Conn.Remote())
	}
	if c.Sid() == c.ParentSid() || m.Get("X-Twilio-CallSid") != c.Sid() || c.Invite().URI() != m.URI() {
		t.Error("the INVITE carries the child's SID, not the parent's")
	}
	d, err := phone.ParseSDP(m.Body)
	if err != nil || d.Name != "Twilio Media Gateway" || !slices.Equal(d.Formats, []uint8{0, 8, 101}) || !d.Secure() || len(d.Crypto) != 1 {
		t.Errorf("SDP %+v, %v", d, err)
	}
	clean(t, a)
}

func TestTrunkInviteIsThatOfTheCapture(t *testing.T) {
	e := newEdge(t)
	a := newAccount(t, func(c *Config) { c.Origination = "sip:" + e.addr(wire.TLS) + ";transport=tls" })
	c, err := a.PlaceTrunk(bounded(t), number, true, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := receive(t, e.invites)
	const order = "Record-Route Record-Route From To CSeq Max-Forwards P-Asserted-Identity Diversion Call-ID Via Via Contact Allow " +
		"X-Twilio-AccountSid User-Agent Content-Type X-Twilio-CallSid Content-Length"
	if got := names(m.Message); got != order {
		t.Errorf("headers in the order %s", got)
	}
	if !strings.Contains(m.Get("From"), "@trunk1.pstn.twilio.com:5060>") || !strings.HasSuffix(m.URI(), ";transport=tls") || m.Has("X-Twilio-ApiVersion") {
		t.Errorf("INVITE\n%s", m.Bytes())
	}
	if err := c.AwaitAnswer(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if r := e.refer("<sip:queue@flex.twilio.com>"); r.Status() != 603 || !strings.HasPrefix(r.Get("X-Twilio-Error"), "32218") {
		t.Errorf("a trunk answers a REFER %d", r.Status())
	}
	if err := c.Hangup(bounded(t)); err != nil {
		t.Fatal(err)
	}
	clean(t, a)
}

func TestCallTalksAndEitherSideHangsUp(t *testing.T) {
	for name, byCaller := range map[string]bool{"the caller": true, "the edge": false} {
		t.Run(name, func(t *testing.T) {
			a, e, c := talk(t, Options{Voice: 5}, nil)
			receive(t, c.Ringing())
			enough := func(s phone.Stats) bool { return s.Heard >= 5 }
			if err := c.Phone().Until(bounded(t), enough); err != nil {
				t.Fatal(err)
			}
			if err := e.phone.Until(bounded(t), enough); err != nil {
				t.Fatal(err)
			}
			want := Ending{How: CallerHungUp}
			if byCaller {
				if err := c.Hangup(bounded(t)); err != nil {
					t.Fatal(err)
				}
				bye := receive(t, e.requests)
				if bye.Method() != "BYE" || bye.Get("Reason") != `Q.850;cause=16;text="Normal call clearing"` || len(bye.All("Via")) != 2 {
					t.Errorf("got\n%s", bye.Bytes())
				}
			} else {
				want = Ending{How: EdgeHungUp, ByEdge: true, Reason: "SIP;cause=200"}
				if r := e.send("BYE", func(m *wire.Message) { m.Add("Reason", want.Reason) }); r.Status() != 200 {
					t.Errorf("the BYE was answered %d", r.Status())
				}
			}
			if got, err := c.Await(bounded(t)); err != nil || got != want {
				t.Errorf("ended %+v, %v", got, err)
			}
			if r := e.send("BYE", nil); r.Status() != 481 {
				t.Errorf("a late BYE was answered %d", r.Status())
			}
			if c.Hangup(bounded(t)) == nil || c.Cancel(bounded(t)) == nil {
				t.Error("a call that is over was ended again")
			}
			if s := c.Phone().Stats(); s.Lost+s.Undecryptable+s.Damaged != 0 || !slices.Equal(s.Voices, []uint32{77}) {
				t.Errorf("heard %+v", s)
			}
			clean(t, a)
		})
	}
}

func TestPlainCallsOverUDPAndTCP(t *testing.T) {
	for _, tr := range []wire.Transport{wire.UDP, wire.TCP} {
		t.Run(tr.String(), func(t *testing.T) {
			e := newEdge(t, func(e *edge) { e.phone = newPhone(t, false) })
			a := newAccount(t, func(c *Config) { c.Edge, c.Transport = e.addr(tr), strings.ToLower(tr.String()) })
			c, err := a.Place(bounded(t), number, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.AwaitAnswer(bounded(t)); err != nil {
				t.Fatal(err)
			}
			if r := e.send("OPTIONS", nil); r.Status() != 200 {
				t.Errorf("OPTIONS: %d", r.Status())
			}
			if err := c.Hangup(bounded(t)); err != nil {
				t.Fatal(err)
			}
			clean(t, a)
		})
	}
}

func TestCallThatIsCancelledOrRejected(t *testing.T) {
	e := newEdge(t, manual)
	a := newAccount(t, func(c *Config) { c.Edge = e.addr(wire.TLS) })
	c, err := a.Place(bounded(t), number, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := receive(t, e.invites)
	r.Respond(e.ok(r, 180))
	receive(t, c.Ringing())
	if c.Hangup(bounded(t)) == nil {
		t.Error("hung up before the answer")
	}
	if err := c.Cancel(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Await(bounded(t)); err != nil || got.How != Cancelled || got.Status != 487 {
		t.Errorf("ended %+v, %v", got, err)
	}
	receive(t, e.requests)

	c, err = a.Place(bounded(t), number, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r = receive(t, e.invites)
	r.Respond(wire.Respond(r.Message, 503, "Service Unavailable", "x"))
	if err := c.AwaitAnswer(bounded(t)); err == nil || c.Ending().Status != 503 || c.Ending().How != Rejected {
		t.Errorf("ended %+v, %v", c.Ending(), err)
	}

	c, err = a.Place(bounded(t), number, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r = receive(t, e.invites)
	r.Conn.Close()
	if got, err := c.Await(bounded(t)); err != nil || got.How != NoAnswer {
		t.Errorf("ended %+v, %v", got, err)
	}
	clean(t, a)
}

func TestCancelThatCrossesTheAnswerHangsUp(t *testing.T) {
	e := newEdge(t, manual, func(e *edge) {
		e.answer = func(r *wire.Request, _ *wire.Message) { // 200 to the INVITE before the 200 to the CANCEL
			if r.Method() == "CANCEL" {
				r.Invite.Respond(e.ok(r.Invite, 200))
			}
		}
	})
	a := newAccount(t, func(c *Config) { c.Edge = e.addr(wire.TLS) })
	c, err := a.Place(bounded(t), number, Options{})
	if err != nil {
		t.Fatal(err)
	}
	receive(t, e.invites)
	if err := c.Cancel(bounded(t)); err != nil {
		t.Fatal(err)
	}
	receive(t, e.acks)
	for receive(t, e.requests).Method() != "BYE" {
	}
	if got, err := c.Await(bounded(t)); err != nil || got.How != CallerHungUp {
		t.Errorf("ended %+v, %v", got, err)
	}
}

func TestReinvites(t *testing.T) {
	a, e, c := talk(t, Options{}, nil)
	for _, change := range []Change{Refresh, Codec, Address, Hold, Resume} {
		status, err := c.Reinvite(bounded(t), change)
		if err != nil || status != 200 {
			t.Fatalf("%s: %d, %v", change, status, err)
		}
		receive(t, e.requests)
		receive(t, e.acks)
	}
	heard := e.phone.Stats().Heard
	if err := e.phone.Until(bounded(t), func(s phone.Stats) bool { return s.Heard > heard+3 }); err != nil {
		t.Error(err)
	}
	if _, err := c.Reinvite(bounded(t), 99); err == nil {
		t.Error("a change that does not exist")
	}
	if r := e.send("INVITE", func(m *wire.Message) { m.SetBody("application/sdp", e.phone.Offer()) }); r.Status() != 200 {
		t.Errorf("the edge's re-INVITE: %d", r.Status())
	}
	clean(t, a)

	a, e, _ = talk(t, Options{RefuseReinvite: 488}, nil)
	if r := e.send("INVITE", nil); r.Status() != 488 {
		t.Errorf("refused with %d", r.Status())
	}
	clean(t, a)
}

func TestRepeatedAnswersAreAcknowledged(t *testing.T) {
	e := newEdge(t, manual)
	a := newAccount(t, func(c *Config) { c.Edge = e.addr(wire.TLS) })
	c, err := a.Place(bounded(t), number, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := receive(t, e.invites)
	early := e.ok(r, 183)
	ok := e.ok(r, 200)
	r.Conn.Send(early, ok, ok, ok) // all in one write
	for range 3 {
		ack := receive(t, e.acks)
		if ack.Get("CSeq") != "1 ACK" || ack.Get("User-Agent") != "Twilio" || ack.Get("Max-Forwards") != "69" {
			t.Errorf("ACK\n%s", ack.Bytes())
		}
	}
	receive(t, c.Ringing())
	clean(t, a)
}

func TestCutConnectionIsReplaced(t *testing.T) {
	a, e, c := talk(t, Options{CutAfter: time.Millisecond}, nil)
	receive(t, e.conn.Closed())
	if err := c.SendRaw([]byte("x")); err == nil {
		t.Error("wrote to a connection that was cut")
	}
	conn, err := e.wire.Dial(bounded(t), wire.TLS, a.Addr(wire.TLS), "sip.twilio.com") // the top Route, verified by name
	if err != nil {
		t.Fatal(err)
	}
	e.conn = conn
	if r := e.refer("<sip:queue@flex.twilio.com?" + keyHeader + "=k>"); r.Status() != 202 {
		t.Errorf("REFER over the new connection: %d", r.Status())
	}
	if got, err := c.Await(bounded(t)); err != nil || got.How != Transferred {
		t.Errorf("ended %+v, %v", got, err)
	}
	clean(t, a)
}

func TestScenarioSendsItsOwn(t *testing.T) {
	a, e, c := talk(t, Options{}, nil)
	m := c.Request("INFO").Set("X-Twilio-CallSid", "spoilt")
	if r, err := c.Send(bounded(t), m); err != nil || r.Status() != 200 {
		t.Fatalf("%v, %v", r, err)
	}
	if got := receive(t, e.requests); got.Get("X-Twilio-CallSid") != "spoilt" {
		t.Errorf("got\n%s", got.Bytes())
	}
	if err := c.SendRaw(c.Request("OPTIONS").Bytes(), c.Request("INFO").Bytes()); err != nil {
		t.Fatal(err)
	}
	if first, second := receive(t, e.requests), receive(t, e.requests); first.Method() != "OPTIONS" || second.Method() != "INFO" {
		t.Errorf("%s before %s", first.Method(), second.Method())
	}
	clean(t, a)
}

func TestCallsThatCannotBePlaced(t *testing.T) {
	a := newAccount(t, func(c *Config) { c.Edge, c.Origination = "127.0.0.1:1", "nonsense" })
	if _, err := a.Place(bounded(t), number, Options{}); err == nil {
		t.Error("called an edge that is not there")
	}
	if _, err := a.PlaceTrunk(bounded(t), number, true, Options{}); err == nil {
		t.Error("called without Origination URI")
	}
	a.Close()
	if _, err := a.Place(bounded(t), number, Options{}); err == nil {
		t.Error("called after Close")
	}
	if _, err := New(Config{}, Deps{}); err == nil {
		t.Error("an account without collector")
	}
}

func TestSIPAddresses(t *testing.T) {
	for uri, want := range map[string]peerAddress{
		"sip:a@h":                           {host: "h", port: 5060},
		"sip:a@h:7;transport=TCP;x":         {host: "h", port: 7, transport: wire.TCP},
		"sips:h?a=b":                        {host: "h", port: 5061, transport: wire.TLS},
		"sip:a@[::1]:9;transport=tls":       {host: "::1", port: 9, transport: wire.TLS},
		"sip:+1@edge.example;transport=tls": {host: "edge.example", port: 5061, transport: wire.TLS},
	} {
		if got, err := parseAddress(uri); err != nil || got != want {
			t.Errorf("%s: %+v, %v", uri, got, err)
		}
	}
	for _, uri := range []string{"tel:+1", "sip:", "sip:a@h:x", "h"} {
		if _, err := parseAddress(uri); err == nil {
			t.Errorf("%s was read", uri)
		}
	}
}

func TestEnumsAreNamed(t *testing.T) {
	var all []string
	add := func(s interface{ String() string }) { all = append(all, s.String()) }
	for i := range uint8(4) {
		add(TooLong(i))
	}
	for i := range uint8(5) {
		add(Then(i))
	}
	for i := range uint8(3) {
		add(Hangup(i))
	}
	for _, h := range append(Hows(), 99) {
		add(h)
	}
	for i := range uint8(6) {
		add(Change(i))
	}
	const want = "reject,truncate,accept,unknown,transfer,nothing,only trying,only bye,unknown,twilio at once,after patience,unknown," +
		"alive,caller hung up,edge hung up,cancelled,rejected,transferred,crossed by bye,no answer,abandoned,redirected,agent hung up,dropped,unknown," +
		"refresh,codec,address,hold,resume,unknown"
	if got := strings.Join(all, ","); got != want {
		t.Errorf("got %s", got)
	}
}
