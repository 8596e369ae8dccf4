package b2bua

import (
	"net/netip"
	"strings"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
)

// lateCaller lets a caller call without an offer, and Watson answer.
func (r *rig) lateCaller(watson string) (a *dialogue, offered string) {
	r.t.Helper()
	a = &dialogue{callID: "a-1", from: "t1", peer: metrics.PeerTwilio}
	tx := r.request(a, "INVITE", "", "")
	a.to = "e1"
	out := r.next(sipmsg.INVITE)
	if !strings.Contains(string(out.req.Body()), "m=audio") {
		r.t.Fatalf("Watson is offered\n%s", out.req.Body())
	}
	out.answer(200, watson)
	if code := tx.final(); code != 200 {
		r.t.Fatalf("caller heard %d", code)
	}
	return a, string(tx.body)
}

// secured is an answer that Watson gives to an offer of the edge's own, which has keys.
func secured(codecs string) string {
	return "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/SAVP " + codecs +
		"\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:h77xBx3cFE4uhlQtSlBa4a8veOdxnbd6OBxy2bAy\r\na=sendrecv\r\n"
}

func TestCallerWithoutOfferIsOfferedWhatWatsonAgreedTo(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a, offered := r.lateCaller(secured("8"))
	if !strings.Contains(offered, "RTP/SAVP 8\r\n") || strings.Contains(offered, "h77x") {
		t.Errorf("offered\n%s", offered)
	}
	r.ack(a, secured("8"))
	if code := r.request(a, "BYE", "", "").final(); code != 200 {
		t.Errorf("BYE heard %d", code)
	}
	if why := r.over(); why != metrics.ReasonCallerHangup {
		t.Errorf("ended as %s", why)
	}
}

func TestAnACKOfSomebodyElseSaysNothing(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a, _ := r.lateCaller(secured("8"))
	r.engine.OnACK(r.build(a, "ACK", "", ""), metrics.PeerWatson, netip.MustParseAddr("192.0.2.9")) // its answer would end the call
	r.ack(a, secured("8"))
	if code := r.request(a, "BYE", "", "").final(); code != 200 {
		t.Errorf("BYE heard %d", code)
	}
	if why := r.over(); why != metrics.ReasonCallerHangup {
		t.Errorf("ended as %s", why)
	}
}

func TestAnswerInACKThatCantBeTakenEndsTheCall(t *testing.T) {
	for name, answer := range map[string]string{
		"none": "", "broken": "v=0\r\ngarbage", "plain for keys": offerSDP, "another codec": secured("18"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.wire.quiet = true
			a, _ := r.lateCaller(secured("0"))
			r.ack(a, answer)
			if why := r.over(); why != metrics.ReasonMediaRefused {
				t.Errorf("ended as %s", why)
			}
		})
	}
}

func TestWatsonIsBroughtToTheCodecThatTheCallerChose(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a, _ := r.lateCaller(secured("0 8"))
	r.ack(a, secured("8"))
	out := r.next(sipmsg.INVITE)
	if out.peer != metrics.PeerWatson || !strings.Contains(string(out.req.Body()), "RTP/SAVP 8\r\n") {
		t.Fatalf("%s is offered\n%s", out.peer, out.req.Body())
	}
	out.answer(200, secured("8"))
	r.request(a, "BYE", "", "").final()
	if why := r.over(); why != metrics.ReasonCallerHangup {
		t.Errorf("ended as %s", why)
	}
}

func TestEarlyMediaOfWatsonRingAtACallerWithoutOffer(t *testing.T) {
	r := newRig(t)
	r.wire.quiet = true
	a := &dialogue{callID: "a-1", from: "t1", peer: metrics.PeerTwilio}
	tx := r.request(a, "INVITE", "", "")
	a.to = "e1"
	out := r.next(sipmsg.INVITE)
	out.answer(183, secured("0"))
	if code := <-tx.got; code != 183 || tx.body != nil {
		t.Errorf("caller heard %d\n%s", code, tx.body)
	}
	out.answer(200, "") // it has said all
	if code := tx.final(); code != 200 || !strings.Contains(string(tx.body), "RTP/SAVP 0\r\n") {
		t.Errorf("caller heard %d\n%s", code, tx.body)
	}
	r.ack(a, secured("0"))
	r.request(a, "BYE", "", "").final()
	r.over()
}
