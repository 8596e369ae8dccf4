package b2bua

import (
	"time"

	"handoff/sip/journal"
	"handoff/sip/leg"
)

// record is the call as it is written down.
func (c *Call) record() journal.Record {
	r := journal.Record{
		ID:       c.id,
		Started:  c.ending.started,
		Answered: c.ending.answered,
		Kind:     string(c.caller.kind),
		Source:   c.caller.source,
		Transfer: c.handoff.record(),
		Legs:     make([]journal.Leg, 0, 2),

		TwilioSID:       c.caller.sid,
		TwilioParentSID: c.caller.parent,
		AgentFrom:       c.caller.toAgent.From.String(),
		AgentName:       c.caller.toAgent.Name,

		Terminated: c.talk.terminated,
		Bridged:    c.agent.bridged,
		Outcomes:   c.handoff.outcomes[:len(c.handoff.outcomes):len(c.handoff.outcomes)],
	}
	if c.engine.deps.CDR != nil {
		r.CDR = c.recordStory()
	}
	if c.setup != nil && c.setup.answering {
		r.Answered = time.Now() // by the time that anybody reads it
	}
	if c.ending.decided() {
		r.Reason, r.Ended = c.ending.reason.String(), c.ending.ended
	}
	r.Legs = append(r.Legs, recordLeg(c.a.Snapshot(), &c.talk.a))
	if c.b != nil {
		r.Legs = append(r.Legs, recordLeg(c.b.Snapshot(), &c.talk.b))
	}
	if c.agent.leg != nil {
		r.Legs = append(r.Legs, recordLeg(c.agent.leg.Snapshot(), c.talk.c))
	}
	for _, spare := range c.spares {
		if spare.State() != leg.Over {
			l := recordLeg(spare.Snapshot(), nil)
			l.Spare = true
			r.Legs = append(r.Legs, l)
		}
	}
	if c.talk.media != nil {
		r.Media = c.talk.media.Snapshot()
	}
	return r
}

func recordLeg(s leg.Snapshot, side *side) journal.Leg {
	l := journal.Leg{
		Name:       s.Name.String(),
		State:      string(s.State),
		Peer:       s.Peer.String(),
		Names:      s.Names,
		InviteCSeq: s.InviteCSeq,
		Refers:     s.Refers,
		ReferSent:  s.ReferSent,

		InviteBranch:  s.InviteBranch,
		Invite:        s.Invite,
		ReferAccepted: s.ReferAccepted,

		SessionInterval: s.SessionInterval,
		SessionSince:    s.SessionSince,
		Refreshes:       s.Refreshes,
		TakesUPDATE:     s.TakesUPDATE,

		Dialog: journal.Dialog{
			Role:         string(s.Dialog.Role),
			CallID:       s.Dialog.CallID,
			LocalTag:     s.Dialog.LocalTag,
			RemoteTag:    s.Dialog.RemoteTag,
			LocalURI:     s.Dialog.LocalURI,
			LocalName:    s.Dialog.LocalName,
			RemoteURI:    s.Dialog.RemoteURI,
			RemoteTarget: s.Dialog.RemoteTarget,
			RouteSet:     s.Dialog.RouteSet,
			Contact:      s.Dialog.Contact,
			LocalCSeq:    s.Dialog.LocalCSeq,
			RemoteCSeq:   s.Dialog.RemoteCSeq,
		},
	}
	if side != nil {
		l.Session = side.record()
	}
	return l
}

// note writes the call down as it stands; nobody waits for that.
func (c *Call) note() {
	c.written = c.stand()
	c.engine.deps.Journal.Put(c.record, func(error) {}) // the journal tells what fails
}

// noteFork writes down which early dialog speaks for a leg that rings: without its name it could not be ended by BYE.
func (c *Call) noteFork(l *leg.Leg) {
	if tag := l.Dialog().RemoteTag; tag != "" && tag != c.fork {
		c.fork = tag
		c.note()
	}
}

// stand is what of a call changes by itself while it is up, and must be written down when it has: numbers of its
// dialogs, what its legs have agreed on, and of each stream the SSRC and the roll-over counter. That is found again from
// the next packet if this is less than half a turn behind what is written (RFC 3711 §3.3.1), so it is written each quarter.
type stand struct {
	dialogs [3]struct {
		state         leg.State
		local, remote uint32
		version       uint64
		refreshed     time.Time
	}
	streams [3]struct{ ssrc, quarters uint32 } // by leg
}

func (c *Call) stand() stand {
	var s stand
	for i, l := range []*leg.Leg{c.a, c.b, c.agent.leg} {
		if l == nil {
			continue
		}
		d := &s.dialogs[i]
		d.state = l.State()
		d.local, d.remote = l.Numbers()
		d.version = c.side(l).origin.Version
		d.refreshed = l.Refreshed()
	}
	for name, r := range c.talk.told {
		if r == nil {
			continue
		}
		s.streams[name].ssrc, s.streams[name].quarters = r.Stream.SSRC, uint32(r.Stream.Index()>>14)
	}
	return s
}

// noteChange writes the call down if it does not stand as it was written.
func (c *Call) noteChange() {
	if c.written != c.stand() {
		c.note()
	}
}
