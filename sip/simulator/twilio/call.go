package twilio

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"handoff/sip/simulator"
	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/wire"
)

// answerWithin bounds the edge's response to what Twilio sends inside a dialog by itself.
const answerWithin = 10 * time.Second

// Call is one leg from Twilio to the edge.
type Call struct {
	account        *Account
	options        Options
	parent         *parent
	sid            string // of this leg, the child
	callID         string
	trunk          bool
	secure         bool
	headers        []wire.Header // of the <Sip> URI
	referURL       string        // absolute referUrl; empty: none
	actionURL      string        // absolute action; empty: none
	answerOnBridge bool
	phone          *phone.Phone
	lateAnswer     []byte      // for the ACK, by Options.LateOffer; of the goroutine that reads the edge's responses
	edge           peerAddress // where the INVITE went

	ringing  chan struct{}
	answered chan struct{}
	over     chan struct{}
	dialed   chan struct{} // closed when the action of the Dial was asked, or need not be

	mu         sync.Mutex
	dialog     wire.Dialog
	invite     *wire.Message
	inviteTx   *wire.ClientTx
	final      *wire.Message // response to the INVITE; nil before it
	answeredAt time.Time
	timeout    bool // the Dial's has passed
	inviteConn *wire.Conn
	conn       *wire.Conn // the one that requests of ours use now
	routes     []string   // what the edge must put into Route
	edgeTag    string     // first To tag seen
	isRinging  bool
	isAnswered bool
	cancelled  bool
	redirected bool // the REST API took the parent elsewhere
	reinviting bool
	refer      progress
	lowCSeq    uint32 // for Refer.LowCSeq
	ending     Ending
	notified   []int // responses to our NOTIFYs
	referTos   []string
}

// progress of a REFER.
type progress struct {
	running   bool // accepted or unanswered, its outcome not told
	succeeded bool // NOTIFY 200 was sent
}

// Sid is the call's own SID, which the INVITE carries; ParentSid that of the caller's leg, which Flex tasks carry.
func (c *Call) Sid() string       { return c.sid }
func (c *Call) ParentSid() string { return c.parent.sid }

// CallID is that of the leg's dialog.
func (c *Call) CallID() string { return c.callID }

// Invite is the INVITE as it was sent.
func (c *Call) Invite() *wire.Message { return c.invite.Clone() }

// Ringing is closed by the first 180 or 183, Answered once the 200 is acknowledged, Over when the call has ended.
func (c *Call) Ringing() <-chan struct{}  { return c.ringing }
func (c *Call) Answered() <-chan struct{} { return c.answered }
func (c *Call) Over() <-chan struct{}     { return c.over }

// AwaitAnswer waits for the 200; a call that ends instead is an error.
func (c *Call) AwaitAnswer(ctx context.Context) error {
	return simulator.AwaitAnswer(ctx, c.answered, c.over, func() string {
		return fmt.Sprintf("%s %d %s", c.Ending().How, c.Ending().Status, c.Ending().Reason)
	})
}

// Await waits for the end.
func (c *Call) Await(ctx context.Context) (Ending, error) {
	if err := simulator.AwaitEnd(ctx, c.over); err != nil {
		return Ending{}, err
	}
	return c.Ending(), nil
}

// Ending tells how the call ended; Alive while it has not.
func (c *Call) Ending() Ending {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}

// Phone is the caller's.
func (c *Call) Phone() *phone.Phone { return c.phone }

// Violations of this call so far.
func (c *Call) Violations() []simulator.Violation { return c.account.violations.Of(c.callID) }

// NotifyAnswers are the edge's responses to our NOTIFYs, 0 for none.
func (c *Call) NotifyAnswers() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]int(nil), c.notified...)
}

// ReferTos are the Refer-To values that came, in order.
func (c *Call) ReferTos() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.referTos...)
}

// Hangup is the caller hanging up: BYE.
func (c *Call) Hangup(ctx context.Context) error { return c.bye(ctx, CallerHungUp) }

// Vanish is a gateway that dies: nobody is told, and what comes for the call hears 481.
func (c *Call) Vanish() { c.end(Ending{How: Abandoned}) }

// bye ends the call before the response comes: Twilio releases the leg at once.
func (c *Call) bye(ctx context.Context, how How) error {
	c.mu.Lock()
	if c.ending.How != Alive || !c.isAnswered {
		c.mu.Unlock()
		return errors.New("BYE: no dialog")
	}
	m := c.requestLocked("BYE").Add("Reason", `Q.850;cause=16;text="Normal call clearing"`)
	c.mu.Unlock()
	defer c.end(Ending{How: how})
	response, err := c.Send(ctx, m)
	if err != nil {
		return err
	}
	if s := response.Status(); s != 200 && s != 481 {
		return fmt.Errorf("the BYE was answered %d", s)
	}
	return nil
}

// Cancel is the caller giving up before the answer. It returns when the CANCEL is answered; the call ends with the INVITE's response.
func (c *Call) Cancel(ctx context.Context) error {
	c.mu.Lock()
	if c.ending.How != Alive || c.isAnswered {
		c.mu.Unlock()
		return errors.New("CANCEL: nothing to cancel")
	}
	c.cancelled = true
	tx := c.inviteTx
	c.mu.Unlock()
	response, err := tx.Cancel(ctx, wire.Header{Name: "User-Agent", Value: "Twilio Gateway"}, wire.Header{Name: "X-Twilio-CallSid", Value: c.sid})
	if err == nil && response.Status() != 200 {
		err = fmt.Errorf("the CANCEL was answered %d", response.Status())
	}
	return err
}

// Cut ends the leg's connection without close_notify.
func (c *Call) Cut() {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	conn.Cut()
}

// Reset ends it with a RST.
func (c *Call) Reset() {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	conn.Reset()
}

// end is the only place where a call ends. The first ending counts.
func (c *Call) end(e Ending) {
	c.mu.Lock()
	if c.ending.How != Alive {
		c.mu.Unlock()
		return
	}
	if c.refer.succeeded && (e.How == EdgeHungUp || e.How == CrossedByBye || e.How == CallerHungUp) {
		e.How = Transferred
	}
	if c.redirected && e.How == EdgeHungUp {
		e.How = Redirected
	}
	c.ending = e
	elsewhere := c.redirected || e.How == Transferred || e.How == CrossedByBye
	mayReturn := c.redirected || e.How == Transferred || c.actionURL != "" // to Studio, which waits
	close(c.over)
	c.mu.Unlock()
	if !mayReturn {
		c.account.studio.Forget(c.parent.sid)
	}
	if c.phone != nil {
		c.phone.Close()
	}
	c.afterDial(e, elsewhere)
}

func (c *Call) isOver() bool { return simulator.Closed(c.over) }

func (c *Call) violate(rule simulator.Rule, format string, args ...any) {
	c.account.violate(c.callID, rule, format, args...)
}
