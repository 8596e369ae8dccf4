package stack

import (
	"errors"
	"strings"
	"testing"

	"handoff/metrics"
)

// follow ends a stack and starts another one at its UDP address.
func (n *node) follow(t *testing.T) *node {
	t.Helper()
	at := n.Addr(UDP)
	n.Close()
	return start(t, func(c *Config, _ *Deps) { c.Listen = []Listen{{UDP, at}} })
}

func TestAnotherProcessAnswersAnInviteOverUDP(t *testing.T) {
	for name, twoHops := range map[string]bool{"of a phone": false, "behind a proxy": true} {
		t.Run(name, func(t *testing.T) {
			n := start(t, nil, UDP)
			p := newUDPPeer(t)
			invite := udpRequest(p, "INVITE", "saved", "Contact: <sip:caller@127.0.0.1>", "Record-Route: <sip:127.0.0.1;lr>")
			if twoHops {
				invite = strings.Replace(invite, "From:", "v: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKa, SIP/2.0/UDP 10.0.0.2\r\nf:", 1)
			}
			p.sendTo(n.Addr(UDP), invite)
			tx := take(t, n.seen.requests, "INVITE")
			if err := tx.Respond(tx.Response(180, "Ringing")); err != nil {
				t.Fatal(err)
			}
			p.receive() // 100
			ringing, _ := p.receive()
			data := tx.Save()

			n = n.follow(t)
			again, err := n.Reopen(data)
			if err != nil {
				t.Fatal(err)
			}
			if again.Tag() != ringing.tag() || again.Peer() != metrics.PeerTwilio {
				t.Errorf("tag %q of %s, was %q", again.Tag(), again.Peer(), ringing.tag())
			}
			if err := again.Respond(again.Response(503, "Service Unavailable")); err != nil {
				t.Fatal(err)
			}
			refused, from := p.receive()
			if refused.start() != "SIP/2.0 503 Service Unavailable" || from != n.Addr(UDP) {
				t.Errorf("%s from %s", refused.start(), from)
			}
			for _, line := range []string{"From", "To", "Call-ID", "CSeq"} {
				if refused.get(line) != ringing.get(line) {
					t.Errorf("%s: %s, was %s", line, refused.get(line), ringing.get(line))
				}
			}
			if got, want := refused.all("Via"), ringing.all("Via"); strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("Via %q, was %q", got, want)
			}
			if again.Save() != nil {
				t.Error("what is answered is saved")
			}
			p.sendTo(n.Addr(UDP), invite) // which was on its way
			if m, _ := p.receive(); m.start() != refused.start() {
				t.Errorf("a copy heard %s", m.start())
			}
			p.sendTo(n.Addr(UDP), strings.NewReplacer("INVITE", "ACK").Replace(invite))
			p.sendTo(n.Addr(UDP), udpRequest(p, "OPTIONS", "fence"))
			take(t, n.seen.requests, "OPTIONS")
			none(t, n.seen.acks, "ACK of a refusal at the handler")
			none(t, n.seen.requests, "INVITE at the handler")
		})
	}
}

func TestAnInviteThatCameAgainIsNotReopened(t *testing.T) {
	n := start(t, nil, UDP)
	p := newUDPPeer(t)
	invite := udpRequest(p, "INVITE", "again")
	p.sendTo(n.Addr(UDP), invite)
	data := take(t, n.seen.requests, "INVITE").Save()
	n = n.follow(t)
	p.sendTo(n.Addr(UDP), invite)
	take(t, n.seen.requests, "INVITE")
	if _, err := n.Reopen(data); !errors.Is(err, errRepeated) {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNotSaved(t *testing.T) {
	n := start(t, nil, TCP, UDP)
	stream, p := dialPeer(t, n.Addr(TCP)), newUDPPeer(t)
	stream.send(rawRequest("INVITE", "stream", 1))
	if take(t, n.seen.requests, "INVITE").Save() != nil {
		t.Error("an INVITE over TCP is saved")
	}
	p.sendTo(n.Addr(UDP), udpRequest(p, "OPTIONS", "other"))
	if take(t, n.seen.requests, "OPTIONS").Save() != nil {
		t.Error("an OPTIONS is saved")
	}
}

func TestWhatCantBeReopened(t *testing.T) {
	n := start(t, nil, UDP)
	for name, data := range map[string]string{
		"nothing":       ``,
		"no message":    `{"local":"127.0.0.1:5060","source":"127.0.0.1:5060","tag":"x","head":"eA=="}`,
		"nothing in it": `{"local":"127.0.0.1:5060","source":"127.0.0.1:5060","tag":"x","head":""}`,
		"a response":    `{"local":"127.0.0.1:5060","source":"127.0.0.1:5060","tag":"x","head":"U0lQLzIuMCAyMDAgT0sNClZpYTogU0lQLzIuMC9VRFAgMTI3LjAuMC4xO2JyYW5jaD16OWhHNGJLMQ0KRnJvbTogPHNpcDphQGI+O3RhZz0xDQpUbzogPHNpcDphQGI+O3RhZz0yDQpDYWxsLUlEOiAxDQpDU2VxOiAxIElOVklURQ0KDQo="}`,
		"no way there":  `{"local":"[::1]:5060","source":"[::1]:5060","tag":"x","head":"eA=="}`,
		"another thing": `[1]`,
	} {
		if _, err := n.Reopen([]byte(data)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
