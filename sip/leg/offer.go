package leg

import (
	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
	"handoff/sip/dialog"
)

// offerState is the one re-INVITE (or UPDATE) that may be under way in a dialog, in either
// direction (RFC 3261 §14, RFC 3264 §4).
type offerState struct {
	server ServerTx // the peer's, waiting for our answer
	cseq   uint32   // ours, waiting for the peer's; 0 is none
}

// Reinvite offers a new session to the peer. OfferAnswered or OfferRejected follows.
func (l *Leg) Reinvite(sdp []byte) {
	if l.state != Up || l.offer.cseq != 0 || l.offer.server != nil {
		l.emit(OfferRejected{Code: 491})
		return
	}
	req := l.dialog.Request(sipmsg.INVITE)
	req.AppendHeader(sipmsg.NewHeader("Allow", Allow))
	l.announce(req)
	setSDP(req, sdp)
	l.authorizeAhead(req)
	l.sendReinvite(req, 0)
}

func (l *Leg) sendReinvite(req *sipmsg.Request, tries int) {
	cseq := req.CSeq().SeqNo
	l.offer.cseq = cseq
	tx := l.deps.Wire.Send(req, l.destination(), func(ev TxEvent) {
		l.keepFlow(ev.Flow)
		if l.offer.cseq == cseq && (l.challenged(req, ev, tries, func(next *sipmsg.Request) { l.sendReinvite(next, tries+1) }) ||
			l.longer(req, ev.Response, func(next *sipmsg.Request) { l.sendReinvite(next, tries) })) {
			return
		}
		l.onReinviteResult(req, ev)
	})
	l.deps.After(transactionTime, func() { // a 1xx has stopped the transaction's own timer
		if l.offer.cseq == cseq {
			tx.Terminate()
			l.onReinviteResult(req, TxEvent{})
		}
	})
}

func (l *Leg) onReinviteResult(req *sipmsg.Request, ev TxEvent) {
	res, cseq := ev.Response, req.CSeq().SeqNo
	if res != nil && res.IsProvisional() {
		return
	}
	if res != nil && res.IsSuccess() { // also each retransmission of it
		l.dialog.Refresh(res)
		l.deps.Wire.SendACK(l.ackFor(cseq, credentialsOf(req)), l.destination())
	}
	if l.offer.cseq != cseq {
		return
	}
	l.offer.cseq = 0
	if res != nil && res.IsSuccess() {
		l.takeTimer(res)
	} else {
		l.refreshLater()
	}
	switch {
	case res == nil:
		// Deviation: RFC 3261 §12.2.1.2 would end the dialog; a caller who is heard is not hung up on.
		l.emit(OfferRejected{Code: 408})
	case res.IsSuccess():
		l.emit(OfferAnswered{SDP: answer(res)})
	case res.StatusCode == 481: // the peer no longer knows the dialog (RFC 3261 §12.2.1.2)
		l.emit(OfferRejected{Code: res.StatusCode})
		l.over(ByLoss)
	default:
		l.emit(OfferRejected{Code: res.StatusCode})
	}
}

// OnStray takes a 2xx to an INVITE of this dialog that no transaction knows: the process that sent it has died, or the answer
// comes too late. Without its ACK the peer would end the dialog (RFC 3261 §14.2).
func (l *Leg) OnStray(res *sipmsg.Response) {
	cseq := res.CSeq().SeqNo
	if l.state != Up || dialog.ToTag(res) != l.dialog.RemoteTag || dialog.FromTag(res) != l.dialog.LocalTag || cseq > l.dialog.LocalCSeq {
		return
	}
	l.touch()
	l.deps.Wire.SendACK(l.ackFor(cseq, nil), l.destination())
	if cseq != l.invite.cseq && cseq != l.stray {
		l.stray = cseq
		l.dialog.Refresh(res)
		l.emit(OfferTaken{})
	}
}

// failOffer ends a re-INVITE under way when the dialog ends.
func (l *Leg) failOffer() {
	if tx := l.offer.server; tx != nil {
		l.offer.server = nil
		l.terminate(tx)
	}
	if l.offer.cseq != 0 {
		l.offer.cseq = 0
		l.emit(OfferRejected{Code: 487})
	}
}

// onOffer takes a re-INVITE, or an UPDATE that carries an offer.
func (l *Leg) onOffer(tx ServerTx) {
	switch {
	case l.offer.cseq != 0: // glare (RFC 3261 §14.2)
		l.refuse(tx, metrics.RejectGlare, 491, "Request Pending")
		return
	case l.offer.server != nil, l.state == Calling && !l.agreedEarly(), l.state == Answered:
		// One at a time (RFC 3261 §14.2); before the ACK, or a PRACK, the first offer/answer is not over.
		l.refuse(tx, metrics.RejectGlare, 500, "Server Internal Error", [2]string{"Retry-After", "1"})
		return
	}
	if l.refusedAsBrief(tx) {
		return
	}
	sdp, err := SDP(tx.Request())
	if err != nil {
		l.refuse(tx, metrics.RejectMalformed, 415, "Unsupported Media Type", [2]string{"Accept", contentSDP})
		return
	}
	l.offer.server = tx
	l.emit(Offered{SDP: sdp})
}

// AnswerOffer accepts the peer's re-INVITE or UPDATE.
func (l *Leg) AnswerOffer(sdp []byte) {
	tx := l.offer.server
	if tx == nil {
		return
	}
	l.offer.server = nil
	res := l.dialogResponse(tx, 200, "OK", sdp)
	l.answerTimer(tx.Request(), res)
	if tx.Request().Method == sipmsg.INVITE {
		l.sendTwoHundred(tx, res)
		return
	}
	l.send(tx, res)
}

// RejectOffer refuses it; the session stays as it was.
func (l *Leg) RejectOffer(code int, reason string, headers ...[2]string) {
	tx := l.offer.server
	if tx == nil {
		return
	}
	l.offer.server = nil
	res := tx.Response(code, reason)
	for _, h := range headers {
		res.AppendHeader(sipmsg.NewHeader(h[0], h[1]))
	}
	l.send(tx, res)
}
