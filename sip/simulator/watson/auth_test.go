package watson

import (
	"fmt"
	"testing"

	"handoff/sip/simulator"
	"handoff/sip/simulator/digest"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

func TestInviteThatNeedsCredentials(t *testing.T) {
	for name, c := range map[string]struct {
		style    digest.Style
		password string
		spoil    func(*wire.Message)
		status   int
		rules    []simulator.Rule
	}{
		"401":            {digest.Style{AsServer: true}, "simulated-password", nil, 180, nil},
		"407, SHA-256":   {digest.Style{SHA256: true}, "simulated-password", nil, 180, nil},
		"wrong password": {digest.Style{AsServer: true}, "wrong", nil, 403, nil},
		"no answer to it": {digest.Style{AsServer: true}, "simulated-password", func(m *wire.Message) { m.Add("Authorization", m.Get("Authorization")) }, 403,
			[]simulator.Rule{simulator.DigestResponse}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAssistant(t, Behaviour{Digest: &c.style}, nil)
			e := newEdge(t, a)
			first := e.invite()
			e.start(first, nil)
			status, _ := c.style.Status()
			challenge := e.reply(status)
			name, _ := c.style.Headers()
			answer, err := digest.Answer(wire.Header{Name: name, Value: challenge.Get(name)}, "INVITE", first.URI(), "apikey", c.password)
			if err != nil {
				t.Fatal(err)
			}
			second := first.Clone().Remove("Via").Set("CSeq", "2 INVITE").Add(answer.Name, answer.Value)
			if c.spoil != nil {
				c.spoil(second)
			}
			e.start(second, nil)
			if c.status == 180 {
				e.reply(100)
			}
			e.reply(c.status)
			clean(t, a, c.rules...)
		})
	}
}

func TestOptionalSRTP(t *testing.T) {
	for _, secure := range []bool{true, false} {
		a := newAssistant(t, Behaviour{}, func(c *Config) { c.OptionalSRTP = true })
		e := newEdge(t, a)
		e.phone.Close()
		e.phone = newPhone(t, secure)
		e.start(e.invite(), nil)
		c, err := a.Accept(bounded(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AwaitAnswer(bounded(t)); err != nil {
			t.Fatal(err)
		}
		if err := c.Phone().Until(bounded(t), func(s phone.Stats) bool { return s.Heard >= 3 }); err != nil {
			t.Error(err)
		}
		clean(t, a)
	}
}

func TestSetupFailureIsAReferAtOnce(t *testing.T) {
	a, e, c := talk(t, Behaviour{SetupFailure: "tel:+15005550009"})
	if r := e.next("REFER"); r.Get("Refer-To") != "<tel:+15005550009>" {
		t.Errorf("REFER\n%s", r.Bytes())
	}
	e.notify("100 Trying", nil)
	e.notify("200 OK", nil)
	e.send("BYE", nil)
	if got, err := c.Await(bounded(t)); err != nil || got.How != EdgeHungUp {
		t.Errorf("ended %+v, %v", got, err)
	}
	clean(t, a)
}

func TestOptions(t *testing.T) {
	a := newAssistant(t, Behaviour{}, nil)
	e := newEdge(t, a)
	for _, c := range []struct{ behaviour, want int }{{0, 200}, {503, 503}} {
		a.Behave(Behaviour{Options: c.behaviour})
		e.invite() // fills the dialog
		m := e.request("OPTIONS")
		r, err := e.wire.Do(bounded(t), e.conn, m)
		if err != nil || r.Status() != c.want {
			t.Errorf("answered %v, %v", r, err)
		}
	}
	clean(t, a)
}

func TestWordsOfTransfers(t *testing.T) {
	got := fmt.Sprint(Methods(), Ways(), Holds(), Reactions(), Failures())
	const want = "[refer hangup] [refer_to_header custom_header contact_header] [none sendonly inactive] " +
		"[wait for bye bye after final bye after trying bye after accept] [hang up resume refer again]"
	if got != want {
		t.Errorf("got %s", got)
	}
}
