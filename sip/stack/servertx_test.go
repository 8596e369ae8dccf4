package stack

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"handoff/metrics"
)

func udpRequest(p *udpPeer, method, branch string, extra ...string) string {
	via := fmt.Sprintf("SIP/2.0/UDP 127.0.0.1:%d;rport;branch=z9hG4bK%s", p.port(), branch)
	return rawRequestVia(via, method, "call-"+branch, 1, extra...)
}

func TestACKWithTheInvitesBranchAndWithItsOwn(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	for _, branch := range []string{"same", "other"} {
		p.send(rawRequest("INVITE", "same", 1))
		if branch == "same" {
			tx := take(t, n.seen.requests, "INVITE")
			tx.Respond(tx.Response(200, "OK"))
		}
		p.send(rawRequest("ACK", branch, 1))
		take(t, n.seen.acks, "ACK with branch "+branch)
	}
}

func TestACKOfARefusalIsTheTransactionsOwn(t *testing.T) {
	n := start(t, nil, UDP)
	p := newUDPPeer(t)
	p.sendTo(n.Addr(UDP), udpRequest(p, "INVITE", "busy"))
	tx := take(t, n.seen.requests, "INVITE")
	tx.Respond(tx.Response(486, "Busy Here"))
	p.sendTo(n.Addr(UDP), udpRequest(p, "ACK", "busy"))
	p.sendTo(n.Addr(UDP), udpRequest(p, "OPTIONS", "fence"))
	take(t, n.seen.requests, "OPTIONS")
	none(t, n.seen.acks, "ACK of a 486 at the handler")
}

func TestDuplicateInviteMakesNoGhostCall(t *testing.T) {
	for _, code := range []int{180, 200, 486} {
		t.Run(fmt.Sprint("after ", code), func(t *testing.T) {
			n := start(t, nil, UDP)
			p := newUDPPeer(t)
			invite := udpRequest(p, "INVITE", "twice")
			p.sendTo(n.Addr(UDP), invite)
			tx := take(t, n.seen.requests, "INVITE")
			tx.Respond(tx.Response(code, "Whatever"))
			if code == 486 {
				p.sendTo(n.Addr(UDP), udpRequest(p, "ACK", "twice"))
			}
			p.sendTo(n.Addr(UDP), udpRequest(p, "BYE", "end"))
			take(t, n.seen.requests, "BYE")
			p.sendTo(n.Addr(UDP), invite)
			p.sendTo(n.Addr(UDP), udpRequest(p, "OPTIONS", "fence"))
			if m := take(t, n.seen.requests, "OPTIONS").Request().Method; m != "OPTIONS" {
				t.Fatalf("a second %s reached the handler", m)
			}
		})
	}
}

func TestTwoCopiesOfAnInviteInOneSegmentAreOne(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	invite := rawRequest("INVITE", "copies", 1)
	p.send(invite + invite + rawRequest("OPTIONS", "fence", 1))
	for _, want := range []string{"INVITE", "OPTIONS"} {
		if m := take(t, n.seen.requests, want).Request().Method.String(); m != want {
			t.Fatalf("%s, want %s", m, want)
		}
	}
}

func TestResponseCarriesTheRequestsTextVerbatim(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	lines := []string{
		"INVITE sip:+11234567890@edge.example.com;transport=tls SIP/2.0",
		"Record-Route: <sip:54.172.60.0:5061;transport=tls;r2=on;lr>",
		"Record-Route: <sip:54.172.60.0;r2=on;lr>",
		`From: "O\"Neill, A" <sip:+1@trunk1.pstn.twilio.com:5060;isup-oli=0?x=>;tag=0860_c33-d0b;x="a;b"`,
		"t: <sip:+11234567890@edge.example.com;transport=tls>",
		"CSeq: 29044   INVITE",
		"Max-Forwards: 60",
		"i: fb3e6e86@0.0.0.0",
		"v: SIP/2.0/TLS 54.172.60.0:5061;branch=z9hG4bK1dc3.f8.0",
		"Via: SIP/2.0/UDP 172.25.75.240:5060;rport=5060;branch=z9hG4bKx, SIP/2.0/UDP 10.0.0.1",
		"Contact: <sip:+10987654321@172.25.75.240:5060;transport=udp>",
	}
	p.send(strings.Join(lines, "\r\n") + "\r\nContent-Length: 4\r\n\r\nbody")
	tx := take(t, n.seen.requests, "INVITE")
	if got := tx.Request().Recipient.String(); got != "sip:+11234567890@edge.example.com;transport=tls" {
		t.Errorf("Request-URI %q", got)
	}
	if string(tx.Request().Body()) != "body" {
		t.Errorf("body %q", tx.Request().Body())
	}
	if rr := p.read().all("Record-Route"); len(rr) != 0 {
		t.Error("Record-Route in 100")
	}
	if err := tx.Respond(tx.Response(180, "Ringing")); err != nil {
		t.Fatal(err)
	}
	m := p.read()
	want := []string{
		"SIP/2.0 180 Ringing",
		"Via: SIP/2.0/TLS 54.172.60.0:5061;branch=z9hG4bK1dc3.f8.0;received=127.0.0.1",
		lines[9],
		lines[3],
		"To: <sip:+11234567890@edge.example.com;transport=tls>;tag=" + tx.Tag(),
		"Call-ID: fb3e6e86@0.0.0.0",
		"CSeq: 29044 INVITE",
		lines[1],
		lines[2],
		"Content-Length: 0",
	}
	if got, want := strings.Join(m.lines, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRportAndReceived(t *testing.T) {
	n := start(t, nil, UDP)
	p, other := newUDPPeer(t), newUDPPeer(t)
	tests := []struct {
		name, via, want string
		to              *udpPeer
	}{
		{"rport asked", fmt.Sprintf("SIP/2.0/UDP h.example:%d;branch=z9hG4bKr1;rport", other.port()),
			fmt.Sprintf("SIP/2.0/UDP h.example:%d;branch=z9hG4bKr1;rport=%d;received=127.0.0.1", other.port(), p.port()), p},
		{"sent-by is a name", fmt.Sprintf("SIP/2.0/UDP h.example:%d;branch=z9hG4bKr2", p.port()),
			fmt.Sprintf("SIP/2.0/UDP h.example:%d;branch=z9hG4bKr2;received=127.0.0.1", p.port()), p},
		{"sent-by is the source", fmt.Sprintf("SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bKr3", p.port()),
			fmt.Sprintf("SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bKr3", p.port()), p},
		{"answer goes to the sent-by port", fmt.Sprintf("SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bKr4", other.port()),
			fmt.Sprintf("SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bKr4", other.port()), other},
		{"maddr and a received that the sender wrote count for nothing", // or anybody could be sent our answers
			fmt.Sprintf("SIP/2.0/UDP 127.0.0.9:%d;branch=z9hG4bKr5;maddr=127.0.0.9;received=127.0.0.9", p.port()),
			fmt.Sprintf("SIP/2.0/UDP 127.0.0.9:%d;branch=z9hG4bKr5;maddr=127.0.0.9;received=127.0.0.1", p.port()), p},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.sendTo(n.Addr(UDP), rawRequestVia(tt.via, "OPTIONS", "rport", 1))
			tx := take(t, n.seen.requests, "request")
			tx.Respond(tx.Response(200, "OK"))
			if m, from := tt.to.receive(); m.get("Via") != tt.want || from != n.Addr(UDP) {
				t.Errorf("Via %q from %s, want %q", m.get("Via"), from, tt.want)
			}
		})
	}
}

func TestRespond(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	p.send(rawRequest("INVITE", "respond", 1))
	tx := take(t, n.seen.requests, "INVITE")
	bad := tx.Response(200, "OK\r\nX-Injected: yes")
	if err := tx.Respond(bad); !errors.Is(err, ErrGuard) {
		t.Errorf("injection: %v", err)
	}
	ok := tx.Response(200, "OK")
	for range 2 { // the second is the retransmission that RFC 6026 leaves to the caller
		if err := tx.Respond(ok); err != nil {
			t.Error(err)
		}
	}
	for _, late := range []int{180, 486} {
		if err := tx.Respond(tx.Response(late, "Late")); !errors.Is(err, ErrAnswered) {
			t.Errorf("%d after 200: %v", late, err)
		}
	}
	for _, want := range []string{"100", "200", "200"} {
		if m := p.read(); !strings.HasPrefix(m.start(), "SIP/2.0 "+want) {
			t.Errorf("%s, want %s", m.start(), want)
		}
	}
}

func TestLostConnectionOfAnInvite(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	p.send(rawRequest("INVITE", "answered", 1) + rawRequest("INVITE", "ringing", 2))
	answered, ringing := take(t, n.seen.requests, "INVITE"), take(t, n.seen.requests, "INVITE")
	answered.Respond(answered.Response(200, "OK"))
	p.Close()
	if lost := take(t, n.seen.losses, "loss"); lost != ringing {
		t.Error("the answered INVITE was reported lost")
	}
	if ringing.Flow().Open() {
		t.Error("flow still open")
	}
	if err := ringing.Respond(ringing.Response(200, "OK")); !errors.Is(err, ErrTransport) {
		t.Errorf("answer on a lost connection: %v", err)
	}
	none(t, n.seen.losses, "second loss")
}

func TestCopyOnANewConnectionIsAnsweredThere(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	p.send(rawRequest("INVITE", "moved", 1))
	tx := take(t, n.seen.requests, "INVITE")
	p.Close()
	take(t, n.seen.losses, "loss")
	p = dialPeer(t, n.Addr(TCP))
	p.send(rawRequest("INVITE", "moved", 1))
	if m := p.read(); m.start() != "SIP/2.0 100 Trying" {
		t.Error(m.start())
	}
	tx.Respond(tx.Response(487, "Request Terminated"))
	if m := p.read(); m.start() != "SIP/2.0 487 Request Terminated" {
		t.Error(m.start())
	}
	none(t, n.seen.requests, "ghost call")
}

func TestUnmatchedCancel(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	p.send(rawRequest("CANCEL", "nothing", 1))
	if m := p.read(); m.start() != "SIP/2.0 481 Call/Transaction Does Not Exist" || m.tag() == "" {
		t.Error(m.lines)
	}
}

func TestCancelAfterTheAnswerHasNoEffect(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	p.send(rawRequest("INVITE", "late", 1))
	tx := take(t, n.seen.requests, "INVITE")
	tx.Respond(tx.Response(200, "OK"))
	p.send(rawRequest("CANCEL", "late", 1))
	for _, want := range []string{"1 INVITE", "1 INVITE", "1 CANCEL"} {
		if m := p.read(); m.get("CSeq") != want {
			t.Errorf("%v, want %s", m.lines, want)
		}
	}
	none(t, n.seen.cancels, "cancel at the handler")
}

func TestTransactionsAreBounded(t *testing.T) {
	n := start(t, func(c *Config, _ *Deps) { c.MaxTransactions = 1 }, TCP)
	p := dialPeer(t, n.Addr(TCP))
	p.send(rawRequest("MESSAGE", "one", 1) + rawRequest("MESSAGE", "two", 1))
	if m := p.read(); m.start() != "SIP/2.0 503 Service Unavailable" || m.get("Call-ID") != "two" {
		t.Error(m.lines)
	}
	if n.seen.rejects(metrics.RejectLimit) != 1 {
		t.Error("not counted")
	}
	take(t, n.seen.requests, "MESSAGE")
	ofDialog := func(callID string) string {
		return strings.Replace(rawRequest("BYE", callID, 2), "To: <sip:edge@127.0.0.1>", "To: <sip:edge@127.0.0.1>;tag=ours", 1)
	}
	p.send(ofDialog("up") + ofDialog("too"))
	if tx := take(t, n.seen.requests, "BYE"); tx.Request().CallID().Value() != "up" {
		t.Errorf("a dialog was refused for %s", tx.Request().CallID())
	}
	if m := p.read(); m.start() != "SIP/2.0 503 Service Unavailable" {
		t.Error("dialogs have no bound: ", m.lines)
	}
}

// Over UDP the transaction keeps no 2xx: its copies are the dialog's, and each is sent as it was.
func TestDialogRepeatsA2xxOverUDP(t *testing.T) {
	n := start(t, nil, UDP)
	p := newUDPPeer(t)
	invite := udpRequest(p, "INVITE", "twice")
	p.sendTo(n.Addr(UDP), invite)
	tx := take(t, n.seen.requests, "INVITE")
	p.receive() // 100
	ok := tx.Response(200, "OK")
	var texts []string
	for range 2 {
		if err := tx.Respond(ok); err != nil {
			t.Fatal(err)
		}
		m, _ := p.receive()
		texts = append(texts, strings.Join(m.lines, "\n"))
	}
	if texts[0] != texts[1] || !strings.HasPrefix(texts[0], "SIP/2.0 200 OK\nVia: ") {
		t.Errorf("first\n%s\nthen\n%s", texts[0], texts[1])
	}
	p.sendTo(n.Addr(UDP), invite) // RFC 6026 §7.1: absorbed
	p.sendTo(n.Addr(UDP), udpRequest(p, "OPTIONS", "fence"))
	fence := take(t, n.seen.requests, "OPTIONS")
	fence.Respond(fence.Response(200, "OK"))
	if m, _ := p.receive(); m.get("CSeq") != "1 OPTIONS" {
		t.Error("the copy of the INVITE was answered:", m.lines)
	}
}

func TestAnAnsweredRequestHoldsNothingOfItsText(t *testing.T) {
	const text, copies = 30 << 10, 100
	for _, method := range []string{"INVITE", "BYE", "UNHEARDOF"} {
		t.Run(method, func(t *testing.T) {
			n := start(t, func(c *Config, _ *Deps) { c.MaxHeaderLines = 2000 }, UDP)
			p := newUDPPeer(t)
			filler := make([]string, text/1000)
			for i := range filler {
				filler[i] = "X-Filler: " + strings.Repeat("x", 1000)
			}
			heap := func() (size int) {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return int(m.HeapAlloc)
			}
			ask := func(branch string) {
				raw := strings.Replace(udpRequest(p, method, branch, filler...), "To: <sip:edge@127.0.0.1>", "To: <sip:edge@127.0.0.1>;tag=ours", 1)
				p.sendTo(n.Addr(UDP), raw)
				tx := take(t, n.seen.requests, method)
				if err := tx.Respond(tx.Response(200, "OK")); err != nil {
					t.Fatal(err)
				}
				if req := tx.Request(); string(req.Method) != method || req.CallID().Value() != "call-"+branch || req.CSeq().SeqNo != 1 {
					t.Fatalf("the request is %s now", req)
				}
			}
			ask("first")
			before := heap()
			for i := range copies {
				ask(fmt.Sprint("b", i))
			}
			if each := (heap() - before) / copies; each > text/4 {
				t.Errorf("%d bytes are held of each", each)
			}
			runtime.KeepAlive(n)
		})
	}
}
