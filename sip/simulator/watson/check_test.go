package watson

import (
	"net/netip"
	"strings"
	"testing"

	"handoff/sip/simulator"
	"handoff/sip/simulator/wire"
)

// TestWrongInvitesAreNoticed spoils one thing of a good INVITE at a time.
func TestWrongInvitesAreNoticed(t *testing.T) {
	set := func(name, value string) func(*wire.Message) { return func(m *wire.Message) { m.Set(name, value) } }
	sdp := func(old, new string) func(*wire.Message) {
		return func(m *wire.Message) { m.Body = []byte(strings.Replace(string(m.Body), old, new, 1)) }
	}
	for name, c := range map[string]struct {
		edit  func(*wire.Message)
		rules []simulator.Rule
	}{
		"good":              {func(*wire.Message) {}, nil},
		"sip Request-URI":   {func(m *wire.Message) { m.Start = strings.Replace(m.Start, "sips:", "sip:", 1) }, []simulator.Rule{simulator.SecureURI, simulator.FromTo}},
		"sip Contact":       {set("Contact", "<sip:edge@127.0.0.1>"), []simulator.Rule{simulator.SecureURI}},
		"no Contact":        {func(m *wire.Message) { m.Remove("Contact") }, []simulator.Rule{simulator.SecureURI}},
		"sip Route":         {set("Route", "<sip:proxy;lr>"), []simulator.Rule{simulator.SecureURI}},
		"no From tag":       {set("From", "<sips:a@edge.example.com>"), []simulator.Rule{simulator.FromTo}},
		"To of the caller":  {set("To", "<sips:+1@edge.example.com>"), []simulator.Rule{simulator.FromTo}},
		"Twilio's Call-ID":  {set("Call-ID", "abc@0.0.0.0"), []simulator.Rule{simulator.OwnCallID}},
		"Twilio's From":     {set("P-Asserted-Identity", "<sips:+1@sip.twilio.com>"), []simulator.Rule{simulator.Hidden}},
		"Twilio in the SDP": {sdp("s=-", "s=Sip.Twilio.Com"), []simulator.Rule{simulator.Hidden}},
		"no CallSid":        {func(m *wire.Message) { m.Remove("X-Twilio-CallSid") }, []simulator.Rule{simulator.CallSid}},
		"CallSid cut":       {set("X-Twilio-CallSid", "CA1"), []simulator.Rule{simulator.CallSid}},
		"no hops":           {set("Max-Forwards", "0"), []simulator.Rule{simulator.MaxForwards}},
		"plain media":       {sdp("RTP/SAVP", "RTP/AVP"), []simulator.Rule{simulator.OfferSDP}},
		"no key":            {sdp("a=crypto", "a=x-crypto"), []simulator.Rule{simulator.OfferSDP}},
		"key with lifetime": {sdp("\r\na=rtpmap:0", "|2^31\r\na=rtpmap:0"), []simulator.Rule{simulator.OfferSDP}},
		"no SDP":            {func(m *wire.Message) { m.Body = nil }, []simulator.Rule{simulator.OfferSDP}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAssistant(t, Behaviour{NoTrying: true, NoRinging: true}, nil)
			e := newEdge(t, a)
			m := e.invite()
			c.edit(m)
			e.start(m, func(ack *wire.Message) { ack.Set("Call-ID", "lost") }) // it would be as wrong as the INVITE
			receive(t, e.replies)
			clean(t, a, c.rules...)
		})
	}
}

func TestCallIDUsedAgainIsNoticed(t *testing.T) {
	a, e, c := talk(t, Behaviour{})
	m := e.invite()
	m.Set("Call-ID", c.CallID())
	r, err := e.wire.Do(bounded(t), e.conn, m)
	if err != nil || r.Status() != 482 {
		t.Errorf("%v, %v", r, err)
	}
	clean(t, a, simulator.OwnCallID)
}

func TestUnknownDialogAndMalformedAreNoticed(t *testing.T) {
	a := newAssistant(t, Behaviour{}, nil)
	e := newEdge(t, a)
	if r := outOfDialog(e, "BYE"); r.Status() != 481 {
		t.Errorf("BYE: %d", r.Status())
	}
	e.conn.SendRaw([]byte("nonsense\r\n\r\n"))
	until(t, func() bool { return a.violations.Count() == 2 })
	clean(t, a, simulator.InDialog, simulator.WellFormed)
}

func TestWrongAndMissingACKsAreNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		ack   func(*wire.Message)
		rules []simulator.Rule
	}{
		"another number": {func(m *wire.Message) { m.Set("CSeq", "2 ACK") }, []simulator.Rule{simulator.ACKCSeq, simulator.ACKMissing}},
		"another call":   {func(m *wire.Message) { m.Set("Call-ID", "x") }, []simulator.Rule{simulator.ACKMissing}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAssistant(t, Behaviour{}, func(c *Config) { c.T1 = 1e6 }) // 1 ms, so 64 T1 pass quickly
			e := newEdge(t, a)
			e.start(e.invite(), c.ack)
			call, err := a.Accept(bounded(t))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := call.Await(bounded(t)); err != nil || got.How != NotAcknowledged {
				t.Errorf("ended %+v, %v", got, err)
			}
			clean(t, a, c.rules...)
		})
	}
}

func TestForkAndRepetitionLeftAloneAreNoticed(t *testing.T) {
	a := newAssistant(t, Behaviour{Fork: true, Repeat: 1}, nil)
	e := newEdge(t, a)
	answers := 0
	e.start(e.invite(), func(m *wire.Message) {
		if answers++; answers > 1 {
			m.Set("Call-ID", "lost")
		}
	})
	c, err := a.Accept(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitAnswer(bounded(t)); err != nil {
		t.Fatal(err)
	}
	e.send("BYE", nil)
	if _, err := c.Await(bounded(t)); err != nil {
		t.Fatal(err)
	}
	clean(t, a, simulator.ForkReleased, simulator.ACKMissing)
}

func TestSecureAddresses(t *testing.T) {
	edge := netip.MustParseAddr("127.0.0.1")
	for uri, want := range map[string]string{
		"sips:e@edge.example.com": "edge.example.com 127.0.0.1:5061", "sips:127.0.0.9:7;x": "127.0.0.9 127.0.0.9:7", "sips:a@[::1]:9": "::1 [::1]:9", "sips:[::1]": "::1 [::1]:5061",
	} {
		host, to, err := sipsAddress(uri, edge)
		if got := host + " " + to.String(); err != nil || got != want {
			t.Errorf("%s: %s, %v", uri, got, err)
		}
	}
	for _, uri := range []string{"sip:e@x", "sips:e@x:y"} {
		if _, _, err := sipsAddress(uri, edge); err == nil {
			t.Errorf("%s was read", uri)
		}
	}
}
