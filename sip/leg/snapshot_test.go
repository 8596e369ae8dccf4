package leg

import (
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// rebuilt is the bench's leg as another process reads it.
func (b *bench) rebuilt() {
	b.leg.timer.stop() // with its process
	b.leg = Restore(b.leg.Snapshot(), Config{}, b.deps())
	b.sent = nil
}

func TestAnInviteOfADeadProcessIsCancelledByItsBranch(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.callee()
		tx.answer(100)
		branch := b.leg.Snapshot().InviteBranch
		b.rebuilt()
		b.leg.Abandon()
		b.wantSent("CANCEL 1")
		cancel := b.txs[1]
		if cancel.to.Branch != branch || branch == "" {
			t.Errorf("branch %q, the INVITE's was %q", cancel.to.Branch, branch)
		}
		if got, want := cancel.req.Recipient.String(), tx.req.Recipient.String(); got != want {
			t.Errorf("to %s, the INVITE went to %s", got, want)
		}
		if tag, tagged := cancel.req.To().Params.Get("tag"); tagged {
			t.Errorf("To tag %s", tag)
		}
		cancel.answer(481)
		if b.leg.State() != Over {
			t.Errorf("the leg is %s", b.leg.State())
		}
	})
}

func TestAForkThatHasRungIsEndedByBYEToo(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callee().answer(180, toTag("w1"))
		b.rebuilt()
		b.leg.Abandon()
		b.leg.Abandon() // once
		b.txs[1].answer(200)
		b.wantSent("CANCEL 1, BYE 102")
		if tag, _ := b.last().To().Params.Get("tag"); tag != "w1" {
			t.Errorf("To tag %q", tag)
		}
		b.txs[2].answer(481)
		b.wantTold("Ringing, Ended(us)")
	})
}

func TestAnInviteThatADeadProcessHasHeardIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.caller()
		b.leg.Ring(180, "Ringing", nil)
		if b.leg.Snapshot().Invite == nil {
			t.Error("the INVITE is not in the snapshot")
		}
		b.rebuilt()
		b.leg.Reopen(tx)
		b.leg.Reject(503, "Service Unavailable")
		b.wantSent("503 1")
		if b.leg.State() != Over || b.leg.Snapshot().Invite != nil {
			t.Errorf("the leg is %s, and has %s", b.leg.State(), b.leg.Snapshot().Invite)
		}
	})
}

func TestADialogIsAskedWhetherItStillStands(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.rebuilt()
		b.leg.AskAfter(time.Second)
		b.run(2 * time.Second)
		b.wantSent("OPTIONS 101")
		b.txs[0].answer(481)
		if b.leg.State() != Over {
			t.Errorf("the leg is %s", b.leg.State())
		}
	})
}

func TestAnEndThatWasNotToldIsToldAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.leg.Bye("")
		b.rebuilt()
		b.leg.Bye("")
		b.wantSent("BYE 102")
	})
}

func TestASessionTimerGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callee().answer(200, toTag("w1"), header("Session-Expires", "90;refresher=uac"), header("Allow", "UPDATE"))
		b.run(40 * time.Second)
		b.rebuilt()
		b.run(4 * time.Second)
		b.wantSent("")
		b.run(2 * time.Second) // half of the interval
		b.wantSent("UPDATE 102")
	})
}

func TestASessionThatRanOutMeanwhileIsLeftAMoment(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callee().answer(200, toTag("w1"), header("Session-Expires", "90;refresher=uas"))
		b.leg.timer.stop()
		b.run(10 * time.Minute) // nobody is here
		b.rebuilt()
		b.run(29 * time.Second)
		b.wantSent("")
		b.run(2 * time.Second)
		b.wantSent("BYE 102")
	})
}

func TestAnInviteIsKnownBeforeItIsSent(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.calleeWith(&Credentials{Hosts: dialled, Realm: "sip.twilio.com", Username: "edge", Password: "secret"}).challenge(401, "WWW-Authenticate", twilioChallenge)
		if len(b.invitings) != 2 || len(b.txs) != 2 {
			t.Fatalf("told %d times of %d", len(b.invitings), len(b.txs))
		}
		for i, told := range b.invitings {
			sent := b.txs[i]
			if told.before != i || told.State != Calling || told.InviteBranch != sent.to.Branch || told.InviteCSeq != sent.req.CSeq().SeqNo {
				t.Errorf("told %+v, sent by %q", told, sent.to.Branch)
			}
		}
	})
}

func TestAnAnswerToAReInviteOfADeadProcessIsAcknowledged(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callee().answer(200, toTag("w1"))
		b.leg.Reinvite([]byte("v=0\r\n"))
		invite, reinvite := b.txs[0], b.txs[1]
		b.rebuilt()
		b.events = nil
		answer := func(tx *clientTx, tag string) {
			res := sipmsg.NewResponseFromRequest(tx.req, 200, "OK", nil)
			res.RemoveHeader("To")
			res.AppendHeader(&sipmsg.ToHeader{Address: tx.req.To().Address, Params: sipmsg.HeaderParams{{K: "tag", V: tag}}})
			res.AppendHeader(sipmsg.NewHeader("Contact", "<sips:198.51.100.5:5061>"))
			b.leg.OnStray(res)
		}
		answer(reinvite, "w2") // of somebody else
		b.wantSent("")
		answer(reinvite, "w1")
		answer(reinvite, "w1") // again: the ACK was lost
		answer(invite, "w1")
		b.wantSent("ACK 2, ACK 2, ACK 1")
		b.wantTold("OfferTaken")
	})
}
