package stack

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"handoff/metrics"
)

// accept takes connections until the listener is closed or halted. Nothing else ends it: without descriptors
// (EMFILE) it waits until some are free again.
func (s *Stack) accept(l listener) {
	var pause backoff
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			s.deps.Log.Warn("accept", zap.Stringer("transport", l.transport), zap.Error(err))
			pause.wait(s.ctx.Done())
			continue
		}
		pause = 0
		s.admit(conn, l.transport)
	}
}

// admit decides by source, before a byte is read, whether a connection may stay.
func (s *Stack) admit(conn net.Conn, t Transport) {
	remote := addrPortOf(conn.RemoteAddr())
	peer := s.deps.Admit(remote, t)
	if peer == metrics.PeerUnknown {
		s.deps.Observer.Rejected(metrics.RejectSource)
		conn.Close()
		return
	}
	if !s.census.enter(remote.Addr()) {
		s.deps.Observer.Rejected(metrics.RejectConnections)
		conn.Close()
		return
	}
	// Ends when the connection is closed, which Close does, or when its handshake times out.
	if !s.spawn(func() {
		defer s.census.leave(remote.Addr())
		s.welcome(conn, t, remote, peer)
	}) {
		s.census.leave(remote.Addr())
		conn.Close()
	}
}

// welcome makes an accepted connection a flow and reads it to its end.
func (s *Stack) welcome(raw net.Conn, t Transport, remote netip.AddrPort, peer metrics.Peer) {
	keepAlive(raw)
	conn := raw
	if t == TLS {
		secured := tls.Server(raw, s.serverTLS())
		if err := s.handshake(secured); err != nil {
			s.deps.Observer.Rejected(metrics.RejectTLS)
			s.deps.Log.Info("tls handshake", zap.Stringer("remote", remote), zap.Error(err))
			raw.Close()
			return
		}
		conn = secured
	}
	f := &Flow{stack: s, transport: t, local: addrPortOf(raw.LocalAddr()), remote: remote, peer: peer,
		stream: newStream(conn, raw, s.cfg.PingEvery)}
	f.stream.room = s.census.room
	if s.attach(f) {
		s.readStream(f, s.cfg.MessageTimeout)
	}
}

func (s *Stack) handshake(conn *tls.Conn) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.HandshakeTimeout)
	defer cancel()
	return conn.HandshakeContext(ctx)
}

// keepAlive notices a dead peer on a quiet connection within about two minutes.
func keepAlive(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetKeepAliveConfig(net.KeepAliveConfig{
			Enable: true, Idle: 60 * time.Second, Interval: 15 * time.Second, Count: 4,
		})
	}
}

// census counts accepted connections.
type census struct {
	max, maxPerSource int

	mu       sync.Mutex
	total    int
	bySource map[netip.Addr]int
}

func (c *census) enter(source netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= c.max || c.bySource[source] >= c.maxPerSource {
		return false
	}
	c.total++
	c.bySource[source]++
	return true
}

// room is how many bytes may wait on one of the connections.
func (c *census) room() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return min(max(crowdQueuedBytes/int64(max(c.total, 1)), leastQueuedBytes), maxQueuedBytes)
}

func (c *census) leave(source netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.bySource[source]--; c.bySource[source] == 0 {
		delete(c.bySource, source)
	}
}
