package leg

import (
	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/sip/dialog"
)

// Bye ends the dialog. reason is a Reason header value, or "". A UAS whose 2xx has no ACK yet waits
// for it first (RFC 3261 §15).
func (l *Leg) Bye(reason string) {
	if !l.Alive() {
		return
	}
	l.byeText = reason
	if l.state == Answered {
		l.state = Leaving
		return
	}
	l.sendBYE(ByUs)
}

// sendBYE sends BYE; the leg is over when it is answered or given up.
func (l *Leg) sendBYE(cause Cause) {
	if l.byeSent {
		return
	}
	l.state, l.byeSent = Leaving, true
	l.timer.stop()
	l.failOffer()
	bye := l.dialog.Request(sipmsg.BYE)
	if l.byeText != "" {
		bye.AppendHeader(sipmsg.NewHeader("Reason", l.byeText))
	}
	l.request(bye, func(TxEvent) { l.over(cause) })
}

// onBYE takes the peer's BYE: always 200, and requests of the peer that still wait are answered
// 487 (RFC 3261 §15.1.2).
func (l *Leg) onBYE(tx ServerTx) {
	headers := dialog.Headers(tx.Request())
	l.send(tx, tx.Response(200, "OK"))
	if l.state == Calling && l.invite.server != nil {
		l.terminate(l.invite.server)
	}
	l.failOffer()
	if l.byeSent {
		return // crossed ours; the answer to our BYE ends the leg
	}
	l.overBy(ByPeer, headers)
}

// Drop sends the BYE that still waits for an ACK: nobody will be there to send it later.
func (l *Leg) Drop() {
	if l.state == Leaving {
		l.sendBYE(ByUs)
	}
}
