package stack

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
)

// lost is a request whose connection is gone, of a peer that can be found again at ln.
func lost(t *testing.T, n *node, method string, ln net.Listener, viaParams string) *ServerTx {
	t.Helper()
	p := dialPeer(t, n.Addr(TCP))
	via := fmt.Sprintf("SIP/2.0/TCP %s;branch=z9hG4bK%s%s", ln.Addr(), newTag(), viaParams)
	p.send(rawRequestVia(via, method, "call", 1))
	tx := take(t, n.seen.requests, method)
	tx.Return(Hop{Peer: metrics.PeerTwilio})
	p.Close()
	eventually(t, "flow closed", func() bool { return !tx.Flow().Open() })
	return tx
}

func TestAnswerFollowsThePeerToANewConnection(t *testing.T) {
	a := newAuthority(t)
	n := start(t, nil, TLS)
	ln, peers := server(t, a.config(t, "sip.twilio.com"))
	conn, err := tls.Dial("tcp", n.Addr(TLS).String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	p := peerOn(t, conn)
	request := func(method string, cseq int) {
		p.send(rawRequestVia(fmt.Sprintf("SIP/2.0/TLS %s;branch=z9hG4bK%d;rport", ln.Addr(), cseq), method, fmt.Sprint("call-", cseq), cseq))
	}
	request("INVITE", 1)
	request("INVITE", 2)
	request("BYE", 3)
	as := Hop{Names: []string{"sip.twilio.com"}, Roots: a.pool, Peer: metrics.PeerTwilio}
	var txs []*ServerTx
	for range 3 {
		tx := take(t, n.seen.requests, "request")
		tx.Return(as)
		txs = append(txs, tx)
	}
	ringing, source := txs[1], txs[1].Source()
	if err := ringing.Respond(ringing.Response(180, "Ringing")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		p.read() // 100, 100, 180
	}
	conn.NetConn().Close() // no close_notify
	p = take(t, peers, "redial")
	again := p.read().start() + ", " + p.read().start() // at once, and what was said last
	if again != "SIP/2.0 100 Trying, SIP/2.0 180 Ringing" && again != "SIP/2.0 180 Ringing, SIP/2.0 100 Trying" {
		t.Error(again)
	}
	for i, status := range []string{"486 Busy Here", "200 OK", "200 OK"} {
		var code int
		fmt.Sscan(status, &code)
		if err := txs[i].Respond(txs[i].Response(code, status[4:])); err != nil {
			t.Error(err)
		}
		m := p.read()
		if m.start() != "SIP/2.0 "+status || m.get("CSeq")[:1] != fmt.Sprint(i+1) {
			t.Errorf("%v", m.lines)
		}
		if want := fmt.Sprintf("rport=%d", source.Port()); !strings.Contains(m.get("Via"), want) {
			t.Errorf("Via %q without %s", m.get("Via"), want)
		}
	}
	p.send(strings.Replace(rawRequestVia(fmt.Sprintf("SIP/2.0/TLS %s;branch=z9hG4bK1;rport", ln.Addr()), "ACK", "call-1", 1), "sip:edge@127.0.0.1>\r\n", "sip:edge@127.0.0.1>;tag="+txs[0].Tag()+"\r\n", 1))

	// What the dialog sends next, to its top Route, goes the same way.
	hop := hopTo(t, "sip:"+ln.Addr().String()+";transport=tls;r2=on;lr")
	hop.Names, hop.Roots, hop.Peer = as.Names, as.Roots, as.Peer
	got, sink := events()
	n.Send(newRequest(t, sipmsg.REFER, "sip:+1@172.18.4.191:5060;transport=udp"), hop, sink)
	p.send(p.read().reply("202 Accepted"))
	wantCode(t, take(t, got, "response"), 202)
	none(t, peers, "second redial")
	none(t, n.seen.losses, "loss")
	none(t, n.seen.acks, "ACK of a refusal at the handler")
}

func TestPeerThatIsNotFoundAgainIsLost(t *testing.T) {
	n := start(t, nil, TCP)
	ln, _ := server(t, nil)
	ln.Close()
	tx := lost(t, n, "INVITE", ln, "")
	if take(t, n.seen.losses, "loss") != tx {
		t.Error("another one")
	}
	if err := tx.Respond(tx.Response(487, "Request Terminated")); !errors.Is(err, ErrTransport) {
		t.Errorf("answer to nobody: %v", err)
	}
	none(t, n.seen.losses, "second loss")
}

func TestImpostorAtThePeersAddressHearsNoAnswer(t *testing.T) {
	a := newAuthority(t)
	n := start(t, nil, TLS)
	ln, peers := server(t, a.config(t, "impostor.example"))
	conn, err := tls.Dial("tcp", n.Addr(TLS).String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	p := peerOn(t, conn)
	p.send(rawRequestVia("SIP/2.0/TLS "+ln.Addr().String()+";branch=z9hG4bK1", "INVITE", "call", 1))
	tx := take(t, n.seen.requests, "INVITE")
	tx.Return(Hop{Names: []string{"sip.twilio.com"}, Roots: a.pool})
	p.Close()
	impostor := take(t, peers, "redial")
	go impostor.Conn.(*tls.Conn).Handshake() // ends when the client hangs up
	take(t, n.seen.losses, "loss")
	if n.seen.rejects(metrics.RejectTLS) != 1 {
		t.Error("handshake not counted")
	}
}

// Where a request says that it is from decides nothing, or a peer could have the edge connect to anybody.
func TestOnlyTheAddressOfTheSourceIsRedialled(t *testing.T) {
	for _, via := range []string{
		"SIP/2.0/TCP 127.0.0.9:%d;branch=z9hG4bKa",
		"SIP/2.0/TCP 127.0.0.9:%d;received=127.0.0.9;rport=9;branch=z9hG4bKb",
		"SIP/2.0/TCP nowhere.example:%d;maddr=127.0.0.9;branch=z9hG4bKc",
	} {
		n := start(t, nil, TCP)
		ln, peers := server(t, nil)
		p := dialPeer(t, n.Addr(TCP))
		p.send(rawRequestVia(fmt.Sprintf(via, ln.Addr().(*net.TCPAddr).Port), "BYE", "call", 1))
		tx := take(t, n.seen.requests, "BYE")
		tx.Return(Hop{Peer: metrics.PeerTwilio})
		p.Close()
		eventually(t, "flow closed", func() bool { return !tx.Flow().Open() })
		if err := tx.Respond(tx.Response(200, "OK")); err != nil {
			t.Error(err)
		}
		if m := take(t, peers, "redial at the source").read(); m.start() != "SIP/2.0 200 OK" {
			t.Error(m.start())
		}
	}
}

func TestPeerThatDropsEveryConnectionIsGivenUp(t *testing.T) {
	n := start(t, nil, TCP)
	ln, peers := server(t, nil)
	done := make(chan int)
	go func() { // ends when the cleanup of server closes peers' listener and the loss is told
		dials := 0
		for {
			select {
			case p := <-peers:
				dials++
				p.Close()
			case <-n.seen.losses:
				done <- dials
				return
			}
		}
	}()
	tx := lost(t, n, "INVITE", ln, "")
	if dials := take(t, done, "loss"); dials > maxReturns {
		t.Errorf("%d redials", dials)
	}
	if err := tx.Respond(tx.Response(487, "Request Terminated")); !errors.Is(err, ErrTransport) {
		t.Errorf("answer to nobody: %v", err)
	}
}

func TestCopyOfTheRequestOvertakesTheRedial(t *testing.T) {
	a := newAuthority(t)
	n := start(t, nil, TLS)
	ln, redials := server(t, a.config(t, "sip.twilio.com")) // its handshake waits for the first read
	dial := func() *wirePeer {
		conn, err := tls.Dial("tcp", n.Addr(TLS).String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		p := peerOn(t, conn)
		p.send(rawRequestVia("SIP/2.0/TLS "+ln.Addr().String()+";branch=z9hG4bK1", "INVITE", "call", 1))
		return p
	}
	p := dial()
	tx := take(t, n.seen.requests, "INVITE")
	tx.Return(Hop{Names: []string{"sip.twilio.com"}, Roots: a.pool})
	p.Close()
	redial := take(t, redials, "redial")
	p = dial()
	if m := p.read(); m.start() != "SIP/2.0 100 Trying" {
		t.Error(m.start())
	}
	redial.Conn.(*tls.Conn).Handshake()
	tx.Respond(tx.Response(200, "OK"))
	if m := p.read(); m.start() != "SIP/2.0 200 OK" {
		t.Error(m.start())
	}
	none(t, n.seen.losses, "loss")
	none(t, n.seen.requests, "ghost call")
}
