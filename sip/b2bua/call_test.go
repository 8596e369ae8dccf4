package b2bua

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
	"handoff/sip/dialog"
	"handoff/sip/journal"
	"handoff/sip/leg"
)

func TestProofBehindTheByeIsTaken(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a, b := r.up()
	r.refer(b)
	if code := r.request(a, "BYE", "", "").final(); code != 200 {
		t.Errorf("BYE heard %d", code)
	}
	r.notify(a, "refer", "200 OK")
	final := r.next(sipmsg.NOTIFY)
	if got := string(final.req.Body()); !strings.HasPrefix(got, "SIP/2.0 200") {
		t.Errorf("Watson hears %q", got)
	}
	final.answer(200, "")
	if why := r.over(); why != metrics.ReasonTransferred {
		t.Errorf("ended as %s", why)
	}
}

func TestNotifyOfAnEarlierReferProvesNothing(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a, b := r.up()
	if code := r.request(b, "REFER", goodRefer, "").final(); code != 202 {
		t.Fatal(code)
	}
	r.next(sipmsg.NOTIFY).answer(200, "")
	r.next(sipmsg.REFER).answer(503, "") // REFER 1 fails
	r.next(sipmsg.NOTIFY).answer(200, "")
	r.refer(b) // REFER 2 is accepted
	r.notify(a, "refer;id=1", "200 OK")
	if r.count("BYE twilio") != 0 {
		t.Error("the caller is released without proof")
	}
	r.notify(a, "refer;id=2", "200 OK")
	r.next(sipmsg.NOTIFY).answer(200, "")
	if why := r.over(); why != metrics.ReasonTransferred {
		t.Errorf("ended as %s", why)
	}
}

func TestSecondReferWhileOneRunsIs491AndTheNextAfterAFailureWorks(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a, b := r.up()
	r.refer(b)
	if code := r.request(b, "REFER", goodRefer, "").final(); code != 491 {
		t.Errorf("second REFER heard %d", code)
	}
	r.notify(a, "refer", "486 Busy Here")
	r.next(sipmsg.NOTIFY).answer(200, "")
	r.refer(b)
	r.request(a, "BYE", "", "")
	r.next(sipmsg.NOTIFY).answer(200, "") // after the grace
	r.over()
}

func TestRefersThatAreNotCarriedOut(t *testing.T) {
	tests := []struct {
		name    string
		headers string
		fromA   bool
		want    int
	}{
		{"no Refer-To", "", false, 400},
		{"two of them", goodRefer + goodRefer, false, 400},
		{"a target that is not intercepted", "Refer-To: <sip:queue@attacker.example.net>\n", false, 603},
		{"from the caller", goodRefer, true, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.wire.quiet = true
			a, b := r.up()
			from := b
			if tt.fromA {
				from = a
			}
			if code := r.request(from, "REFER", tt.headers, "").final(); code != tt.want {
				t.Errorf("heard %d, want %d", code, tt.want)
			}
			r.request(a, "BYE", "", "")
			r.over()
			if r.count("REFER twilio") != 0 {
				t.Error("a REFER left all the same")
			}
		})
	}
}

func TestShutdownTellsWatsonBeforeItsBye(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	_, b := r.up()
	r.refer(b)
	now, cancel := context.WithCancel(t.Context())
	cancel()
	go r.engine.Drain(now) // ends with the call
	r.next(sipmsg.NOTIFY).answer(200, "")
	if why := r.over(); why != metrics.ReasonShutdown {
		t.Errorf("ended as %s", why)
	}
	if dump := r.dump(); strings.LastIndex(dump, "NOTIFY watson") > strings.Index(dump, "BYE watson") {
		t.Errorf("BYE overtook the NOTIFY:\n%s", dump)
	}
}

func TestWhatWaitsWhenACallEndsIsAnswered(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a, b := r.up()
	// All of it is in the mailbox before the call looks.
	release := make(chan struct{})
	for _, c := range r.engine.calls.all() {
		c.mail.put(func() { <-release })
	}
	waiting := []*incoming{r.request(b, "REFER", goodRefer, ""), r.request(b, "BYE", "", ""), r.request(a, "BYE", "", "")}
	for range 20 {
		waiting = append(waiting, r.request(b, "OPTIONS", "", ""))
	}
	close(release)
	for _, tx := range waiting {
		tx.final()
	}
	r.over()
	if strings.Contains(r.dump(), "mailbox full") {
		t.Error("an ended call counts as a full mailbox")
	}
}

func TestBothDialogsAreBuriedWithBothTags(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a, _ := r.up()
	r.request(a, "BYE", "", "")
	if why := r.over(); why != metrics.ReasonCallerHangup {
		t.Errorf("ended as %s", why)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.buried) != 2 || r.buried[0].RemoteTag != "t1" || r.buried[1].RemoteTag != "w1" {
		t.Errorf("buried %+v", r.buried)
	}
	if r.journal.Len() != 0 {
		t.Error("the record of an ended call stays")
	}
}

func TestNextTargetIsTriedOnlyWhenTheZoneIsIll(t *testing.T) {
	tests := []struct {
		name string
		fail func(*outgoing)
		next bool
		want int
	}{
		{"503", func(o *outgoing) { o.answer(503, "") }, true, 200},
		{"500", func(o *outgoing) { o.answer(500, "") }, true, 200},
		{"unreachable", func(o *outgoing) { o.sink(leg.TxEvent{Err: errors.New("connection refused")}) }, true, 200},
		{"busy", func(o *outgoing) { o.answer(486, "") }, false, 486},
		{"unknown number", func(o *outgoing) { o.answer(404, "") }, false, 404},
		{"our own credentials", func(o *outgoing) { o.answer(401, "") }, false, 502},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, "sips:one.example.net", "sips:two.example.net")
			r.wire.quiet = true
			a, tx := r.invite()
			tt.fail(r.next(sipmsg.INVITE))
			if tt.next {
				r.next(sipmsg.INVITE).answer(200, offerSDP)
			}
			if code := tx.final(); code != tt.want {
				t.Errorf("caller heard %d, want %d", code, tt.want)
			}
			if tt.next {
				r.ack(a, "")
				r.request(a, "BYE", "", "")
			}
			r.over()
		})
	}
}

// health is a Health that knows that the second is better, and notes what it is told.
type health struct{ told []string }

func (*health) Order() []int          { return []int{1, 0} }
func (h *health) Answered(target int) { h.told = append(h.told, fmt.Sprint("answered ", target)) }
func (h *health) Failed(target, code int, retry time.Duration, err error) {
	h.told = append(h.told, fmt.Sprint("failed ", target, " ", code, " ", retry, " ", err))
}

func TestHealthOrdersTheTargetsAndHearsOfThem(t *testing.T) {
	r := newRig(t, "sips:one.example.net", "sips:two.example.net")
	h := &health{}
	r.engine.rules.Load().deps.Health = h
	_, tx := r.invite()
	second := r.next(sipmsg.INVITE)
	if second.req.Recipient.Host != "two.example.net" && !strings.Contains(second.req.Recipient.String(), "two.example.net") {
		t.Errorf("the first is %s", second.req.Recipient.String())
	}
	second.answer(503, "", "Retry-After: 7 (soon);duration=3")
	r.next(sipmsg.INVITE).answer(404, "")
	if code := tx.final(); code != 404 {
		t.Errorf("caller heard %d", code)
	}
	r.over()
	if want := []string{"failed 1 503 7s <nil>", "answered 0"}; !slices.Equal(h.told, want) {
		t.Errorf("told %q", h.told)
	}
}

func TestEarlyAnswerOfATargetIsNotTakenForTheNext(t *testing.T) {
	r := newRig(t, "sips:one.example.net", "sips:two.example.net")
	r.wire.quiet = true
	_, tx := r.invite()
	one := r.next(sipmsg.INVITE)
	one.answer(183, moved("41000"))
	one.answer(503, "")
	r.next(sipmsg.INVITE).answer(200, "") // says nothing of media
	if code := tx.final(); code != 502 {
		t.Errorf("caller heard %d", code)
	}
	if why := r.over(); why != metrics.ReasonWatsonBadAnswer {
		t.Errorf("ended as %s", why)
	}
}

func TestOffersThatAreRefused(t *testing.T) {
	tests := []struct {
		name, headers, body string
		want                int
		warns               string // code of the Warning
	}{
		{"no SDP", "Content-Type: text/plain\n", "hello", 415, ""},
		{"packed SDP", "Content-Encoding: gzip\n", offerSDP, 415, ""},
		{"SDP as it is, which is said", "Content-Encoding: identity\n", offered("m=audio 40000", "m=audio 0"), 488, "304"},
		{"broken", "", "v=0\r\ngarbage", 400, "399"},
		{"only video", "", offered("m=audio 40000 RTP/AVP 0", "m=video 40000 RTP/AVP 96"), 488, "304"},
		{"audio that is off", "", offered("m=audio 40000", "m=audio 0"), 488, "304"},
		{"a codec that nobody explains", "", offered("RTP/AVP 0", "RTP/AVP 96"), 488, "305"},
		{"DTLS", "", offered("RTP/AVP", "UDP/TLS/RTP/SAVPF"), 488, "302"},
		{"SRTP without a key", "", offered("RTP/AVP", "RTP/SAVP"), 488, "306"},
		{"IPv6", "", strings.ReplaceAll(offerSDP, "IP4 127.0.0.1", "IP6 ::1"), 488, "301"},
		{"a host name", "", strings.ReplaceAll(offerSDP, "IP4 127.0.0.1", "IP4 pc.example.com"), 488, "301"},
		{"a port of the edge's own", "", offered("40000", ownPort), 488, "301"},
		{"reports to one", "", offerSDP + "a=rtcp:" + ownPort + "\r\n", 488, "301"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			a := &dialogue{callID: "a-1", from: "t1", peer: metrics.PeerTwilio}
			tx := r.request(a, "INVITE", tt.headers, r.filled(tt.body))
			if code := tx.final(); code != tt.want {
				t.Errorf("heard %d, want %d", code, tt.want)
			}
			if got, _, _ := strings.Cut(tx.warning, " "); got != tt.warns {
				t.Errorf("warned of %q, want %s", tx.warning, tt.warns)
			}
		})
	}
}

func TestReoffersThatAreRefused(t *testing.T) {
	tests := []struct{ name, body, warns string }{
		{"only video", offered("m=audio 40000 RTP/AVP 0", "m=video 40000 RTP/AVP 96"), "304"},
		{"DTLS", offered("RTP/AVP", "UDP/TLS/RTP/SAVPF"), "302"},
		{"IPv6", strings.ReplaceAll(offerSDP, "IP4 127.0.0.1", "IP6 ::1"), "301"},
		{"a port of the edge's own", offered("40000", ownPort), "301"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.wire.quiet = true
			a, _ := r.up()
			tx := r.request(a, "INVITE", "", r.filled(tt.body))
			if code := tx.final(); code != 488 {
				t.Errorf("heard %d", code)
			}
			if got, _, _ := strings.Cut(tx.warning, " "); got != tt.warns {
				t.Errorf("warned of %q, want %s", tx.warning, tt.warns)
			}
			r.request(a, "BYE", "", "")
			r.over()
			if r.count("INVITE watson") != 1 {
				t.Error("it reached Watson")
			}
		})
	}
}

// ownPort stands for a media port of the rig's edge.
const ownPort = "OWN"

func (r *rig) filled(body string) string {
	return strings.ReplaceAll(body, ownPort, fmt.Sprint(r.media.Ports.Max))
}

// offered is the offer with a part replaced.
func offered(part, by string) string { return strings.Replace(offerSDP, part, by, 1) }

func TestReofferReachesTheOtherLegAndItsAnswerComesBack(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a, _ := r.up()
	tx := r.request(a, "INVITE", "", moved("42000"))
	r.next(sipmsg.INVITE).answer(200, moved("43000"))
	if code := tx.final(); code != 200 {
		t.Errorf("heard %d", code)
	}
	r.ack(a, "")
	r.request(a, "BYE", "", "")
	r.over()
}

func TestReofferThatEndsBadlyLeavesBothLegsInOneSession(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a, _ := r.up()
	tx := r.request(a, "INVITE", "", moved("42000"))
	r.next(sipmsg.INVITE).answer(200, "garbage")
	if code := tx.final(); code != 488 {
		t.Errorf("heard %d", code)
	}
	r.next(sipmsg.INVITE).answer(200, offerSDP) // Watson is offered again what was before
	r.request(a, "BYE", "", "")
	r.over()
}

func TestWatsonsHoldIsNotPassedOnWhateverElseItChanges(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a, b := r.up()
	hold := strings.Replace(offerSDP, "sendrecv", "sendonly", 1)
	if code := r.request(b, "INVITE", "", hold).final(); code != 200 {
		t.Errorf("hold heard %d", code)
	}
	r.ack(b, "")
	if r.count("INVITE twilio") != 0 {
		t.Error("the hold reached Twilio")
	}
	r.request(b, "INVITE", "", strings.Replace(hold, "40000", "44000", 1))
	out := r.next(sipmsg.INVITE)
	if !strings.Contains(string(out.req.Body()), "a=sendrecv") {
		t.Errorf("Twilio is offered\n%s", out.req.Body())
	}
	out.answer(200, offerSDP)
	r.request(a, "BYE", "", "")
	r.over()
}

func TestReofferStillPassesAfterAnUnprovedTransfer(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a, b := r.up()
	r.request(b, "REFER", goodRefer, "").final()
	r.next(sipmsg.NOTIFY).answer(200, "")
	r.next(sipmsg.REFER).sink(leg.TxEvent{Err: errors.New("connection lost"), Sent: true})
	r.next(sipmsg.NOTIFY).answer(200, "") // 408
	tx := r.request(a, "INVITE", "", moved("42000"))
	r.next(sipmsg.INVITE).answer(200, offerSDP)
	if code := tx.final(); code != 200 {
		t.Errorf("heard %d", code)
	}
	r.ack(a, "")
	r.request(a, "BYE", "", "")
	if why := r.over(); why != metrics.ReasonTransferred { // a late proof
		t.Errorf("ended as %s", why)
	}
}

func TestMergedInviteIs482AndTooManyCallsAre503(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a, _ := r.up()
	again := *a
	again.to = ""
	if code := r.request(&again, "INVITE", "", offerSDP).final(); code != 482 {
		t.Errorf("merged request heard %d", code)
	}
	second := &dialogue{callID: "a-2", from: "t2", peer: metrics.PeerTwilio}
	r.request(second, "INVITE", "", offerSDP)
	r.next(sipmsg.INVITE)
	third := &dialogue{callID: "a-3", from: "t3", peer: metrics.PeerTwilio}
	if code := r.request(third, "INVITE", "", offerSDP).final(); code != 503 {
		t.Errorf("third call heard %d", code)
	}
	for _, c := range r.engine.calls.all() {
		c.mail.put(c.abandon)
	}
	<-r.ended
	<-r.ended
}

func TestRequestsOutsideADialog(t *testing.T) {
	for method, want := range map[string]int{
		"OPTIONS": 200, "BYE": 481, "NOTIFY": 481, "REFER": 403, "REGISTER": 405, "SUBSCRIBE": 405, "MESSAGE": 405,
	} {
		t.Run(method, func(t *testing.T) {
			r := newRig(t)
			d := &dialogue{callID: "x", from: "t1", peer: metrics.PeerTwilio}
			if code := r.request(d, method, "", "").final(); code != want {
				t.Errorf("heard %d, want %d", code, want)
			}
		})
	}
}

func TestOnlyTwilioCalls(t *testing.T) {
	r := newRig(t)
	d := &dialogue{callID: "x", from: "t1", peer: metrics.PeerWatson}
	if code := r.request(d, "INVITE", "", offerSDP).final(); code != 403 {
		t.Errorf("heard %d", code)
	}
}

func TestWrongTagsAre481AndTheCallGoesOn(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a, _ := r.up()
	for _, wrong := range []dialogue{
		{callID: a.callID, from: a.from, to: "nobody", peer: metrics.PeerTwilio, cseq: 50},
		{callID: a.callID, from: "nobody", to: a.to, peer: metrics.PeerTwilio, cseq: 50},
		{callID: "nobody", from: a.from, to: a.to, peer: metrics.PeerTwilio, cseq: 50},
	} {
		if code := r.request(&wrong, "BYE", "", "").final(); code != 481 {
			t.Errorf("%+v heard %d", wrong, code)
		}
	}
	if r.engine.Calls() != 1 {
		t.Error("the call is gone")
	}
	r.request(a, "BYE", "", "")
	r.over()
}

func TestRecordOfACallIsWrittenDownAndReadBack(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a, b := r.up()
	r.request(b, "INVITE", "", strings.Replace(offerSDP, "c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0", 1)).final()
	r.ack(b, "")
	r.refer(b)
	var want journal.Record
	done := make(chan struct{})
	for _, c := range r.engine.calls.all() {
		c.mail.put(func() {
			defer close(done)
			want = c.record()
		})
	}
	<-done
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := journal.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Legs) != 2 || got.Transfer == nil || !strings.Contains(got.Transfer.ReferTo, "=k>") {
		t.Errorf("record %+v", got)
	}
	if name := got.Legs[1].Dialog.LocalName; name != "Eve" {
		t.Errorf("the caller's name is %q in the record", name)
	}
	if held := string(got.Legs[1].Session.Remote); !strings.Contains(held, "0.0.0.0") {
		t.Errorf("the hold is not in the record: %q", held)
	}
	again, err := got.Encode()
	if err != nil || string(again) != string(data) {
		t.Errorf("read back and written again it differs:\n%s\n%s", data, again)
	}
	r.request(a, "BYE", "", "")
	r.next(sipmsg.NOTIFY).answer(200, "")
	r.over()
}

func TestPanicEndsItsOwnCallOnly(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	r.up()
	for _, c := range r.engine.calls.all() {
		c.mail.put(func() { panic("on purpose") })
	}
	if why := r.over(); why != metrics.ReasonInternal {
		t.Errorf("ended as %s", why)
	}
	if r.count("BYE twilio") != 1 || r.count("BYE watson") != 1 {
		t.Errorf("legs are left:\n%s", r.dump())
	}
}

func TestEveryEndOfALegHasItsReason(t *testing.T) {
	tests := []struct {
		name     string
		leg      metrics.Leg
		cause    leg.Cause
		answered bool
		want     metrics.Reason
	}{
		{"caller hangs up", metrics.LegA, leg.ByPeer, true, metrics.ReasonCallerHangup},
		{"caller hangs up early", metrics.LegA, leg.ByPeer, false, metrics.ReasonCancelled},
		{"caller cancels", metrics.LegA, leg.ByCancel, false, metrics.ReasonCancelled},
		{"caller's connection breaks early", metrics.LegA, leg.ByLoss, false, metrics.ReasonCallerLost},
		{"caller never acknowledges", metrics.LegA, leg.ByNoACK, true, metrics.ReasonCallerNoACK},
		{"Watson hangs up", metrics.LegB, leg.ByPeer, true, metrics.ReasonWatsonHangup},
		{"Watson hangs up early", metrics.LegB, leg.ByPeer, false, metrics.ReasonWatsonRejected},
		{"Watson never acknowledges", metrics.LegB, leg.ByNoACK, true, metrics.ReasonWatsonLost},
		{"Watson forgets the dialog", metrics.LegB, leg.ByLoss, true, metrics.ReasonWatsonLost},
		{"we end it and gave no reason", metrics.LegA, leg.ByUs, true, metrics.ReasonInternal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := reasonOf(tt.leg, tt.cause, tt.answered); got != tt.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestAnAttemptThatNeverCalledAnAgentIsCancelled(t *testing.T) {
	byInvite{call: &Call{}}.Cancel() // between the failure and its report: nothing to do, and nothing to fall over
}

func TestHangupTransferMayOvertakeTheCallersACK(t *testing.T) {
	r := newRig(t)
	a, tx := r.invite()
	out := r.next(sipmsg.INVITE)
	out.answer(200, offerSDP)
	if code := tx.final(); code != 200 {
		t.Fatalf("caller heard %d", code)
	}
	b := &dialogue{callID: out.req.CallID().Value(), from: "w1", to: dialog.FromTag(out.req), peer: metrics.PeerWatson, cseq: 10}
	if code := r.request(b, "BYE", "Transfer-Target: sip:queue@flex.twilio.com?X-Watson-Assistant-Session-History-Key=k\n", "").final(); code != 200 {
		t.Errorf("Watson heard %d", code)
	}
	r.next(sipmsg.REFER).answer(202, "")
	r.ack(a, "")
	r.notify(a, "refer", "200 OK")
	r.next(sipmsg.BYE).answer(200, "")
	if why := r.over(); why != metrics.ReasonTransferred {
		t.Errorf("ended because %s", why)
	}
}
