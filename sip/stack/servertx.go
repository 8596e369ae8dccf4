package stack

import (
	"errors"
	"fmt"
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
	req   atomic.Pointer[sipmsg.Request] // nil behind the final response
	name  identity                       // behind the final response, what is left of req
	head  head                           // behind the final response, what wayback.go needs
	key   imprint
	is    sipmsg.RequestMethod
	tag   string
	since time.Time

	mu        sync.Mutex // never held while the handler is called
	machine   machine
	flow      *Flow // the request's
	reply     *Flow // the responses': over UDP it may lead to another port
	said      wire  // the last response
	source    netip.AddrPort
	final     int // code of the final response, 0 before
	cancelled bool
	lost      bool
	back      wayBack
}

// newServerTx makes the transaction of a new request, ready to take copies of it.
func (s *Stack) newServerTx(key imprint, in *inbound) *ServerTx {
	t := &ServerTx{stack: s, is: kept(in.req.Method), head: in.head, key: key, flow: in.flow, source: in.flow.remote, since: time.Now()}
	t.req.Store(in.req)
	if tag, _ := in.req.To().Params.Get("tag"); tag == "" {
		t.tag = newTag()
	} else {
		t.tag = strings.Clone(tag)
	}
	t.reply = in.flow.reply(&in.head)
	if t.invite() {
		t.machine.begin(&s.clock, &inviteServer, proceeding, in.flow.transport.stream(), t)
	} else {
		t.machine.begin(&s.clock, &otherServer, trying, in.flow.transport.stream(), t)
	}
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
func (t *ServerTx) Request() *sipmsg.Request {
	if req := t.req.Load(); req != nil {
		return req
	}
	return t.name.request(t.is)
}

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
	var room [usualFields]field
	fields, _ := t.head.echo(room[:0], code, t.tag, t.Source()) // the request was checked
	for _, f := range fields {
		if f.name == "CSeq" {
			f.value = oneBlank(f.value)
		}
		res.AppendHeader(sipmsg.NewHeader(f.name, f.value))
	}
	res.SetBody(nil)
	return res
}

// oneBlank writes a CSeq as everybody does: some peers compare it as text.
func oneBlank(cseq string) string {
	if _, method, ok := strings.Cut(cseq, " "); ok && isToken(method) {
		return cseq
	}
	return strings.Join(strings.Fields(cseq), " ")
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
	again := t.invite() && isSuccess(t.final) && res.IsSuccess()
	if t.final != 0 && !again {
		return fmt.Errorf("%w: %d", ErrAnswered, t.final)
	}
	room := rooms.Get().(*[usualFields]field)
	w, err := t.stack.guard(t.responseDraft(room[:0], res), t.flow)
	clear(room[:])
	rooms.Put(room)
	if err != nil {
		return err
	}
	if !res.IsProvisional() {
		t.final = res.StatusCode
		t.flow.unwatch(t)
		t.head = t.head.wayBack(t.flow)
		if req := t.req.Load(); req != nil {
			t.name = identityOf(req)
			t.req.Store(nil)
		}
	}
	t.said = w
	err = t.stepLocked(responded(res.StatusCode))
	t.settleLocked()
	return err
}

// settleLocked leaves the table when nothing is left to do over UDP but to know copies: those of a 2xx to an INVITE are the dialog's.
func (t *ServerTx) settleLocked() {
	if t.flow.udp == nil {
		return
	}
	text := t.said.raw
	switch {
	case t.machine.state == accepted:
		text, t.said = []byte(t.tag), wire{} // no connection can be lost
	case t.machine.state != completed || t.invite(): // a refusal waits for its ACK
		return
	}
	t.machine.halt()
	t.stack.table.settleServer(t, echo{code: uint16(t.final), method: placeOf(t.is)}, text)
}

// stepLocked takes an event and says what the machine wants to be said.
func (t *ServerTx) stepLocked(e event) (err error) {
	if t.machine.step(e)&send != 0 {
		err = t.repeatLocked()
	}
	if t.machine.state == terminated {
		t.forgetLocked()
	}
	return err
}

// repeatLocked sends the last response, if there is one. It neither counts nor shows what a lost connection can't
// take. No failure ends the transaction: the next copy of the request would be a new call.
func (t *ServerTx) repeatLocked() error {
	switch {
	case t.said.raw == nil:
		return nil
	case !t.reply.Open():
		return fmt.Errorf("%w: %w", ErrTransport, errClosed)
	default:
		return t.reply.send(t.said)
	}
}

func (t *ServerTx) forgetLocked() {
	t.stack.table.closeServer(t)
	t.flow.unwatch(t)
}

// terminate ends the transaction, whoever waits for it.
func (t *ServerTx) terminate() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.machine.stop()
	t.forgetLocked()
}

// onTimer implements sleeper.
func (t *ServerTx) onTimer(rung *timer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.machine.rang(rung); ok {
		_ = t.stepLocked(e) // what fails, the next copy makes up for
	}
}

// rooms are for the fields of responses, which nobody needs once they are bytes.
var rooms = sync.Pool{New: func() any { return new([usualFields]field) }}

// responseDraft has its fields in room.
func (t *ServerTx) responseDraft(room []field, res *sipmsg.Response) draft {
	return draft{code: res.StatusCode, reason: res.Reason, method: string(t.is), fields: appendFields(room, res.Headers()), body: res.Body()}
}

// identity is what names a request's dialog and its place in it. Nothing of it holds the text of the message.
type identity struct {
	callID, from, to string // from and to are the tags
	seq              uint32
}

func identityOf(req *sipmsg.Request) identity {
	callID := req.CallID().Value()
	from, _ := req.From().Params.Get("tag")
	to, _ := req.To().Params.Get("tag")
	text := callID + from + to // one piece of memory instead of three
	i, j := len(callID), len(callID)+len(from)
	return identity{text[:i], text[i:j], text[j:], req.CSeq().SeqNo}
}

func (id identity) request(method sipmsg.RequestMethod) *sipmsg.Request {
	req := &sipmsg.Request{Method: method}
	callID := sipmsg.CallIDHeader(id.callID)
	for _, h := range []sipmsg.Header{
		&callID, &sipmsg.CSeqHeader{SeqNo: id.seq, MethodName: method},
		&sipmsg.FromHeader{Params: tagOnly(id.from)}, &sipmsg.ToHeader{Params: tagOnly(id.to)},
	} {
		req.AppendHeader(h)
	}
	return req
}

func tagOnly(tag string) sipmsg.HeaderParams {
	if tag == "" {
		return nil
	}
	return sipmsg.HeaderParams{{K: "tag", V: tag}}
}

// again takes a copy of the request. One on a new connection, after the old one was lost, brings
// the answers there.
func (t *ServerTx) again(in *inbound) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.flow.Open() && in.flow.Open() {
		t.flow, t.source, t.reply = in.flow, in.flow.remote, in.flow.reply(&in.head)
		if t.final == 0 && t.invite() {
			in.flow.watch(t) // true, as in trying
		}
	}
	_ = t.stepLocked(request) // what fails, the next copy makes up for
}

// acknowledge takes the ACK that has the INVITE's branch.
func (t *ServerTx) acknowledge(in *inbound) {
	t.mu.Lock()
	heard := t.machine.step(acknowledge)&pass != 0
	over := t.machine.state == terminated
	t.mu.Unlock()
	switch {
	case heard:
		t.stack.deps.Handler.OnACK(in.req, in.flow)
	case over:
		t.terminate()
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
