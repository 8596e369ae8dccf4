package watson

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
	Way          Way           // transfer_headers_send_method
	Bare         bool          // Refer-To without <>, as in IBM's sample
	EncodeColons bool          // %3A
	Compact      bool          // "r:" instead of "Refer-To:"
	ReferTo      []string      // the Refer-To values as they are, instead of all above; two or none are wrong on purpose
	Hold         Hold          // before the REFER
	Reaction     Reaction
	OnFailure    OnFailure
}

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

var (
	ways      = [...]string{"refer_to_header", "custom_header", "contact_header"}
	holds     = [...]string{"none", "sendonly", "inactive"}
	reactions = [...]string{"wait for bye", "bye after final", "bye after trying", "bye after accept"}
	failures  = [...]string{"hang up", "resume", "refer again"}
)

func (w Way) String() string       { return word(ways[:], int(w)) }
func (h Hold) String() string      { return word(holds[:], int(h)) }
func (r Reaction) String() string  { return word(reactions[:], int(r)) }
func (f OnFailure) String() string { return word(failures[:], int(f)) }

// Outcome is what became of a transfer.
type Outcome struct {
	Status int           // of the response to the REFER
	Took   time.Duration // until that
	Codes  []int         // of the NOTIFYs, in order
	Final  int           // the last of them that is final; 0: none came
}

// Refer plays a transfer to its end: hold, REFER, NOTIFYs, and what the assistant does then. The context bounds every wait.
func (c *Call) Refer(ctx context.Context, t Transfer) (Outcome, error) {
	if t.Hold != NoHold {
		if err := c.Hold(ctx, t.Hold); err != nil {
			return Outcome{}, fmt.Errorf("hold before the REFER: %w", err)
		}
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
	switch t.Reaction {
	case ByeAfterAccept:
		return o, c.Hangup(ctx)
	case ByeAfterTrying:
		if err := c.awaitTransfer(ctx, func(s subscription) bool { return len(s.codes) > 0 }); err != nil {
			return c.outcome(o), err
		}
		return c.outcome(o), c.Hangup(ctx)
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
	c.transfer = subscription{refer: number, changed: c.transfer.changed}
	c.mu.Unlock()
	sent, done := time.Now(), make(chan wire.Reply, 1)
	tx, err := c.assistant.wire.Start(conn, m, func(r wire.Reply) {
		if r.Err == nil && r.Response.Status() < 200 {
			return
		}
		c.mu.Lock()
		c.transfer.accepted = r.Err == nil && r.Response.Status() < 300
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
		if o.Took > c.assistant.cfg.AcceptWithin {
			c.violate(simulator.AcceptedInTime, "%d after %s", o.Status, o.Took)
		}
		return o, nil
	case <-ctx.Done():
		c.violate(simulator.AcceptedInTime, "no answer to the REFER")
		return Outcome{}, fmt.Errorf("REFER: %w", ctx.Err())
	}
}

// write puts target and headers into the REFER in the way that is asked for.
func (t Transfer) write(m *wire.Message, contact string) {
	target, name := t.Target, "Refer-To"
	if target == "" {
		target = "sip:queue@flex.twilio.com"
	}
	if t.Compact {
		name = "r"
	}
	headers := append([]wire.Header(nil), t.More...)
	if t.Key != "" {
		key := wire.Header{Name: t.Name, Value: t.Key}
		if key.Name == "" {
			key.Name = KeyHeader
		}
		headers = append(headers, key)
	}
	switch t.Way {
	case CustomHeader:
		m.Headers = append(m.Headers, headers...)
	case ContactHeader:
		contact = "<" + strings.Trim(contact, "<>") + t.uriHeaders(headers) + ">"
	default:
		target += t.uriHeaders(headers)
	}
	if !t.Bare {
		target = "<" + target + ">"
	}
	m.Add("Contact", contact)
	if t.ReferTo == nil {
		m.Add(name, target)
	}
	for _, value := range t.ReferTo {
		m.Add(name, value)
	}
}

func (t Transfer) uriHeaders(headers []wire.Header) string {
	sep, text := "?", ""
	for _, h := range headers {
		text += sep + h.Name + "=" + t.escape(h.Value)
		sep = "&"
	}
	return text
}

// escape encodes a URI header's value as in IBM's sample: everything but the unreserved of RFC 3261 §25.1 and the colon.
func (t Transfer) escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		plain := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-_.!~*'()", c) >= 0
		if plain || c == ':' && !t.EncodeColons {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

func (h Hold) direction() phone.Direction {
	if h == HoldInactive {
		return phone.Inactive
	}
	return phone.SendOnly
}
