package stack

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	sipmsg "github.com/emiago/sipgo/sip"
)

// ErrTimeout says that no final response came within 64*T1 (RFC 3261 §17.1, timers B and F).
var ErrTimeout = errors.New("no response in time")

// ErrCancelled says that a request was given up before it left.
var ErrCancelled = errors.New("cancelled before it was sent")

// TxError ends a request without a final response. Err wraps ErrTimeout, ErrTransport, ErrGuard or
// ErrCancelled.
type TxError struct {
	Sent bool // the request may have reached the peer
	Err  error
}

func (e *TxError) Error() string {
	if e.Sent {
		return "sent, then: " + e.Err.Error()
	}
	return "not sent: " + e.Err.Error()
}

func (e *TxError) Unwrap() error { return e.Err }

// TxEvent is a response and the flow it came on, or the end without one (Err is a *TxError).
type TxEvent struct {
	Response *sipmsg.Response
	Flow     *Flow
	Err      error
}

// ClientTx is a request of ours under way. When its connection is lost before any response, it is sent
// once more, over a connection dialled anew.
//
// That is safe because branch, sent-by and CSeq stay: a peer that has the first copy takes the second
// for a retransmission (RFC 3261 §17.2.3) and repeats its answer, so that neither a REFER nor an INVITE
// happens twice. Behind a response it is not done: that peer has the request, and a second connection
// may end at another machine of its that does not. Such a request has failed, perhaps after it took
// effect (TxError.Sent); an INVITE may then go to another target, whose call is another one. A CANCEL
// goes with its INVITE.
type ClientTx struct {
	stack  *Stack
	method string
	key    imprint

	// recv is held by the goroutine that brings a response until the sink has it.
	recv sync.Mutex

	mu        sync.Mutex // never held while the sink is called
	machine   machine
	asked     *asked // nil behind the final response
	sink      func(TxEvent)
	flow      *Flow // nil before the first start
	via       string
	said      wire // the request; behind the refusal of an INVITE its ACK; else nothing once there is a final response
	sent      bool
	heard     bool // a response came
	resent    bool
	cancelled bool
	muted     bool // no more events
	final     int  // code of the first final response
}

// asked is what a request was made of, without Via, and where it goes: what another one like it takes.
type asked struct {
	draft  draft
	hop    Hop
	branch string
}

func (s *Stack) newClientTx(d draft, branch string, hop Hop, sink func(TxEvent)) *ClientTx {
	return &ClientTx{stack: s, method: d.method, key: s.clientKey(branch, d.method), asked: &asked{d, hop, branch}, sink: sink}
}

func (t *ClientTx) invite() bool { return t.method == string(sipmsg.INVITE) }

// start implements parcel. Each start begins the state machine anew, since another transport may have
// other timers.
func (t *ClientTx) start(f *Flow) bool {
	via, ok := t.viaOn(f)
	if !ok {
		return true // answered meanwhile, over the connection that was lost then
	}
	w, err := t.stack.guard(t.draft().withVia(via), f)
	if err != nil {
		t.fail(err)
		return true
	}
	if !f.watch(t) {
		return false
	}
	if err := t.begin(f, via, w); err != nil && f.udp != nil { // a stream's loss comes through watch
		t.fail(err)
	}
	return true
}

// begin sends. The transaction can be found before: the answer may be faster than the return of the system call.
func (t *ClientTx) begin(f *Flow, via string, w wire) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.muted || t.asked == nil { // nobody cares any more
		f.unwatch(t)
		return nil
	}
	t.flow, t.via, t.said = f, via, w
	rules := &otherClient
	if t.invite() {
		rules = &inviteClient
	}
	t.machine.begin(&t.stack.clock, rules, calling, f.transport.stream(), t)
	t.stack.table.put(t)
	if err := f.send(w); err != nil {
		return err
	}
	t.sent = true
	return nil
}

// viaOn is the Via that the request has had already, unless it had another transport's: without a listener
// its port is that of the first connection. ok is false when there is nothing to be sent any more.
func (t *ClientTx) viaOn(f *Flow) (via string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.asked == nil:
		return "", false
	case t.flow != nil && t.flow.transport == f.transport:
		return t.via, true
	}
	return t.stack.via(f, t.asked.branch), true
}

// draft is the request without its Via; empty behind the final response.
func (t *ClientTx) draft() draft {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asked == nil {
		return draft{}
	}
	return t.asked.draft
}

// unreachable implements parcel.
func (t *ClientTx) unreachable(err error) { t.fail(err) }

// onFlowLost implements watcher.
func (t *ClientTx) onFlowLost(f *Flow) {
	t.mu.Lock()
	if t.flow != f || t.asked == nil || t.muted {
		t.mu.Unlock()
		return
	}
	again := !t.heard && !t.resent && t.method != string(sipmsg.CANCEL)
	t.resent = true
	hop, d := t.asked.hop, t.asked.draft
	t.mu.Unlock()
	if !again {
		t.fail(fmt.Errorf("%w: %w", ErrTransport, f.stream.cause))
		return
	}
	hop.Flow = nil
	t.stack.forward(t, hop, d)
}

// hears tells whether a flow may bring the response: it comes from where the request went, or speaks for the same peer.
func (t *ClientTx) hears(f *Flow) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.flow != nil && (f.peer == t.flow.peer || f.remote.Addr() == t.flow.remote.Addr())
}

// receive takes a response on the goroutine that read it.
func (t *ClientTx) receive(in *inbound) {
	t.recv.Lock()
	defer t.recv.Unlock()
	sink, over := t.onResponse(in)
	if sink != nil {
		sink(TxEvent{Response: in.res, Flow: in.flow})
	}
	if over {
		t.forget()
	}
}

// settleLocked leaves the table in a state in which nothing is left to do over UDP but to know copies.
func (t *ClientTx) settleLocked(in state) {
	if t.machine.state == in && t.flow != nil && t.flow.udp != nil {
		t.machine.halt()
		t.stack.table.settleClient(t)
	}
}

// onResponse tells who hears of a response, if anybody does, and whether it was the last.
func (t *ClientTx) onResponse(in *inbound) (sink func(TxEvent), over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard = true
	do := t.machine.step(responded(in.res.StatusCode))
	sink = t.sink
	if t.final == 0 && !in.res.IsProvisional() {
		t.onFinalLocked(in)
	}
	if do&ack != 0 && t.said.raw != nil {
		t.flow.send(t.said)
	}
	if do&pass == 0 || t.muted {
		sink = nil
	}
	return sink, t.machine.state == terminated
}

// onFinalLocked lets go of all that copies of the final response, half a minute long, do not need.
func (t *ClientTx) onFinalLocked(in *inbound) {
	t.final = in.res.StatusCode
	request := t.asked.draft
	t.asked, t.said = nil, wire{}
	t.flow.unwatch(t)
	switch {
	case !t.invite():
		t.sink = nil
		t.settleLocked(completed)
	case !in.res.IsSuccess():
		t.said = t.ackFor(request, in)
	}
	t.via = ""
}

// onTimer implements sleeper.
func (t *ClientTx) onTimer(rung *timer) {
	t.mu.Lock()
	e, ok := t.machine.rang(rung)
	if !ok {
		t.mu.Unlock()
		return
	}
	do := t.machine.step(e)
	if do&send != 0 {
		t.flow.send(t.said) // what fails, the next copy or the timeout makes up for
	}
	over := t.machine.state == terminated
	t.mu.Unlock()
	switch {
	case do&timeout != 0:
		t.fail(ErrTimeout)
	case over:
		t.forget()
	}
}

// fail ends the request with an error, unless it has ended. The event has a goroutine of its own
// because locks may be held here.
func (t *ClientTx) fail(err error) {
	t.mu.Lock()
	tell := !t.muted && t.final == 0 && t.sink != nil
	t.muted = true
	ev, sink := TxEvent{Err: &TxError{Sent: t.sent, Err: err}}, t.sink
	t.mu.Unlock()
	if tell {
		t.stack.post(func() { sink(ev) })
	}
	t.forget()
}

// Terminate forgets the transaction: no more events, and late responses are dropped.
func (t *ClientTx) Terminate() {
	t.mu.Lock()
	t.muted = true
	t.mu.Unlock()
	t.forget()
}

// Release lets go of the sink: the transaction goes on, and nobody is told any more.
func (t *ClientTx) Release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sink = nil
	t.settleLocked(accepted)
}

// forget leaves the table, and whatever else holds the transaction.
func (t *ClientTx) forget() {
	t.stack.table.closeClient(t)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.machine.stop()
	if t.flow != nil {
		t.flow.unwatch(t)
	}
}

// Cancel gives up an INVITE. One that has not left ends with ErrCancelled and never leaves. One that
// has had a provisional response is followed by CANCEL over the same flow, once (RFC 3261 §9.1), and
// what comes of it shows in the INVITE's own final response. One that left and was not answered at
// all is left alone: Cancel again when it is.
func (t *ClientTx) Cancel() {
	t.mu.Lock()
	flow, sent, asked := t.flow, t.sent, t.asked
	idle := !t.invite() || asked == nil || t.muted || t.cancelled || sent && !t.heard
	t.cancelled = t.cancelled || !idle
	t.mu.Unlock()
	switch {
	case idle:
		return
	case !sent:
		t.fail(ErrCancelled)
		return
	}
	invite := asked.draft
	d := draft{method: string(sipmsg.CANCEL), uri: invite.uri, fields: invite.follow(sipmsg.CANCEL, invite.first("To"))}
	t.stack.newClientTx(d, asked.branch, asked.hop, func(TxEvent) {}).start(flow)
}

// ackFor is the ACK of a final response that is no 2xx (RFC 3261 §17.1.1.3).
func (t *ClientTx) ackFor(refused draft, in *inbound) wire {
	d := draft{method: string(sipmsg.ACK), uri: refused.uri, fields: refused.follow(sipmsg.ACK, in.head.first("To"))}
	w, _ := t.stack.guard(d.withVia(t.via), t.flow) // an error is logged and counted there
	return w
}

// follow returns the header of an ACK or CANCEL that belongs to the request's transaction.
func (d draft) follow(method sipmsg.RequestMethod, to string) []field {
	var fields []field
	for _, f := range d.fields {
		if f.is("Route") {
			fields = append(fields, f)
		}
	}
	number, _, _ := strings.Cut(d.first("CSeq"), " ")
	return append(fields,
		field{"Max-Forwards", strconv.Itoa(70)},
		field{"From", d.first("From")},
		field{"To", to},
		field{"Call-ID", d.first("Call-ID")},
		field{"CSeq", number + " " + method.String()},
	)
}
