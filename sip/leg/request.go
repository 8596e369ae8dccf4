package leg

import (
	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/sip/dialog"
)

// Allow lists the methods that a leg takes.
const Allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY, INFO, UPDATE"

// Matches tells whether a request belongs to the leg's dialog: Call-ID and both tags.
func (l *Leg) Matches(req *sipmsg.Request) bool { return l.dialog.Matches(req) }

// OnRequest takes a request of the dialog. The error says that it was refused for its number.
func (l *Leg) OnRequest(tx ServerTx) error {
	req := tx.Request()
	if l.state == Over {
		l.send(tx, tx.Response(481, "Call/Transaction Does Not Exist"))
		return nil
	}
	if err := l.dialog.Receive(req); err != nil {
		l.send(tx, tx.Response(500, "CSeq Out Of Order"))
		return err
	}
	l.keepFlow(tx.Flow())
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
		res := tx.Response(405, "Method Not Allowed")
		res.AppendHeader(sipmsg.NewHeader("Allow", Allow))
		l.send(tx, res)
	}
	return nil
}

// onSessionRequest refuses what would change a dialog that is ending.
func (l *Leg) onSessionRequest(tx ServerTx, handle func(ServerTx)) {
	if l.state == Leaving || l.state == Cancelling {
		l.send(tx, tx.Response(481, "Call/Transaction Does Not Exist"))
		return
	}
	handle(tx)
}

func (l *Leg) onUPDATE(tx ServerTx) {
	if len(tx.Request().Body()) == 0 {
		l.send(tx, l.dialogResponse(tx, 200, "OK", nil))
		return
	}
	l.onOffer(tx)
}

// OnACK takes an ACK of the dialog.
func (l *Leg) OnACK(req *sipmsg.Request) { l.onACK(req) }

// OnCancel takes the CANCEL of the initial INVITE, which the transport has answered.
func (l *Leg) OnCancel() { l.onCancelled() }

// OnLost says that the connection of the unanswered INVITE has closed.
func (l *Leg) OnLost() { l.onLost() }

// ErrCSeq is returned by OnRequest for a request out of order.
var ErrCSeq = dialog.ErrCSeq
