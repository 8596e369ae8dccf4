package stack

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
)

func TestASettledRequestIsAnsweredAgainAsItWas(t *testing.T) {
	for _, method := range []string{"BYE", "UNHEARDOF"} {
		n := start(t, nil, UDP)
		p := newUDPPeer(t)
		request := udpRequest(p, method, "end")
		p.sendTo(n.Addr(UDP), request)
		tx := take(t, n.seen.requests, method)
		if err := tx.Respond(tx.Response(200, "OK")); err != nil {
			t.Fatal(err)
		}
		var texts []string
		for range 3 {
			m, _ := p.receive()
			texts = append(texts, strings.Join(m.lines, "\n"))
			p.sendTo(n.Addr(UDP), request)
		}
		if texts[0] != texts[1] || texts[0] != texts[2] || !strings.HasPrefix(texts[0], "SIP/2.0 200 OK\n") {
			t.Errorf("%s: answered with\n%s", method, strings.Join(texts, "\n\n"))
		}
		none(t, n.seen.requests, "copy of "+method)
		if got := len(n.table.servers()); got != 0 || n.table.len() != 1 {
			t.Errorf("%s: %d transactions are kept, %d known; want 0, 1", method, got, n.table.len())
		}
	}
}

func TestCancelOfASettledInvite(t *testing.T) {
	n := start(t, nil, UDP)
	p := newUDPPeer(t)
	p.sendTo(n.Addr(UDP), udpRequest(p, "INVITE", "late"))
	tx := take(t, n.seen.requests, "INVITE")
	p.receive() // 100
	if err := tx.Respond(tx.Response(200, "OK")); err != nil {
		t.Fatal(err)
	}
	answer, _ := p.receive()
	p.sendTo(n.Addr(UDP), udpRequest(p, "CANCEL", "late"))
	if m, _ := p.receive(); m.start() != "SIP/2.0 200 OK" || m.get("CSeq") != "1 CANCEL" || m.tag() != answer.tag() || m.tag() == "" {
		t.Errorf("%v, behind the answer with tag %s", m.lines, answer.tag())
	}
	none(t, n.seen.cancels, "cancel at the handler")
	p.sendTo(n.Addr(UDP), udpRequest(p, "ACK", "late")) // with the INVITE's branch, as some do
	take(t, n.seen.acks, "ACK")
}

func TestSettledRequestsCountAsTransactions(t *testing.T) {
	n := start(t, func(c *Config, _ *Deps) { c.MaxTransactions = 1 }, UDP)
	p := newUDPPeer(t)
	p.sendTo(n.Addr(UDP), udpRequest(p, "MESSAGE", "one"))
	tx := take(t, n.seen.requests, "MESSAGE")
	if err := tx.Respond(tx.Response(200, "OK")); err != nil {
		t.Fatal(err)
	}
	p.receive()
	p.sendTo(n.Addr(UDP), udpRequest(p, "MESSAGE", "two"))
	if m, _ := p.receive(); m.start() != "SIP/2.0 503 Service Unavailable" || n.seen.rejects(metrics.RejectLimit) != 1 {
		t.Error(m.lines)
	}
}

func TestCopiesOfAResponseConcernNobody(t *testing.T) {
	n := start(t, nil, UDP)
	p := newUDPPeer(t)
	got, sink := events()
	for _, method := range []sipmsg.RequestMethod{sipmsg.INVITE, sipmsg.BYE} {
		tx := n.Send(newRequest(t, method, fmt.Sprint("sip:a@", p.LocalAddr())), hopTo(t, fmt.Sprint("sip:a@", p.LocalAddr())), sink)
		m, from := p.receive()
		p.sendTo(from, m.reply("200 OK"))
		if ev := <-got; ev.Response == nil {
			t.Fatal(ev.Err)
		}
		tx.Release()
		if left := len(n.table.clients()); left != 0 || !n.table.knows(tx.key) {
			t.Errorf("%s: %d transactions are kept; known %v", method, left, n.table.knows(tx.key))
		}
		p.sendTo(from, m.reply("200 OK"))
	}
	p.sendTo(n.Addr(UDP), udpRequest(p, "OPTIONS", "fence"))
	take(t, n.seen.requests, "OPTIONS")
	if len(got) != 0 || n.seen.rejects(metrics.RejectResponse) != 0 {
		t.Errorf("%d told, %d counted as nobody's", len(got), n.seen.rejects(metrics.RejectResponse))
	}
	none(t, n.seen.strays, "stray")
}

func TestWhatIsSettledIsForgottenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(10)
		key := func(i int) imprint { return imprint{uint64(i)} }
		settle := func(i int) {
			tx, fresh, err := tb.open(key(i), false, func() *ServerTx { return &ServerTx{key: key(i)} })
			if err != nil || !fresh {
				t.Fatal(err)
			}
			tb.settleServer(tx, echo{code: 200}, fmt.Append(nil, "response ", i))
		}
		for i := range 10 { // one a second
			settle(i)
			time.Sleep(time.Second)
		}
		if _, _, err := tb.open(key(3), false, nil); err != errSettled {
			t.Error("a copy would be a second request: ", err)
		}
		if _, _, err := tb.open(key(11), false, nil); err != errTableFull {
			t.Error("no bound: ", err)
		}
		time.Sleep(settledTime - 10*time.Second)
		for i := range 10 {
			if r, ok := tb.echo(key(i)); !ok || string(r.text) != fmt.Sprint("response ", i) {
				t.Errorf("%d is %q, %v", i, r.text, ok)
			}
		}
		time.Sleep(generationTime + time.Millisecond)
		if _, ok := tb.echo(key(0)); ok || tb.len() != 1 {
			t.Errorf("%d are known, want the last", tb.len())
		}
		time.Sleep(generationTime + 2*time.Second)
		if tb.len() != 0 || tb.settled.servers != 0 {
			t.Errorf("%d are known, %d counted", tb.len(), tb.settled.servers)
		}
		settle(12)
		tb.terminate()
	})
}
