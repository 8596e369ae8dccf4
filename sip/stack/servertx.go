package stack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
)

// ErrAnswered says that a request has had its final response.
var ErrAnswered = errors.New("request already answered")

// ServerTx is a request of a peer, to be answered. It outlives the answer for as long as copies of
// the request may come (RFC 3261 §17.2, RFC 6026 §7.1), and answers those itself.
type ServerTx struct {
	stack *Stack
	req   atomic.Pointer[sipmsg.Request]
	head  head // behind the final response, what wayback.go needs
	key   string
	is    sipmsg.RequestMethod
	tag   string
	fsm   *sipmsg.ServerTx
	conn  serverConn
	since time.Time

	mu        sync.Mutex // taken before the state machine's lock, never inside it
	flow      *Flow
	source    netip.AddrPort
	final     int // code of the final response, 0 before
	cancelled bool
	lost      bool
	back      wayBack
}

// newServerTx makes the transaction of a new request, ready to take copies of it. The state machine
// gets a bare copy, so that the request is the handler's alone.
func (s *Stack) newServerTx(key string, in *inbound) *ServerTx {
	t := &ServerTx{stack: s, is: in.req.Method, head: in.head, key: key, flow: in.flow, source: in.flow.remote, since: time.Now()}
	t.req.Store(in.req)
	if t.tag, _ = in.req.To().Params.Get("tag"); t.tag == "" {
		t.tag = newTag()
	}
	t.conn.flow = in.flow.reply(&in.head)
	t.fsm = sipmsg.NewServerTx(key, bare(in.req.Method, in.flow.transport), &t.conn, s.quiet)
	// Runs under the state machine's lock.
	t.fsm.OnTerminate(func(string, error) {
		s.table.closeServer(t)
		t.conn.current().unwatch(t)
	})
	t.fsm.Init() // has no error
	return t
}

// trying sends 100 to an INVITE at once (RFC 3261 §17.2.1), so that the peer stops retransmitting
// however long the call's admission takes.
func (t *ServerTx) trying() {
	if t.invite() {
		t.Respond(t.Response(100, "Trying"))
		t.flow.watch(t) // true: a flow is not lost while its reader is here
	}
}

// Request returns the request as received, which belongs to the handler. Behind the final response there is no
// more in it than its method and what names its dialog: the transaction lives on for half a minute.
func (t *ServerTx) Request() *sipmsg.Request { return t.req.Load() }

func (t *ServerTx) invite() bool { return t.is == sipmsg.INVITE }

// Tag returns the To tag of all responses: the request's, or one made when it arrived.
func (t *ServerTx) Tag() string { return t.tag }

// Source returns where the request, or its last copy, came from.
func (t *ServerTx) Source() netip.AddrPort {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.source
}

// Received returns when the request came in.
func (t *ServerTx) Received() time.Time { return t.since }

// Peer tells on whose behalf the request speaks.
func (t *ServerTx) Peer() metrics.Peer { return t.Flow().peer }

// Flow returns the flow on which responses go: the one that brought the request or its last copy, or what
// took its place.
func (t *ServerTx) Flow() *Flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.flow
}

// Response builds a response without body: Via, From, To, Call-ID and CSeq, and Record-Route where
// a dialog is made of it, byte for byte as they came.
func (t *ServerTx) Response(code int, reason string) *sipmsg.Response {
	res := sipmsg.NewResponse(code, reason)
	fields, _ := t.head.echo(code, t.tag, t.Source()) // the request was checked
	for _, f := range fields {
		if f.name == "CSeq" { // typed: sipgo's state machine reads it
			res.AppendHeader(&sipmsg.CSeqHeader{SeqNo: t.Request().CSeq().SeqNo, MethodName: t.is})
			continue
		}
		res.AppendHeader(sipmsg.NewHeader(f.name, f.value))
	}
	res.SetBody(nil)
	return res
}

// Respond sends a response, once: copies of the request get it again. Only a 2xx to an INVITE is
// repeated by the caller (RFC 6026 §7.1). After it the response must not be changed. Errors wrap
// ErrAnswered, ErrGuard or ErrTransport; nil may mean that the response waits for a redial (Return).
func (t *ServerTx) Respond(res *sipmsg.Response) error {
	err := t.respond(res)
	if errors.Is(err, ErrTransport) && t.goBack() {
		return nil
	}
	return err
}

func (t *ServerTx) respond(res *sipmsg.Response) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	// sipgo would keep a second final response as the one to retransmit.
	again := t.invite() && isSuccess(t.final) && res.IsSuccess()
	if t.final != 0 && !again {
		return fmt.Errorf("%w: %d", ErrAnswered, t.final)
	}
	w, err := t.stack.guard(responseDraft(res), t.flow)
	if err != nil {
		return err
	}
	if !res.IsProvisional() {
		t.final = res.StatusCode
		t.flow.unwatch(t)
		t.head = t.head.topVia()
		t.req.Store(identity(t.Request()))
	}
	bare := &sipmsg.Response{StatusCode: res.StatusCode} // the state machine holds what it is given
	t.conn.load(bare, w)
	t.fsm.Respond(bare) // its error may be an old one; the connection knows the last
	return t.conn.err()
}

// identity is what names a request's dialog and its place in it. Nothing of it holds the text of the message.
func identity(req *sipmsg.Request) *sipmsg.Request {
	short := &sipmsg.Request{Method: req.Method}
	callID := sipmsg.CallIDHeader(strings.Clone(req.CallID().Value()))
	short.AppendHeader(&callID)
	short.AppendHeader(&sipmsg.CSeqHeader{SeqNo: req.CSeq().SeqNo, MethodName: req.Method})
	short.AppendHeader(&sipmsg.FromHeader{Params: tagOnly(req.From().Params)})
	short.AppendHeader(&sipmsg.ToHeader{Params: tagOnly(req.To().Params)})
	return short
}

func tagOnly(params sipmsg.HeaderParams) sipmsg.HeaderParams {
	tag, ok := params.Get("tag")
	if !ok {
		return nil
	}
	return sipmsg.HeaderParams{{K: "tag", V: strings.Clone(tag)}}
}

// again takes a copy of the request. One on a new connection, after the old one was lost, brings
// the answers there.
func (t *ServerTx) again(in *inbound) {
	t.mu.Lock()
	if !t.flow.Open() && in.flow.Open() {
		t.flow, t.source = in.flow, in.flow.remote
		t.conn.move(in.flow.reply(&in.head))
		if t.final == 0 && t.invite() {
			in.flow.watch(t) // true, as in trying
		}
	}
	answered := t.final != 0 && !t.invite()
	t.mu.Unlock()
	if answered { // not through the state machine, which on a stream has ended (timer J is 0) or is about to
		t.conn.repeat()
		return
	}
	t.fsm.Receive(bare(t.is, t.conn.current().transport)) // writes the last response again; has no error here
}

// acknowledge takes the ACK that has the INVITE's branch.
func (t *ServerTx) acknowledge(in *inbound) {
	t.mu.Lock()
	final := t.final
	t.mu.Unlock()
	switch {
	case final == 0: // nothing to acknowledge: ignored on purpose
	case isSuccess(final): // Deviation: a 2xx's ACK must have its own branch; some peers reuse it
		t.stack.deps.Handler.OnACK(in.req, in.flow)
	default:
		t.fsm.Receive(bare(sipmsg.ACK, t.conn.current().transport))
	}
}

// cancel takes a CANCEL: 200 with the INVITE's To tag, then the handler decides (RFC 3261 §9.2).
func (t *ServerTx) cancel(in *inbound) {
	t.stack.answer(in, 200, "OK", t.tag)
	t.mu.Lock()
	first := t.final == 0 && !t.cancelled
	t.cancelled = t.cancelled || first
	t.mu.Unlock()
	if first {
		t.stack.deps.Handler.OnCancel(t)
	}
}

// onFlowLost implements watcher: somebody waits for the answer to this INVITE.
func (t *ServerTx) onFlowLost(f *Flow) {
	t.mu.Lock()
	concerns := t.flow == f && t.final == 0
	t.mu.Unlock()
	if concerns && !t.goBack() {
		t.giveUp()
	}
}

// giveUp tells, once, that nobody will hear the answer.
func (t *ServerTx) giveUp() {
	t.mu.Lock()
	first := t.invite() && t.final == 0 && !t.flow.Open() && !t.lost
	t.lost = t.lost || first
	t.mu.Unlock()
	if first {
		t.stack.deps.Handler.OnLost(t)
	}
}

func isSuccess(code int) bool { return code >= 200 && code < 300 }

// serverConn is the connection that sipgo's server transaction writes to. It writes bytes that
// passed the guard and nothing else, and hides failures from the state machine: it would end and
// forget the request, and the next copy would be a new call.
type serverConn struct {
	mu   sync.Mutex
	flow *Flow
	msg  sipmsg.Message // the response that wire is
	wire wire
	last error
}

func (c *serverConn) load(msg sipmsg.Message, w wire) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.msg, c.wire, c.last = msg, w, nil
}

func (c *serverConn) move(f *Flow) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flow = f
}

func (c *serverConn) current() *Flow {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flow
}

func (c *serverConn) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// repeat writes the last response once more.
func (c *serverConn) repeat() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeLocked()
	return c.last
}

// writeLocked neither counts nor shows what a lost connection can't take.
func (c *serverConn) writeLocked() {
	switch {
	case c.wire.raw == nil: // nothing was said yet
	case !c.flow.Open():
		c.last = fmt.Errorf("%w: %w", ErrTransport, errClosed)
	default:
		c.last = c.flow.send(c.wire)
	}
}

// WriteMsg implements sipmsg.Connection. A message that was not loaded is sipgo's own late 100.
func (c *serverConn) WriteMsg(msg sipmsg.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if msg == c.msg {
		c.writeLocked()
	}
	return nil
}

// The rest of sipmsg.Connection: flows are counted by nobody and closed by their owner.

func (c *serverConn) LocalAddr() net.Addr    { return net.TCPAddrFromAddrPort(c.current().local) }
func (c *serverConn) Ref(int) int            { return 0 }
func (c *serverConn) TryClose() (int, error) { return 0, nil }
func (c *serverConn) Close() error           { return nil }
