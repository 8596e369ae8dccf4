package stack

import (
	"cmp"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"handoff/sip/uri"
)

// maxReturns bounds the redials for one request, against a peer that takes connections and drops them.
const maxReturns = 4

// wayBack is how a response finds a peer whose connection is lost (RFC 3261 §18.2.2): over one that is
// opened to the address the request came from, at the port of its top Via. No other host is ever
// dialled, whatever stands in the Via: not its sent-by, not its received, not its maddr.
type wayBack struct {
	as     *Hop // whom the other side must prove to be; nil: there is no way back
	taken  int
	redial bool // a connection is being opened
}

// Return lets responses go over a new connection when the request's is lost: at once while an INVITE
// waits for its answer, else when there is something to send. as says what the other side must show;
// its URI and Flow do not count. Without Return such responses are lost. Over UDP there is no connection to lose.
func (t *ServerTx) Return(as Hop) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.flow.transport.stream() {
		kept := as // a copy, so that a datagram's takes no room
		t.back.as = &kept
	}
}

// goBack has the last response sent as soon as there is a new connection; false says that there is no
// way back. It is the connection of whatever else goes there: links dials once for all. No lock may be
// held, for links calls start under its own.
func (t *ServerTx) goBack() bool {
	t.mu.Lock()
	if t.back.redial {
		t.mu.Unlock()
		return true
	}
	to, ok := t.originLocked()
	t.back.redial = ok
	t.mu.Unlock()
	if ok {
		t.stack.links.send(to, homeward{t})
	}
	return ok
}

// originLocked takes one of the attempts and tells where it leads.
func (t *ServerTx) originLocked() (target, bool) {
	if t.back.as == nil || t.back.taken >= maxReturns || !t.flow.transport.stream() || t.stack.ctx.Err() != nil {
		return target{}, false
	}
	t.back.taken++
	as := *t.back.as
	as.Flow = nil
	if len(as.Names) == 0 { // of a connection that we dialled: those that it was verified for
		as.Names = strings.Fields(t.flow.target.names)
	}
	var err error
	if as.URI, err = t.head.origin(t.flow); err != nil {
		return target{}, false
	}
	to, err := as.target()
	return to, err == nil
}

// wayBack is the part of a head that origin reads. Over UDP nothing needs to be found again.
func (h *head) wayBack(f *Flow) head {
	if !f.transport.stream() {
		return head{}
	}
	top, _ := cutVia(h.first("Via"))
	return head{fields: []field{{"Via", strings.Clone(top)}}}
}

// origin is where the sender of a request takes new connections, seen from the one that is lost.
func (h *head) origin(lost *Flow) (uri.URI, error) {
	via := h.via()
	if via.err != nil {
		return uri.URI{}, via.err
	}
	port := cmp.Or(via.Port, lost.transport.defaultPort())
	return uri.Parse(fmt.Sprintf("sip:%s:%d;transport=%s", hostText(lost.remote.Addr().String()), port, lost.transport))
}

// homeward is a transaction that waits for its new connection.
type homeward struct{ *ServerTx }

// start implements parcel. What was said last is said again: it may have been lost with the connection.
func (t homeward) start(f *Flow) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.flow.Open() { // else a copy of the request has brought another meanwhile
		if t.final == 0 && t.invite() && !f.watch(t.ServerTx) {
			return false
		}
		t.flow, t.reply = f, f
		if t.repeatLocked() != nil {
			return false
		}
	}
	t.back.redial = false
	return true
}

// unreachable implements parcel.
func (t homeward) unreachable(err error) {
	t.stack.deps.Log.Warn("response not sent", zap.String("method", label(string(t.is))),
		zap.Stringer("peer", t.Peer()), zap.Error(err))
	t.mu.Lock()
	t.back.redial = false
	if t.final == 0 {
		t.back.as = nil // what ends the transaction now goes nowhere, and is not waited for
	}
	t.mu.Unlock()
	t.giveUp()
}
