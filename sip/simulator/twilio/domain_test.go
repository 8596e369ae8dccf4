package twilio

import (
	"strings"
	"testing"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

func TestCallToTheDomainEndsAtAnAgentWithTheKey(t *testing.T) {
	for name, byAgent := range map[string]bool{"the agent hangs up": true, "the edge hangs up": false} {
		t.Run(name, func(t *testing.T) {
			d, c := talking(t, Reception{Key: "dev::latest::1", Voice: 9})
			task, err := d.account.Flex().Await(bounded(t), c.Sid())
			if err != nil || task.SessionHistoryKey() != "dev::latest::1" {
				t.Errorf("task %+v, %v", task, err)
			}
			enough := func(s phone.Stats) bool { return s.Heard >= 3 }
			if c.Phone().Until(bounded(t), enough) != nil || d.phone.Until(bounded(t), enough) != nil {
				t.Error("they do not hear each other")
			}
			want := AgentHungUp
			if byAgent {
				if err := c.Hangup(bounded(t)); err != nil {
					t.Error(err)
				}
				if r := receive(t, d.requests); r.Method() != "BYE" || !strings.HasPrefix(r.Get("Reason"), "Q.850;cause=16") || len(r.All("Via")) != 2 {
					t.Errorf("got\n%s", r.Bytes())
				}
			} else {
				want = EdgeHungUp
				if r := d.send("BYE", nil); r.Status() != 200 {
					t.Errorf("BYE: %d", r.Status())
				}
			}
			if got, err := c.Await(bounded(t)); err != nil || got.How != want {
				t.Errorf("ended %+v, %v", got, err)
			}
			if r := d.send("BYE", nil); r.Status() != 481 || c.Hangup(bounded(t)) == nil {
				t.Errorf("a late BYE: %d", r.Status())
			}
			clean(t, d.account)
		})
	}
}

func TestDomainAnswersAsTwilioDoes(t *testing.T) {
	d := newDialler(t, Reception{})
	d.invite(nil)
	if r := receive(t, d.replies); r.Start != "SIP/2.0 100 trying -- your call is important to us" || r.Get("Server") != "Twilio Gateway" {
		t.Errorf("got\n%s", r.Bytes())
	}
	challenge := d.expect(407)
	if v := challenge.Get("Proxy-Authenticate"); !strings.HasPrefix(v, `Digest realm="sip.twilio.com",qop="auth",nonce="`) || strings.Contains(v, "algorithm") {
		t.Errorf("challenge %s", v)
	}
	d.invite(challenge)
	d.expect(180)
	ok := d.expect(200)
	rr := ok.List("Record-Route")
	sdp, err := phone.ParseSDP(ok.Body)
	if err != nil || len(rr) != 2 || !strings.Contains(rr[1], ";transport=tls;") || !strings.Contains(ok.Get("Contact"), privateIP) ||
		ok.Get("Server") != "Twilio" || !strings.HasPrefix(ok.Get("X-Twilio-CallSid"), "CA") || sdp.Name != "Twilio Media Gateway" || len(sdp.Crypto) != 1 {
		t.Errorf("got\n%s", ok.Bytes())
	}
	d.acknowledge(ok, nil)
	for _, method := range []string{"OPTIONS", "INFO"} {
		if r := d.send(method, nil); r.Status() != 200 {
			t.Errorf("%s: %d", method, r.Status())
		}
	}
	if r := d.send("MESSAGE", nil); r.Status() != 405 {
		t.Errorf("MESSAGE: %d", r.Status())
	}
	if r := d.send("INVITE", func(m *wire.Message) { m.SetBody("application/sdp", d.phone.Offer()) }); r.Status() != 200 || len(r.Body) == 0 {
		t.Errorf("re-INVITE: %d", r.Status())
	}
	clean(t, d.account)
}

func TestWaysToAskForCredentials(t *testing.T) {
	for name, o := range map[string]Digest{"401": {AsServer: true}, "SHA-256": {SHA256: true}, "stale": {Stale: true}} {
		t.Run(name, func(t *testing.T) {
			d := newDialler(t, Reception{Digest: o})
			status := 407
			if o.AsServer {
				status = 401
			}
			d.invite(nil)
			challenge := d.expect(status)
			if o.Stale {
				d.invite(challenge)
				if challenge = d.expect(status); !strings.Contains(challengeOf(challenge).Value, "stale=true") {
					t.Errorf("got\n%s", challenge.Bytes())
				}
			}
			d.invite(challenge)
			d.expect(180)
			clean(t, d.account)
		})
	}
	d := newDialler(t, Reception{NoAuth: true})
	d.invite(nil)
	d.expect(180)
}

func TestCallsTheDomainRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		reception Reception
		password  string
		plain     bool
		first     bool // without a challenge
		status    int
		twilio    string
	}{
		"access list":     {Reception{Deny: true}, "", false, true, 403, "32201"},
		"wrong password":  {Reception{}, "wrong", false, false, 403, "32202"},
		"refused anyway":  {Reception{Refuse: true}, "", false, false, 403, "32202"},
		"plain media":     {Reception{}, "", true, false, 488, "32209"},
		"no voice URL":    {Reception{Status: 404, NoRinging: true}, "", false, false, 404, ""},
		"busy":            {Reception{Status: 486, NoRinging: true}, "", false, false, 486, ""},
		"out of service":  {Reception{Status: 503, NoRinging: true}, "", false, false, 503, ""},
		"SRTP to a plain": {Reception{PlainMedia: true}, "", false, false, 488, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDialler(t, c.reception)
			d.phone = newPhone(t, !c.plain)
			if c.password != "" {
				d.password = c.password
			}
			d.invite(nil)
			if !c.first {
				d.invite(d.expect(407))
			}
			if m := d.expect(c.status); !strings.HasPrefix(m.Get("X-Twilio-Error"), c.twilio) {
				t.Errorf("got\n%s", m.Bytes())
			}
			call := d.accepted()
			if got, err := call.Await(bounded(t)); err != nil || got.How != Rejected || got.Status != c.status {
				t.Errorf("ended %+v, %v", got, err)
			}
			if call.AwaitAnswer(bounded(t)) == nil {
				t.Error("it was answered")
			}
			if c.plain {
				clean(t, d.account, simulator.OfferSDP)
				return
			}
			clean(t, d.account)
		})
	}
}

func TestDomainThatKeepsTheEdgeWaiting(t *testing.T) {
	d := newDialler(t, Reception{Silent: true})
	d.invite(nil)
	d.accepted()
	d = newDialler(t, Reception{Mute: true})
	d.invite(nil)
	d.invite(d.expect(407))
	if m := receive(t, d.replies); m.Status() != 100 {
		t.Errorf("got %s", m.Start)
	}

	d = newDialler(t, Reception{EarlyMedia: true, RingFor: time.Minute})
	d.invite(nil)
	tx := d.invite(d.expect(407))
	d.expect(180)
	early := d.expect(183)
	if err := d.phone.Accept(early.Body); err != nil {
		t.Fatal(err)
	}
	if err := d.phone.Until(bounded(t), func(s phone.Stats) bool { return s.Heard > 0 }); err != nil {
		t.Error(err)
	}
	if r, err := tx.Cancel(bounded(t)); err != nil || r.Status() != 200 {
		t.Errorf("CANCEL: %v", err)
	}
	d.expect(487)
	if got, err := d.accepted().Await(bounded(t)); err != nil || got.How != Cancelled {
		t.Errorf("ended %+v, %v", got, err)
	}
	clean(t, d.account)
}

func TestWrongInvitesToTheDomainAreNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		edit   func(*wire.Message)
		status int
		rule   simulator.Rule
	}{
		"an address for the name": {func(m *wire.Message) { m.Start = "INVITE sip:queue@127.0.0.2;transport=tls SIP/2.0" }, 403, simulator.DomainURI},
		"few hops":                {func(m *wire.Message) { m.Set("Max-Forwards", "19") }, 483, simulator.EnoughHops},
		"no hops":                 {func(m *wire.Message) { m.Remove("Max-Forwards") }, 483, simulator.EnoughHops},
		"no From tag":             {replace("From", ";tag=e1", ""), 180, simulator.CallerID},
		"nobody's number":         {replace("From", "+15005550001", "edge"), 180, simulator.CallerID},
		"no key":                  {func(m *wire.Message) { m.Remove(keyHeader) }, 180, simulator.KeyDelivered},
		"an encoded key":          {replace(keyHeader, "::", "%3A%3A"), 180, simulator.KeyDelivered},
		"two keys":                {func(m *wire.Message) { m.Add(keyHeader, "dev::latest::1") }, 180, simulator.KeyDelivered},
		"Watson shows":            {func(m *wire.Message) { m.Add("X-Y", "eu-de.watson.cloud.ibm.com") }, 180, simulator.Hidden},
		"two Contacts":            {func(m *wire.Message) { m.Add("Contact", "<sip:x>") }, 180, simulator.AnswerContact},
		"a Contact for UDP":       {func(m *wire.Message) { m.Set("Contact", "<sip:x>") }, 180, simulator.AnswerContact},
		"no SDP":                  {func(m *wire.Message) { m.Body = nil }, 488, simulator.OfferSDP},
		"two keys of SRTP": {func(m *wire.Message) {
			m.Body = []byte(strings.Replace(string(m.Body), "a=ptime", "a=crypto:2 "+phone.Suite+" inline:"+strings.Repeat("A", 40)+"\r\na=ptime", 1))
		}, 180, simulator.OfferSDP},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDialler(t, Reception{NoAuth: true, Key: "dev::latest::1"})
			d.spoil = c.edit
			d.invite(nil)
			d.expect(c.status)
			clean(t, d.account, c.rule)
		})
	}
}

func TestCredentialsThatAreNoAnswerAreNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		edit   func(*wire.Message)
		status int
	}{
		"another nonce": {replace("Proxy-Authorization", `nonce="`, `nonce="0`), 403},
		"another uri":   {replace("Proxy-Authorization", `uri="sip:`, `uri="sips:`), 403},
		"the same CSeq": {func(m *wire.Message) {
			if m.Has("Proxy-Authorization") {
				m.Set("CSeq", "1 INVITE")
			}
		}, 180},
		"another tag": {func(m *wire.Message) {
			if m.Has("Proxy-Authorization") {
				m.Set("From", m.Get("From")+"2")
			}
		}, 180},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDialler(t, Reception{})
			d.spoil = func(m *wire.Message) {
				if strings.HasPrefix(name, "another") && !m.Has("Proxy-Authorization") {
					return
				}
				c.edit(m)
			}
			d.enter(c.status)
			clean(t, d.account, simulator.DigestResponse)
		})
	}
}

func TestUnacknowledgedChallengeIsNoticed(t *testing.T) {
	d := newDialler(t, Reception{})
	d.wire.Misbehave(wire.Fault{Direction: wire.Out, Count: 1, Match: wire.MethodIs("ACK")})
	d.enter(180)
	clean(t, d.account, simulator.ACKMissing)
}

func TestWrongRequestsToTheAgentAreNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		edit   func(*wire.Message)
		status int
		rule   simulator.Rule
	}{
		"routes in the other order": {"BYE", reverseRoutes, 481, simulator.RouteSet},
		"no route":                  {"BYE", func(m *wire.Message) { m.Remove("Route") }, 481, simulator.RouteSet},
		"rewritten target":          {"BYE", func(m *wire.Message) { m.Start = "BYE sip:x SIP/2.0" }, 481, simulator.RemoteTarget},
		"unknown tag":               {"BYE", replace("To", ";tag=", ";tag=x"), 481, simulator.InDialog},
		"unknown call":              {"BYE", replace("Call-ID", "", "x"), 481, simulator.InDialog},
		"old CSeq":                  {"INFO", func(m *wire.Message) { m.Set("CSeq", "1 INFO") }, 500, simulator.RisingCSeq},
		"Watson shows":              {"INFO", func(m *wire.Message) { m.Add("X", "watson.cloud.ibm.com") }, 200, simulator.Hidden},
		"a hold":                    {"INVITE", nil, 200, simulator.HoldPassed},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := talking(t, Reception{})
			if c.rule == simulator.HoldPassed {
				d.phone.Direct(phone.SendOnly)
				c.edit = func(m *wire.Message) { m.SetBody("application/sdp", d.phone.Offer()) }
			}
			if r := d.send(c.method, c.edit); r.Status() != c.status {
				t.Errorf("answered %d", r.Status())
			}
			clean(t, d.account, c.rule)
		})
	}
}

func TestWrongACKsToTheDomainAreNoticed(t *testing.T) {
	d := newDialler(t, Reception{})
	d.enter(180)
	d.acknowledge(d.expect(200), func(m *wire.Message) { m.Set("CSeq", "1 ACK") })
	until(t, func() bool { return d.account.violations.Count() > 0 })
	clean(t, d.account, simulator.ACKCSeq)

	d = dialTo(t, newAccount(t, func(c *Config) {
		withDomain(t)(c)
		c.T1 = 5 * time.Millisecond
	}), Reception{})
	d.enter(180)
	d.expect(200)
	if got, err := d.accepted().Await(bounded(t)); err != nil || got.How != NoAnswer {
		t.Errorf("ended %+v, %v", got, err)
	}
	clean(t, d.account, simulator.ACKMissing)
}

// TestLegCBesidesItsCall: the domain and the caller's leg belong to one account, which compares them.
func TestLegCBesidesItsCall(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*dialler, *edge, *Call)
		rule []simulator.Rule
	}{
		"as it must":             {func(*dialler, *edge, *Call) {}, nil},
		"the key of leg A":       {func(d *dialler, e *edge, _ *Call) { d.phone = e.phone }, []simulator.Rule{simulator.OwnKey}},
		"the caller's own key":   {func(d *dialler, _ *edge, c *Call) { d.phone = c.phone }, []simulator.Rule{simulator.OwnKey}},
		"another number":         {func(d *dialler, _ *edge, _ *Call) { d.dialog.Local = "<sip:+19995550000@e>;tag=e1" }, []simulator.Rule{simulator.CallerID}},
		"the Call-ID of its leg": {func(d *dialler, _ *edge, c *Call) { d.dialog.CallID = c.callID }, []simulator.Rule{simulator.OwnCallID}},
	} {
		t.Run(name, func(t *testing.T) {
			a, e, call := talk(t, Options{}, withDomain(t))
			d := dialTo(t, a, Reception{NoAuth: true})
			c.edit(d, e, call)
			d.invite(nil)
			d.expect(180)
			clean(t, a, c.rule...)
		})
	}
}

func TestAgentHangsUpOverANewConnection(t *testing.T) {
	d, c := talking(t, Reception{})
	c.Cut()
	if err := c.Hangup(bounded(t)); err != nil {
		t.Error(err)
	}
	if r := receive(t, d.requests); r.Method() != "BYE" || !r.Conn.Accepted() {
		t.Errorf("got %s", r.Method())
	}
	clean(t, d.account)
}

func TestStrangersAtTheDomain(t *testing.T) {
	d := newDialler(t, Reception{})
	if r := d.send("OPTIONS", nil); r.Status() != 200 {
		t.Errorf("OPTIONS: %d", r.Status())
	}
	if r := d.send("SUBSCRIBE", nil); r.Status() != 481 {
		t.Errorf("SUBSCRIBE: %d", r.Status())
	}
	if newAccount(t, nil).Domain() != nil {
		t.Error("a domain that nobody asked for")
	}
}
