package b2bua

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"handoff/media"
	"handoff/metrics"
	"handoff/metrics/cdr"
	"handoff/metrics/trace"
	"handoff/sip/leg"
)

// Info is what an operator sees of a call. It holds no secret.
type Info struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	Started  time.Time `json:"started"`
	Answered time.Time `json:"answered,omitzero"`
	// TwilioSID is leg A's X-Twilio-CallSid.
	TwilioSID string `json:"twilio_call_sid,omitempty"`
	// TwilioParentSID is the caller's own call, of which leg A is a child.
	TwilioParentSID string `json:"twilio_parent_call_sid,omitempty"`
	// From and To are the user parts of the caller's From and of what he dialled.
	From string    `json:"from,omitempty"`
	To   string    `json:"to,omitempty"`
	Legs []LegInfo `json:"legs"`
	// MOS is the worst of all legs and directions so far, absent while none is known.
	MOS float64 `json:"mos,omitempty"`
	// Transfer is the state of the transfer under way, "" for none.
	Transfer string `json:"transfer,omitempty"`
}

// LegInfo is one side of a call.
type LegInfo struct {
	Leg    string `json:"leg"`
	State  string `json:"state"`
	CallID string `json:"call_id"`
}

// ErrNoCall says that there is no call of that name.
var ErrNoCall = errors.New("no such call")

// List returns the calls that are up or being set up, the oldest first. A call that does not answer before ctx is
// over is left out.
func (e *Engine) List(ctx context.Context) []Info {
	var all []Info
	for _, c := range e.calls.all() {
		if info, err := ask(ctx, c, c.info); err == nil {
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(a, b Info) int { return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID)) })
	return all
}

// HangUp ends a call.
func (e *Engine) HangUp(ctx context.Context, id string) error {
	_, err := with(ctx, e, id, func(c *Call) (none struct{}, err error) {
		c.handoff.shutdown()
		c.inOrder(func() { c.hangUp(metrics.ReasonOperator) })
		return none, nil
	})
	return err
}

// Transfer starts a transfer of a call by hand. It returns when that has begun, or why it has not.
func (e *Engine) Transfer(ctx context.Context, id, to, key string) error {
	_, err := with(ctx, e, id, func(c *Call) (none struct{}, err error) { return none, c.onOperatorTransfer(to, key) })
	return err
}

// with runs f in the loop of a call and returns what it returns.
func with[T any](ctx context.Context, e *Engine, id string, f func(*Call) (T, error)) (T, error) {
	type answer struct {
		v   T
		err error
	}
	for _, c := range e.calls.all() {
		if c.id == id {
			a, err := ask(ctx, c, func() (a answer) {
				a.v, a.err = f(c)
				return a
			})
			return a.v, errors.Join(a.err, err)
		}
	}
	var none T
	return none, ErrNoCall
}

// Watch gathers the headers of a call's media until ctx is over; take returns what came since the last time. The error is
// media.ErrWatched where too many watch already.
func (e *Engine) Watch(ctx context.Context, id string) (take func() []trace.Packet, err error) {
	w, err := with(ctx, e, id, func(c *Call) (*media.Watch, error) {
		if c.talk.media == nil {
			return nil, errNoMedia
		}
		w, err := c.talk.media.Watch()
		if err == nil {
			context.AfterFunc(ctx, w.Stop) // also where who asked has left before his call began: what is watched is not for the kernel to carry
		}
		return w, err
	})
	if err != nil {
		return nil, err
	}
	return func() (all []trace.Packet) {
		for _, p := range w.Take() {
			all = append(all, trace.Packet{
				Time: p.Time, Leg: p.Leg.String(), Direction: p.Direction, Local: p.Local, Remote: p.Remote, Header: p.Header, Size: p.Size,
			})
		}
		return all
	}, nil
}

var errNoMedia = errors.New("the call has no media yet")

// ask runs f in the loop of a call and waits for what it returns.
func ask[T any](ctx context.Context, c *Call, f func() T) (T, error) {
	answer := make(chan T, 1)
	var none T
	if err := c.mail.offer(func() { answer <- f() }); err != nil {
		return none, ErrNoCall
	}
	select {
	case v := <-answer:
		return v, nil
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

func (c *Call) info() Info {
	i := Info{
		ID: c.id, Kind: string(c.caller.kind), Started: c.ending.started, Answered: c.ending.answered,
		TwilioSID: c.caller.sid, TwilioParentSID: c.caller.parent, Transfer: c.handoff.state(),
		From: c.story.From, To: c.story.To, MOS: worst(c.media()),
	}
	for _, l := range c.legs() {
		if l.State() != leg.Over {
			i.Legs = append(i.Legs, LegInfo{Leg: l.Name.String(), State: string(l.State()), CallID: l.Dialog().CallID})
		}
	}
	return i
}

// worst is the lowest MOS that is known, 0 for none.
func worst(all []cdr.Media) (mos float64) {
	for _, m := range all {
		for _, s := range []cdr.Stream{m.Received, m.Sent} {
			if s.MOS > 0 && (mos == 0 || s.MOS < mos) {
				mos = s.MOS
			}
		}
	}
	return mos
}
