package b2bua

import (
	"slices"
	"time"

	"go.uber.org/zap"

	"handoff/media"
	"handoff/metrics"
	"handoff/sip/journal"
	"handoff/sip/leg"
)

// A call moves to another process when nothing of it is under way. It asks itself that at the end of a turn;
// then, while no message is between a socket and a mailbox, it is taken out of the registry and handed over, so that
// what comes next finds it there:
//
//	loop                  Mover                        the other process
//	 │ quiet?               │                                │
//	 │── Still ────────────▶│ no message is on its way       │
//	 │   Offer(ports) ─────▶│── ports, if they are shared ──▶│ media.Relay.Take
//	 │   Take(record, ─────▶│── record, sockets ────────────▶│ Engine.Take
//	 │        sockets)      │── the next message ───────────▶│ to the call
//	 │ ends without a word  │                                │

// Mover takes calls to another process. Its methods are called by the loops of calls.
type Mover struct {
	// Still runs f while no message is between its socket and a call.
	Still func(f func())
	// Offer is media.Session.Handover's.
	Offer func(media.Offer) error
	// Take hands a call over. An error says that the call stays.
	Take func(Departure) error
}

// Departure is a call on its way to another process.
type Departure struct {
	// Record is the call, with what media.Session.Handover wrote of its media.
	Record journal.Record
	// Sockets are the descriptors lent by that.
	Sockets [][]int
	// Flows are those of the Record's legs, nil for none.
	Flows []leg.Flow
}

// Move asks every call to go to another process, each as soon as it is quiet. A call that is not stays, until it is asked
// again. It does not block.
func (e *Engine) Move(by *Mover) {
	for _, c := range e.calls.all() {
		c.mail.put(func() { c.move = by })
	}
}

// Knows tells whether there is a call with that dialog, of which localTag is ours.
func (e *Engine) Knows(callID, localTag string) bool { return e.calls.find(callID, localTag) != nil }

// AskLost lets every leg whose connection is lost ask its peer over another one. It does not block.
func (e *Engine) AskLost() {
	for i, c := range e.calls.all() {
		c.mail.put(func() {
			for _, l := range c.legs() {
				l.AskIfLost(time.Duration(i) * askEvery)
			}
		})
	}
}

// Holds tells whether there is a call of that name.
func (e *Engine) Holds(id string) bool {
	return slices.ContainsFunc(e.calls.all(), func(c *Call) bool { return c.id == id })
}

// Take goes on with a call that another process has let go. It returns when the call's dialogs are found and its media
// flow. The sockets are the call's.
func (e *Engine) Take(d Departure) {
	c, err := e.rules.Load().rebuild(d.Record, &d)
	if err != nil {
		e.deps.Log.Error("call lost: what the process before has handed over makes no call", zap.String("call", d.Record.ID), zap.Error(err))
		e.deps.Observer.Recovered(metrics.RecoveryUnread)
		return
	}
	c.left.as = nil // it has been read
	e.Know(d.Record)
	e.calls.readmit(c)
	c.run(c.onTaken)
}

// onTaken is the first thing that a call does that another process has let go.
func (c *Call) onTaken() {
	if c.left.err != nil {
		c.onRestored()
		return
	}
	c.engine.deps.Observer.CallStarted()
	c.traceRestored()
	c.log.Debug("call taken over")
	c.watch()
	c.note()
}

// leave hands the call over, as it was asked to, if it can.
func (c *Call) leave() {
	by := c.move
	if c.move = nil; !c.quiet() {
		return
	}
	by.Still(func() { c.moved = c.mail.empty() && c.handOver(by) })
	if !c.moved {
		c.talk.media.Retake()
		c.talk.media.Thaw()
	}
}

func (c *Call) handOver(by *Mover) bool {
	snapshot, sockets, err := c.talk.media.Handover(by.Offer)
	if err == nil {
		d := Departure{Record: c.record(), Sockets: sockets}
		d.Record.Media = snapshot
		for _, l := range c.legs() { // as they stand in the record: there is no spare
			d.Flows = append(d.Flows, l.Flow())
		}
		err = by.Take(d)
	}
	if err != nil {
		c.log.Info("call does not move yet", zap.Error(err))
		return false
	}
	c.engine.calls.remove(c, c.dialogs)
	return true
}

// depart is finish of a call that goes on elsewhere: nobody is told that it has ended.
func (c *Call) depart() {
	defer c.engine.calls.done()
	c.mail.close()
	for _, out := range c.outlets {
		out.tx.Release() // what is on its way to the closed mailbox is not called
	}
	c.talk.media.Depart()
}

// settleTime is how long a transaction of ours must be over before the call moves: by then copies of a 2xx, to which
// only this process knows the ACK, have ceased unless it was lost again and again.
const settleTime = leg.T2

// quiet tells whether nothing is under way that only this process can bring to its end. A call whose reason is decided may go on for
// hours yet: with an agent, or with Watson behind a transfer that was not proved.
func (c *Call) quiet() bool {
	switch {
	case c.setup != nil, c.ending.crashed, c.talk.closed, c.talk.media == nil, c.talk.quiet != nil:
		return false
	case c.modify.state != modifyNone, len(c.gate.waiting) > 0, c.handoff.executor != nil && !c.handoff.executor.Over():
		return false
	case slices.ContainsFunc(c.spares, func(l *leg.Leg) bool { return l.State() != leg.Over }):
		return false
	case slices.ContainsFunc(c.outlets, func(o *outlet) bool { return !o.over.Load() || time.Since(o.made) < settleTime }):
		return false
	}
	for _, l := range []*leg.Leg{c.a, c.b, c.agent.leg} {
		if l != nil && l.State() != leg.Over && !l.Quiet() {
			return false
		}
	}
	together := c.opposite(c.a)
	return c.a.Quiet() && together != nil && together.Quiet()
}
