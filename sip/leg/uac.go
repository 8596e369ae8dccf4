package leg

import (
	"crypto/rand"
	"strconv"
	"strings"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"handoff/sip/dialog"
	"handoff/sip/uri"
)

// Invitation is what a UAC leg sends.
type Invitation struct {
	CallID, LocalTag string
	// From is our addr-spec, Target both To and Request-URI.
	From, Target string
	// Name is the caller's display name, unquoted; "" for none.
	Name string
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
		dialog: dialog.NewUAC(inv.CallID, inv.LocalTag, inv.From, inv.Name, inv.Target, cfg.Contact),
	}
}

// Invite sends the INVITE.
func (l *Leg) Invite(inv Invitation) {
	req := l.dialog.Request(sipmsg.INVITE)
	*req.MaxForwards() = sipmsg.MaxForwardsHeader(inv.MaxForwards)
	req.AppendHeader(sipmsg.NewHeader("Allow", Allow))
	l.state = Calling
	l.announce(req)
	for _, h := range inv.Headers {
		req.AppendHeader(sipmsg.NewHeader(h[0], h[1]))
	}
	setSDP(req, inv.SDP)
	l.sendInvite(req, 0)
}

func (l *Leg) sendInvite(req *sipmsg.Request, tries int) {
	sent, to := *l.dialog, l.destination()
	to.Branch = "z9hG4bK" + rand.Text() // ours, because it is written down
	l.invite.branch, l.invite.cseq, l.invite.sent, l.invite.credentials = to.Branch, req.CSeq().SeqNo, &sent, credentialsOf(req)
	l.invite.provisional, l.invite.forks, l.invite.early = false, nil, nil
	l.emit(Inviting{})
	l.invite.client = l.deps.Wire.Send(req, to, func(ev TxEvent) {
		l.keepFlow(ev.Flow)
		if l.state == Calling && ev.Response != nil && ev.Response.StatusCode >= 300 {
			l.leaveForks()
		}
		if l.state == Calling && (l.challenged(req, ev, tries, func(next *sipmsg.Request) { l.sendInvite(next, tries+1) }) ||
			l.longer(req, ev.Response, func(next *sipmsg.Request) { l.sendInvite(next, tries) })) {
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
		l.onInviteFailed(Failed{Code: res.StatusCode, Text: res.Reason, RetryAfter: RetryAfter(res), Contacts: redirections(res)})
	}
}

// RetryAfter reads the header of RFC 3261 §20.33, without its comment and parameters; 0 for none.
func RetryAfter(res *sipmsg.Response) time.Duration {
	digits, _, _ := strings.Cut(strings.TrimSpace(dialog.Value(res, "Retry-After")), " ")
	digits, _, _ = strings.Cut(digits, ";")
	digits, _, _ = strings.Cut(digits, "(")
	seconds, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// maxContacts bounds those of a 3xx that are looked at.
const maxContacts = 16

// redirections reads the Contacts of a 3xx, in their order. A header that can't be read is left out.
func redirections(res *sipmsg.Response) []uri.NameAddr {
	if res.StatusCode/100 != 3 {
		return nil
	}
	var all []uri.NameAddr
	for value := range dialog.All(res, "Contact") {
		if some, err := uri.ParseNameAddrList(value); err == nil {
			all = append(all, some...)
		}
	}
	return all[:min(len(all), maxContacts)]
}

// onProvisional releases a CANCEL that had to wait for a 1xx (RFC 3261 §9.1).
func (l *Leg) onProvisional() {
	l.invite.provisional = true
	if l.state == Cancelling && l.invite.stopCancel == nil {
		l.sendCANCEL()
	}
}

// onProgress takes a 18x. The fork that spoke last is the leg's dialog until the 2xx decides: its peer may
// send requests at once (UPDATE, BYE).
func (l *Leg) onProgress(res *sipmsg.Response) {
	if l.state != Calling {
		return
	}
	f, err := l.forkOf(res)
	if err != nil {
		l.log().Debug("no early dialog", zap.Int("code", res.StatusCode), zap.Error(err))
		l.emit(Ringing{Code: res.StatusCode})
		return
	}
	l.dialog = f.dialog
	if !l.acknowledge(f, res) {
		return
	}
	if body := answer(res); len(body) > 0 {
		f.sdp, l.invite.early = body, f
		l.emit(EarlyMedia{Code: res.StatusCode, SDP: body})
		return
	}
	l.emit(Ringing{Code: res.StatusCode})
}

// onInviteAnswered takes a 2xx: the first makes the dialog; the same again is ACKed again; one of
// another fork, or one that crossed our CANCEL, is ACKed and ended with BYE (RFC 3261 §13.2.2.4).
func (l *Leg) onInviteAnswered(res *sipmsg.Response) {
	f, err := l.forkOf(res)
	if err != nil {
		l.log().Warn("2xx without dialog", zap.Error(err))
		l.onInviteFailed(Failed{Answered: true, Err: err})
		return
	}
	switch {
	case l.state == Calling:
		l.dialog = f.dialog
		l.ack()
		l.state, l.invite.client = Up, nil // nothing is left to be cancelled
		l.takeTimer(res)
		l.keepAlive()
		l.emit(Connected{SDP: l.answerOf(f, res)})
	case l.state == Cancelling:
		l.stopCancelTimer()
		l.dialog = f.dialog
		l.ack()
		l.sendBYE(ByUs)
	case f.dialog.RemoteTag != l.dialog.RemoteTag:
		l.endFork(f)
	default:
		l.ack()
	}
}

// answerOf returns the session description of a 2xx: its own, else the one that its fork gave before, nil
// when that is the one that was told last.
func (l *Leg) answerOf(f *fork, res *sipmsg.Response) []byte {
	if body := answer(res); len(body) > 0 || f == l.invite.early {
		return body
	}
	return f.sdp
}

// ack acknowledges the 2xx that made the dialog.
func (l *Leg) ack() {
	l.deps.Wire.SendACK(l.ackFor(l.invite.cseq, l.invite.credentials), l.destination())
}

// endFork acknowledges and ends a dialog that nobody wants.
func (l *Leg) endFork(f *fork) {
	hop, err := f.dialog.NextHop()
	if err != nil {
		l.log().Warn("forked 2xx without target", zap.Error(err))
		return
	}
	to := Destination{Flow: l.flow, URI: hop, Names: l.Names, Peer: l.Peer}
	l.deps.Wire.SendACK(f.dialog.ACK(l.invite.cseq), to)
	if !f.ended {
		f.ended = true
		l.deps.Wire.Send(f.dialog.Request(sipmsg.BYE), to, func(TxEvent) {})
	}
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
