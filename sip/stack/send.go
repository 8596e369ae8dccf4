package stack

import (
	"cmp"
	"fmt"
	"strconv"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// maxDatagram is the size above which a request goes by TCP if it can (RFC 3261 §18.1.1). The path's MTU is
// not asked for: less than 1500 has become rare, and there a datagram is fragmented. Responses go where
// their request came from, whatever their size.
const maxDatagram = 1300

// Send sends a request in a transaction of its own. It adds the Via and takes nothing of req into
// later use. It never blocks: without an open connection the request waits for a dial.
//
// sink gets the provisional responses, the final one, and to an INVITE every further 2xx, in the
// order of the wire, on the goroutine that read them; or at the end one error, on a goroutine of its
// own. It must not block, and is never called from within Send.
func (s *Stack) Send(req *sipmsg.Request, hop Hop, sink func(TxEvent)) *ClientTx {
	d := requestDraft(req)
	t := s.newClientTx(d, cmp.Or(hop.Branch, newBranch()), hop, sink)
	s.forward(t, hop, d)
	return t
}

// SendACK sends the ACK of a 2xx, which has no transaction (RFC 3261 §13.2.2.4). What fails is
// logged only: the 2xx comes again, and so does its ACK.
func (s *Stack) SendACK(ack *sipmsg.Request, hop Hop) {
	a := &loneACK{stack: s, draft: requestDraft(ack), branch: newBranch()}
	s.forward(a, hop, a.draft)
}

// parcel is a request that wants a flow.
type parcel interface {
	// start sends over a flow; false when the flow turns out to be lost.
	start(*Flow) bool
	// unreachable says that there will be no flow.
	unreachable(error)
}

// forward finds the flow for a request: the hop's connection, else one dialled for its target.
func (s *Stack) forward(p parcel, hop Hop, d draft) {
	if s.ctx.Err() != nil {
		p.unreachable(fmt.Errorf("%w: %w", ErrTransport, errShutdown))
		return
	}
	if f := hop.connection(); f != nil && p.start(f) {
		return
	}
	t, err := hop.target()
	if err != nil {
		p.unreachable(err)
		return
	}
	if t.transport == UDP && d.size()+s.viaRoom() > maxDatagram {
		s.links.send(t.overTCP(), &detour{parcel: p, stack: s, back: t})
		return
	}
	s.links.send(t, p)
}

// viaRoom is what the line of our Via takes, at most.
func (s *Stack) viaRoom() int {
	return len("Via: SIP/2.0/UDP :65535;branch=;rport\r\n") + len(hostText(s.cfg.Public)) + len(newBranch())
}

// detour is a request too large for UDP on its way by TCP, with a Via that says so. Where nobody is reached
// by TCP it goes by UDP after all, as RFC 3261 §18.1.1 has it for a connection that is refused: a large
// datagram may arrive, no datagram does not. Deviation: so it does where the dial times out.
type detour struct {
	parcel
	stack *Stack
	back  target
}

func (d *detour) unreachable(err error) {
	d.stack.deps.Log.Debug("large request goes by udp", zap.Error(err))
	d.stack.links.send(d.back, d.parcel)
}

// via is our Via for a message on flow f. The sent-by is where new connections would find us, which
// is not where this one comes from (RFC 3261 §18.1.1).
func (s *Stack) via(f *Flow, branch string) string {
	port := s.addrs[f.transport].Port()
	if f.udp != nil || port == 0 {
		port = f.local.Port()
	}
	via := "SIP/2.0/" + f.transport.via() + " " + hostText(s.cfg.Public)
	if port != 0 {
		via += ":" + strconv.Itoa(int(port))
	}
	via += ";branch=" + branch
	if f.transport == UDP {
		via += ";rport"
	}
	return via
}

// withVia puts a Via on top.
func (d draft) withVia(via string) draft {
	d.via = via
	return d
}

// loneACK is the ACK of a 2xx.
type loneACK struct {
	stack  *Stack
	draft  draft
	branch string
}

func (a *loneACK) start(f *Flow) bool {
	w, err := a.stack.guard(a.draft.withVia(a.stack.via(f, a.branch)), f)
	if err != nil {
		return true // logged and counted by the guard; another flow would not help
	}
	return f.send(w) == nil
}

func (a *loneACK) unreachable(err error) {
	a.stack.deps.Log.Warn("ack not sent", zap.Error(err))
}
