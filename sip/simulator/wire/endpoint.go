package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of one Endpoint. What comes beyond is refused or dropped, and counted in Dropped.
const (
	maxConns        = 256
	maxTransactions = 4096
	handshakeWithin = 5 * time.Second
	writeWithin     = 5 * time.Second
)

var (
	ErrClosed  = errors.New("endpoint closed")
	ErrTimeout = errors.New("no final response in time")
	ErrLost    = errors.New("connection lost")
)

// Listen is one socket to bind. Port 0 lets the system choose.
type Listen struct {
	Transport Transport
	Addr      netip.AddrPort
}

// Config of an Endpoint.
type Config struct {
	Listen    []Listen
	ServerTLS *tls.Config   // needed with a TLS listener
	ClientTLS *tls.Config   // base for dialled TLS; nil: the system's roots
	T1        time.Duration // RFC 3261 §17.1.1.1; 0: 500 ms
	IdleClose time.Duration // so long without a message a TLS connection is cut, without close_notify; 0: never
	// Persistent lets a request whose connection is lost wait on: RFC 3261 §18.2.2 has the answer brought over another one.
	Persistent bool
}

// Deps are what the Endpoint reports to. All run on the reading goroutine and must not block.
type Deps struct {
	Handler   func(*Request)                          // every new request, ACKs for a 2xx and CANCELs included
	Malformed func(conn *Conn, raw []byte, err error) // what does not parse; nil: dropped
	Tap       func(Tapped)                            // every message that passed a socket; nil: none
}

// Endpoint is a SIP user agent's sockets and transactions.
type Endpoint struct {
	cfg     Config
	deps    Deps
	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	wg      sync.WaitGroup
	dropped atomic.Uint64

	accepted atomic.Uint64

	sockets   map[Transport]*net.UDPConn
	listeners map[Transport]net.Listener

	mu      sync.Mutex
	closed  bool
	conns   map[*Conn]struct{}
	clients map[string]*ClientTx
	servers map[string]*serverTx
	timers  map[*timer]struct{}
	faults  []*Fault
}

// New binds the sockets and serves them.
func New(cfg Config, deps Deps) (*Endpoint, error) {
	if cfg.T1 == 0 {
		cfg.T1 = 500 * time.Millisecond
	}
	if deps.Handler == nil {
		return nil, errors.New("wire: no handler for requests")
	}
	e := &Endpoint{
		cfg: cfg, deps: deps,
		sockets: map[Transport]*net.UDPConn{}, listeners: map[Transport]net.Listener{},
		conns: map[*Conn]struct{}{}, clients: map[string]*ClientTx{}, servers: map[string]*serverTx{}, timers: map[*timer]struct{}{},
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	for _, l := range cfg.Listen {
		if err := e.bind(l); err != nil {
			e.Close()
			return nil, fmt.Errorf("listen on %s %s: %w", l.Transport, l.Addr, err)
		}
	}
	e.serve()
	return e, nil
}

func (e *Endpoint) bind(l Listen) error {
	if l.Transport == UDP {
		s, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(l.Addr))
		if err == nil {
			e.sockets[UDP] = s
		}
		return err
	}
	if l.Transport == TLS && e.cfg.ServerTLS == nil {
		return errors.New("no certificate given")
	}
	s, err := net.Listen("tcp", l.Addr.String())
	if err == nil {
		e.listeners[l.Transport] = s
	}
	return err
}

func (e *Endpoint) serve() {
	for t, s := range e.sockets {
		e.wg.Go(func() { e.readUDP(t, s) }) // ends when Close closes the socket
	}
	for t, l := range e.listeners {
		e.wg.Go(func() { e.accept(t, l) }) // ends when Close closes the listener
	}
}

// Addr is where the Endpoint listens; the zero value when it does not.
func (e *Endpoint) Addr(t Transport) netip.AddrPort {
	if s := e.sockets[t]; s != nil {
		return addrPort(s.LocalAddr())
	}
	if l := e.listeners[t]; l != nil {
		return addrPort(l.Addr())
	}
	return netip.AddrPort{}
}

// Dropped counts what was beyond the limits.
func (e *Endpoint) Dropped() uint64 { return e.dropped.Load() }

// Accepted counts the TCP and TLS connections that peers have opened.
func (e *Endpoint) Accepted() uint64 { return e.accepted.Load() }

// T1 is the round-trip estimate in use.
func (e *Endpoint) T1() time.Duration { return e.cfg.T1 }

// Close ends every connection, transaction and goroutine of the Endpoint and waits for them. Not from a handler.
func (e *Endpoint) Close() {
	e.mu.Lock()
	e.closed = true
	conns := make([]*Conn, 0, len(e.conns))
	for c := range e.conns {
		conns = append(conns, c)
	}
	e.mu.Unlock()
	e.stop()
	for _, s := range e.sockets {
		s.Close()
	}
	for _, l := range e.listeners {
		l.Close()
	}
	for _, c := range conns {
		c.Close()
	}
	e.stopTimers()
	e.endClients(nil, ErrClosed)
	e.wg.Wait()
}

// Dial opens a connection from the Endpoint's own address. For UDP it only names the peer. serverName is what a TLS certificate is verified for.
func (e *Endpoint) Dial(ctx context.Context, t Transport, to netip.AddrPort, serverName string) (*Conn, error) {
	if t == UDP {
		if e.sockets[UDP] == nil {
			return nil, fmt.Errorf("dial UDP %s: no UDP socket", to)
		}
		return e.datagram(e.sockets[UDP], to), nil
	}
	dialer := net.Dialer{LocalAddr: e.source()}
	stream, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, fmt.Errorf("dial %s %s: %w", t, to, err)
	}
	if t == TLS {
		if stream, err = e.clientTLS(ctx, stream, serverName); err != nil {
			return nil, fmt.Errorf("TLS handshake with %s as %s: %w", to, serverName, err)
		}
	}
	c := e.stream(t, stream, false)
	if c == nil {
		stream.Close()
		return nil, fmt.Errorf("dial %s %s: %w", t, to, ErrClosed)
	}
	return c, nil
}

func (e *Endpoint) clientTLS(ctx context.Context, stream net.Conn, serverName string) (net.Conn, error) {
	cfg := &tls.Config{}
	if e.cfg.ClientTLS != nil {
		cfg = e.cfg.ClientTLS.Clone()
	}
	cfg.ServerName = serverName
	secured := tls.Client(stream, cfg)
	ctx, cancel := context.WithTimeout(ctx, handshakeWithin)
	defer cancel()
	if err := secured.HandshakeContext(ctx); err != nil {
		stream.Close()
		return nil, err
	}
	return secured, nil
}

// source is the address dialled connections come from: that of the first listener, any port.
func (e *Endpoint) source() net.Addr {
	for _, l := range e.cfg.Listen {
		if !l.Addr.Addr().IsUnspecified() {
			return &net.TCPAddr{IP: l.Addr.Addr().AsSlice()}
		}
	}
	return nil
}

func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		ap = a.AddrPort()
	case *net.TCPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
