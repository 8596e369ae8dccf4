package leg

import (
	"errors"
	"testing"
	"time"
)

// asks is a caller's leg, up, that asks after ten silent minutes.
func asks(b *bench) {
	b.caller()
	b.leg.OptionsEvery = 10 * time.Minute
	b.leg.Accept([]byte("v=0\r\n"))
	b.leg.OnACK(b.fromPeer("ACK", 1, ";tag=e1", "").req)
	b.sent, b.events = nil, nil
}

func TestSilentDialogIsAskedWithOPTIONS(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		asks(b)
		b.run(9 * time.Minute)
		b.request("INFO", 2, "") // the silence begins anew
		b.run(9 * time.Minute)
		b.wantSent("200 2")
		b.run(2 * time.Minute)
		b.wantSent("200 2, OPTIONS 1")
		b.run(time.Hour) // not answered: no second one meanwhile
		b.wantSent("200 2, OPTIONS 1")
		b.txs[0].answer(200)
		b.run(11 * time.Minute)
		b.wantSent("200 2, OPTIONS 1, OPTIONS 2")
		b.txs[1].answer(200)
		b.leg.Bye("")
		b.txs[2].answer(200)
		b.run(time.Hour)
		b.wantSent("200 2, OPTIONS 1, OPTIONS 2, BYE 3")
		b.wantTold("Ended(us)")
	})
}

func TestOnlyA481ToOPTIONSEndsTheDialog(t *testing.T) {
	tests := []struct {
		name string
		code int // 0: no answer
		told string
		next string
	}{
		{"the peer lost the dialog", 481, "Ended(loss)", "OPTIONS 1"},
		{"no answer", 0, "", "OPTIONS 1, OPTIONS 2"},
		{"a timeout behind a proxy", 408, "", "OPTIONS 1, OPTIONS 2"},
		{"a peer that knows no OPTIONS", 405, "", "OPTIONS 1, OPTIONS 2"},
		{"a peer in trouble", 503, "", "OPTIONS 1, OPTIONS 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				asks(b)
				b.run(10*time.Minute + time.Second)
				if tt.code == 0 {
					b.txs[0].sink(TxEvent{Err: errors.New("no response in time"), Sent: true})
				} else {
					b.txs[0].answer(tt.code)
				}
				b.wantTold(tt.told)
				b.run(10 * time.Minute)
				b.wantSent(tt.next)
			})
		})
	}
}

func TestA481ToOPTIONSEndsAReinviteToo(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		asks(b)
		b.run(10*time.Minute + time.Second)
		b.leg.Reinvite(nil)
		b.txs[0].answer(481)
		b.wantTold("OfferRejected, Ended(loss)")
	})
}

func TestNoOPTIONSUnlessAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.callerUp()
		b.run(24 * time.Hour)
		b.wantSent("")
	})
}

func TestWatsonsLegIsAskedToo(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		tx := b.callee()
		b.leg.OptionsEvery = time.Minute
		tx.answer(200)
		b.run(61 * time.Second)
		b.wantSent("INVITE 1, ACK 1, OPTIONS 2")
	})
}
