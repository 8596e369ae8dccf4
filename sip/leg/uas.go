package leg

import (
	"slices"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"handoff/sip/dialog"
)

// NewUAS returns the leg of a received INVITE, in Calling. An error means that the INVITE can make
// no dialog; the transaction is still to be answered.
func NewUAS(cfg Config, deps Deps, tx ServerTx) (*Leg, error) {
	d, err := dialog.NewUAS(tx.Request(), tx.Tag(), cfg.Contact)
	if err != nil {
		return nil, err
	}
	cfg.returns(tx)
	l := &Leg{
		Config: cfg,
		deps:   deps,
		state:  Calling,
		dialog: d,
		flow:   tx.Flow(),
		invite: inviteRole{server: tx},
	}
	l.timer.learn(tx.Request())
	return l, nil
}

// Ring sends a provisional response; sdp may be nil.
func (l *Leg) Ring(code int, reason string, sdp []byte) {
	if l.state != Calling {
		return
	}
	l.send(l.invite.server, l.dialogResponse(l.invite.server, code, reason, sdp))
}

// Accept answers the initial INVITE with 200 and retransmits it until the ACK comes (RFC 6026,
// RFC 3261 §13.3.1.4).
func (l *Leg) Accept(sdp []byte) {
	if l.state != Calling {
		return
	}
	l.state = Answered
	res := l.dialogResponse(l.invite.server, 200, "OK", sdp)
	l.answerTimer(l.invite.server.Request(), res)
	l.sendTwoHundred(l.invite.server, res)
}

// Reject answers the initial INVITE finally. headers are added to the response, name by value.
func (l *Leg) Reject(code int, reason string, headers ...[2]string) {
	if l.state != Calling {
		return
	}
	res := l.invite.server.Response(code, reason)
	for _, h := range headers {
		res.AppendHeader(sipmsg.NewHeader(h[0], h[1]))
	}
	l.send(l.invite.server, res)
	l.over(ByUs)
}

// dialogResponse builds a response that makes or refreshes the dialog.
func (l *Leg) dialogResponse(tx ServerTx, code int, reason string, sdp []byte) *sipmsg.Response {
	res := tx.Response(code, reason)
	res.AppendHeader(sipmsg.NewHeader("Contact", l.dialog.Contact))
	res.AppendHeader(sipmsg.NewHeader("Allow", Allow))
	setSDP(res, sdp)
	return res
}

func (l *Leg) send(tx ServerTx, res *sipmsg.Response) {
	if err := tx.Respond(res); err != nil {
		l.log().Info("response not sent", zap.Int("code", res.StatusCode), zap.Error(err))
	}
}

// OnCancel takes the CANCEL of an INVITE, which the transport has answered. One that crossed our
// final answer has no effect (RFC 3261 §9.2).
func (l *Leg) OnCancel(tx ServerTx) {
	switch {
	case tx == l.invite.server && l.state == Calling:
		l.terminate(tx)
		l.over(ByCancel)
	case tx == l.offer.server:
		l.offer.server = nil
		l.terminate(tx)
		l.emit(OfferCancelled{})
	}
}

// OnLost says that the connection of an unanswered INVITE has closed and its sender is not found again. The
// answer reaches nobody, but lets the transaction end.
func (l *Leg) OnLost(tx ServerTx) {
	switch {
	case tx == l.invite.server && l.state == Calling:
		l.terminate(tx)
		l.over(ByLoss)
	case tx == l.offer.server: // the dialog lives on; the answer goes nowhere and is due all the same
	}
}

func (l *Leg) terminate(tx ServerTx) { l.send(tx, tx.Response(487, "Request Terminated")) }

// twoHundred is a 2xx of ours that waits for its ACK.
type twoHundred struct {
	cseq    uint32
	offered bool // it carries an offer, which the ACK answers
	stop    func()
}

// sendTwoHundred answers an INVITE and retransmits res at T1 doubling to T2, over every transport, until its ACK
// comes; it gives up after 64*T1.
func (l *Leg) sendTwoHundred(tx ServerTx, res *sipmsg.Response) {
	req := tx.Request()
	w := &twoHundred{cseq: req.CSeq().SeqNo, offered: len(req.Body()) == 0 && len(res.Body()) > 0}
	l.waiting = append(l.waiting, w)
	l.send(tx, res)
	l.retransmit(w, tx, res, T1, transactionTime)
}

func (l *Leg) retransmit(w *twoHundred, tx ServerTx, res *sipmsg.Response, interval, left time.Duration) {
	if left <= 0 {
		l.onNoACK(w)
		return
	}
	wait := min(interval, left)
	w.stop = l.deps.After(wait, func() {
		if left > wait {
			l.send(tx, res)
		}
		l.retransmit(w, tx, res, min(2*interval, T2), left-wait)
	})
}

// onNoACK ends a dialog whose 2xx was never acknowledged (RFC 3261 §13.3.1.4).
func (l *Leg) onNoACK(w *twoHundred) {
	l.forgetWaiting(w)
	if l.state == Over || l.byeSent {
		return
	}
	l.sendBYE(ByNoACK)
	l.emit(Unacknowledged{})
}

// OnACK takes an ACK of the dialog.
func (l *Leg) OnACK(req *sipmsg.Request) {
	for _, w := range l.waiting {
		if w.cseq == req.CSeq().SeqNo {
			w.stop()
			l.forgetWaiting(w)
			l.onConfirmed()
			if w.offered && l.state == Up {
				sdp, _ := SDP(req) // what is no SDP is no answer
				l.emit(AnsweredInACK{SDP: sdp})
			}
			return
		}
	}
}

func (l *Leg) onConfirmed() {
	switch l.state {
	case Answered:
		l.state, l.invite.server = Up, nil // a call may last for hours, and the INVITE is not needed any more
		l.keepAlive()
		l.emit(Confirmed{})
	case Leaving: // a BYE waited for this ACK
		if len(l.waiting) == 0 {
			l.sendBYE(ByUs)
		}
	}
}

func (l *Leg) forgetWaiting(gone *twoHundred) {
	l.waiting = slices.DeleteFunc(l.waiting, func(w *twoHundred) bool { return w == gone })
}
