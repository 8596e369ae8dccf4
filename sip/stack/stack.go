package stack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"handoff/metrics"
	"handoff/sip/stack/certificate"
)

// Observer is told what happens, from any goroutine. It must not block.
type Observer interface {
	// Request and Response count every message, retransmissions included. method is one of the
	// registered ones or OTHER; a response has its CSeq's.
	Request(dir metrics.Direction, method string, peer metrics.Peer)
	Response(dir metrics.Direction, method string, code int, peer metrics.Peer)
	Rejected(metrics.Reject)
	// Connections is told +1 and -1 for each TLS connection, accepted or dialled.
	Connections(peer metrics.Peer, delta int)
	// CertificateExpiry is told at the start and whenever the certificate was read again.
	CertificateExpiry(notAfter time.Time)
	// PeerCertificateExpiry is told of each connection that was dialled and verified.
	PeerCertificateExpiry(peer metrics.Peer, notAfter time.Time)
}

// Handler takes what arrives. All methods but OnLost run on the goroutine that read the message, in the
// order of the wire. None may block, and none is called after Close has returned.
type Handler interface {
	// OnRequest: a request that opened a transaction, neither ACK nor CANCEL. It must be answered
	// finally, sooner or later.
	OnRequest(tx *ServerTx)
	// OnACK: the ACK of a 2xx, whatever its branch, or one that belongs to nothing known here.
	OnACK(req *sipmsg.Request, flow *Flow)
	// OnStray: a 2xx to an INVITE of which no transaction is known, such as one of a process before. It wants its ACK.
	OnStray(res *sipmsg.Response, flow *Flow)
	// OnCancel: the INVITE, not yet finally answered, was cancelled, once. The CANCEL has been
	// answered; the INVITE has not (487).
	OnCancel(tx *ServerTx)
	// OnLost: the connection of an INVITE without final answer has closed, and the peer could not be
	// reached over another (ServerTx.Return).
	OnLost(tx *ServerTx)
}

// Tapped is one message as it was received or handed to the socket.
type Tapped struct {
	Time          time.Time
	Direction     metrics.Direction
	Transport     Transport
	Local, Remote netip.AddrPort
	Peer          metrics.Peer
	Raw           []byte // borrowed until the tap returns
}

// Deps are what the stack calls.
type Deps struct {
	Log      *zap.Logger
	Observer Observer
	// Admit tells who speaks from an address; PeerUnknown is turned away unheard. It must not block.
	Admit   func(netip.AddrPort, Transport) metrics.Peer
	Handler Handler
	// Tap sees every message, from any goroutine, and must not block. May be nil.
	Tap func(Tapped)
	// Resolver may be nil: the system's.
	Resolver Resolver
	// Inherited returns the descriptor of a socket that the process before has bound, and that is the stack's
	// from then on; -1 where there is none. May be nil.
	Inherited func(Transport, netip.AddrPort) int
	// Knows tells whether there is a call with that dialog, of which localTag is ours. It is asked in a stack that
	// leaves (Leave), by the goroutine that read a message, and must not block.
	Knows func(callID, localTag string) bool
}

// Stack is the SIP transport and transaction layer of one edge.
type Stack struct {
	cfg    Config
	deps   Deps
	secret [32]byte // of statelessTag

	// fixed once New has returned
	listeners   []listener
	sockets     []*udpSocket
	reading     sync.WaitGroup // goroutines of these
	addrs       [len(transportNames)]netip.AddrPort
	certificate *certificate.Source // nil without TLS listener
	keyLog      io.WriteCloser      // nil: none

	clock  clock
	census census
	table  table
	links  links
	inks   inks // of the keys of transactions
	tombs  tombs
	names  names
	shared atomic.Pointer[sharing] // nil but during an upgrade

	ctx    context.Context // ends dials, lookups and handshakes
	cancel context.CancelFunc

	mu      sync.Mutex
	flows   map[*Flow]struct{} // open connections
	closing bool               // no connection, listener or dial may start any more
	running int                // goroutines
	idle    *sync.Cond         // running is 0
	closed  bool               // nobody may be called any more
}

// New binds all sockets and serves them, unless Config.Waits.
func New(cfg Config, deps Deps) (*Stack, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("sip stack: %w", err)
	}
	s := newStack(cfg, deps)
	if err := s.open(); err != nil {
		s.cancel()
		s.closeKeyLog()
		return nil, fmt.Errorf("sip stack: %w", err)
	}
	return s, nil
}

// newStack makes a stack without sockets.
func newStack(cfg Config, deps Deps) *Stack {
	cfg = cfg.withDefaults()
	s := &Stack{
		cfg:    cfg,
		deps:   deps,
		clock:  clock{began: time.Now()},
		census: census{max: cfg.MaxConnections, maxPerSource: cfg.MaxConnectionsPerSource, bySource: map[netip.Addr]int{}},
		table:  newTable(cfg.MaxTransactions),
		inks:   newInks(),
		links:  links{max: cfg.MaxConnections, byTarget: map[target]*link{}},
		tombs:  newTombs(),
		flows:  map[*Flow]struct{}{},
	}
	s.links.stack = s
	s.idle = sync.NewCond(&s.mu)
	rand.Read(s.secret[:])
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.names = names{resolver: deps.Resolver, timeout: cfg.DialTimeout, log: deps.Log, ctx: s.ctx, spawn: s.spawn,
		good: map[question]answer{}, open: map[question]*query{}}
	return s
}

func (s *Stack) open() error {
	if s.cfg.Certificate != "" {
		var err error
		if s.certificate, err = certificate.Read(s.cfg.Certificate, s.cfg.Key, s.deps.Log, s.deps.Observer.CertificateExpiry); err != nil {
			return err
		}
	}
	if s.cfg.KeyLog != "" {
		k, err := openKeyLog(s.cfg.KeyLog, s.deps.Log)
		if err != nil {
			return err
		}
		s.keyLog = k
	}
	if err := s.bind(); err != nil {
		return err
	}
	if !s.cfg.Waits {
		s.Serve()
	}
	return nil
}

// Addr returns the address of the first listener of a transport, the zero value without one.
func (s *Stack) Addr(t Transport) netip.AddrPort { return s.addrs[t] }

// Close ends everything and waits for all goroutines. Connections get a second to take what is
// queued; transactions still open end with an error.
func (s *Stack) Close() {
	// No new connections and no new dials.
	s.cancel()
	for _, l := range s.listeners {
		l.Close()
	}
	// What is under way learns it while the connections are still there.
	closing := fmt.Errorf("%w: %w", ErrTransport, errShutdown)
	for _, t := range s.table.clients() {
		t.fail(closing)
	}
	// Connections say goodbye; their readers end.
	s.mu.Lock()
	s.closing = true
	for f := range s.flows {
		f.stream.drain(errShutdown)
	}
	s.mu.Unlock()
	for _, u := range s.sockets {
		u.close()
	}
	s.wait()
	// Timers of transactions that wait for retransmissions.
	s.table.terminate()
	s.clock.close()
	s.closeKeyLog()
}

func (s *Stack) closeKeyLog() {
	if s.keyLog != nil {
		s.keyLog.Close()
	}
}

var errShutdown = errors.New("shutting down")
