package leg

import (
	"strconv"
	"strings"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"handoff/sip/dialog"
)

// Invitation is what a UAC leg sends.
type Invitation struct {
	CallID, LocalTag string
	// From is our addr-spec, Target both To and Request-URI.
	From, Target string
	// MaxForwards goes on counting down from the other leg's INVITE, so that a call that comes back
	// to us ends.
	MaxForwards uint32
	// Headers cross from the other leg, name by value, as the header policy chose them.
	Headers [][2]string
	SDP     []byte
}

// NewUAC returns a leg that has not been sent yet, in Idle.
func NewUAC(cfg Config, deps Deps, inv Invitation) *Leg {
	return &Leg{
		Config: cfg,
		deps:   deps,
		state:  Idle,
		dialog: dialog.NewUAC(inv.CallID, inv.LocalTag, inv.From, inv.Target, cfg.Contact),
	}
}

// Invite sends the INVITE.
func (l *Leg) Invite(inv Invitation) {
	req := l.dialog.Request(sipmsg.INVITE)
	*req.MaxForwards() = sipmsg.MaxForwardsHeader(inv.MaxForwards)
	req.AppendHeader(sipmsg.NewHeader("Allow", Allow))
	for _, h := range inv.Headers {
		req.AppendHeader(sipmsg.NewHeader(h[0], h[1]))
	}
	setSDP(req, inv.SDP)
	l.state = Calling
	l.sendInvite(req, 0)
}

func (l *Leg) sendInvite(req *sipmsg.Request, tries int) {
	l.invite.cseq, l.invite.provisional = req.CSeq().SeqNo, false
	l.invite.client = l.deps.Wire.Send(req, l.destination(), func(ev TxEvent) {
		l.keepFlow(ev.Flow)
		if l.state == Calling && l.challenged(req, ev.Response, tries, func(next *sipmsg.Request) { l.sendInvite(next, tries+1) }) {
			return
		}
		l.onInviteResult(ev)
	})
}

func (l *Leg) onInviteResult(ev TxEvent) {
	switch res := ev.Response; {
	case res == nil:
		l.onInviteFailed(Failed{Err: ev.Err, Sent: ev.Sent})
	case res.StatusCode == 100:
		l.onProvisional()
		if l.state == Calling {
			l.emit(Trying{})
		}
	case res.IsProvisional():
		l.onProvisional()
		l.onProgress(res)
	case res.IsSuccess():
		l.onInviteAnswered(res)
	default:
		l.onInviteFailed(Failed{Code: res.StatusCode, Text: res.Reason, RetryAfter: RetryAfter(res)})
	}
}

// RetryAfter reads the header of RFC 3261 §20.33, without its comment and parameters; 0 for none.
func RetryAfter(res *sipmsg.Response) time.Duration {
	h := res.GetHeader("Retry-After")
	if h == nil {
		return 0
	}
	digits, _, _ := strings.Cut(strings.TrimSpace(h.Value()), " ")
	digits, _, _ = strings.Cut(digits, ";")
	digits, _, _ = strings.Cut(digits, "(")
	seconds, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// onProvisional releases a CANCEL that had to wait for a 1xx (RFC 3261 §9.1).
func (l *Leg) onProvisional() {
	l.invite.provisional = true
	if l.state == Cancelling && l.invite.stopCancel == nil {
		l.sendCANCEL()
	}
}

func (l *Leg) onProgress(res *sipmsg.Response) {
	if l.state != Calling {
		return
	}
	// The early dialog may be used by the peer at once (UPDATE, BYE); the 2xx decides which fork stays.
	if early, err := l.dialog.Established(res); err == nil {
		l.dialog = early
	}
	if body := res.Body(); len(body) > 0 {
		l.emit(EarlyMedia{Code: res.StatusCode, SDP: body})
		return
	}
	l.emit(Ringing{Code: res.StatusCode})
}

// onInviteAnswered takes a 2xx: the first makes the dialog; the same again is ACKed again; one of
// another fork, or one that crossed our CANCEL, is ACKed and ended with BYE (RFC 3261 §13.2.2.4).
func (l *Leg) onInviteAnswered(res *sipmsg.Response) {
	answered, err := l.dialog.Established(res)
	if err != nil {
		l.deps.Log.Warn("2xx without dialog", zap.Error(err))
		l.onInviteFailed(Failed{Answered: true, Err: err})
		return
	}
	switch {
	case l.state == Calling:
		l.dialog = answered
		l.ack()
		l.state = Up
		l.emit(Connected{SDP: res.Body()})
	case l.state == Cancelling:
		l.stopCancelTimer()
		l.dialog = answered
		l.ack()
		l.sendBYE(ByUs)
	case answered.RemoteTag != l.dialog.RemoteTag || l.invite.lastACK == nil:
		l.endFork(answered)
	default:
		l.deps.Wire.SendACK(l.invite.lastACK, l.destination())
	}
}

func (l *Leg) ack() {
	l.invite.lastACK = l.dialog.ACK(l.invite.cseq)
	l.deps.Wire.SendACK(l.invite.lastACK, l.destination())
}

// endFork acknowledges and ends a dialog that nobody wants.
func (l *Leg) endFork(fork *dialog.Dialog) {
	hop, err := fork.NextHop()
	if err != nil {
		l.deps.Log.Warn("forked 2xx without target", zap.Error(err))
		return
	}
	to := Destination{Flow: l.flow, URI: hop, Names: l.Names, Peer: l.Peer}
	l.deps.Wire.SendACK(fork.ACK(l.invite.cseq), to)
	l.deps.Wire.Send(fork.Request(sipmsg.BYE), to, func(TxEvent) {})
}

func (l *Leg) onInviteFailed(f Failed) {
	switch l.state {
	case Calling:
		l.state = Over // not through over: a leg that never was has not ended but failed
		l.emit(f)
	case Cancelling:
		l.stopCancelTimer()
		l.over(ByUs)
	}
}

// Cancel gives up an INVITE that has no final answer yet. The leg ends when the 487 comes, or after
// 64*T1; at once if the INVITE still waits for its connection.
func (l *Leg) Cancel() {
	if l.state != Calling || l.invite.client == nil {
		return
	}
	l.state = Cancelling
	if l.invite.provisional {
		l.sendCANCEL()
		return
	}
	l.invite.client.Cancel()
}

func (l *Leg) sendCANCEL() {
	l.invite.client.Cancel()
	l.invite.stopCancel = l.deps.After(transactionTime, func() {
		l.invite.client.Terminate()
		l.over(ByUs)
	})
}

func (l *Leg) stopCancelTimer() {
	if l.invite.stopCancel != nil {
		l.invite.stopCancel()
	}
}
