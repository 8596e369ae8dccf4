package leg

import (
	"slices"
	"time"

	"handoff/metrics"
	"handoff/sip/dialog"
)

// Snapshot is what must be written down of a leg for another process to go on with its dialog.
// Transactions are not in it: they end with the process, and their peers repeat.
type Snapshot struct {
	Name       metrics.Leg
	State      State
	Peer       metrics.Peer
	Names      []string
	Dialog     dialog.Dialog
	InviteCSeq uint32
	Refers     int
	ReferSent  uint32
	// SessionInterval is that of the session timer, 0 for none; Refreshes tells that it is ours to refresh, and
	// TakesUPDATE how.
	SessionInterval        time.Duration
	Refreshes, TakesUPDATE bool
}

// Snapshot returns the leg as it stands, sharing nothing with it.
func (l *Leg) Snapshot() Snapshot {
	d := *l.dialog
	d.RouteSet = slices.Clone(d.RouteSet)
	return Snapshot{
		Name:       l.Name,
		State:      l.state,
		Peer:       l.Peer,
		Names:      slices.Clone(l.Names),
		Dialog:     d,
		InviteCSeq: l.invite.cseq,
		Refers:     l.refers.received,
		ReferSent:  l.refers.sent,

		SessionInterval: l.timer.interval,
		Refreshes:       l.timer.ours,
		TakesUPDATE:     l.timer.update,
	}
}

// Restore returns the leg of a snapshot, without a connection: its next request dials. Its session timer starts
// a whole interval anew.
func Restore(s Snapshot, deps Deps) *Leg {
	d := s.Dialog
	d.RouteSet = slices.Clone(d.RouteSet)
	l := &Leg{
		Config: Config{Name: s.Name, Peer: s.Peer, Contact: d.Contact, Names: slices.Clone(s.Names)},
		deps:   deps,
		state:  s.State,
		dialog: &d,
		invite: inviteRole{cseq: s.InviteCSeq},
		refers: referState{received: s.Refers, sent: s.ReferSent},
		timer:  sessionTimer{update: s.TakesUPDATE},
	}
	l.startTimer(s.SessionInterval, s.Refreshes)
	return l
}
