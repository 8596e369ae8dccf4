package stack

import (
	"net"
	"sync"

	sipmsg "github.com/emiago/sipgo/sip"
)

// clientConn is the connection that sipgo's client transaction writes to. It writes the request as
// it passed the guard and our own ACK, whatever sipgo gives it: sipgo's ACK is printed from its
// lossy reading of our headers. Failures are hidden from the state machine; the flow's watchers and
// the timers learn of them.
type clientConn struct {
	flow    *Flow
	via     string
	request wire

	mu       sync.Mutex
	released bool
	ack      wire
}

// release sends the request and lets the state machine send copies.
func (c *clientConn) release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.released = true
	return c.flow.send(c.request)
}

// answered lets go of the request: no copy of it is sent any more.
func (c *clientConn) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.request, c.released = wire{}, false
}

func (c *clientConn) setACK(w wire) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ack = w
}

// sendACK sends the ACK, again for a final response that came again.
func (c *clientConn) sendACK() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ack.raw != nil {
		c.flow.send(c.ack)
	}
}

// WriteMsg implements sipmsg.Connection.
func (c *clientConn) WriteMsg(msg sipmsg.Message) error {
	if req, ok := msg.(*sipmsg.Request); ok && req.IsAck() {
		c.sendACK()
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.released {
		c.flow.send(c.request)
	}
	return nil
}

// The rest of sipmsg.Connection: flows are counted by nobody and closed by their owner.

func (c *clientConn) LocalAddr() net.Addr    { return net.TCPAddrFromAddrPort(c.flow.local) }
func (c *clientConn) Ref(int) int            { return 0 }
func (c *clientConn) TryClose() (int, error) { return 0, nil }
func (c *clientConn) Close() error           { return nil }
