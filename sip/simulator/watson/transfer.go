package watson

import (
	"context"
	"errors"
	"fmt"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

// KeyHeader is where Watson puts the session history key.
const KeyHeader = "X-Watson-Assistant-Session-History-Key"

// Transfer is the connect_to_agent response, as the phone integration carries it out. The zero value has the seed's target and no key.
type Transfer struct {
	Target       string        // empty: sip:queue@flex.twilio.com
	Key          string        // empty: none
	Name         string        // of the header with the key; empty: KeyHeader
	More         []wire.Header // further headers, before the key, carried the same way
	Method       Method        // transfer_method
	TargetHeader string        // transfer_target_header of ByHangup; empty: Transfer-Target
	Way          Way           // transfer_headers_send_method; of ByHangup: URI headers of the target, or headers of the BYE
	Bare         bool          // Refer-To without <>, as in IBM's sample
	EncodeColons bool          // %3A
	Compact      bool          // "r:" instead of "Refer-To:"
	ReferTo      []string      // the Refer-To values as they are, instead of all above; two or none are wrong on purpose
	NoSub        bool          // Refer-Sub: false (RFC 4488): no NOTIFY is wanted
	Again        bool          // once answered, the same REFER comes again: same CSeq, another branch
	Meanwhile    bool          // once answered 2xx, another REFER comes, which has to be refused
	Hold         Hold          // before the REFER
	Reaction     Reaction
	OnFailure    OnFailure
}

// Method is how the transfer is asked for.
type Method uint8

const (
	ByRefer  Method = iota
	ByHangup        // a BYE with the target in a header
)

// Way is how headers travel with a REFER.
type Way uint8

const (
	ReferToHeader Way = iota
	CustomHeader
	ContactHeader
)

// Hold is what the assistant does to the caller before a REFER.
type Hold uint8

const (
	NoHold Hold = iota
	HoldSendOnly
	HoldInactive
)

// Reaction is when the assistant leaves a transfer that goes well.
type Reaction uint8

const (
	WaitForBye Reaction = iota // the edge's
	ByeAfterFinal
	ByeAfterTrying
	ByeAfterAccept
)

// OnFailure is what the assistant does when the transfer fails.
type OnFailure uint8

const (
	HangUp OnFailure = iota // the documented default
	ResumeCall
	ReferAgain // resume, and the same REFER once more
)

// Methods lists both.
func Methods() []Method { return []Method{ByRefer, ByHangup} }

// Ways lists them all.
func Ways() []Way { return []Way{ReferToHeader, CustomHeader, ContactHeader} }

// Holds lists them all.
func Holds() []Hold { return []Hold{NoHold, HoldSendOnly, HoldInactive} }

// Reactions lists them all.
func Reactions() []Reaction {
	return []Reaction{WaitForBye, ByeAfterFinal, ByeAfterTrying, ByeAfterAccept}
}

// Failures lists what OnFailure may be.
func Failures() []OnFailure { return []OnFailure{HangUp, ResumeCall, ReferAgain} }

var (
	methods   = [...]string{"refer", "hangup"}
	ways      = [...]string{"refer_to_header", "custom_header", "contact_header"}
	holds     = [...]string{"none", "sendonly", "inactive"}
	reactions = [...]string{"wait for bye", "bye after final", "bye after trying", "bye after accept"}
	failures  = [...]string{"hang up", "resume", "refer again"}
)

func (m Method) String() string    { return word(methods[:], int(m)) }
func (w Way) String() string       { return word(ways[:], int(w)) }
func (h Hold) String() string      { return word(holds[:], int(h)) }
func (r Reaction) String() string  { return word(reactions[:], int(r)) }
func (f OnFailure) String() string { return word(failures[:], int(f)) }

// Outcome is what became of a transfer.
type Outcome struct {
	Status    int           // of the response to the REFER, or to the BYE of ByHangup
	Took      time.Duration // until that
	Codes     []int         // of the NOTIFYs, in order
	Final     int           // the last of them that is final; 0: none came
	NoSub     bool          // the 2xx echoed Refer-Sub: false
	Again     int           // status that the repeated REFER got; 0: none was sent
	Meanwhile int           // status that the other REFER got; 0: none was sent
}

// Refer plays a transfer to its end: hold, REFER, NOTIFYs, and what the assistant does then; or hold and BYE, after which nothing more is
// told. The context bounds every wait.
func (c *Call) Refer(ctx context.Context, t Transfer) (Outcome, error) {
	if t.Hold != NoHold {
		if err := c.Hold(ctx, t.Hold); err != nil {
			return Outcome{}, fmt.Errorf("hold before the REFER: %w", err)
		}
	}
	if t.Method == ByHangup {
		return c.leave(ctx, t)
	}
	o, err := c.referOnce(ctx, t)
	if err != nil || !c.failed(o) {
		return o, err
	}
	switch t.OnFailure {
	case ResumeCall:
		return o, c.Resume(ctx)
	case ReferAgain:
		if err := c.Resume(ctx); err != nil {
			return o, err
		}
		t.Hold, t.OnFailure = NoHold, ResumeCall
		return c.Refer(ctx, t)
	default:
		return o, c.Hangup(ctx)
	}
}

// failed tells whether the assistant has to go on with a caller who was not transferred.
func (c *Call) failed(o Outcome) bool {
	return !c.isOver() && (o.Status >= 300 || o.Final >= 300)
}

// referOnce sends the REFER and follows its NOTIFYs until the reaction is due.
func (c *Call) referOnce(ctx context.Context, t Transfer) (Outcome, error) {
	o, err := c.sendRefer(ctx, t)
	if err != nil || o.Status >= 300 {
		return o, err
	}
	if o, err = c.pester(ctx, t, o); err != nil {
		return o, err
	}
	switch t.Reaction {
	case ByeAfterAccept:
		return o, c.Hangup(ctx)
	case ByeAfterTrying:
		if o.NoSub {
			break
		}
		if err := c.awaitTransfer(ctx, func(s subscription) bool { return len(s.codes) > 0 }); err != nil {
			return c.outcome(o), err
		}
		return c.outcome(o), c.Hangup(ctx)
	}
	if o.NoSub { // nothing will be told, the edge hangs up when it is done
		_, err := c.Await(ctx)
		return c.outcome(o), err
	}
	if err := c.awaitTransfer(ctx, func(s subscription) bool { return s.finalAnswered }); err != nil {
		return c.outcome(o), err
	}
	o = c.outcome(o)
	switch {
	case o.Final >= 300 || c.isOver():
		return o, nil
	case t.Reaction == ByeAfterFinal:
		return o, c.Hangup(ctx)
	}
	_, err = c.Await(ctx)
	return o, err
}

func (c *Call) outcome(o Outcome) Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	o.Codes, o.Final = append([]int(nil), c.transfer.codes...), c.transfer.final
	return o
}

// awaitTransfer waits for a NOTIFY, or for the end of the call.
func (c *Call) awaitTransfer(ctx context.Context, holds func(subscription) bool) error {
	for {
		c.mu.Lock()
		s, over := c.transfer, c.ending.How != Alive
		c.mu.Unlock()
		if holds(s) || over {
			return nil
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for a NOTIFY: %w", ctx.Err())
		}
	}
}

// sendRefer opens the subscription as the REFER leaves, so that a NOTIFY that overtakes the 202 finds it.
func (c *Call) sendRefer(ctx context.Context, t Transfer) (Outcome, error) {
	conn, err := c.flow(ctx)
	if err != nil {
		return Outcome{}, err
	}
	c.mu.Lock()
	if c.ending.How != Alive || c.acks == 0 {
		c.mu.Unlock()
		return Outcome{}, errors.New("REFER: no dialog")
	}
	m := c.dialog.Request("REFER")
	t.write(m, c.dialog.Contact)
	number, _ := m.CSeq()
	c.transfer = subscription{refer: number, request: m, changed: c.transfer.changed}
	c.mu.Unlock()
	sent, done := time.Now(), make(chan wire.Reply, 1)
	tx, err := c.assistant.wire.Start(conn, m, func(r wire.Reply) {
		if r.Err == nil && r.Response.Status() < 200 {
			return
		}
		c.mu.Lock()
		c.transfer.accepted = r.Err == nil && r.Response.Status() < 300
		c.transfer.noSub = t.NoSub && c.transfer.accepted && refusesSub(r.Response)
		c.mu.Unlock()
		done <- r
	})
	if err != nil {
		return Outcome{}, err
	}
	defer tx.End()
	select {
	case r := <-done:
		if r.Err != nil {
			return Outcome{}, r.Err
		}
		o := Outcome{Status: r.Response.Status(), Took: time.Since(sent)}
		c.assistant.checkHidden(r.Response)
		if o.NoSub = t.NoSub && refusesSub(r.Response); t.NoSub && !o.NoSub && o.Status < 300 {
			c.violate(simulator.ReferSub, "the %d has Refer-Sub %q", o.Status, r.Response.Get("Refer-Sub"))
		}
		if o.Took > c.assistant.cfg.AcceptWithin {
			c.violate(simulator.AcceptedInTime, "%d after %s", o.Status, o.Took)
		}
		return o, nil
	case <-ctx.Done():
		c.violate(simulator.AcceptedInTime, "no answer to the REFER")
		return Outcome{}, fmt.Errorf("REFER: %w", ctx.Err())
	}
}

func (h Hold) direction() phone.Direction {
	if h == HoldInactive {
		return phone.Inactive
	}
	return phone.SendOnly
}
