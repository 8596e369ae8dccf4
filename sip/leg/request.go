package leg

import (
	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/sip/dialog"
)

// Allow lists the methods that a leg takes.
const Allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY, INFO, UPDATE"

// Matches tells whether a request belongs to the leg's dialog, or to one of its early ones: Call-ID and
// both tags.
func (l *Leg) Matches(req *sipmsg.Request) bool {
	return l.dialog.Matches(req) || l.state == Calling && l.earlyDialog(req) != nil
}

// OnRequest takes a request of the dialog.
func (l *Leg) OnRequest(tx ServerTx) {
	req := tx.Request()
	l.returns(tx)
	l.touch()
	if l.state == Over {
		l.onLate(tx)
		return
	}
	if l.acceptedBefore(tx) {
		return
	}
	if early := l.earlyDialog(req); early != nil && l.state == Calling {
		l.dialog = early
	}
	if err := l.dialog.Receive(req); err != nil {
		l.log().Info("request out of order", zap.Error(err))
		l.refuse(tx, metrics.RejectCSeq, 500, "CSeq Out Of Order")
		return
	}
	if l.dialog.Role == dialog.UAS {
		l.keepFlow(tx.Flow()) // what we dialled and verified ourselves is not left for what came in
	}
	switch req.Method {
	case sipmsg.BYE:
		l.onBYE(tx)
	case sipmsg.NOTIFY:
		l.onNOTIFY(tx)
	case sipmsg.INVITE:
		l.onSessionRequest(tx, l.onOffer)
	case sipmsg.UPDATE:
		l.onSessionRequest(tx, l.onUPDATE)
	case sipmsg.REFER:
		l.onSessionRequest(tx, l.onREFER)
	case sipmsg.OPTIONS, sipmsg.INFO:
		res := tx.Response(200, "OK")
		res.AppendHeader(sipmsg.NewHeader("Allow", Allow))
		l.send(tx, res)
	default:
		l.refuse(tx, metrics.RejectMethod, 405, "Method Not Allowed", [2]string{"Allow", Allow})
	}
}

// onSessionRequest refuses what would change a dialog that is ending.
func (l *Leg) onSessionRequest(tx ServerTx, handle func(ServerTx)) {
	if l.state == Leaving || l.state == Cancelling {
		l.refuse(tx, metrics.RejectDialog, 481, "Call/Transaction Does Not Exist")
		return
	}
	handle(tx)
}

// onLate answers what comes behind the end. A NOTIFY still counts: the proof of a transfer may
// follow the BYE.
func (l *Leg) onLate(tx ServerTx) {
	switch {
	case tx.Request().Method == sipmsg.NOTIFY && l.refers.sent != 0:
		l.onNOTIFY(tx)
	case tx.Request().Method == sipmsg.BYE:
		l.deps.Refused(metrics.RejectLate)
		l.send(tx, tx.Response(200, "OK"))
	default:
		l.refuse(tx, metrics.RejectLate, 481, "Call/Transaction Does Not Exist")
	}
}

func (l *Leg) onUPDATE(tx ServerTx) {
	if len(tx.Request().Body()) > 0 {
		l.onOffer(tx)
		return
	}
	if l.refusedAsBrief(tx) {
		return
	}
	res := l.dialogResponse(tx, 200, "OK", nil)
	l.answerTimer(tx.Request(), res)
	l.send(tx, res)
}

// refuse turns a request away and counts it. headers are added, name by value.
func (l *Leg) refuse(tx ServerTx, why metrics.Reject, code int, reason string, headers ...[2]string) {
	l.deps.Refused(why)
	res := tx.Response(code, reason)
	for _, h := range headers {
		res.AppendHeader(sipmsg.NewHeader(h[0], h[1]))
	}
	l.send(tx, res)
}
