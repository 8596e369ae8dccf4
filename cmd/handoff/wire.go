package main

import (
	"crypto/x509"
	"errors"
	"net/netip"
	"sync/atomic"

	sipmsg "github.com/emiago/sipgo/sip"

	"handoff/metrics"
	"handoff/sip/b2bua"
	"handoff/sip/dialog"
	"handoff/sip/leg"
	"handoff/sip/stack"
	"handoff/sip/stack/certificate"
	"handoff/sip/trunk"
	"handoff/sip/uri"
)

// wire joins the stack, which knows no calls, to the engine, which knows no sockets. It adapts
// types and decides nothing.
type wire struct {
	roots  map[metrics.Peer]*x509.CertPool      // nil: the system's
	client map[metrics.Peer]*certificate.Source // what the edge shows who asks; nil: nothing

	// The stack needs the engine to exist and the engine the stack, and the calls of the process before come before
	// all new ones: what arrives before open waits for up, a moment once in the life of an edge.
	up       chan struct{}
	admitted atomic.Pointer[rules] // who may speak for whom
	stack    *stack.Stack
	contacts contactBook
}

func (w *wire) connect(s *stack.Stack, public string) {
	w.stack, w.contacts = s, newContactBook(public, s)
}

func (w *wire) open() { close(w.up) }

func (w *wire) contact(peer metrics.Peer, transport string) string {
	return w.contacts.contact(peer, transport)
}

func (w *wire) hop(to leg.Destination) stack.Hop {
	flow, _ := to.Flow.(*stack.Flow)
	return stack.Hop{Flow: flow, URI: to.URI, Names: to.Names, Roots: w.roots[to.Peer], Certificate: w.client[to.Peer], Peer: to.Peer, Branch: to.Branch}
}

// lookUp resolves in the background where calls will go, before the first one wants to know.
func (w *wire) lookUp(trunks trunk.Config, domain *b2bua.Domain) {
	var hops []stack.Hop
	for _, target := range trunks.Targets {
		hops = append(hops, w.hop(leg.Destination{URI: target, Peer: metrics.PeerWatson}))
	}
	for _, host := range trunks.RedirectHosts {
		hops = append(hops, w.hop(leg.Destination{URI: uri.URI{Scheme: "sips", Host: host}, Peer: metrics.PeerWatson}))
	}
	if domain != nil {
		hops = append(hops, w.hop(leg.Destination{URI: domain.URI, Peer: metrics.PeerTwilio}))
	}
	w.stack.LookUp(hops...)
}

// admit tells for whom an address may speak.
func (w *wire) admit(from netip.Addr) metrics.Peer {
	now := w.admitted.Load()
	peer := now.trunks.Peer(from)
	if peer != metrics.PeerUnknown || !now.byName {
		return peer
	}
	select {
	case <-w.up:
		if w.stack.Found(metrics.PeerWatson, from) {
			return metrics.PeerWatson
		}
	default: // the listeners are faster than the rest of the edge
	}
	return peer
}

func (w *wire) Send(req *sipmsg.Request, to leg.Destination, sink func(leg.TxEvent)) leg.ClientTx {
	return w.stack.Send(req, w.hop(to), func(ev stack.TxEvent) {
		out := leg.TxEvent{Response: ev.Response, Err: ev.Err}
		if ev.Flow != nil {
			out.Flow = ev.Flow
		}
		if tx := (*stack.TxError)(nil); errors.As(ev.Err, &tx) {
			out.Sent = tx.Sent
		}
		sink(out)
	})
}

func (w *wire) SendACK(ack *sipmsg.Request, to leg.Destination) { w.stack.SendACK(ack, w.hop(to)) }

func (w *wire) bury(id dialog.ID) {
	w.stack.Bury(stack.Tombstone{CallID: id.CallID, LocalTag: id.LocalTag, RemoteTag: id.RemoteTag})
}

// reopen is an engine's Reopen.
func (w *wire) reopen(invite []byte) (leg.ServerTx, error) {
	tx, err := w.stack.Reopen(invite)
	if err != nil {
		return nil, err
	}
	return inbound{tx, w}, nil
}

// inbound is a server transaction as the engine wants to see it.
type inbound struct {
	*stack.ServerTx
	wire *wire
}

func (tx inbound) Flow() leg.Flow    { return tx.ServerTx.Flow() }
func (tx inbound) Transport() string { return tx.ServerTx.Flow().Transport().String() }

func (tx inbound) Return(as leg.Destination) { tx.ServerTx.Return(tx.wire.hop(as)) }

// handler hands what arrives to the engine.
type handler struct {
	engine *b2bua.Engine
	wire   *wire
}

func (h *handler) OnRequest(tx *stack.ServerTx) {
	<-h.wire.up
	h.engine.OnRequest(inbound{tx, h.wire})
}

func (h *handler) OnACK(req *sipmsg.Request, f *stack.Flow) {
	<-h.wire.up
	h.engine.OnACK(req, f.Peer(), f.Remote().Addr())
}

func (h *handler) OnStray(res *sipmsg.Response, on *stack.Flow) {
	<-h.wire.up
	h.engine.OnStray(res, on.Peer())
}

func (h *handler) OnCancel(tx *stack.ServerTx) { h.engine.OnCancel(inbound{tx, h.wire}) }
func (h *handler) OnLost(tx *stack.ServerTx)   { h.engine.OnLost(inbound{tx, h.wire}) }
