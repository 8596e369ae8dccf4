package leg

import (
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

func TestTwoHundredIsRepeatedFromT1ToT2AndEndsInBYE(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.caller()
		b.leg.Accept([]byte("v=0\r\n"))
		b.run(33 * time.Second)
		want := []time.Duration{0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500, 32000}
		if len(b.sent) != len(want) {
			t.Fatalf("sent %s", b.methods())
		}
		for i, s := range b.sent {
			if s.at != want[i]*time.Millisecond {
				t.Errorf("%s at %v, want %v", s, s.at, want[i]*time.Millisecond)
			}
		}
		if got := b.last(); got.Method != "BYE" {
			t.Errorf("last is %s", got.Method)
		}
		b.wantTold("Unacknowledged")
		b.txs[0].answer(200)
		b.wantTold("Unacknowledged, Ended(no_ack)")
	})
}

func TestACKStopsTheRepetition(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.caller()
		b.leg.Accept(nil)
		b.leg.OnACK(b.fromPeer("ACK", 1, ";tag=e1", "").req)
		b.run(40 * time.Second)
		b.wantSent("200 1")
		b.wantTold("Confirmed")
	})
}

func TestByeWaitsForTheACK(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.caller()
		b.leg.Accept(nil)
		b.leg.Bye("")
		b.wantSent("200 1")
		b.leg.OnACK(b.fromPeer("ACK", 1, ";tag=e1", "").req)
		b.wantSent("200 1, BYE 1")
		b.txs[0].answer(200)
		b.wantTold("Ended(us)")
	})
}

func TestPeersByeEndsALegWhoseOwnByeWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.caller()
		b.leg.Accept(nil)
		b.leg.Bye("")
		b.request("BYE", 2, "")
		b.wantSent("200 1, 200 2")
		b.wantTold("Ended(peer)")
		b.run(40 * time.Second)
		b.wantSent("200 1, 200 2")
	})
}

func TestCancelEndsAnUnansweredINVITE(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.caller()
		b.leg.Ring(180, "Ringing", nil)
		b.leg.OnCancel(tx)
		b.wantSent("180 1, 487 1")
		b.wantTold("Ended(cancel)")
	})
}

func TestCancelAfterTheAnswerHasNoEffect(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.caller()
		b.leg.Accept(nil)
		b.leg.OnCancel(tx)
		b.wantSent("200 1")
		b.wantTold("")
		b.leg.OnACK(b.fromPeer("ACK", 1, ";tag=e1", "").req)
	})
}

func TestLostConnectionEndsAnUnansweredINVITE(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.caller()
		b.leg.OnLost(tx)
		b.wantSent("487 1") // nobody hears it, but the transaction ends
		b.wantTold("Ended(loss)")
	})
}

func TestAnswerIsACKedAndItsRepetitionToo(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.callee()
		tx.answer(100)
		tx.answer(180)
		tx.answer(200)
		tx.answer(200)
		b.wantSent("INVITE 1, ACK 1, ACK 1")
		b.wantTold("Trying, Ringing, Connected")
	})
}

func TestSecondForkIsACKedAndEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.callee()
		tx.answer(200)
		tx.answer(200, toTag("w2"))
		b.wantSent("INVITE 1, ACK 1, ACK 1, BYE 2")
		if tag, _ := b.last().To().Params.Get("tag"); tag != "w2" {
			t.Errorf("BYE went to fork %q", tag)
		}
		b.wantTold("Connected")
		if b.leg.State() != Up {
			t.Errorf("leg is %s", b.leg.State())
		}
	})
}

func TestCancelThatCrossesTheAnswerIsFollowedByACKAndBYE(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.callee()
		tx.answer(180)
		b.leg.Cancel()
		if tx.cancelled != 1 {
			t.Fatal("no CANCEL")
		}
		tx.answer(200)
		b.wantSent("INVITE 1, ACK 1, BYE 2")
		b.txs[1].answer(200)
		b.wantTold("Ringing, Ended(us)")
	})
}

func TestCancelWaitsForAProvisional(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.callee()
		b.leg.Cancel() // given up, should it still wait for its connection
		tx.cancelled = 0
		tx.answer(100)
		if tx.cancelled != 1 {
			t.Fatal("no CANCEL after the 100")
		}
		tx.answer(487)
		b.wantTold("Ended(us)")
	})
}

func TestCancelledINVITEWithoutAnswerIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.callee()
		tx.answer(180)
		b.leg.Cancel()
		b.run(33 * time.Second)
		if !tx.forgotten {
			t.Error("transaction still kept")
		}
		b.wantTold("Ringing, Ended(us)")
	})
}

func TestRefusedINVITETellsItsCode(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callee().answer(503)
		if failed, ok := b.events[0].(Failed); !ok || failed.Code != 503 || b.leg.State() != Over {
			t.Errorf("told %#v", b.events[0])
		}
	})
}

func TestAnswerThatMakesNoDialogIsAFailureOfItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callee().answer(200, func(res *sipmsg.Response) { res.RemoveHeader("Contact") })
		if failed, ok := b.events[0].(Failed); !ok || !failed.Answered {
			t.Errorf("told %#v", b.events[0])
		}
	})
}
