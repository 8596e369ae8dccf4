package stack

import (
	"errors"
	"net/netip"

	"handoff/metrics"
)

// ErrTransport says that the connection or socket failed.
var ErrTransport = errors.New("transport error")

// Flow is a TCP or TLS connection, or for UDP the pair of a local socket and a remote address. Two
// UDP flows of the same pair need not be the same pointer.
type Flow struct {
	stack     *Stack
	transport Transport
	local     netip.AddrPort
	remote    netip.AddrPort
	peer      metrics.Peer
	target    target // of a connection that we dialled
	mute      bool   // whose other side speaks for nobody: it is heard as far as it answers

	// exactly one is set
	stream *stream
	udp    *udpSocket
}

// Open tells whether messages can still be sent. It turns false the moment the loss of a connection
// is noticed.
func (f *Flow) Open() bool {
	if f.udp != nil {
		return !f.udp.closed.Load()
	}
	return f.stream.open()
}

// Transport returns what carries the flow.
func (f *Flow) Transport() Transport { return f.transport }

// Remote returns the peer's address.
func (f *Flow) Remote() netip.AddrPort { return f.remote }

// Host returns the name or address that was dialled, and over TLS verified; "" for what came in.
func (f *Flow) Host() string { return f.target.host }

// Peer tells on whose behalf the other side speaks.
func (f *Flow) Peer() metrics.Peer { return f.peer }

// send hands a message to the socket and never blocks on a stream: there nil means queued.
func (f *Flow) send(w wire) error {
	f.stack.count(metrics.Out, w.method, w.code, f.peer)
	f.stack.tap(metrics.Out, f, w.raw)
	if f.udp != nil {
		return f.udp.write(w.raw, f.remote)
	}
	return f.stream.enqueue(w.raw)
}

// reply is the flow on which responses to a request go back.
func (f *Flow) reply(h *head) *Flow {
	if f.udp == nil {
		return f
	}
	to := h.replyAddr(f.remote)
	if to == f.remote {
		return f
	}
	back := *f
	back.remote = to
	return &back
}

// watcher wants to know when a connection is gone.
type watcher interface {
	// onFlowLost runs on the goroutine that read from f, after its last message.
	onFlowLost(f *Flow)
}

// watch tells w, once, when the flow is lost; false says that it is lost already. A UDP flow is
// never lost.
func (f *Flow) watch(w watcher) bool {
	return f.udp != nil || f.stream.watchers.add(w)
}

func (f *Flow) unwatch(w watcher) {
	if f.stream != nil {
		f.stream.watchers.remove(w)
	}
}
