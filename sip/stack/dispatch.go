package stack

import (
	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
)

// outcome is what became of a message.
type outcome uint8

const (
	understood outcome = iota
	answered           // refused, and the peer was told
	dropped
)

// receive carries one message from its socket to whom it concerns, on the goroutine that read it.
func (s *Stack) receive(f *Flow, fr frame) outcome {
	r := f.reader()
	r.take(s.clock.now())
	defer r.taken()
	s.tap(metrics.In, f, fr.raw)
	in, refusal := s.understand(fr, f)
	s.countIn(in)
	switch {
	case f.mute && in.start.code == 0:
		s.deps.Observer.Rejected(metrics.RejectSource)
		return dropped
	case refusal != nil && s.refuse(in, refusal):
		return answered
	case refusal != nil:
		return dropped
	default:
		s.route(in, fr.raw)
	}
	return understood
}

func (s *Stack) dispatch(in *inbound) {
	if in.res != nil {
		s.dispatchResponse(in)
		return
	}
	s.dispatchRequest(in)
}

func (s *Stack) countIn(in *inbound) {
	switch {
	case in.start.code != 0:
		s.count(metrics.In, methodOf(in.head.first("CSeq")), in.start.code, in.flow.peer)
	case in.start.method != "":
		s.count(metrics.In, in.start.method, 0, in.flow.peer)
	}
}

// dispatchRequest asks, in this order: a transaction that knows the request, one that is settled, a tombstone, the
// handler.
func (s *Stack) dispatchRequest(in *inbound) {
	if in.req.IsCancel() {
		s.dispatchCancel(in)
		return
	}
	method := in.req.Method
	if method == sipmsg.ACK { // of a refusal: it belongs to the INVITE's
		method = sipmsg.INVITE
	}
	key := s.serverKey(in, method)
	tx := s.table.serverTx(key)
	switch {
	case tx != nil && in.req.IsAck():
		tx.acknowledge(in)
	case tx != nil:
		tx.again(in)
	case s.recalls(in, key):
	case s.late(in):
	case in.req.IsAck():
		s.dispatchACK(in)
	default:
		s.begin(key, in)
	}
}

func (s *Stack) begin(key imprint, in *inbound) {
	tag, _ := in.req.To().Params.Get("tag")
	tx, fresh, err := s.table.open(key, tag != "", func() *ServerTx { return s.newServerTx(key, in) })
	switch {
	case err == errSettled:
		s.recalls(in, key)
	case err != nil:
		s.refuse(in, overloaded)
	case fresh:
		tx.trying()
		s.deps.Handler.OnRequest(tx)
	default:
		tx.again(in)
	}
}

// overloaded refuses a request for which there is no room. The peer may come again soon, or go to another edge at once.
var overloaded = &refusal{code: 503, reason: "Service Unavailable", reject: metrics.RejectLimit, extra: []field{{"Retry-After", "5"}}}

// dispatchACK passes on an ACK without transaction, unless it acknowledges a refusal of ours.
func (s *Stack) dispatchACK(in *inbound) {
	if tag, _ := in.req.To().Params.Get("tag"); len(tag) == statelessLength && tag == s.statelessTag(&in.head) {
		return
	}
	s.deps.Handler.OnACK(in.req, in.flow)
}

func (s *Stack) dispatchCancel(in *inbound) {
	key := s.serverKey(in, sipmsg.INVITE) // RFC 3261 §9.2
	if tx := s.table.serverTx(key); tx != nil {
		tx.cancel(in)
		return
	}
	if s.recalls(in, key) {
		return
	}
	s.refuse(in, &refusal{code: 481, reason: "Call/Transaction Does Not Exist", reject: metrics.RejectDialog})
}

func (s *Stack) dispatchResponse(in *inbound) {
	key := s.answers(in)
	tx := s.table.clientTx(key)
	if tx != nil && tx.hears(in.flow) {
		tx.receive(in)
		return
	}
	if _, settled := s.table.echo(key); settled {
		return
	}
	s.deps.Observer.Rejected(metrics.RejectResponse)
	if in.res.IsSuccess() && in.res.CSeq().MethodName == sipmsg.INVITE {
		s.deps.Handler.OnStray(in.res, in.flow)
	}
}
