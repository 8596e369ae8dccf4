package watson

import (
	"testing"

	"handoff/sip/simulator"
	"handoff/sip/simulator/wire"
)

func TestHangupTransferIsOneBye(t *testing.T) {
	for name, c := range map[string]struct {
		transfer Transfer
		header   string
		want     string
	}{
		"target":         {Transfer{Bare: true}, "Transfer-Target", "sip:queue@flex.twilio.com"},
		"bracketed":      {Transfer{Target: "tel:+1"}, "Transfer-Target", "<tel:+1>"},
		"named":          {Transfer{TargetHeader: "X-Goto", Bare: true}, "X-Goto", "sip:queue@flex.twilio.com"},
		"key in the URI": {Transfer{Key: "a::b"}, "Transfer-Target", "<sip:queue@flex.twilio.com?" + KeyHeader + "=a::b>"},
		"key as header":  {Transfer{Key: "a;b", Way: CustomHeader, Bare: true}, KeyHeader, "a;b"},
	} {
		t.Run(name, func(t *testing.T) {
			a, e, call := talk(t, Behaviour{})
			c.transfer.Method = ByHangup
			done := refer(t, call, c.transfer)
			r := e.next("BYE")
			if got := r.All(c.header); len(got) != 1 || got[0] != c.want || r.Has("Refer-To") || r.Has("Contact") {
				t.Errorf("BYE\n%s", r.Bytes())
			}
			if got := receive(t, done); got.err != nil || got.Status != 200 || len(got.Codes) != 0 {
				t.Errorf("outcome %+v", got)
			}
			if call.Ending().How != AssistantHungUp {
				t.Errorf("ended %+v", call.Ending())
			}
			clean(t, a)
		})
	}
}

// echo accepts a REFER with Refer-Sub as a recipient does that understands it.
func echo(e *edge) {
	e.spoil = func(r *wire.Request, m *wire.Message) {
		if r.Method() == "REFER" {
			m.Add("Refer-Sub", "false;x=y")
		}
	}
}

func TestReferWithoutSubscription(t *testing.T) {
	a, e, call := talk(t, Behaviour{}, echo)
	done := refer(t, call, Transfer{NoSub: true})
	if r := e.next("REFER"); r.Get("Refer-Sub") != "false" || r.Get("Supported") != "norefersub" {
		t.Errorf("REFER\n%s", r.Bytes())
	}
	e.send("BYE", nil)
	if got := receive(t, done); got.err != nil || !got.NoSub || got.Status != 202 {
		t.Errorf("outcome %+v", got)
	}
	clean(t, a)
}

func TestNotifyWithoutSubscriptionIsNoticed(t *testing.T) {
	a, e, call := talk(t, Behaviour{}, echo)
	done := refer(t, call, Transfer{NoSub: true, Reaction: ByeAfterTrying})
	e.next("REFER")
	e.notify("100 Trying", nil)
	e.send("BYE", nil)
	receive(t, done)
	clean(t, a, simulator.ReferSub)
}

func TestUnansweredReferSubIsNoticed(t *testing.T) {
	a, e, call := talk(t, Behaviour{})
	done := refer(t, call, Transfer{NoSub: true, Reaction: ByeAfterAccept})
	e.next("REFER")
	e.next("BYE")
	if got := receive(t, done); got.NoSub {
		t.Errorf("outcome %+v", got)
	}
	clean(t, a, simulator.ReferSub)
}

func TestPesteringReferIsAnsweredAsItMust(t *testing.T) {
	for name, c := range map[string]struct {
		again, other string // what the edge answers to the same REFER, and to another
		rules        []simulator.Rule
	}{
		"as it must":     {"202 Accepted", "491 Request Pending", nil},
		"again refused":  {"500 Server Error", "491 Request Pending", []simulator.Rule{simulator.SameAccept}},
		"other accepted": {"202 Accepted", "202 Accepted", []simulator.Rule{simulator.OneAtATime}},
	} {
		t.Run(name, func(t *testing.T) {
			refers := 0
			a, e, call := talk(t, Behaviour{}, func(e *edge) {
				e.spoil = func(r *wire.Request, m *wire.Message) {
					if r.Method() != "REFER" {
						return
					}
					if refers++; refers > 1 {
						m.Start = "SIP/2.0 " + []string{c.again, c.other}[refers-2]
					}
				}
			})
			done := refer(t, call, Transfer{Again: true, Meanwhile: true, Reaction: ByeAfterFinal})
			first, again, other := e.next("REFER"), e.next("REFER"), e.next("REFER")
			if first.Get("CSeq") != again.Get("CSeq") || first.Get("Via") == again.Get("Via") || first.Get("CSeq") == other.Get("CSeq") {
				t.Errorf("REFERs\n%s%s%s", first.Bytes(), again.Bytes(), other.Bytes())
			}
			e.notify("100 Trying", nil)
			e.notify("200 OK", nil)
			e.next("BYE")
			if got := receive(t, done); got.err != nil || got.Final != 200 || got.Again == 0 || got.Meanwhile == 0 {
				t.Errorf("outcome %+v", got)
			}
			clean(t, a, c.rules...)
		})
	}
}

func TestUserToUserIsWrittenInEachForm(t *testing.T) {
	for want, u := range map[string]UUI{
		"a::b;encoding=ascii":                       {},
		"613a3a62;encoding=hex":                     {Hex: true},
		"613a3a62":                                  {Hex: true, Bare: true},
		`"a::b";encoding=ascii`:                     {Quoted: true},
		"a::b;purpose=isdn-uui;encoding=ascii":      {Purpose: "isdn-uui"},
		"613a3a62;purpose=x;content=y;encoding=hex": {Hex: true, Purpose: "x", Content: "y"},
	} {
		if got := u.Header("a::b"); got.Name != "User-to-User" || got.Value != want {
			t.Errorf("%+v: %s", u, got.Value)
		}
	}
	if got := (UUI{Quoted: true}).Header(`a"\b`).Value; got != `"a\"\\b";encoding=ascii` {
		t.Errorf("quoted: %s", got)
	}
}

func TestMethodsHaveWords(t *testing.T) {
	if ByRefer.String() != "refer" || ByHangup.String() != "hangup" || Method(9).String() != "unknown" {
		t.Error("a method without its word")
	}
}
