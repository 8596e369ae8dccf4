package stack

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
)

// maxWaiting bounds the requests that wait for one dial.
const maxWaiting = 1024

// links are the connections that we dialled, one for each target, and the requests that wait while
// one is being dialled. Requests to one target leave in the order in which they were sent.
//
// The lock is held while waiting requests are flushed, so that a later one can't overtake them; what
// runs under it only queues bytes.
type links struct {
	stack *Stack
	max   int

	mu       sync.Mutex
	byTarget map[target]*link
}

// link is a connection, or one being dialled as long as flow is nil.
type link struct {
	flow    *Flow
	waiting []parcel
}

var errCrowd = errors.New("too many wait")

// send gives a request to the target's connection, dialling it first if need be.
func (l *links) send(t target, p parcel) {
	if t.transport == UDP {
		if ip, ok := t.literal(); ok {
			l.deliver(t, ip, p) // nothing to wait for
			return
		}
	}
	l.mu.Lock()
	k := l.byTarget[t]
	switch {
	case k != nil && k.flow == nil && len(k.waiting) < maxWaiting:
		k.waiting = append(k.waiting, p)
		l.mu.Unlock()
	case k != nil && k.flow != nil && k.flow.Open() && p.start(k.flow):
		l.mu.Unlock()
	case k != nil && k.flow == nil, k == nil && len(l.byTarget) >= l.max:
		l.mu.Unlock()
		p.unreachable(fmt.Errorf("%w: %s: %w", ErrTransport, t, errCrowd))
	default:
		k = &link{waiting: []parcel{p}}
		l.byTarget[t] = k
		l.mu.Unlock()
		// Ends when the dial does: within its timeouts, or when Close cancels it.
		if !l.stack.spawn(func() { l.dial(t, k) }) {
			l.dial(t, k) // Close has cancelled the context: it fails at once
		}
	}
}

// deliver sends to a UDP target that is an address. It goes round connect, whose frames let the stack of each call
// grow once more.
func (l *links) deliver(t target, ip netip.Addr, p parcel) {
	u, err := l.stack.socketFor(ip, t.socket)
	if err != nil {
		p.unreachable(err)
		return
	}
	p.start(l.stack.udpFlow(u, netip.AddrPortFrom(ip, t.port), t.peer))
}

// dial connects and flushes what has gathered. Requests of one target share the outcome.
func (l *links) dial(t target, k *link) {
	f, err := l.stack.connect(t)
	l.mu.Lock()
	waiting := k.waiting
	k.waiting = nil
	if k.flow = f; err != nil || t.transport == UDP { // a UDP target is looked up each time
		delete(l.byTarget, t)
	}
	if err == nil {
		waiting, err = flush(waiting, f)
	}
	l.mu.Unlock()
	for _, p := range waiting {
		p.unreachable(err)
	}
}

// flush starts all, and returns the rest when the flow is lost meanwhile.
func flush(waiting []parcel, f *Flow) ([]parcel, error) {
	for i, p := range waiting {
		if !p.start(f) {
			return waiting[i:], fmt.Errorf("%w: %w", ErrTransport, errClosed)
		}
	}
	return nil, nil
}

// forget drops a lost connection, so that the next request dials.
func (l *links) forget(f *Flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := l.byTarget[f.target]; k != nil && k.flow == f {
		delete(l.byTarget, f.target)
	}
}
