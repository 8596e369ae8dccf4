package leg

import (
	"slices"
	"time"

	"handoff/metrics"
	"handoff/sip/dialog"
	"handoff/sip/uri"
)

// Snapshot is what must be written down of a leg for another process to go on with its dialog.
// Transactions are not in it, but for an INVITE that can be answered all the same: they end with the process, and their peers repeat.
type Snapshot struct {
	Name   metrics.Leg
	State  State
	Peer   metrics.Peer
	Names  []string
	Dialog dialog.Dialog
	// InviteCSeq and InviteBranch are of our INVITE.
	InviteCSeq   uint32
	InviteBranch string
	// Invite is the peer's while it waits for an answer, if another process can give it (Reopen); nil: none.
	Invite []byte
	// Refers counts the peer's REFERs, ReferAccepted numbers the last that was accepted and ReferSent our own last.
	Refers                   int
	ReferAccepted, ReferSent uint32
	// SessionInterval is that of the session timer, 0 for none, and SessionSince when it was refreshed last; Refreshes
	// tells that it is ours to refresh, and TakesUPDATE how.
	SessionInterval        time.Duration
	SessionSince           time.Time
	Refreshes, TakesUPDATE bool
}

// Snapshot returns the leg as it stands, sharing nothing with it.
func (l *Leg) Snapshot() Snapshot {
	d := *l.dialog
	d.RouteSet = slices.Clone(d.RouteSet)
	var invite []byte
	if l.state == Calling && l.invite.server != nil {
		invite = l.invite.server.Save()
	}
	return Snapshot{
		Name:       l.Name,
		State:      l.state,
		Peer:       l.Peer,
		Names:      slices.Clone(l.Names),
		Dialog:     d,
		InviteCSeq: l.invite.cseq,
		Refers:     l.refers.received,
		ReferSent:  l.refers.sent,

		InviteBranch:  l.invite.branch,
		Invite:        invite,
		ReferAccepted: l.refers.accepted,

		SessionInterval: l.timer.interval,
		SessionSince:    l.timer.since,
		Refreshes:       l.timer.ours,
		TakesUPDATE:     l.timer.update,
	}
}

// Quiet tells whether the leg is up and nothing of it is under way: no request of either side waits for an answer, and
// no answer for its ACK. Then another process can go on with it by Continue.
func (l *Leg) Quiet() bool {
	return l.state == Up && !l.byeSent && len(l.waiting) == 0 && l.offer == (offerState{}) && !l.silence.asking
}

// Continue returns the leg of a snapshot that was taken of one that was quiet, in a process that does nothing with it any
// more: numbers and timers go on where they were, over the same connection; nil is none.
func Continue(s Snapshot, flow Flow, cfg Config, deps Deps) *Leg {
	l := restore(s, cfg, deps)
	l.flow = flow
	if l.state == Up {
		l.goOnTimer(s.SessionInterval, s.Refreshes, s.SessionSince)
		l.keepAlive()
	}
	return l
}

// unwritten is how many requests a leg may have sent since its snapshot was taken. A number that was used is refused by
// the peer, one that was left out is not (RFC 3261 §12.2.2).
const unwritten = 100

// Restore returns the leg of a snapshot, without a connection: its next request dials. cfg tells what is not in the
// snapshot: credentials and timers. The session timer goes on, in the middle of its interval. A 2xx of ours that waited for its ACK is
// taken for acknowledged, and a BYE of ours for not sent: AskAfter and Bye find out.
func Restore(s Snapshot, cfg Config, deps Deps) *Leg {
	if s.State != Over {
		s.Dialog.LocalCSeq += unwritten
	}
	l := restore(s, cfg, deps)
	switch s.State {
	case Answered, Leaving:
		l.state = Up
	case Idle:
		l.state = Over // its INVITE never left
	}
	if l.state == Up {
		if s.SessionSince.IsZero() { // an older record does not tell
			s.SessionSince = time.Now()
		}
		l.goOnTimer(s.SessionInterval, s.Refreshes, s.SessionSince)
		l.keepAlive()
	}
	return l
}

// restore makes a leg without timers.
func restore(s Snapshot, cfg Config, deps Deps) *Leg {
	d := s.Dialog
	d.RouteSet = slices.Clone(d.RouteSet)
	cfg.Name, cfg.Peer, cfg.Contact, cfg.Names = s.Name, s.Peer, d.Contact, slices.Clone(s.Names)
	return &Leg{
		Config: cfg,
		deps:   deps,
		state:  s.State,
		dialog: &d,
		invite: inviteRole{cseq: s.InviteCSeq, branch: s.InviteBranch},
		refers: referState{received: s.Refers, accepted: s.ReferAccepted, sent: s.ReferSent},
		timer:  sessionTimer{update: s.TakesUPDATE},
	}
}

// AskAfter asks the peer whether it still knows the dialog, once d is over: of one that ended while nobody was here it
// says 481, and then the leg ends.
func (l *Leg) AskAfter(d time.Duration) {
	l.deps.After(d, func() {
		if l.state == Up {
			l.ask()
		}
	})
}

// AskIfLost is AskAfter where the dialog's connection is lost: its peer may have no way to us until there is another.
func (l *Leg) AskIfLost(d time.Duration) {
	if l.flow != nil && !l.flow.Open() {
		l.AskAfter(d)
	}
}

// Reopen takes back the INVITE of a peer whose leg was restored in Calling: it waits for an answer still.
func (l *Leg) Reopen(tx ServerTx) { l.invite.server, l.flow = tx, tx.Flow() }

// Abandon ends a UAC's INVITE of which the transaction is lost, as well as that still goes: by CANCEL with the
// INVITE's own branch (RFC 3261 §9.1), and then in the dialog of a fork that has rung by BYE (§15), which also ends what was
// answered meanwhile. The leg is over when these are answered or given up.
func (l *Leg) Abandon() {
	if l.state != Calling && l.state != Cancelling {
		return
	}
	l.state = Leaving
	to := l.destination()
	to.Branch = l.invite.branch
	if target, err := uri.Parse(l.dialog.RemoteURI); err == nil {
		to.URI = target // where the INVITE went, whatever the fork's Contact says
	}
	l.deps.Wire.Send(l.dialog.Cancel(l.invite.cseq), to, func(ev TxEvent) {
		l.keepFlow(ev.Flow)
		switch {
		case ev.Response != nil && ev.Response.IsProvisional():
		case l.dialog.RemoteTag == "":
			l.over(ByUs)
		default:
			l.sendBYE(ByUs)
		}
	})
}
