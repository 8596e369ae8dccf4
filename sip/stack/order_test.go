package stack

import (
	"fmt"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"
)

func TestPairsOfRequestsInOneSegmentStayInOrder(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	for i := range 1000 {
		p.send(rawRequest("INFO", fmt.Sprint("first", i), 1) + rawRequest("MESSAGE", fmt.Sprint("second", i), 1))
		for _, want := range []sipmsg.RequestMethod{sipmsg.INFO, sipmsg.MESSAGE} {
			if got := take(t, n.seen.requests, "request").Request().Method; got != want {
				t.Fatalf("pair %d: %s, want %s", i, got, want)
			}
		}
	}
}

func TestInviteAndCancelInOneSegmentMatch(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	for i := range 200 {
		branch := fmt.Sprint("c", i)
		p.send(rawRequest("INVITE", branch, 1) + rawRequest("CANCEL", branch, 1))
		tx := take(t, n.seen.requests, "INVITE")
		if cancelled := take(t, n.seen.cancels, "CANCEL"); cancelled != tx {
			t.Fatal("CANCEL matched another INVITE")
		}
		if err := tx.Respond(tx.Response(487, "Request Terminated")); err != nil {
			t.Fatal(err)
		}
		trying, ok, terminated := p.read(), p.read(), p.read()
		if trying.start() != "SIP/2.0 100 Trying" || ok.get("CSeq") != "1 CANCEL" ||
			terminated.start() != "SIP/2.0 487 Request Terminated" {
			t.Fatal(trying.start(), ok.lines, terminated.start())
		}
		if ok.tag() == "" || ok.tag() != terminated.tag() {
			t.Fatalf("two To tags: %q and %q", ok.tag(), terminated.tag())
		}
		p.send(rawRequest("ACK", branch, 1))
	}
}

func TestProvisionalAndFinalInOneSegmentBothArriveInOrder(t *testing.T) {
	n := start(t, nil)
	ln, peers := server(t, nil)
	target := "sip:" + ln.Addr().String() + ";transport=tcp"
	got, sink := events()
	var p *wirePeer
	for i := range 200 {
		n.Send(newRequest(t, sipmsg.INVITE, target), hopTo(t, target), sink)
		if p == nil {
			p = take(t, peers, "connection")
		}
		invite := p.read()
		p.send(invite.reply("183 Session Progress") + invite.reply("200 OK"))
		for _, want := range []int{183, 200} {
			if ev := take(t, got, "response"); ev.Response == nil || ev.Response.StatusCode != want {
				t.Fatalf("call %d: %+v, want %d", i, ev, want)
			}
		}
	}
}

func TestTornStreamEqualsWhole(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	text := rawRequest("OPTIONS", "torn", 1, "X-Folded: a", " b")
	for i := range len(text) {
		p.send(text[i : i+1])
	}
	tx := take(t, n.seen.requests, "request")
	if v := tx.Request().GetHeader("X-Folded").Value(); v != "a b" {
		t.Errorf("folded value %q", v)
	}
	tx.Respond(tx.Response(200, "OK"))
	p.read()
}

func TestOneToTagOverAllResponses(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	p.send(rawRequest("INVITE", "tags", 1))
	tx := take(t, n.seen.requests, "INVITE")
	tx.Respond(tx.Response(180, "Ringing"))
	p.send(rawRequest("CANCEL", "tags", 1))
	take(t, n.seen.cancels, "CANCEL")
	tx.Respond(tx.Response(487, "Request Terminated"))
	if trying := p.read(); trying.get("To") != "<sip:edge@127.0.0.1>" {
		t.Errorf("100 with To %q", trying.get("To"))
	}
	for range 3 { // 180, 200 to CANCEL, 487
		if m := p.read(); m.tag() != tx.Tag() {
			t.Errorf("%s: tag %q, want %q", m.start(), m.tag(), tx.Tag())
		}
	}
}
