package stack

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"handoff/metrics"
)

func TestTombstoneAnswersLateMessages(t *testing.T) {
	n := start(t, nil, TCP)
	p := dialPeer(t, n.Addr(TCP))
	n.Bury(Tombstone{CallID: "gone", LocalTag: "ours", RemoteTag: "near"})
	late := func(method, branch string) string {
		text := rawRequestVia("SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK"+branch, method, "gone", 1)
		return strings.Replace(text, "To: <sip:edge@127.0.0.1>", "To: <sip:edge@127.0.0.1>;tag=ours", 1)
	}
	p.send(late("ACK", "a"))
	for method, want := range map[string]string{"BYE": "200 OK", "NOTIFY": "200 OK",
		"INVITE": "481 Call/Transaction Does Not Exist", "INFO": "481 Call/Transaction Does Not Exist"} {
		p.send(late(method, method))
		if m := p.read(); m.start() != "SIP/2.0 "+want || m.tag() != "ours" {
			t.Errorf("%s: %q", method, m.lines)
		}
	}
	none(t, n.seen.requests, "late request")
	none(t, n.seen.acks, "late ACK")
	if got := n.seen.rejects(metrics.RejectLate); got != 5 {
		t.Errorf("%d counted", got)
	}
	p.send(strings.Replace(late("BYE", "b"), "tag=near", "tag=other", 1))
	take(t, n.seen.requests, "request of another dialog")
}

// The BYE that ended the dialog came again: its own transaction answers, not the tombstone.
func TestCopyOfTheLastByeGetsItsOwnAnswer(t *testing.T) {
	n := start(t, nil, UDP)
	p := newUDPPeer(t)
	bye := strings.Replace(udpRequest(p, "BYE", "bye"), "To: <sip:edge@127.0.0.1>", "To: <sip:edge@127.0.0.1>;tag=ours", 1)
	p.sendTo(n.Addr(UDP), bye)
	tx := take(t, n.seen.requests, "BYE")
	tx.Respond(tx.Response(200, "Bye"))
	n.Bury(Tombstone{CallID: "call-bye", LocalTag: "ours", RemoteTag: "near"})
	p.sendTo(n.Addr(UDP), bye)
	for range 2 {
		if m, _ := p.receive(); m.start() != "SIP/2.0 200 Bye" {
			t.Error(m.start())
		}
	}
}

func TestTombsAreBoundedAndExpire(t *testing.T) {
	ts := newTombs()
	now := time.Now()
	name := func(i int) Tombstone { return Tombstone{CallID: fmt.Sprint(i)} }
	for i := range maxTombs + 1 {
		ts.bury(name(i), now)
	}
	if ts.n != maxTombs || len(ts.index) != maxTombs || ts.holds(name(0), now) || !ts.holds(name(1), now) {
		t.Error(ts.n, len(ts.index))
	}
	ts.bury(name(1), now.Add(time.Second)) // again: lives on when its first grave goes
	if now = now.Add(tombTime + time.Millisecond); ts.holds(name(2), now) || !ts.holds(name(1), now) {
		t.Error("expiry")
	}
	if ts.bury(name(-1), now); ts.n != 2 || len(ts.index) != 2 {
		t.Error("old graves kept", ts.n)
	}
}
