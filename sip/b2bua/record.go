package b2bua

import (
	"encoding/json"

	"go.uber.org/zap"

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
		Transfer: c.handoff.record(),
		Legs:     make([]journal.Leg, 0, 2),

		TwilioSID:       c.caller.sid,
		TwilioParentSID: c.caller.parent,
	}
	r.Legs = append(r.Legs, recordLeg(c.a.Snapshot(), &c.talk.a))
	if c.b != nil {
		r.Legs = append(r.Legs, recordLeg(c.b.Snapshot(), &c.talk.b))
	}
	if c.talk.media != nil {
		snapshot, err := json.Marshal(c.talk.media.Snapshot())
		if err != nil {
			c.log.Error("media not written down", zap.Error(err))
		}
		r.Media = snapshot
	}
	return r
}

func recordLeg(s leg.Snapshot, side *side) journal.Leg {
	return journal.Leg{
		Name:       s.Name.String(),
		State:      string(s.State),
		Peer:       s.Peer.String(),
		Names:      s.Names,
		InviteCSeq: s.InviteCSeq,
		Refers:     s.Refers,
		ReferSent:  s.ReferSent,

		SessionInterval: s.SessionInterval,
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
		Session: side.record(),
	}
}
