package stack

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
)

func wantError(t *testing.T, ev TxEvent, kind error, sent bool) {
	t.Helper()
	var tx *TxError
	if !errors.As(ev.Err, &tx) || !errors.Is(ev.Err, kind) || tx.Sent != sent {
		t.Fatalf("event %+v, want %v with sent %t", ev, kind, sent)
	}
}

func wantCode(t *testing.T, ev TxEvent, code int) {
	t.Helper()
	if ev.Response == nil || ev.Response.StatusCode != code {
		t.Fatalf("event %+v, want %d", ev, code)
	}
}

func TestRequestOverUDPLeavesFromTheListener(t *testing.T) {
	n := start(t, nil, UDP)
	p := newUDPPeer(t)
	target := fmt.Sprintf("sip:127.0.0.1:%d", p.port())
	got, sink := events()
	n.Send(newRequest(t, sipmsg.OPTIONS, target), hopTo(t, target), sink)
	m, from := p.receive()
	if from != n.Addr(UDP) {
		t.Errorf("from %s, want %s", from, n.Addr(UDP))
	}
	via := m.get("Via")
	if !strings.HasPrefix(via, fmt.Sprintf("SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK", from.Port())) || !strings.HasSuffix(via, ";rport") {
		t.Errorf("Via %q", via)
	}
	if m.get("Content-Length") != "0" {
		t.Error("no Content-Length")
	}
	p.sendTo(from, m.reply("200 OK"))
	wantCode(t, take(t, got, "response"), 200)
	p.sendTo(from, m.reply("200 OK")) // a copy: ignored
	n.Send(newRequest(t, sipmsg.INFO, target), hopTo(t, target), sink)
	m, _ = p.receive()
	p.sendTo(from, m.reply("404 Not Found"))
	wantCode(t, take(t, got, "response"), 404)
}

func TestAResponseComesFromWhereItsRequestWentOrFromThatPeer(t *testing.T) {
	flow := func(peer metrics.Peer, remote string) *Flow {
		return &Flow{peer: peer, remote: netip.MustParseAddrPort(remote)}
	}
	tx := &ClientTx{}
	if tx.hears(flow(metrics.PeerWatson, "192.0.2.1:5061")) {
		t.Error("a request that has not left is answered")
	}
	tx.flow = flow(metrics.PeerWatson, "192.0.2.1:5061")
	for _, tt := range []struct {
		from *Flow
		want bool
	}{
		{flow(metrics.PeerWatson, "192.0.2.1:5061"), true},
		{flow(metrics.PeerWatson, "192.0.2.9:40000"), true},
		{flow(metrics.PeerTwilio, "192.0.2.1:40000"), true}, // an address on both lists
		{flow(metrics.PeerTwilio, "192.0.2.9:5061"), false},
		{flow(metrics.PeerUnknown, "192.0.2.9:5061"), false},
	} {
		if got := tx.hears(tt.from); got != tt.want {
			t.Errorf("%s at %s: %t", tt.from.peer, tt.from.remote, got)
		}
	}
}

func TestRetransmitted486GetsItsACKAtOnceAndBlocksNobody(t *testing.T) {
	n := start(t, nil, UDP)
	p := newUDPPeer(t)
	target := fmt.Sprintf("sip:callee@127.0.0.1:%d", p.port())
	got, sink := events()
	req := newRequest(t, sipmsg.INVITE, target)
	req.AppendHeader(sipmsg.NewHeader("Route", "<sip:proxy.example;lr;x>"))
	n.Send(req, hopTo(t, target), sink)
	invite, from := p.receive()
	for range 3 {
		p.sendTo(from, invite.reply("486 Busy Here"))
		ack, _ := p.receive()
		for name, want := range map[string]string{
			"CSeq": "7 ACK", "Via": invite.get("Via"), "To": invite.get("To") + ";tag=far", "Route": "<sip:proxy.example;lr;x>",
			"Call-ID": invite.get("Call-ID"), "From": invite.get("From"),
		} {
			if ack.get(name) != want {
				t.Errorf("ACK %s: %q, want %q", name, ack.get(name), want)
			}
		}
	}
	p.sendTo(from, udpRequest(p, "OPTIONS", "fence"))
	take(t, n.seen.requests, "request behind the retransmissions")
	wantCode(t, take(t, got, "response"), 486)
	none(t, got, "second final response")
}

func TestForkedAndRepeated2xxReachTheSink(t *testing.T) {
	n := start(t, nil, UDP)
	p := newUDPPeer(t)
	target := fmt.Sprintf("sip:127.0.0.1:%d", p.port())
	got, sink := events()
	n.Send(newRequest(t, sipmsg.INVITE, target), hopTo(t, target), sink)
	invite, from := p.receive()
	first := invite.reply("200 OK")
	for _, text := range []string{invite.reply("180 Ringing"), first, first, strings.Replace(first, "tag=far", "tag=fork", 1), invite.reply("180 Ringing")} {
		p.sendTo(from, text)
	}
	for _, want := range []string{"180 far", "200 far", "200 far", "200 fork"} {
		ev := take(t, got, want)
		tag, _ := ev.Response.To().Params.Get("tag")
		if is := fmt.Sprint(ev.Response.StatusCode, " ", tag); is != want {
			t.Errorf("%s, want %s", is, want)
		}
	}
}

func TestCancelIsBuiltFromTheInvite(t *testing.T) {
	n := start(t, nil)
	ln, peers := server(t, nil)
	target := "sip:" + ln.Addr().String() + ";transport=tcp"
	got, sink := events()
	tx := n.Send(newRequest(t, sipmsg.INVITE, target), hopTo(t, target), sink)
	p := take(t, peers, "connection")
	invite := p.read()
	p.send(invite.reply("180 Ringing"))
	wantCode(t, take(t, got, "180"), 180)
	tx.Cancel()
	tx.Cancel() // once only
	cancel := p.read()
	if cancel.start() != "CANCEL "+target+" SIP/2.0" {
		t.Error(cancel.start())
	}
	for name, want := range map[string]string{"CSeq": "7 CANCEL", "Via": invite.get("Via"), "To": invite.get("To"),
		"From": invite.get("From"), "Call-ID": invite.get("Call-ID")} {
		if cancel.get(name) != want {
			t.Errorf("%s: %q, want %q", name, cancel.get(name), want)
		}
	}
	p.send(cancel.reply("200 OK") + invite.reply("487 Request Terminated"))
	wantCode(t, take(t, got, "487"), 487)
	if ack := p.read(); ack.get("CSeq") != "7 ACK" {
		t.Error(ack.lines)
	}
	none(t, got, "response to CANCEL")
}

func TestTerminateSilencesTheSink(t *testing.T) {
	n := start(t, nil)
	ln, peers := server(t, nil)
	target := "sip:" + ln.Addr().String() + ";transport=tcp"
	got, sink := events()
	tx := n.Send(newRequest(t, sipmsg.INVITE, target), hopTo(t, target), sink)
	p := take(t, peers, "connection")
	invite := p.read()
	tx.Terminate()
	p.send(invite.reply("200 OK"))
	eventually(t, "late response counted", func() bool { return n.seen.rejects(metrics.RejectResponse) == 1 })
	none(t, got, "event after Terminate")
	if res := take(t, n.seen.strays, "stray 2xx"); res.StatusCode != 200 || res.CSeq().MethodName != sipmsg.INVITE {
		t.Error(res)
	}
	p.send(invite.reply("486 Busy Here"))
	eventually(t, "another counted", func() bool { return n.seen.rejects(metrics.RejectResponse) == 2 })
	none(t, n.seen.strays, "stray that wants no ACK")
}

func TestLargeRequestGoesByTCP(t *testing.T) {
	n := start(t, nil, UDP, TCP)
	ln, peers := server(t, nil)
	target := "sip:" + ln.Addr().String()
	got, sink := events()
	n.Send(large(t, target), hopTo(t, target), sink)
	m := take(t, peers, "connection")
	req := m.read()
	if !strings.HasPrefix(req.get("Via"), fmt.Sprintf("SIP/2.0/TCP 127.0.0.1:%d;", n.Addr(TCP).Port())) || len(req.body) != 1400 {
		t.Errorf("Via %q, body of %d", req.get("Via"), len(req.body))
	}
	m.send(req.reply("200 OK"))
	wantCode(t, take(t, got, "response"), 200)
}

func TestLargeRequestFallsBackToUDP(t *testing.T) {
	n := start(t, nil, UDP)
	p := newUDPPeer(t)
	target := fmt.Sprintf("sip:127.0.0.1:%d", p.port())
	got, sink := events()
	n.Send(large(t, target), hopTo(t, target), sink)
	m, from := p.receive()
	if !strings.HasPrefix(m.get("Via"), "SIP/2.0/UDP ") || len(m.body) != 1400 {
		t.Errorf("Via %q, body of %d", m.get("Via"), len(m.body))
	}
	p.sendTo(from, m.reply("200 OK"))
	wantCode(t, take(t, got, "response"), 200)
}

func TestRequestGoesByTCPAbove1300Bytes(t *testing.T) {
	n := start(t, nil, UDP, TCP)
	p := newUDPPeer(t)
	ln, err := net.Listen("tcp", p.LocalAddr().String())
	if err != nil {
		t.Skip("the port is taken for TCP:", err)
	}
	defer ln.Close()
	target := fmt.Sprintf("sip:127.0.0.1:%d", p.port())
	send := func(body int) {
		req := newRequest(t, sipmsg.MESSAGE, target)
		req.SetBody([]byte(strings.Repeat("x", body)))
		n.Send(req, hopTo(t, target), func(TxEvent) {})
	}
	size := func() int {
		buf := make([]byte, 2000)
		length, err := p.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return length
	}
	send(1000)
	fits := 1000 + maxDatagram - size()
	if send(fits); size() != maxDatagram {
		t.Error("not by UDP with what fits")
	}
	send(fits + 1)
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if m := peerOn(t, conn).read(); len(m.body) != fits+1 {
		t.Error(m.lines)
	}
}

func large(t *testing.T, target string) *sipmsg.Request {
	req := newRequest(t, sipmsg.MESSAGE, target)
	req.SetBody([]byte(strings.Repeat("x", 1400)))
	return req
}

func TestLargeInviteOverUDPArrives(t *testing.T) {
	n := start(t, nil, UDP)
	p := newUDPPeer(t)
	text := udpRequest(p, "INVITE", "large", "X-Pad: ")
	text = strings.Replace(text, "X-Pad: ", "X-Pad: "+strings.Repeat("p", 1455-len(text)), 1)
	p.sendTo(n.Addr(UDP), text)
	tx := take(t, n.seen.requests, "INVITE")
	res := tx.Response(200, "OK")
	res.AppendHeader(sipmsg.NewHeader("X-Pad", strings.Repeat("q", 1455)))
	tx.Respond(res)
	p.receive() // 100
	if m, _ := p.receive(); len(m.get("X-Pad")) != 1455 {
		t.Error("large response did not arrive")
	}
}

func TestSecureURINeverLeavesInClear(t *testing.T) {
	n := start(t, nil, UDP)
	ln, _ := server(t, nil)
	p := newUDPPeer(t)
	tcp := "sip:" + ln.Addr().String() + ";transport=tcp"
	udp := fmt.Sprintf("sip:127.0.0.1:%d", p.port())
	route := func(value string) *sipmsg.Request {
		req := newRequest(t, sipmsg.OPTIONS, udp)
		req.AppendHeader(sipmsg.NewHeader("Route", value))
		return req
	}
	tests := []struct {
		name string
		req  *sipmsg.Request
		hop  string
		kind error
	}{
		{"request-uri over tcp", newRequest(t, sipmsg.INVITE, "sips:a@b.example"), tcp, ErrGuard},
		{"request-uri over udp", newRequest(t, sipmsg.INVITE, "sips:a@b.example"), udp, ErrGuard},
		{"route over udp", route("<sips:b.example;lr>"), udp, ErrGuard},
		{"any route", route("<sip:b.example;lr>, <SIPS:c.example;lr>"), udp, ErrGuard},
		{"sips hop that speaks no tls", newRequest(t, sipmsg.OPTIONS, "sips:x.example"),
			fmt.Sprintf("sips:127.0.0.1:%d;transport=udp", p.port()), ErrTransport},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, sink := events()
			n.Send(tt.req, hopTo(t, tt.hop), sink)
			wantError(t, take(t, got, "error"), tt.kind, false)
		})
	}
	target, err := hopTo(t, "sips:127.0.0.1;transport=tcp").target()
	if err != nil || target.transport != TLS || target.port != 5061 {
		t.Error(target, err)
	}
	n.SendACK(newRequest(t, sipmsg.ACK, "sips:a@b.example"), hopTo(t, udp))
	if n.seen.rejects(metrics.RejectGuard) != 5 {
		t.Errorf("%d refusals counted", n.seen.rejects(metrics.RejectGuard))
	}
}

func TestManySendsWaitForOneDialAndKeepTheirOrder(t *testing.T) {
	n := start(t, nil)
	ln, peers := server(t, nil)
	target := "sip:" + ln.Addr().String() + ";transport=tcp"
	_, sink := events()
	for i := range 50 {
		req := newRequest(t, sipmsg.MESSAGE, target)
		req.AppendHeader(sipmsg.NewHeader("X-Number", fmt.Sprint(i)))
		n.Send(req, hopTo(t, target), sink)
	}
	p := take(t, peers, "connection")
	for i := range 50 {
		if got := p.read().get("X-Number"); got != fmt.Sprint(i) {
			t.Fatalf("number %s, want %d", got, i)
		}
	}
	none(t, peers, "second connection")
}

func TestRequestInFlightIsSentOnceMoreWhenItsConnectionDies(t *testing.T) {
	n := start(t, nil)
	ln, peers := server(t, nil)
	target := "sip:" + ln.Addr().String() + ";transport=tcp"
	got, sink := events()
	for _, method := range []sipmsg.RequestMethod{sipmsg.INVITE, sipmsg.BYE} { // two requests, whose order must survive
		n.Send(newRequest(t, method, target), hopTo(t, target), sink)
	}
	p := take(t, peers, "connection")
	first, second := p.read(), p.read()
	p.Close()
	p = take(t, peers, "redial")
	again, secondAgain := p.read(), p.read()
	if again.get("Via") != first.get("Via") || secondAgain.get("Via") != second.get("Via") {
		t.Error("another branch, sent-by or order")
	}
	p.send(again.reply("200 OK"))
	wantCode(t, take(t, got, "response"), 200)
	p.Close()
	wantError(t, take(t, got, "error"), ErrTransport, true)
	none(t, peers, "third attempt")
}

func TestLossBehindAProvisionalIsFinal(t *testing.T) {
	n := start(t, nil)
	ln, peers := server(t, nil)
	target := "sip:" + ln.Addr().String() + ";transport=tcp"
	got, sink := events()
	n.Send(newRequest(t, sipmsg.INVITE, target), hopTo(t, target), sink)
	p := take(t, peers, "connection")
	p.send(p.read().reply("180 Ringing"))
	wantCode(t, take(t, got, "180"), 180)
	p.Close()
	wantError(t, take(t, got, "error"), ErrTransport, true)
}

func TestInDialogRequestTakesTheAcceptedConnection(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	p.send(rawRequest("INVITE", "accepted", 1))
	tx := take(t, n.seen.requests, "INVITE")
	p.read()
	hop := hopTo(t, "sip:172.25.75.240:5060;transport=udp") // Twilio's private Contact
	hop.Flow = tx.Flow()
	got, sink := events()
	n.Send(newRequest(t, sipmsg.BYE, "sip:+1@172.25.75.240:5060;transport=udp"), hop, sink)
	bye := p.read()
	if !strings.HasPrefix(bye.get("Via"), fmt.Sprintf("SIP/2.0/TCP 127.0.0.1:%d;", n.Addr(TCP).Port())) {
		t.Error(bye.get("Via"))
	}
	p.send(bye.reply("200 OK"))
	ev := take(t, got, "response")
	wantCode(t, ev, 200)
	if ev.Flow != tx.Flow() {
		t.Error("another flow")
	}
	// A flow in clear does not do for a URI that asks for TLS.
	hop = hopTo(t, "sip:127.0.0.1:1;transport=tls")
	hop.Flow = tx.Flow()
	n.Send(newRequest(t, sipmsg.BYE, "sip:a@b.example"), hop, sink)
	wantError(t, take(t, got, "error"), ErrTransport, false)
}

func TestClosedTLSConnectionIsRedialledAndVerifiedByName(t *testing.T) {
	a := newAuthority(t)
	n := start(t, nil)
	ln, peers := server(t, a.config(t, "sip.twilio.com"))
	target := "sip:" + ln.Addr().String() + ";transport=tls;r2=on;lr"
	hop := hopTo(t, target)
	hop.Names, hop.Roots = []string{"trunk1.pstn.twilio.com", "sip.twilio.com"}, a.pool
	got, sink := events()

	n.Send(newRequest(t, sipmsg.OPTIONS, target), hop, sink)
	p := take(t, peers, "connection")
	p.send(p.read().reply("200 OK"))
	ev := take(t, got, "response")
	wantCode(t, ev, 200)
	if sni := p.Conn.(*tls.Conn).ConnectionState().ServerName; sni != "trunk1.pstn.twilio.com" {
		t.Errorf("SNI %q", sni)
	}
	p.Conn.(*tls.Conn).NetConn().Close() // no close_notify
	eventually(t, "flow closed", func() bool { return !ev.Flow.Open() })

	hop.Flow = ev.Flow
	n.Send(newRequest(t, sipmsg.REFER, target), hop, sink)
	p = take(t, peers, "redial")
	p.send(p.read().reply("202 Accepted"))
	wantCode(t, take(t, got, "response"), 202)

	hop.Names = []string{"other.example", "more.example"}
	n.Send(newRequest(t, sipmsg.REFER, target), hop, sink)
	refused := take(t, peers, "connection for other names")
	go refused.Conn.(*tls.Conn).Handshake() // ends when the client hangs up
	ev = take(t, got, "error")
	wantError(t, ev, ErrTransport, false)
	if text := ev.Err.Error(); !strings.Contains(text, "certificate is for sip.twilio.com, want other.example or more.example") {
		t.Error(text)
	}
	if n.seen.rejects(metrics.RejectTLS) != 1 {
		t.Error("handshake not counted")
	}
}

func TestAllAddressesOfANameAreTried(t *testing.T) {
	ln, peers := server(t, nil)
	n := start(t, func(_ *Config, d *Deps) {
		d.Resolver = table1{"watson.example": {netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")}}
	}, UDP)
	port := ln.Addr().(*net.TCPAddr).Port
	got, sink := events()
	target := fmt.Sprintf("sip:watson.example:%d;transport=tcp", port)
	n.Send(newRequest(t, sipmsg.OPTIONS, target), hopTo(t, target), sink)
	p := take(t, peers, "connection")
	p.send(p.read().reply("200 OK"))
	wantCode(t, take(t, got, "response"), 200)

	target = "sip:nowhere.example"
	n.Send(newRequest(t, sipmsg.OPTIONS, target), hopTo(t, target), sink)
	ev := take(t, got, "error")
	if wantError(t, ev, ErrTransport, false); !strings.Contains(ev.Err.Error(), "nowhere.example") {
		t.Error(ev.Err)
	}
}

func TestSendACK(t *testing.T) {
	n := start(t, nil)
	ln, peers := server(t, nil)
	target := "sip:" + ln.Addr().String() + ";transport=tcp"
	n.SendACK(newRequest(t, sipmsg.ACK, target), hopTo(t, target))
	p := take(t, peers, "connection")
	if ack := p.read(); ack.get("CSeq") != "7 ACK" || !strings.HasPrefix(ack.branch(), "z9hG4bK") {
		t.Error(ack.lines)
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	n := start(t, nil, TCP)
	ln, peers := server(t, nil)
	target := "sip:" + ln.Addr().String() + ";transport=tcp"
	got, sink := events()
	n.Send(newRequest(t, sipmsg.INVITE, target), hopTo(t, target), sink)
	take(t, peers, "connection").read()
	accepted := dialPeer(t, n.Addr(TCP))
	accepted.send(rawRequest("BYE", "last", 1))
	tx := take(t, n.seen.requests, "BYE")
	tx.Respond(tx.Response(200, "OK"))
	n.Close()
	if m := accepted.read(); m.start() != "SIP/2.0 200 OK" {
		t.Error("the last answer was lost")
	}
	wantError(t, take(t, got, "error"), ErrTransport, true)
	n.Send(newRequest(t, sipmsg.INVITE, target), hopTo(t, target), sink) // does nothing, and does not panic
}
