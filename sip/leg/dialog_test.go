package leg

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

func TestGlareIs491(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.leg.Reinvite([]byte("v=0\r\n"))
		b.request("INVITE", 2, "")
		b.wantSent("INVITE 1, 491 2")
		b.wantTold("")
	})
}

func TestOwnReinviteWhileThePeersWaitsIsRefusedWithoutSending(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.request("INVITE", 2, "")
		b.leg.Reinvite(nil)
		b.wantSent("")
		b.wantTold("Offered, OfferRejected")
	})
}

func TestSecondOfferBeforeTheFirstIsAnsweredIs500(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.request("INVITE", 2, "")
		b.request("INVITE", 3, "")
		b.wantSent("500 3")
	})
}

func TestAnsweredReinviteIsRepeatedUntilItsACK(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.request("INVITE", 2, "")
		b.leg.AnswerOffer([]byte("v=0\r\n"))
		b.run(600 * time.Millisecond)
		b.leg.OnACK(b.fromPeer("ACK", 2, ";tag=e1", "").req)
		b.run(time.Minute)
		b.wantSent("200 2, 200 2")
	})
}

func TestReinviteResults(t *testing.T) {
	tests := []struct {
		name string
		code int
		sent string
		told string
	}{
		{"taken: acknowledged with its own number", 200, "INVITE 1, ACK 1", "OfferAnswered"},
		{"refused: the session stays", 488, "INVITE 1", "OfferRejected"},
		{"glare at the peer", 491, "INVITE 1", "OfferRejected"},
		{"the peer lost the dialog", 481, "INVITE 1", "OfferRejected, Ended(loss)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.callerUp()
				b.leg.Reinvite([]byte("v=0\r\n"))
				b.txs[0].answer(tt.code)
				b.wantSent(tt.sent)
				b.wantTold(tt.told)
			})
		})
	}
}

func TestByeEndsAReinviteUnderWay(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.request("INVITE", 2, "")
		b.request("BYE", 3, "")
		b.wantSent("200 3, 487 2")
		b.wantTold("Offered, Ended(peer)")
	})
}

func TestRequestsOfADialog(t *testing.T) {
	tests := []struct {
		name   string
		method string
		cseq   int
		sent   string
		told   string
	}{
		{"OPTIONS is answered", "OPTIONS", 2, "200 2", ""},
		{"INFO is answered", "INFO", 2, "200 2", ""},
		{"UPDATE without SDP refreshes", "UPDATE", 2, "200 2", ""},
		{"a method that nobody knows is 405", "FROB", 2, "405 2", ""},
		{"a NOTIFY without REFER is 481", "NOTIFY", 2, "481 2", ""},
		{"a number used before is 500", "OPTIONS", 1, "500 1", ""},
		{"BYE ends", "BYE", 2, "200 2", "Ended(peer)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.callerUp()
				b.request(tt.method, tt.cseq, "")
				b.wantSent(tt.sent)
				b.wantTold(tt.told)
			})
		})
	}
}

func TestReferAndItsNotifies(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.leg.SendRefer("<sip:queue@flex.twilio.com?X-A=1>")
		refer := b.last()
		if got := refer.GetHeader("Refer-To").Value(); got != "<sip:queue@flex.twilio.com?X-A=1>" {
			t.Errorf("Refer-To %s", got)
		}
		b.txs[0].answer(202)
		b.request("NOTIFY", 1, "Event: refer\nSubscription-State: active;expires=60\n") // a low number: Twilio does that
		b.wantSent("REFER 1, 200 1")
		b.wantTold("ReferAnswered, Notified")
	})
}

func TestReferWithoutAnswerTellsWhetherItLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.leg.SendRefer("<sip:q@h>")
		b.txs[0].sink(TxEvent{Err: errors.New("no route"), Sent: false})
		if got := b.events[0].(ReferAnswered); got.Sent || got.Code != 0 {
			t.Errorf("told %#v", got)
		}
	})
}

func TestNotifiesOfASecondReferCarryItsNumber(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.request("REFER", 2, "Refer-To: <sip:q@h>\n")
		first := b.events[0].(Referred).Refer
		b.leg.AcceptRefer(first)
		b.leg.NotifyRefer(first, "active;expires=60", []byte("SIP/2.0 100 Trying\r\n"), func() {})
		if got := b.last().GetHeader("Event").Value(); got != "refer" {
			t.Errorf("first Event %q", got)
		}
		b.request("REFER", 3, "Refer-To: <sip:q@h>\n")
		second := b.events[1].(Referred).Refer
		b.leg.NotifyRefer(second, "active;expires=60", nil, func() {})
		if got := b.last().GetHeader("Event").Value(); got != "refer;id=3" {
			t.Errorf("second Event %q", got)
		}
	})
}

func TestNotifyOnADeadLegIsAnsweredAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.request("REFER", 2, "Refer-To: <sip:q@h>\n")
		b.request("BYE", 3, "")
		answered := false
		b.leg.NotifyRefer(b.events[0].(Referred).Refer, "terminated", nil, func() { answered = true })
		if !answered {
			t.Error("waits for an answer that can't come")
		}
	})
}

func TestLegIsWrittenDownAndGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.leg.SendRefer("<sip:q@h>")
		data, err := json.Marshal(b.leg.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		var s Snapshot
		if err := json.Unmarshal(data, &s); err != nil {
			t.Fatal(err)
		}
		b.leg = Restore(s, Config{}, b.deps())
		b.request("NOTIFY", 2, "")
		b.leg.Bye("")
		b.wantSent("REFER 1, 200 2, BYE 102")
		b.wantTold("Notified")
	})
}

func TestProofMayFollowTheBye(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.leg.SendRefer("<sip:q@h>")
		b.txs[0].answer(202)
		b.request("BYE", 2, "")
		b.request("NOTIFY", 3, "Event: refer\n")
		b.request("BYE", 4, "")
		b.request("INFO", 5, "")
		b.wantSent("REFER 1, 200 2, 200 3, 200 4, 481 5")
		b.wantTold("ReferAnswered, Ended(peer), Notified")
	})
}

func TestAByeIsSentOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.request("INVITE", 2, "")
		b.leg.AnswerOffer([]byte("v=0\r\n"))
		b.leg.Bye("")
		b.leg.OnACK(b.fromPeer("ACK", 2, ";tag=e1", "").req)
		b.run(40 * time.Second)
		if got := b.methods(); got[:len("200 2, BYE 1")] != "200 2, BYE 1" || len(b.txs) != 1 {
			t.Errorf("sent %s", got)
		}
	})
}

func TestCancelledReinviteIs487AndChangesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		tx := b.request("INVITE", 2, "")
		b.leg.OnCancel(tx)
		b.leg.AnswerOffer([]byte("v=0\r\n"))
		b.wantSent("487 2")
		b.wantTold("Offered, OfferCancelled")
		if b.leg.State() != Up {
			t.Errorf("leg is %s", b.leg.State())
		}
	})
}

func TestReinviteThatOnlyRingsIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.leg.Reinvite([]byte("v=0\r\n"))
		b.txs[0].answer(100)
		b.run(33 * time.Second)
		b.wantTold("OfferRejected")
		b.request("INVITE", 2, "")
		b.wantTold("OfferRejected, Offered")
	})
}

func TestNotifyNamesTheReferItIsAbout(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.leg.SendRefer("<sip:q@h>")
		b.leg.SendRefer("<sip:q@h>")
		b.request("NOTIFY", 2, "Event: refer;id=1\n")
		if got := b.events[0].(Notified); got.Event != "refer;id=1" || got.Refer != 2 {
			t.Errorf("told %+v", got)
		}
	})
}

func TestReferSentAnewHearsTheSame202(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.request("REFER", 2, "Refer-To: <sip:q@h>\nRefer-Sub: false\n")
		r := b.events[0].(Referred).Refer
		if !r.Quiet {
			t.Error("Refer-Sub: false is not heard")
		}
		b.leg.AcceptRefer(r)
		b.request("REFER", 2, "Refer-To: <sip:q@h>\nRefer-Sub: false\n")
		b.wantSent("202 2, 202 2")
		b.wantTold("Referred")
		if got := b.sent[1].msg.(*sipmsg.Response).GetHeader("Refer-Sub"); got == nil || got.Value() != "false" {
			t.Errorf("Refer-Sub %v", got)
		}
	})
}

func TestByeTellsItsHeaders(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.request("BYE", 2, "Transfer-Target: sip:queue@flex.twilio.com\n")
		ended := b.events[0].(Ended)
		if !slices.Contains(ended.Headers, [2]string{"Transfer-Target", "sip:queue@flex.twilio.com"}) {
			t.Errorf("told %v", ended.Headers)
		}
	})
}
