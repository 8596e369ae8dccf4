package leg

import (
	"fmt"
	"strconv"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
	"handoff/sip/dialog"
)

// referState holds the subscriptions that REFER makes, in both roles.
type referState struct {
	received int    // REFERs of the peer: from the second on their NOTIFYs carry an id (RFC 3515 §2.4.6)
	accepted uint32 // number of the last that was accepted: the same again hears the same
	sent     uint32 // number of our last REFER, 0 for none: NOTIFYs are expected
}

// Refer is a REFER of the peer that waits for our answer.
type Refer struct {
	// ReferTo holds all Refer-To values as written; exactly one is legal (RFC 3515 §2.4.2).
	ReferTo []string
	// Headers are all headers of the request, name by value, in order.
	Headers [][2]string
	// Quiet says that the peer wants no NOTIFYs: Refer-Sub: false (RFC 4488).
	Quiet bool

	tx    ServerTx
	event string
}

// Accepted returns a REFER that was answered before, by another process perhaps: NOTIFYs are owed, and no answer.
func Accepted(event string) *Refer { return &Refer{event: event} }

// Event is the Event value of the NOTIFYs that are owed.
func (r *Refer) Event() string { return r.event }

func (l *Leg) onREFER(tx ServerTx) {
	l.refers.received++
	req := tx.Request()
	r := &Refer{
		ReferTo: dialog.Values(req, "Refer-To"),
		Headers: dialog.Headers(req),
		Quiet:   strings.EqualFold(strings.TrimSpace(dialog.Value(req, "Refer-Sub")), "false"),
		tx:      tx,
		event:   "refer",
	}
	if l.refers.received > 1 {
		r.event = "refer;id=" + strconv.FormatUint(uint64(tx.Request().CSeq().SeqNo), 10)
	}
	l.emit(Referred{Refer: r})
}

// AcceptRefer answers 202; NOTIFYs are then owed, unless the REFER is quiet.
func (l *Leg) AcceptRefer(r *Refer) {
	l.refers.accepted = r.tx.Request().CSeq().SeqNo
	l.send(r.tx, l.accepted(r.tx, r.Quiet))
}

func (l *Leg) accepted(tx ServerTx, quiet bool) *sipmsg.Response {
	res := l.dialogResponse(tx, 202, "Accepted", nil)
	if quiet {
		res.AppendHeader(sipmsg.NewHeader("Refer-Sub", "false"))
	}
	return res
}

// acceptedBefore answers a REFER that is sent anew, with the number of the one that was accepted:
// the same 202, and no second transfer.
func (l *Leg) acceptedBefore(tx ServerTx) bool {
	req := tx.Request()
	if req.Method != sipmsg.REFER || l.refers.accepted == 0 || req.CSeq().SeqNo != l.refers.accepted {
		return false
	}
	l.send(tx, l.accepted(tx, strings.EqualFold(dialog.Value(req, "Refer-Sub"), "false")))
	return true
}

// RejectRefer answers finally; no subscription is made.
func (l *Leg) RejectRefer(r *Refer, code int, reason string) {
	l.send(r.tx, r.tx.Response(code, reason))
}

// NotifyRefer tells the peer how its REFER goes. body is a message/sipfrag; state a
// Subscription-State value. answered is called once, when the peer has answered or never will.
func (l *Leg) NotifyRefer(r *Refer, state string, body []byte, answered func()) {
	if !l.Alive() {
		answered()
		return
	}
	req := l.dialog.Request(sipmsg.NOTIFY)
	req.AppendHeader(sipmsg.NewHeader("Event", r.event))
	req.AppendHeader(sipmsg.NewHeader("Subscription-State", state))
	req.AppendHeader(sipmsg.NewHeader("Content-Type", "message/sipfrag;version=2.0"))
	req.SetBody(body)
	l.request(req, func(TxEvent) { answered() })
}

// SendRefer asks the peer to refer. ReferAnswered follows, and Notified for each NOTIFY, which may
// come before it.
func (l *Leg) SendRefer(referTo string) {
	if !l.Alive() {
		l.emit(ReferAnswered{Err: fmt.Errorf("leg %s is %s", l.Name, l.state)})
		return
	}
	req := l.dialog.Request(sipmsg.REFER)
	l.refers.sent = req.CSeq().SeqNo
	req.AppendHeader(sipmsg.NewHeader("Refer-To", referTo))
	req.AppendHeader(sipmsg.NewHeader("Referred-By", "<"+l.dialog.LocalURI+">"))
	l.request(req, func(ev TxEvent) {
		if ev.Response != nil {
			// A 481 says that the dialog is gone (RFC 3261 §12.2.1.2): ignored on purpose. The caller
			// stays with Watson for as long as either says nothing else.
			l.dialog.Refresh(ev.Response)
			l.emit(ReferAnswered{Code: ev.Response.StatusCode, Sent: true})
			return
		}
		l.emit(ReferAnswered{Sent: ev.Sent, Err: ev.Err})
	})
}

// onNOTIFY answers at once and passes on what belongs to our REFER.
func (l *Leg) onNOTIFY(tx ServerTx) {
	req := tx.Request()
	if l.refers.sent == 0 {
		l.refuse(tx, metrics.RejectDialog, 481, "Subscription Does Not Exist")
		return
	}
	l.send(tx, tx.Response(200, "OK"))
	l.emit(Notified{
		Received:          tx.Received(),
		Event:             dialog.Value(req, "Event"),
		Refer:             l.refers.sent,
		SubscriptionState: dialog.Value(req, "Subscription-State"),
		ContentType:       dialog.Value(req, "Content-Type"),
		Body:              req.Body(),
	})
}
