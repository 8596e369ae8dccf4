package b2bua

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/metrics/cdr"
	"handoff/sip/dialog"
	"handoff/sip/leg"
	"handoff/sip/trunk"
	"handoff/sip/uri"
)

// Call is one caller, the assistant that talks to him, and the transfer to a human.
type Call struct {
	id        string
	engine    *rules
	log       *zap.Logger
	mail      *mailbox
	inviteKey inviteKey

	// owned by the loop
	a, b    *leg.Leg
	spares  []*leg.Leg  // attempts at Watson or an agent given up; a late 2xx of theirs is still ended
	dialogs []dialog.ID // by which the registry finds the call
	caller  caller
	setup   *setup // nil once the caller was answered
	talk    session
	modify  modification
	handoff handoff
	agent   agent
	gate    gate
	ending  ending
	left    legacy    // of a call that another process began
	written stand     // as the journal has it
	fork    string    // the tag of the last early dialog that it has
	story   cdr.Story // for the CDR
	move    *Mover    // who wants to take it to another process, until it was asked
	moved   bool      // it is there
	outlets []*outlet // of requests whose transactions may still be alive
}

// caller is what leg A's INVITE says.
type caller struct {
	kind    trunk.Kind
	dialled string
	offer   []byte // nil without one
	hops    uint32 // Max-Forwards of leg B's INVITE
	source  string
	sid     string             // X-Twilio-CallSid, by which the operator finds the call at Twilio
	parent  string             // X-Parent-CallSid, the caller's own call, if our TwiML has put it there
	toAgent trunk.Introduction // what leg C says of him
}

var (
	// errNoNumber is why an INVITE that dials nobody is refused with 404.
	errNoNumber = errors.New("no number dialled")
	// errLongNumber is why one is refused with 414.
	errLongNumber = errors.New("number too long")
)

// newCall builds the call of an INVITE, with leg A, whose loop has not begun. An error means that the
// INVITE makes no dialog.
func newCall(e *rules, tx Inbound) (*Call, error) {
	req := tx.Request()
	from, err := uri.ParseNameAddr(req.From().Value())
	if err != nil {
		return nil, fmt.Errorf("header From: %w", err)
	}
	to, err := uri.Parse(uri.Text(req.Recipient))
	if err != nil {
		return nil, fmt.Errorf("Request-URI: %w", err)
	}
	offer, err := leg.SDP(req)
	if err != nil {
		return nil, err
	}
	hops := uint32(69)
	if h := req.MaxForwards(); h != nil && *h > 0 {
		hops = min(uint32(*h)-1, hops) // as RFC 3261 §8.1.1.6 has it for a request of our own
	}
	dialled := trunk.User(to)
	if len(dialled) > trunk.MaxNumber {
		return nil, errLongNumber
	}
	if !e.cfg.Trunk.Reachable(dialled) {
		return nil, errNoNumber
	}
	who := trunk.Caller{From: from, Headers: dialog.Headers(req)}
	id := rand.Text()
	c := &Call{
		id:        id,
		engine:    e,
		inviteKey: inviteKey{strings.Clone(req.CallID().Value()), strings.Clone(dialog.FromTag(req))}, // not the whole message's text
		caller: caller{
			kind:    e.cfg.Trunk.Kind(from.URI),
			dialled: strings.Clone(dialled),
			offer:   offer,
			hops:    hops,
			source:  tx.Source().String(),
			sid:     sidOf(req, "X-Twilio-CallSid"),
			parent:  sidOf(req, "X-Parent-CallSid"),

			toAgent: e.cfg.Trunk.IntroduceToAgent(who),
		},
		setup: &setup{caller: e.cfg.Trunk.IntroduceToWatson(who)},
	}
	c.mail, c.log = newMailbox(c.wake), logOf(e.deps.Log, id)
	c.a, err = leg.NewUAS(leg.Config{
		Name:    metrics.LegA,
		Peer:    metrics.PeerTwilio,
		Contact: e.cfg.Contact(metrics.PeerTwilio, tx.Transport()),
		Names:   e.cfg.Trunk.TwilioNames(from.URI),

		OptionsEvery: e.cfg.OptionsEvery,
	}, c.legDeps(), tx)
	if err != nil {
		return nil, err
	}
	c.dialogs = append(c.dialogs, c.a.Dialog())
	c.story = cdr.Story{From: strings.Clone(trunk.User(from.URI)), To: c.caller.dialled}
	c.ending.started = time.Now()
	c.entry(c.a)
	return c, nil
}

// run begins the call's loop: everything that happens to the call happens there, one thing at a
// time, and first what it begins with.
func (c *Call) run(begin func()) {
	c.engine.crew.enlist()
	c.mail.open(begin)
}

// wake has the loop go on.
func (c *Call) wake() { c.engine.crew.serve(c) }

// turn is the loop, until there is nothing to do.
func (c *Call) turn() (last bool) {
	for {
		batch := c.mail.take()
		if batch == nil {
			return false
		}
		for _, f := range batch {
			c.guarded(f)
		}
		if c.move != nil {
			c.guarded(c.leave)
		}
		switch {
		case c.moved:
			c.depart()
			return true
		case c.over():
			c.finish()
			return true
		}
	}
}

// guarded keeps a panic from taking other calls down: this call ends, as well as it still can.
func (c *Call) guarded(f func()) {
	defer func() {
		if r := recover(); r != nil {
			c.log.Error("panic in call", zap.Any("panic", r), zap.ByteString("stack", debug.Stack()))
			c.crash()
		}
	}()
	f()
}

// over tells whether nothing can happen any more.
func (c *Call) over() bool {
	if c.ending.abandoned || c.moved {
		return true
	}
	if c.a.State() != leg.Over { // so it is most of the time
		return false
	}
	for _, l := range c.legs() {
		if l.State() != leg.Over {
			return false
		}
	}
	return !c.handoff.running() && len(c.gate.waiting) == 0
}

// legDeps gives a leg its ways out, all of which lead back into the loop.
func (c *Call) legDeps() leg.Deps {
	return leg.Deps{
		Log:     c.log,
		Wire:    callWire{c.engine.deps.Wire, c},
		After:   c.after,
		Emit:    c.onLeg,
		Refused: c.engine.deps.Observer.Rejected,
	}
}

// after runs f in the loop when d is over.
func (c *Call) after(d time.Duration, f func()) (stop func()) {
	stopped := false // owned by the loop: the timer only posts
	timer := time.AfterFunc(d, func() {
		c.mail.put(func() {
			if !stopped {
				f()
			}
		})
	})
	return func() {
		stopped = true
		timer.Stop()
	}
}

// callWire brings what the network answers back into the call's loop.
type callWire struct {
	leg.Wire
	call *Call
}

// outlet is a transaction whose results come to the call. It may live on for half a minute behind the last one, and must
// not hold the whole call for as long: at the call's end it is released.
type outlet struct {
	tx   leg.ClientTx
	made time.Time
	over atomic.Bool // the first final result has come
}

// outletTime is 64*T1: when the transaction of an ordinary request is over. One that lasts longer, an INVITE that
// rings, may hold the call somewhat behind its end.
const outletTime = 64 * leg.T1

// forgetOutlets lets go of transactions that are over, and of the messages that they held.
func (c *Call) forgetOutlets() {
	c.outlets = slices.DeleteFunc(c.outlets, func(o *outlet) bool { return time.Since(o.made) > outletTime })
}

// Send lets the first final result always through; provisional responses and repeated finals come as
// often as the peer likes, and so pass the bound.
func (w callWire) Send(req *sipmsg.Request, to leg.Destination, sink func(leg.TxEvent)) leg.ClientTx {
	out := &outlet{made: time.Now()}
	w.call.outlets = append(w.call.outlets, out)
	mail, observer := w.call.mail, w.call.engine.deps.Observer
	out.tx = w.Wire.Send(req, to, func(ev leg.TxEvent) {
		provisional := ev.Response != nil && ev.Response.IsProvisional()
		if !provisional && !out.over.Swap(true) {
			mail.put(func() { sink(ev) })
			return
		}
		if mail.offer(func() { sink(ev) }) == errFull {
			observer.MailboxFull()
		}
	})
	return out.tx
}

// onRequest takes a request of one of the dialogs.
func (c *Call) onRequest(tx Inbound) {
	l := c.legOf(tx.Request(), tx.Peer(), tx.Source().Addr())
	if l == nil {
		c.engine.refuse(tx, metrics.RejectDialog, 481, "Call/Transaction Does Not Exist")
		return
	}
	l.OnRequest(tx)
}

// legOf finds the leg whose dialog a request names, if its sender may speak there: a connection
// that the edge dialled speaks for its peer, any other address must be on the peer's list.
func (c *Call) legOf(req *sipmsg.Request, peer metrics.Peer, from netip.Addr) *leg.Leg {
	for _, l := range c.legs() {
		if l.Matches(req) {
			if peer == l.Peer || c.engine.cfg.Trunk.Speaks(from, l.Peer) {
				return l
			}
			return nil
		}
	}
	return nil
}

// onACK takes an ACK as onRequest does a request, but that nobody is answered.
func (c *Call) onACK(req *sipmsg.Request, peer metrics.Peer, from netip.Addr) {
	l := c.legOf(req, peer, from)
	if l == nil {
		c.engine.deps.Observer.Rejected(metrics.RejectDialog)
		return
	}
	l.OnACK(req)
}

func (c *Call) onStray(res *sipmsg.Response, from metrics.Peer) {
	for _, l := range c.legs() {
		if l.Peer == from {
			l.OnStray(res)
		}
	}
}

func (c *Call) legs() []*leg.Leg {
	legs := []*leg.Leg{c.a}
	if c.b != nil {
		legs = append(legs, c.b)
	}
	if c.agent.leg != nil {
		legs = append(legs, c.agent.leg)
	}
	return append(legs, c.spares...)
}

// onLeg is told what happens on a leg and sends it to the file that is about it.
func (c *Call) onLeg(l *leg.Leg, ev leg.Event) {
	c.tellLeg(l, ev)
	switch ev := ev.(type) {
	case leg.Inviting:
		c.note() // so that another process can end it
	case leg.Trying, leg.Ringing, leg.EarlyMedia, leg.Connected, leg.Failed:
		switch l {
		case c.b:
			c.onProgress(ev)
		case c.agent.leg:
			c.onAgentProgress(ev)
		}
	case leg.Confirmed:
		c.log.Debug("answer confirmed", zap.Stringer("leg", l.Name))
	case leg.Unacknowledged:
		c.onUnacknowledged(l)
	case leg.AnsweredInACK:
		c.onAnsweredInACK(l, ev.SDP)
	case leg.OfferCancelled:
		c.onOfferCancelled(l)
	case leg.Offered:
		c.onOffered(l, ev.SDP)
	case leg.OfferAnswered:
		c.onOfferAnswered(l, ev.SDP)
	case leg.OfferTaken:
		c.onOfferTaken(l)
	case leg.OfferRejected:
		c.onOfferRejected(l, ev.Code)
	case leg.RefreshDue:
		c.onRefreshDue(l)
	case leg.Referred:
		c.onReferred(l, ev.Refer)
	case leg.ReferAnswered:
		c.handoff.onReferAnswered(ev)
	case leg.Notified:
		c.handoff.onNotified(ev)
	case leg.Ended:
		c.onEnded(l, ev)
	}
}
