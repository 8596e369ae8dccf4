package twilio

import (
	"strings"
	"testing"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

// replace edits a header of a message.
func replace(name, old, new string) func(*wire.Message) {
	return func(m *wire.Message) { m.Set(name, strings.Replace(m.Get(name), old, new, 1)) }
}

// TestWrongRequestsAreNoticed spoils one request of a good dialog at a time.
func TestWrongRequestsAreNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		edit   func(*wire.Message)
		status int
		rule   simulator.Rule
	}{
		"our tag":          {"BYE", replace("To", ";tag=", ";tag=x"), 481, simulator.InDialog},
		"its own tag":      {"BYE", replace("From", ";tag=", ";tag=x"), 481, simulator.InDialog},
		"unknown call":     {"BYE", replace("Call-ID", "", "x"), 481, simulator.InDialog},
		"no route":         {"BYE", func(m *wire.Message) { m.Remove("Route") }, 481, simulator.RouteSet},
		"one route":        {"BYE", func(m *wire.Message) { m.Set("Route", m.Get("Route")) }, 481, simulator.RouteSet},
		"routes reversed":  {"BYE", reverseRoutes, 481, simulator.RouteSet},
		"rewritten target": {"BYE", func(m *wire.Message) { m.Start = "BYE sip:+15005550001@127.0.0.2 SIP/2.0" }, 481, simulator.RemoteTarget},
		"same cseq":        {"INFO", func(m *wire.Message) { m.Set("CSeq", "0 INFO") }, 500, simulator.RisingCSeq},
		"cseq of another":  {"INFO", func(m *wire.Message) { m.Set("CSeq", "9 BYE") }, 500, simulator.RisingCSeq},
		"from URI":         {"INFO", replace("From", "sip:", "sip:x"), 200, simulator.DialogURIs},
		"to URI":           {"INFO", replace("To", "sip:", "sip:x"), 200, simulator.DialogURIs},
		"no hops":          {"INFO", func(m *wire.Message) { m.Remove("Max-Forwards") }, 200, simulator.MaxForwards},
		"hops used up":     {"INFO", func(m *wire.Message) { m.Set("Max-Forwards", "0") }, 200, simulator.MaxForwards},
		"watson shows":     {"INFO", func(m *wire.Message) { m.Add("X", "eu-de.Watson.cloud.ibm.com") }, 200, simulator.Hidden},
		"no Refer-To":      {"REFER", nil, 400, simulator.OneReferTo},
		"two Refer-To":     {"REFER", func(m *wire.Message) { m.Add("Refer-To", target).Add("r", target) }, 400, simulator.OneReferTo},
		"hold":             {"INVITE", nil, 200, simulator.HoldPassed},
		"unknown method":   {"MESSAGE", nil, 405, 255},
	} {
		t.Run(name, func(t *testing.T) {
			a, e, _ := talk(t, Options{}, nil)
			if c.rule == simulator.HoldPassed {
				e.phone.Direct(phone.SendOnly)
				c.edit = func(m *wire.Message) { m.SetBody("application/sdp", e.phone.Offer()) }
			}
			if r := e.send(c.method, c.edit); r.Status() != c.status {
				t.Errorf("answered %d, want %d", r.Status(), c.status)
			}
			if c.rule == 255 {
				clean(t, a)
				return
			}
			clean(t, a, c.rule)
		})
	}
}

func reverseRoutes(m *wire.Message) {
	routes := m.All("Route")
	m.Remove("Route").Add("Route", routes[1]+", "+routes[0])
}

// TestRoutesInOneHeaderAreTheSame: a comma-separated Route is the same route set.
func TestRoutesInOneHeaderAreTheSame(t *testing.T) {
	a, e, _ := talk(t, Options{}, nil)
	r := e.send("BYE", func(m *wire.Message) { m.Set("Route", strings.Join(m.All("Route"), ", ")) })
	if r.Status() != 200 {
		t.Errorf("answered %d", r.Status())
	}
	clean(t, a)
}

func TestWrongConnectionsAreNoticed(t *testing.T) {
	for tr, rule := range map[wire.Transport]simulator.Rule{wire.TLS: simulator.SameConnection, wire.TCP: simulator.SecureTransport} {
		a, e, _ := talk(t, Options{}, nil)
		conn, err := e.wire.Dial(bounded(t), tr, a.Addr(tr), "sip.twilio.com")
		if err != nil {
			t.Fatal(err)
		}
		e.conn = conn
		if r := e.send("BYE", nil); r.Status() != 200 {
			t.Errorf("%s: answered %d", tr, r.Status())
		}
		clean(t, a, rule)
	}
}

func TestSecondReferAfterTheFirstWorkedIsNoticed(t *testing.T) {
	a, e, _ := talk(t, Options{Refer: Refer{Hangup: AfterPatience}}, nil)
	e.refer(target)
	told(t, e, 2)
	if r := e.refer(target); r.Status() != 491 {
		t.Errorf("answered %d", r.Status())
	}
	clean(t, a, simulator.OneTransfer)
}

func TestRejectedNotifyIsNoticed(t *testing.T) {
	a, e, _ := talkTo(t, Options{Refer: Refer{Then: OnlyTrying}}, nil, func(e *edge) {
		e.answer = func(_ *wire.Request, m *wire.Message) { m.Start = "SIP/2.0 405 Method Not Allowed" }
	})
	e.refer(target)
	told(t, e, 1)
	until(t, func() bool { return a.violations.Count() > 0 })
	clean(t, a, simulator.NotifyAnswered)
}

// TestWrongAnswersAreNoticed spoils one response to the INVITE at a time.
func TestWrongAnswersAreNoticed(t *testing.T) {
	sdp := func(old, new string) func(*wire.Message) {
		return func(m *wire.Message) { m.Body = []byte(strings.Replace(string(m.Body), old, new, 1)) }
	}
	for name, c := range map[string]struct {
		ringing, ok func(*wire.Message)
		rules       []simulator.Rule
	}{
		"two tags":                     {nil, replace("To", "tag=e1", "tag=e2"), []simulator.Rule{simulator.OneTag}},
		"no tag":                       {nil, replace("To", ";tag=e1", ""), []simulator.Rule{simulator.OneTag}},
		"one Via":                      {nil, func(m *wire.Message) { m.Set("Via", m.Get("Via")) }, []simulator.Rule{simulator.EchoedHeaders}},
		"inner Via changed":            {changeInnerVia, nil, []simulator.Rule{simulator.EchoedHeaders}},
		"no Record-Route":              {nil, func(m *wire.Message) { m.Remove("Record-Route") }, []simulator.Rule{simulator.EchoedHeaders}},
		"other From":                   {replace("From", "sip:", "sips:"), nil, []simulator.Rule{simulator.EchoedHeaders}},
		"two Contacts":                 {nil, func(m *wire.Message) { m.Add("Contact", "<sip:x@y>") }, []simulator.Rule{simulator.AnswerContact}},
		"Contact over UDP":             {nil, replace("Contact", ";transport=tls", ""), []simulator.Rule{simulator.AnswerContact}},
		"Contact is no SIP":            {nil, func(m *wire.Message) { m.Set("Contact", "<tel:+1>") }, []simulator.Rule{simulator.AnswerContact}},
		"Contact unreached":            {nil, func(m *wire.Message) { m.Set("Contact", "<sip:x@127.0.0.1:1;transport=tls>") }, []simulator.Rule{simulator.AnswerContact}},
		"plain media":                  {nil, sdp("RTP/SAVP", "RTP/AVP"), []simulator.Rule{simulator.AnswerSDP}},
		"other crypto tag":             {nil, sdp("crypto:1", "crypto:2"), []simulator.Rule{simulator.AnswerSDP}},
		"other suite":                  {nil, sdp("SHA1_80", "SHA1_32"), []simulator.Rule{simulator.AnswerSDP}},
		"codec not offered":            {nil, sdp("RTP/SAVP 0", "RTP/SAVP 0 9"), []simulator.Rule{simulator.AnswerSDP}},
		"only digits":                  {nil, sdp("RTP/SAVP 0 101", "RTP/SAVP 101"), []simulator.Rule{simulator.AnswerSDP}},
		"no address":                   {nil, sdp("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0"), []simulator.Rule{simulator.AnswerSDP}},
		"no SDP":                       {nil, func(m *wire.Message) { m.Body = nil }, []simulator.Rule{simulator.AnswerSDP}},
		"watson in the SDP":            {nil, sdp("s=-", "s=watson.cloud.ibm.com"), []simulator.Rule{simulator.Hidden}},
		"all in order, received added": {addReceived, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEdge(t, manual)
			a := newAccount(t, func(cfg *Config) { cfg.Edge = e.addr(wire.TLS) })
			call, err := a.Place(bounded(t), number, Options{})
			if err != nil {
				t.Fatal(err)
			}
			r := receive(t, e.invites)
			ringing, ok := e.ok(r, 180), e.ok(r, 200)
			for m, edit := range map[*wire.Message]func(*wire.Message){ringing: c.ringing, ok: c.ok} {
				if edit != nil {
					edit(m)
				}
			}
			r.Conn.Send(ringing, ok)
			select {
			case <-call.Answered():
			case <-call.Over():
			case <-bounded(t).Done():
				t.Fatal("neither answered nor over")
			}
			clean(t, a, c.rules...)
		})
	}
}

// addReceived is what a server may do to the top Via.
func addReceived(m *wire.Message) {
	vias := m.All("Via")
	m.Remove("Via").Push("Via", vias[1]).Push("Via", vias[0]+";received=127.0.0.2")
}

func changeInnerVia(m *wire.Message) {
	vias := m.All("Via")
	m.Remove("Via").Push("Via", strings.Replace(vias[1], "172.18.4.191", "127.0.0.1", 1)).Push("Via", vias[0])
}

func TestMalformedAndStrangeRequests(t *testing.T) {
	e := newEdge(t)
	a := newAccount(t, nil)
	conn, err := e.wire.Dial(bounded(t), wire.TCP, a.Addr(wire.TCP), "")
	if err != nil {
		t.Fatal(err)
	}
	e.conn = conn
	e.dialog = wire.Dialog{CallID: "x", Local: "<sip:a@x>;tag=a", Remote: "<sip:b@x>", Target: "sip:b@x"}
	for method, want := range map[string]int{"OPTIONS": 200, "INVITE": 403} {
		if r := e.send(method, nil); r.Status() != want {
			t.Errorf("%s out of the blue: %d", method, r.Status())
		}
	}
	if err := conn.SendRaw([]byte("nonsense\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return a.violations.Count() > 0 })
	clean(t, a, simulator.WellFormed)
}
