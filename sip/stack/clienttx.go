package stack

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

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
	branch string
	key    string

	// recv is held by the goroutine that brings a response until the sink has it.
	recv sync.Mutex

	mu        sync.Mutex // never held while the state machine or the sink is called
	draft     draft      // without Via; empty behind the final response, as hop is
	hop       Hop
	sink      func(TxEvent)
	fsm       *sipmsg.ClientTx
	conn      *clientConn
	sent      bool
	heard     bool // a response came
	resent    bool
	cancelled bool
	muted     bool // no more events
	final     int  // code of the first final response
}

func (s *Stack) newClientTx(d draft, branch string, hop Hop, sink func(TxEvent)) *ClientTx {
	return &ClientTx{stack: s, method: d.method, branch: branch, key: clientKey(branch, d.method), draft: d, hop: hop, sink: sink}
}

// clientKey is what a response has of its request's (RFC 3261 §17.1.3). No branch is within another's key: ours
// are tokens.
func clientKey(branch, method string) string { return branch + " " + method }

func (t *ClientTx) invite() bool { return t.method == string(sipmsg.INVITE) }

// bare is all that sipgo's state machine needs to see of a request.
func bare(method sipmsg.RequestMethod, transport Transport) *sipmsg.Request {
	req := &sipmsg.Request{Method: method}
	req.SetTransport(transport.via())
	if method == sipmsg.INVITE {
		req.AppendHeader(&sipmsg.CSeqHeader{MethodName: method}) // sipgo makes an ACK of it, which clientConn leaves out
	}
	return req
}

// start implements parcel. Each start has a state machine of its own, since another transport may
// have other timers.
func (t *ClientTx) start(f *Flow) bool {
	d := t.unsent()
	if d.method == "" {
		return true // answered meanwhile, over the connection that was lost then
	}
	via := t.via(f)
	w, err := t.stack.guard(d.withVia(via), f)
	if err != nil {
		t.fail(err)
		return true
	}
	if !f.watch(t) {
		return false
	}
	conn := &clientConn{flow: f, via: via, request: w}
	fsm := sipmsg.NewClientTx(t.key, bare(sipmsg.RequestMethod(t.method), f.transport), conn, t.stack.quiet)
	fsm.OnTerminate(func(_ string, err error) { t.onTerminate(fsm, err) })
	fsm.Init() // conn holds the write back until responses can be taken: no error
	sentBefore, ok := t.adopt(fsm, conn)
	if !ok {
		return true
	}
	if err := conn.release(); err != nil {
		t.mu.Lock()
		t.sent = sentBefore
		t.mu.Unlock()
		if f.udp != nil { // a stream's loss comes through watch
			t.fail(err)
		}
	}
	return true
}

// via is the Via that the request has had already, unless it had another transport's: without a listener
// its port is that of the first connection.
func (t *ClientTx) via(f *Flow) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil && t.conn.flow.transport == f.transport {
		return t.conn.via
	}
	return t.stack.via(f, t.branch)
}

// adopt makes a state machine the current one; ok is false when nobody cares any more.
func (t *ClientTx) adopt(fsm *sipmsg.ClientTx, conn *clientConn) (sentBefore, ok bool) {
	t.mu.Lock()
	if t.muted {
		t.mu.Unlock()
		fsm.Terminate()
		conn.flow.unwatch(t)
		return false, false
	}
	old := t.fsm
	sentBefore = t.sent
	t.fsm, t.conn, t.sent = fsm, conn, true
	t.mu.Unlock()
	if old != nil {
		old.Terminate()
	}
	t.stack.table.put(t)
	return sentBefore, true
}

// unreachable implements parcel.
func (t *ClientTx) unreachable(err error) { t.fail(err) }

// onFlowLost implements watcher.
func (t *ClientTx) onFlowLost(f *Flow) {
	t.mu.Lock()
	if t.conn == nil || t.conn.flow != f || t.final != 0 || t.muted {
		t.mu.Unlock()
		return
	}
	again := !t.heard && !t.resent && t.method != string(sipmsg.CANCEL)
	t.resent = true
	hop, d := t.hop, t.draft
	t.mu.Unlock()
	if !again {
		t.fail(fmt.Errorf("%w: %w", ErrTransport, f.stream.cause))
		return
	}
	hop.Flow = nil
	t.stack.forward(t, hop, d)
}

// receive takes a response on the goroutine that read it. The state machine sees provisional
// responses and the first final one only: it would sleep in its lock over a second one.
func (t *ClientTx) receive(in *inbound) {
	t.recv.Lock()
	defer t.recv.Unlock()
	t.mu.Lock()
	t.heard = true
	final, fsm, conn := t.final, t.fsm, t.conn
	t.mu.Unlock()
	switch failure := in.res.StatusCode >= 300; {
	case final == 0:
		if t.invite() && failure {
			conn.setACK(t.ackFor(in, conn))
		}
		t.feed(fsm, in)
	case t.invite() && isSuccess(final) && in.res.IsSuccess():
		t.deliver(in.res, in.flow) // again or of another fork: the dialog acknowledges
	case t.invite() && final >= 300 && failure:
		conn.sendACK()
	default: // copies, and provisional responses behind the final one: ignored on purpose
	}
}

// feed runs the state machine on a response and passes on what comes out. The state machine blocks
// in its lock until its output is taken, so it runs beside; this goroutine waits for it, and with
// that keeps the order of the wire.
func (t *ClientTx) feed(fsm *sipmsg.ClientTx, in *inbound) {
	res := in.res
	if res.StatusCode < 300 {
		res = &sipmsg.Response{StatusCode: res.StatusCode} // it holds what it is given; of a refusal it makes an ACK
	}
	done := make(chan struct{})
	go func() { // ends when its output is taken below or the transaction has ended
		defer close(done)
		fsm.Receive(res)
	}()
	for {
		select {
		case <-fsm.Responses():
			t.deliver(in.res, in.flow)
		case <-done:
			return
		}
	}
}

func (t *ClientTx) deliver(res *sipmsg.Response, f *Flow) {
	t.mu.Lock()
	muted, first := t.muted, t.final == 0 && !res.IsProvisional()
	if first {
		t.final = res.StatusCode
	}
	fsm, conn, sink := t.fsm, t.conn, t.sink
	if first { // what lives on for copies, half a minute long, needs none of it
		t.draft, t.hop = draft{}, Hop{}
		if !t.invite() {
			t.sink = nil
		}
	}
	t.mu.Unlock()
	if first {
		conn.answered()
		conn.flow.unwatch(t)
		if !t.invite() && conn.flow.udp != nil {
			time.AfterFunc(sipmsg.T4, fsm.Terminate) // timer K; sipgo waits for timer D
		}
	}
	if !muted {
		sink(TxEvent{Response: res, Flow: f})
	}
}

// onTerminate runs under the state machine's lock.
func (t *ClientTx) onTerminate(fsm *sipmsg.ClientTx, err error) {
	t.mu.Lock()
	current := t.fsm == fsm
	t.mu.Unlock()
	switch {
	case !current:
	case errors.Is(err, sipmsg.ErrTransactionTimeout):
		t.fail(ErrTimeout)
	default:
		t.forget()
	}
}

// fail ends the request with an error, unless it has ended. The event has a goroutine of its own
// because locks may be held here.
func (t *ClientTx) fail(err error) {
	t.mu.Lock()
	tell := !t.muted && t.final == 0
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

func (t *ClientTx) forget() {
	t.mu.Lock()
	fsm, conn := t.fsm, t.conn
	t.mu.Unlock()
	t.stack.table.closeClient(t)
	if fsm != nil {
		conn.flow.unwatch(t)
		fsm.Terminate() // nothing when it has ended by itself
	}
}

// Cancel gives up an INVITE. One that has not left ends with ErrCancelled and never leaves. One that
// has had a provisional response is followed by CANCEL over the same flow, once (RFC 3261 §9.1), and
// what comes of it shows in the INVITE's own final response. One that left and was not answered at
// all is left alone: Cancel again when it is.
func (t *ClientTx) Cancel() {
	t.mu.Lock()
	conn, sent, asked, hop := t.conn, t.sent, t.draft, t.hop
	idle := !t.invite() || t.final != 0 || t.muted || t.cancelled || sent && !t.heard
	t.cancelled = t.cancelled || !idle
	t.mu.Unlock()
	switch {
	case idle:
		return
	case !sent:
		t.fail(ErrCancelled)
		return
	}
	d := draft{method: string(sipmsg.CANCEL), uri: asked.uri, fields: asked.follow(sipmsg.CANCEL, asked.first("To"))}
	t.stack.newClientTx(d, t.branch, hop, func(TxEvent) {}).start(conn.flow)
}

// ackFor is the ACK of a final response that is no 2xx (RFC 3261 §17.1.1.3).
func (t *ClientTx) ackFor(in *inbound, conn *clientConn) wire {
	refused := t.unsent()
	d := draft{method: string(sipmsg.ACK), uri: refused.uri, fields: refused.follow(sipmsg.ACK, in.head.first("To"))}
	w, _ := t.stack.guard(d.withVia(conn.via), conn.flow) // an error is logged and counted there
	return w
}

// unsent is the request without its Via.
func (t *ClientTx) unsent() draft {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.draft
}

// follow returns the header of an ACK or CANCEL that belongs to the request's transaction.
func (d draft) follow(method sipmsg.RequestMethod, to string) []field {
	var fields []field
	for _, f := range d.fields {
		if strings.EqualFold(f.name, "Route") {
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
