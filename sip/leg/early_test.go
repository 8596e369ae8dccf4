package leg

import (
	"fmt"
	"testing"

	sipmsg "github.com/emiago/sipgo/sip"
)

// header adds one to a response.
func header(name, value string) func(*sipmsg.Response) {
	return func(res *sipmsg.Response) { res.AppendHeader(sipmsg.NewHeader(name, value)) }
}

func withSDP(text string) func(*sipmsg.Response) {
	return func(res *sipmsg.Response) { setSDP(res, []byte(text)) }
}

// reliably makes a provisional response one that wants PRACK.
func reliably(rseq int) func(*sipmsg.Response) {
	return func(res *sipmsg.Response) {
		res.AppendHeader(sipmsg.NewHeader("Require", "100rel"))
		res.AppendHeader(sipmsg.NewHeader("RSeq", fmt.Sprint(rseq)))
	}
}

func TestReliableResponseIsAcknowledgedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.callee()
		tx.answer(180, reliably(7))
		tx.answer(180, reliably(7)) // a copy: our PRACK is not there yet
		b.wantSent("INVITE 1, PRACK 2")
		if rack := b.last().GetHeader("RAck").Value(); rack != "7 1 INVITE" {
			t.Errorf("RAck %q", rack)
		}
		if tag, _ := b.last().To().Params.Get("tag"); tag != "w1" || b.last().Recipient.String() != "sips:198.51.100.5:5061" {
			t.Errorf("PRACK went to %s, tag %q", b.last().Recipient.String(), tag)
		}
		tx.answer(183, reliably(9), withSDP("early")) // out of order: 8 is missing
		tx.answer(183, reliably(8), withSDP("early"))
		tx.answer(200)
		b.wantSent("INVITE 1, PRACK 2, PRACK 3, ACK 1")
		b.wantTold("Ringing, EarlyMedia, Connected")
	})
}

func TestEachForkCountsForItself(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.callee()
		tx.answer(183, toTag("w1"), reliably(5), withSDP("first"))
		tx.answer(183, toTag("w2"), reliably(40), withSDP("second"))
		tx.answer(180, toTag("w1"), reliably(6))
		b.wantSent("INVITE 1, PRACK 2, PRACK 2, PRACK 3")
		tx.answer(200, toTag("w1"))
		b.leg.Bye("")
		b.wantSent("INVITE 1, PRACK 2, PRACK 2, PRACK 3, ACK 1, BYE 4")
		if got := string(b.events[3].(Connected).SDP); got != "first" {
			t.Errorf("connected with %q, the fork that answered had said %q", got, "first")
		}
	})
}

func TestAnswerIsToldOnceWhenTheForkThatAnsweredWasHeardLast(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.callee()
		tx.answer(183, withSDP("early"))
		tx.answer(200)
		if sdp := b.events[1].(Connected).SDP; sdp != nil {
			t.Errorf("connected with %q", sdp)
		}
	})
}

func TestRequestOfAForkBelongsToTheLegUntilAnotherAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.callee()
		tx.answer(180, toTag("w1"))
		tx.answer(180, toTag("w2"))
		info := func(cseq int, tag string) *serverTx {
			in := b.fromPeer("INFO", cseq, ";tag=e1", "")
			*in.req.CallID() = "b-1"
			in.req.From().Params = sipmsg.HeaderParams{{K: "tag", V: tag}}
			return in
		}
		for _, tag := range []string{"w1", "w2", "w1"} {
			in := info(5, tag)
			if !b.leg.Matches(in.req) {
				t.Fatalf("INFO of fork %s is nobody's", tag)
			}
		}
		b.leg.OnRequest(info(5, "w1"))
		b.leg.OnRequest(info(5, "w2")) // its own count
		b.leg.OnRequest(info(5, "w1")) // the same number again
		b.wantSent("INVITE 1, 200 5, 200 5, 500 5")
		tx.answer(200, toTag("w2"))
		if b.leg.Matches(info(6, "w1").req) {
			t.Error("a fork that did not answer still has a dialog")
		}
	})
}

func TestForksBeyondTheBoundRingAndAreNotRemembered(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.callee()
		for i := range 50 {
			tx.answer(180, toTag(fmt.Sprint("f", i)), reliably(1))
		}
		if n := len(b.leg.invite.forks); n != maxForks || len(b.sent) != 1+maxForks {
			t.Errorf("%d forks, sent %s", n, b.methods())
		}
		tx.answer(200, toTag("f49")) // it may answer all the same
		if b.leg.State() != Up {
			t.Errorf("leg is %s", b.leg.State())
		}
	})
}

func TestForkThatAnswersSecondHearsOneBye(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.callee()
		tx.answer(200)
		for range 3 { // its 200 comes again until the ACK is there
			tx.answer(200, toTag("w2"))
		}
		b.wantSent("INVITE 1, ACK 1, ACK 1, BYE 2, ACK 1, ACK 1")
	})
}

func TestEarlyUPDATEWaitsForPRACK(t *testing.T) {
	for reliable, want := range map[bool]string{false: "", true: "Offered"} {
		t.Run(fmt.Sprint(reliable), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				tx := b.callee()
				edit := []func(*sipmsg.Response){withSDP("early")}
				if reliable {
					edit = append(edit, reliably(1))
				}
				tx.answer(183, edit...)
				b.events = nil
				update := b.fromPeer("UPDATE", 5, ";tag=e1", "Content-Type: application/sdp\n")
				*update.req.CallID() = "b-1"
				update.req.From().Params = sipmsg.HeaderParams{{K: "tag", V: "w1"}}
				update.req.SetBody([]byte("v=0\r\n"))
				b.leg.OnRequest(update)
				b.wantTold(want)
				if !reliable && update.got[0] != 500 {
					t.Errorf("heard %v", update.got)
				}
			})
		})
	}
}
