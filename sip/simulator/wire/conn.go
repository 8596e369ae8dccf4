package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Conn is a TCP or TLS connection, or a UDP socket together with a peer's address.
type Conn struct {
	endpoint  *Endpoint
	transport Transport
	accepted  bool
	local     netip.AddrPort
	remote    netip.AddrPort
	socket    *net.UDPConn // UDP
	stream    net.Conn     // TCP, TLS

	idle *timer // guarded by the Endpoint's lock

	write  sync.Mutex
	closed chan struct{}
	once   sync.Once
}

func (e *Endpoint) datagram(socket *net.UDPConn, to netip.AddrPort) *Conn {
	return &Conn{endpoint: e, transport: UDP, local: addrPort(socket.LocalAddr()), remote: to, socket: socket, closed: make(chan struct{})}
}

// stream takes over an established connection and reads it; nil when there is no room or the Endpoint is closed.
func (e *Endpoint) stream(t Transport, s net.Conn, accepted bool) *Conn {
	c := &Conn{
		endpoint: e, transport: t, accepted: accepted, stream: s, closed: make(chan struct{}),
		local: addrPort(s.LocalAddr()), remote: addrPort(s.RemoteAddr()),
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || len(e.conns) >= maxConns {
		e.dropped.Add(1)
		return nil
	}
	e.conns[c] = struct{}{}
	e.wg.Go(c.read) // ends when the connection does; Close closes all
	c.touchLocked()
	return c
}

func (e *Endpoint) accept(t Transport, l net.Listener) {
	for {
		s, err := l.Accept()
		if err != nil {
			return
		}
		e.accepted.Add(1)
		if t == TLS {
			s = tls.Server(s, e.cfg.ServerTLS)
		}
		if e.stream(t, s, true) == nil {
			s.Close()
		}
	}
}

// Transport, Local and Remote say what the Conn is; Accepted, that the peer opened it.
func (c *Conn) Transport() Transport    { return c.transport }
func (c *Conn) Local() netip.AddrPort   { return c.local }
func (c *Conn) Remote() netip.AddrPort  { return c.remote }
func (c *Conn) Accepted() bool          { return c.accepted }
func (c *Conn) Closed() <-chan struct{} { return c.closed }

// Open tells whether messages can still be sent.
func (c *Conn) Open() bool {
	select {
	case <-c.closed:
		return false
	case <-c.endpoint.ctx.Done():
		return false
	default:
		return true
	}
}

// Send writes the messages: on a stream in one write, on UDP a datagram each.
func (c *Conn) Send(messages ...*Message) error {
	raw := make([][]byte, len(messages))
	for i, m := range messages {
		raw[i] = m.Bytes()
	}
	return c.SendRaw(raw...)
}

// SendRaw is Send for bytes that need not be SIP at all. Faults apply, each piece by itself.
func (c *Conn) SendRaw(pieces ...[]byte) error {
	var passed [][]byte
	for _, p := range pieces {
		drop, delay := c.endpoint.fate(Out, p)
		switch {
		case drop:
		case delay > 0:
			c.endpoint.after(delay, func() { c.flush([][]byte{p}) }) // an error shows in whatever the scenario waits for
		default:
			passed = append(passed, p)
		}
	}
	return c.flush(passed)
}

func (c *Conn) flush(pieces [][]byte) error {
	if len(pieces) == 0 {
		return nil
	}
	if !c.Open() {
		return ErrLost
	}
	c.touch()
	c.write.Lock()
	defer c.write.Unlock()
	for _, p := range pieces {
		c.tap(Out, p)
	}
	if c.transport == UDP {
		for _, p := range pieces {
			if _, err := c.socket.WriteToUDPAddrPort(p, c.remote); err != nil {
				return err
			}
		}
		return nil
	}
	var all []byte
	for _, p := range pieces {
		all = append(all, p...)
	}
	if err := c.stream.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return err
	}
	_, err := c.stream.Write(all)
	return err
}

// Close ends the connection as the RFCs have it: close_notify, then FIN.
func (c *Conn) Close() { c.shut(nil) }

// Cut ends it without close_notify, as Twilio ends a quiet one: the peer's TLS reads an unexpected EOF.
func (c *Conn) Cut() { c.shut(func(raw net.Conn) { raw.Close() }) }

// Reset ends it with a RST, as a machine does that has lost its memory: what was on its way is lost.
func (c *Conn) Reset() {
	c.shut(func(raw net.Conn) {
		if tcp, ok := raw.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		raw.Close()
	})
}

// shut ends it once, on the bare socket with rudely.
func (c *Conn) shut(rudely func(net.Conn)) {
	c.once.Do(func() {
		close(c.closed)
		switch secured, isTLS := c.stream.(*tls.Conn); {
		case c.stream == nil:
		case rudely != nil && isTLS:
			rudely(secured.NetConn())
		case rudely != nil:
			rudely(c.stream)
		default:
			c.stream.Close()
		}
	})
}

// read delivers the messages of a stream until it ends.
func (c *Conn) read() {
	e := c.endpoint
	defer func() {
		c.Close()
		e.mu.Lock()
		c.idle.stopLocked()
		delete(e.conns, c)
		e.mu.Unlock()
		if !e.cfg.Persistent {
			e.endClients(c, ErrLost)
		}
	}()
	if !c.handshake() {
		return
	}
	r := bufio.NewReader(c.stream)
	for {
		raw, err := readFrame(r)
		switch {
		case errors.Is(err, errMalformed):
			e.malformed(c, raw, err)
			return // the stream has no boundaries any more
		case err != nil:
			return
		}
		e.receive(c, raw)
	}
}

func (c *Conn) handshake() bool {
	secured, ok := c.stream.(*tls.Conn)
	if !ok || !c.accepted {
		return true
	}
	ctx, cancel := context.WithTimeout(c.endpoint.ctx, handshakeWithin)
	defer cancel()
	return secured.HandshakeContext(ctx) == nil
}

func (e *Endpoint) readUDP(t Transport, s *net.UDPConn) {
	buf := make([]byte, MaxMessage)
	for {
		n, from, err := s.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n <= 4 { // ICMP errors of earlier sends; CRLF keep-alives
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		e.receive(e.datagram(s, from), append([]byte(nil), buf[:n]...))
	}
}

func (c *Conn) tap(d Direction, raw []byte) {
	if c.endpoint.deps.Tap != nil {
		c.endpoint.deps.Tap(Tapped{Time: time.Now(), Direction: d, Transport: c.transport, Local: c.local, Remote: c.remote, Raw: raw})
	}
}

func (e *Endpoint) malformed(c *Conn, raw []byte, err error) {
	c.tap(In, raw)
	if e.deps.Malformed != nil {
		e.deps.Malformed(c, raw, err)
	}
}

// receive takes one message off a socket, in the order of the wire.
func (e *Endpoint) receive(c *Conn, raw []byte) {
	m, err := Parse(raw)
	if err != nil {
		e.malformed(c, raw, err)
		return
	}
	c.tap(In, raw)
	c.touch()
	drop, delay := e.fate(In, raw)
	switch {
	case drop:
	case delay > 0:
		e.after(delay, func() { e.dispatch(c, m) })
	default:
		e.dispatch(c, m)
	}
}

func (e *Endpoint) dispatch(c *Conn, m *Message) {
	if m.Status() != 0 {
		e.onResponse(m)
		return
	}
	e.onRequest(c, m)
}
