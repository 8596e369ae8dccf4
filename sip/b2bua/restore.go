package b2bua

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"handoff/media"
	"handoff/media/sdp"
	"handoff/metrics"
	"handoff/refer"
	"handoff/sip/b2bua/transfer"
	"handoff/sip/dialog"
	"handoff/sip/journal"
	"handoff/sip/leg"
	"handoff/sip/trunk"
	"handoff/sip/uri"
)

// askEvery spreads what restored calls ask their peers.
const askEvery = 2 * time.Millisecond

// Restore takes over the calls that the process before has left. Their media flow and their dialogs are found when it
// returns; it is called once, before the first request comes. A call that was being set up is ended: its caller's INVITE has
// failed with its connection or, over UDP, is refused now, and what was dialled for him must not ring on.
func (e *Engine) Restore(kept journal.Kept) {
	for _, err := range kept.Unread {
		e.deps.Log.Error("call lost: its record can't be read", zap.Error(err))
		e.deps.Observer.Recovered(metrics.RecoveryUnread)
	}
	for _, id := range kept.Buried {
		e.deps.Bury(dialog.ID(id))
	}
	for i, record := range kept.Records {
		c, err := e.rules.Load().rebuild(record, nil)
		if err != nil {
			e.deps.Log.Error("call lost: its record makes no call", zap.String("call", record.ID), zap.Error(err))
			e.deps.Observer.Recovered(metrics.RecoveryUnread)
			e.deps.Journal.Delete(record.ID, nil)
			continue
		}
		c.left.ask = time.Duration(i) * askEvery
		e.Know(record)
		e.calls.readmit(c)
		c.run(c.onRestored)
	}
}

// legacy is what a restored call has to see to.
type legacy struct {
	parting []*leg.Leg // their BYE may have left, and is sent again
	ringing []*leg.Leg // their INVITE has no transaction any more
	ask     time.Duration
	err     error      // why it can't go on; nil: it does
	as      *Departure // of a call that was let go; nil: the process before has died
}

// errUnanswered is why a call that was being set up does not go on.
var errUnanswered = errors.New("the caller was not answered yet")

// rebuild makes the call of a record, whose loop has not begun. What keeps it from going on is in its legacy; an error means that
// not even its legs can be ended. as is how another process has let go of the call; nil: it has died.
func (e *rules) rebuild(r journal.Record, as *Departure) (*Call, error) {
	from, err := uri.Parse(r.AgentFrom)
	if err != nil && r.AgentFrom != "" {
		return nil, fmt.Errorf("agent_from: %w", err)
	}
	c := &Call{
		id: r.ID, engine: e, log: logOf(e.deps.Log, r.ID),
		caller: caller{
			kind: trunk.Kind(r.Kind), source: r.Source, sid: r.TwilioSID, parent: r.TwilioParentSID,
			toAgent: trunk.Introduction{From: from, Name: r.AgentName},
		},
		ending: ending{started: r.Started, answered: r.Answered},
	}
	c.mail = newMailbox(c.wake)
	if why, known := metrics.ParseReason(r.Reason); known {
		c.ending.reason, c.ending.ended = why, r.Ended
	}
	_ = json.Unmarshal(r.CDR, &c.story) // without it, which older records have not, less is told
	c.story.End(time.Now())
	c.talk.a.clear()
	c.talk.b.clear()
	c.talk.terminated, c.agent.bridged, c.handoff.outcomes = r.Terminated, r.Bridged, r.Outcomes
	c.left.as = as
	sessions := make(map[metrics.Leg]journal.Session)
	for i, l := range r.Legs {
		if t := r.Transfer; t != nil && t.Attempted == metrics.MethodRefer.String() && l.Name == metrics.LegA.String() && l.ReferSent == 0 {
			l.ReferSent = l.Dialog.LocalCSeq + 1 // it has left behind what is written, if it has
		}
		if err := c.rebuildLeg(i, l, !r.Answered.IsZero(), sessions); err != nil {
			return nil, fmt.Errorf("leg %s: %w", l.Name, err)
		}
	}
	if c.a == nil {
		return nil, errors.New("no leg A")
	}
	if r.Answered.IsZero() {
		c.left.err = errUnanswered
		return c, nil
	}
	if c.left.err = c.rebuildMedia(r.Media, sessions); c.left.err == nil && r.Transfer != nil {
		c.left.err = c.rebuildTransfer(r)
	}
	return c, nil
}

// rebuildLeg puts leg i of the record in its place.
func (c *Call) rebuildLeg(i int, l journal.Leg, answered bool, sessions map[metrics.Leg]journal.Session) error {
	s, err := snapshotOf(l)
	if err != nil {
		return err
	}
	first := s.Name == metrics.LegA
	var waits leg.ServerTx
	switch {
	case first && s.State == leg.Calling && answered:
		s.State = leg.Answered // its 200 has left, or was about to
	case first && s.State == leg.Calling:
		if waits = c.reopen(s.Invite); waits == nil {
			s.State = leg.Over // there is nobody to be answered
		}
	}
	cfg := leg.Config{OptionsEvery: c.engine.cfg.OptionsEvery}
	switch {
	case s.Name == metrics.LegB:
		cfg.Credentials, cfg.SessionInterval = c.engine.cfg.WatsonCredentials, c.engine.cfg.WatsonSessionInterval
	case s.Name == metrics.LegC && c.engine.cfg.Domain != nil:
		cfg.Credentials = c.engine.cfg.Domain.Credentials
	}
	var restored *leg.Leg
	if as := c.left.as; as != nil && i < len(as.Flows) {
		restored = leg.Continue(s, as.Flows[i], cfg, c.legDeps())
	} else {
		restored = leg.Restore(s, cfg, c.legDeps())
	}
	c.dialogs = append(c.dialogs, restored.Dialog())
	switch {
	case waits != nil:
		restored.Reopen(waits)
	case s.State == leg.Leaving:
		c.left.parting = append(c.left.parting, restored)
	case s.State == leg.Calling, s.State == leg.Cancelling:
		c.left.ringing = append(c.left.ringing, restored)
	}
	switch {
	case l.Spare:
		c.spares = append(c.spares, restored)
		return nil
	case first:
		c.a = restored
	case s.Name == metrics.LegB:
		c.b = restored
	default:
		c.agent.leg, c.talk.c = restored, &side{}
		c.talk.c.clear()
		c.agent.report = func(refer.Event) {} // the transfer is told by Resume
	}
	sessions[s.Name] = l.Session
	return nil
}

// reopen finds the caller's INVITE again, if it still can be answered; nil: it can't.
func (c *Call) reopen(invite []byte) leg.ServerTx {
	if len(invite) == 0 || c.engine.deps.Reopen == nil {
		return nil
	}
	tx, err := c.engine.deps.Reopen(invite)
	if err != nil {
		c.log.Info("the caller's INVITE is not answered", zap.Error(err))
		return nil
	}
	return tx
}

// snapshotOf reads a leg's words.
func snapshotOf(l journal.Leg) (leg.Snapshot, error) {
	s := leg.Snapshot{
		State: leg.State(l.State), Names: l.Names, InviteCSeq: l.InviteCSeq, InviteBranch: l.InviteBranch, Invite: l.Invite,
		Refers: l.Refers, ReferAccepted: l.ReferAccepted, ReferSent: l.ReferSent,
		SessionInterval: l.SessionInterval, SessionSince: l.SessionSince, Refreshes: l.Refreshes, TakesUPDATE: l.TakesUPDATE,
		Dialog: dialog.Dialog{
			ID:   dialog.ID{CallID: l.Dialog.CallID, LocalTag: l.Dialog.LocalTag, RemoteTag: l.Dialog.RemoteTag},
			Role: dialog.Role(l.Dialog.Role), LocalURI: l.Dialog.LocalURI, LocalName: l.Dialog.LocalName,
			RemoteURI: l.Dialog.RemoteURI, RemoteTarget: l.Dialog.RemoteTarget, RouteSet: l.Dialog.RouteSet,
			Contact: l.Dialog.Contact, LocalCSeq: l.Dialog.LocalCSeq, RemoteCSeq: l.Dialog.RemoteCSeq,
		},
	}
	var named, spoken bool
	s.Name, named = metrics.ParseLeg(l.Name)
	s.Peer, spoken = metrics.ParsePeer(l.Peer)
	if !named || !spoken || l.Dialog.CallID == "" || l.Dialog.LocalTag == "" {
		return s, fmt.Errorf("no leg %q of %q with a dialog", l.Name, l.Peer)
	}
	return s, nil
}

// rebuildMedia binds the ports again and lets packets flow as they did.
func (c *Call) rebuildMedia(written any, sessions map[metrics.Leg]journal.Session) error {
	var snapshot media.Snapshot
	raw, _ := written.(json.RawMessage)
	if err := json.Unmarshal(raw, &snapshot); err != nil {
		return fmt.Errorf("media: %w", err)
	}
	var err error
	if c.left.as != nil {
		c.talk.media, err = c.engine.deps.Media.Adopt(snapshot, c.left.as.Sockets)
	} else {
		c.talk.media, err = c.engine.deps.Media.Restore(snapshot)
	}
	if err != nil {
		return err
	}
	for _, s := range c.talk.media.Stats() {
		then := s.Report
		c.talk.told[s.Leg], c.talk.then[s.Leg] = &s.Report, &then
	}
	c.talk.sampled = time.Now()
	for _, e := range c.talk.media.Endpoints() {
		s := &c.talk.b
		switch e.Leg() {
		case metrics.LegA:
			s = &c.talk.a
		case metrics.LegC:
			if c.talk.c == nil {
				c.talk.c = &side{} // of an agent who has gone
			}
			s = c.talk.c
		}
		if err := s.restore(e, sessions[e.Leg()]); err != nil {
			return fmt.Errorf("session of leg %s: %w", e.Leg(), err)
		}
	}
	if c.talk.c != nil && c.talk.c.endpoint == nil || c.talk.a.endpoint == nil || c.talk.b.endpoint == nil {
		return errors.New("media: a leg has no ports")
	}
	if !c.talk.a.settled {
		return errors.New("the caller's session was not agreed on")
	}
	return nil
}

// restore reads a side's descriptions back.
func (s *side) restore(e *media.Endpoint, r journal.Session) error {
	s.clear()
	s.endpoint, s.origin = e, sdp.Origin{ID: r.OriginID, Version: r.OriginVersion, Sum: r.OriginSum}
	for body, to := range map[*[]byte]**described{&r.Local: &s.local, &r.Remote: &s.remote} {
		if len(*body) == 0 {
			continue
		}
		d, err := sdp.Parse(*body)
		if err != nil {
			return err
		}
		*to = &described{*body, &d}
	}
	if len(r.Local) > 0 && len(r.Remote) > 0 {
		s.agree(s.local, s.remote)
	}
	if r.OriginID == 0 { // it never spoke
		s.origin = sdp.NewOrigin()
	}
	return nil
}

// rebuildTransfer reads the transfer back. What was asked for is judged by the rules of today: a target that is not
// intercepted any more leaves the transfer without the methods that were not tried yet.
func (c *Call) rebuildTransfer(r journal.Record) error {
	t, cfg := *r.Transfer, c.engine.cfg.Transfer
	then := transfer.Record{Event: t.Event, ReferTo: t.ReferTo, Began: t.Began, Since: t.Since, Owed: t.Owed, Parting: t.Parting}
	if err := json.Unmarshal(t.Machine, &then.Machine); err != nil {
		return fmt.Errorf("transfer: %w", err)
	}
	if r.Version == 1 && then.Machine.Current < len(then.Machine.Methods) {
		t.Attempted = then.Machine.Methods[then.Machine.Current] // it did not tell
	}
	for _, m := range metrics.Methods() {
		if m.String() == t.Attempted {
			then.Attempted = m
		}
	}
	var p plan
	_ = json.Unmarshal(t.Asked, &c.handoff.asked)
	if request, err := c.handoff.asked.decode(cfg.Policy); err == nil {
		p = c.replan(request, then.Machine.Methods)
	} else {
		c.log.Warn("transfer can't be read again", zap.Error(err))
		then.Machine.Methods = then.Machine.Methods[:min(len(then.Machine.Methods), then.Machine.Current+1)]
	}
	var err error
	c.handoff.executor, err = transfer.Restore(transfer.Config{
		Refer: leg.Accepted(t.Event), Request: p.request, ReferTo: t.ReferTo, Timeout: cfg.Timeout, Total: cfg.Total,
	}, c.transferDeps(p), then)
	return err
}

// replan prepares what the methods of a restored transfer would send.
func (c *Call) replan(request refer.Request, methods []string) plan {
	p := plan{request: request}
	for _, m := range metrics.Methods() {
		for _, word := range methods {
			if m.String() != word {
				continue
			}
			if err := c.fit(m, &p); err != nil {
				c.log.Info("method does not fit any more", zap.Stringer("method", m), zap.Error(err))
			}
		}
	}
	return p
}

// onRestored is the first thing that a restored call does.
func (c *Call) onRestored() {
	c.engine.deps.Observer.CallStarted()
	c.traceRestored()
	for _, l := range c.left.ringing {
		l.Abandon()
	}
	for _, l := range c.left.parting {
		l.Bye("")
	}
	for _, spare := range c.spares {
		spare.Bye("")
	}
	if !c.agent.bridged { // its INVITE can't be gone on with
		c.endAgent()
	}
	switch why, ends := c.endsRestored(); {
	case ends:
		c.log.Warn("call of the process before ends", zap.String("twilio_call_sid", c.caller.sid), zap.Stringer("reason", why), zap.Error(c.left.err))
		c.engine.deps.Observer.Recovered(metrics.RecoveryEnded)
		c.hangUp(why)
		return
	default:
		c.log.Info("call of the process before goes on", zap.String("twilio_call_sid", c.caller.sid), zap.Duration("since", time.Since(c.ending.answered)))
		c.engine.deps.Observer.Recovered(metrics.RecoveryGoesOn)
	}
	c.watch()
	if c.handoff.executor != nil {
		if c.handoff.running() {
			c.play(c.engine.deps.Hold)
		}
		c.handoff.executor.Resume()
	}
	for _, l := range c.legs() {
		l.AskAfter(c.left.ask)
	}
	c.note()
}

// endsRestored tells whether a restored call can't or should not go on, and why.
func (c *Call) endsRestored() (why metrics.Reason, ends bool) {
	together := c.opposite(c.a)
	switch {
	case c.left.err != nil:
		return metrics.ReasonRestart, true
	case c.handoff.running():
		return 0, false
	case !c.a.Alive():
		return metrics.ReasonCallerLost, true
	case together == nil || !together.Alive():
		return metrics.ReasonWatsonLost, true
	}
	return 0, false
}
