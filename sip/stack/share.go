package stack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"handoff/metrics"
)

// While an upgrade lasts there are two stacks, of the process that leaves and of the one that follows. Each reads its own
// connections, and the follower the sockets. Whose a message is the leaving one tells, for its calls are what
// becomes fewer: it keeps what belongs to a transaction, dialog or tombstone of its own, and all else is the follower's.
//
//	leaving                                 follower
//	  │◀── message on a connection of its own   │
//	  │ known: dispatched here                  │
//	  │ else ─────────── Pass ─────────────────▶│ dispatched there
//	  │                                         │◀── message on a socket, or on a connection of its own
//	  │◀──────────────── Pass ──────────────────│
//	  │ known: dispatched here                  │
//	  │ else ─────────── Return ───────────────▶│ dispatched there
//
// The order on each connection stays, since all of it takes the same way. Either writes on the connections of
// the other by Write: there they are flows like any other.

// Partner is the stack of the other process. Its methods are called from the goroutines that read and write, and may
// block them for as long as the other process is busy; where that is gone they do nothing.
type Partner interface {
	// Pass hands over a message that came on a flow of ours. raw is borrowed.
	Pass(on SharedFlow, raw []byte)
	// Return gives back a message of the other's that is not for us. raw is borrowed.
	Return(on SharedFlow, raw []byte)
	// Write sends a message on a connection of the other's.
	Write(id uint64, raw []byte) error
	// Lost tells that a connection of ours is no more.
	Lost(id uint64)
	// Last is sent by the follower when the leaving stack has said that it knows nothing any more; it comes
	// back when all that was passed before is returned.
	Last()
}

// SharedFlow is a flow as one process names it to the other. The zero value is none.
type SharedFlow struct {
	Yours     bool           `json:"yours,omitempty"` // the other process reads it
	ID        uint64         `json:"id,omitempty"`    // 0: UDP, by its addresses
	Transport string         `json:"transport"`
	Local     netip.AddrPort `json:"local"`
	Remote    netip.AddrPort `json:"remote"`
	Peer      string         `json:"peer"`
	Host      string         `json:"host,omitempty"`  // that was dialled
	Names     string         `json:"names,omitempty"` // that it was verified for
}

// sharing is what a stack knows of the other.
type sharing struct {
	stack   *Stack
	partner Partner
	leaves  bool

	// way is held for reading from where it is told whose a message is until it is there, and for writing when that
	// changes.
	way    sync.RWMutex
	over   bool // guarded by way: everything is ours
	ending bool // between OnOver and OnLast; of the goroutine that hears the other process

	mu       sync.Mutex
	last     uint64
	lent     map[*Flow]uint64 // our connections of which the other knows
	own      map[uint64]*Flow // the same
	borrowed map[uint64]*Flow // the other's
}

// Leave passes on what is not known here, until Rejoin. The sockets must be halted.
func (s *Stack) Leave(p Partner) { s.share(p, true) }

// Follow asks the process that leaves about each message, until it has nothing any more.
func (s *Stack) Follow(p Partner) { s.share(p, false) }

func (s *Stack) share(p Partner, leaves bool) {
	s.shared.Store(&sharing{
		stack: s, partner: p, leaves: leaves,
		lent: map[*Flow]uint64{}, own: map[uint64]*Flow{}, borrowed: map[uint64]*Flow{},
	})
}

// Rejoin says that the other process is gone: its connections are lost, and everything is ours. The methods
// that begin with On, and this one, are called by one goroutine.
func (s *Stack) Rejoin() {
	sh := s.shared.Swap(nil)
	if sh == nil {
		return
	}
	if !sh.ending {
		sh.way.Lock()
	}
	sh.over = true
	sh.way.Unlock()
	sh.mu.Lock()
	borrowed := sh.borrowed
	sh.borrowed = nil
	sh.mu.Unlock()
	for _, f := range borrowed {
		sh.lose(f)
	}
}

// Still runs f while no message is between its socket and whom it is for.
func (s *Stack) Still(f func()) {
	sh := s.shared.Load()
	if sh == nil {
		f()
		return
	}
	sh.way.Lock()
	defer sh.way.Unlock()
	f()
}

// Idle tells whether a stack that leaves has no connection and no transaction any more.
func (s *Stack) Idle() (connections, transactions int) {
	s.mu.Lock()
	connections = len(s.flows)
	s.mu.Unlock()
	if sh := s.shared.Load(); sh != nil {
		sh.mu.Lock()
		connections -= len(sh.borrowed)
		sh.mu.Unlock()
	}
	return connections, s.table.len()
}

// route takes a message to whom it concerns, in whichever process.
func (s *Stack) route(in *inbound, raw []byte) {
	sh := s.shared.Load()
	if sh == nil {
		s.dispatch(in)
		return
	}
	sh.way.RLock()
	defer sh.way.RUnlock()
	if sh.over || sh.leaves && s.knows(in) {
		s.dispatch(in)
		return
	}
	sh.partner.Pass(sh.lend(in.flow), raw)
}

// knows tells whether a message belongs to anything here.
func (s *Stack) knows(in *inbound) bool {
	if in.res != nil {
		return s.table.knows(s.answers(in))
	}
	method := in.req.Method
	if in.req.IsAck() || in.req.IsCancel() {
		method = sipmsg.INVITE
	}
	if s.table.knows(s.serverKey(in, method)) {
		return true
	}
	local, _ := in.req.To().Params.Get("tag")
	remote, _ := in.req.From().Params.Get("tag")
	id := in.req.CallID().Value()
	return local != "" && (s.tombs.holds(Tombstone{id, local, remote}, time.Now()) || s.deps.Knows != nil && s.deps.Knows(id, local))
}

// OnPassed takes a message that the other process has read.
func (s *Stack) OnPassed(on SharedFlow, raw []byte) {
	sh := s.shared.Load()
	if sh == nil {
		return
	}
	in := sh.reread(sh.borrow(on), raw)
	if !sh.leaves {
		if in != nil {
			s.dispatch(in)
		}
		return
	}
	sh.way.RLock()
	defer sh.way.RUnlock()
	if in == nil || !s.knows(in) { // of a socket, perhaps, that only the follower has
		sh.partner.Return(on, raw)
		return
	}
	s.dispatch(in)
}

// OnReturned takes a message back that is not the other process's.
func (s *Stack) OnReturned(on SharedFlow, raw []byte) {
	sh := s.shared.Load()
	if sh == nil {
		return
	}
	if in := sh.reread(sh.ours(on), raw); in != nil {
		s.dispatch(in)
	}
}

// reread understands a message again, which the other process has understood; nil where its flow is gone.
func (sh *sharing) reread(f *Flow, raw []byte) *inbound {
	if f == nil {
		return nil
	}
	fr, ok := frameDatagram(raw, sh.stack.cfg.MaxHeaderLines)
	if !ok {
		return nil
	}
	in, refusal := sh.stack.understand(fr, f)
	if refusal != nil {
		sh.stack.deps.Log.Warn("a message from the other process is not understood", zap.Stringer("remote", f.remote))
		return nil
	}
	return in
}

// OnWrite sends what the other process has to say on a connection of ours.
func (s *Stack) OnWrite(id uint64, raw []byte) {
	if sh := s.shared.Load(); sh != nil {
		sh.mu.Lock()
		f := sh.own[id]
		sh.mu.Unlock()
		if f != nil {
			_ = f.stream.enqueue(raw) // what fails, Lost tells of
		}
	}
}

// OnLost takes the loss of a connection of the other's.
func (s *Stack) OnLost(id uint64) {
	if sh := s.shared.Load(); sh != nil {
		sh.mu.Lock()
		f := sh.borrowed[id]
		delete(sh.borrowed, id)
		sh.mu.Unlock()
		if f != nil {
			sh.lose(f)
		}
	}
}

func (sh *sharing) lose(f *Flow) {
	f.stream.close(errClosed)
	sh.stack.detach(f)
}

// OnOver hears that the process that leaves knows nothing any more. What is read waits until all that was passed is
// returned, so that nothing overtakes it.
func (s *Stack) OnOver() {
	if sh := s.shared.Load(); sh != nil && !sh.leaves && !sh.ending && !sh.over {
		sh.way.Lock() // until OnLast, or Rejoin
		sh.ending = true
		sh.partner.Last()
	}
}

// OnLast is the end of that.
func (s *Stack) OnLast() {
	if sh := s.shared.Load(); sh != nil && sh.ending {
		sh.over, sh.ending = true, false
		sh.way.Unlock()
	}
}

// Lend names a flow to the other process, by which Borrow finds it there; none where it is lost.
func (s *Stack) Lend(f *Flow) SharedFlow {
	if sh := s.shared.Load(); sh != nil && f != nil {
		return sh.lend(f)
	}
	return SharedFlow{}
}

// Borrow returns a flow that the other process has named; nil for none.
func (s *Stack) Borrow(on SharedFlow) *Flow {
	sh := s.shared.Load()
	switch {
	case sh == nil || on == SharedFlow{}:
		return nil
	case on.Yours:
		return sh.ours(on)
	}
	return sh.borrow(on)
}

func (sh *sharing) lend(f *Flow) SharedFlow {
	on := SharedFlow{
		Transport: f.transport.String(), Local: f.local, Remote: f.remote, Peer: f.peer.String(), Host: f.target.host, Names: f.target.names,
	}
	if f.stream == nil {
		return on
	}
	if conn, borrowed := f.stream.conn.(*borrowedConn); borrowed {
		on.Yours, on.ID = true, conn.id
		return on
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !sh.stack.holds(f) {
		return SharedFlow{} // or nobody would tell of its loss
	}
	if on.ID = sh.lent[f]; on.ID == 0 {
		sh.last++
		on.ID = sh.last
		sh.lent[f], sh.own[on.ID] = on.ID, f
	}
	return on
}

// ours is a flow that was lent; nil where it is gone.
func (sh *sharing) ours(on SharedFlow) *Flow {
	if on.ID == 0 {
		return sh.datagrams(on)
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.own[on.ID]
}

// forget is told of every connection that is lost.
func (sh *sharing) forget(f *Flow) {
	sh.mu.Lock()
	id, known := sh.lent[f]
	delete(sh.lent, f)
	delete(sh.own, id)
	sh.mu.Unlock()
	if known {
		sh.partner.Lost(id)
	}
}

// borrow returns the flow for one of the other process, nil where nothing can be sent there.
func (sh *sharing) borrow(on SharedFlow) *Flow {
	if on.ID == 0 {
		return sh.datagrams(on)
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.borrowed == nil {
		return nil
	}
	f := sh.borrowed[on.ID]
	if f == nil {
		conn := &borrowedConn{sharing: sh, id: on.ID}
		transport, _ := ParseTransport(on.Transport)
		f = &Flow{stack: sh.stack, transport: transport, local: on.Local, remote: on.Remote, peer: on.peer(),
			target: target{host: on.Host, names: on.Names}, stream: newStream(conn, conn, 0)}
		if !sh.stack.attach(f) {
			return nil
		}
		sh.borrowed[on.ID] = f
	}
	return f
}

// datagrams is the flow of a socket that both processes have.
func (sh *sharing) datagrams(on SharedFlow) *Flow {
	for _, u := range sh.stack.sockets {
		if u.local == on.Local {
			return sh.stack.udpFlow(u, on.Remote, on.peer())
		}
	}
	return nil
}

func (on SharedFlow) peer() metrics.Peer {
	peer, _ := metrics.ParsePeer(on.Peer)
	return peer
}

// borrowedConn writes on a connection of the other process. Nobody reads it: what comes is passed.
type borrowedConn struct {
	net.Conn // nil: no other method is called
	sharing  *sharing
	id       uint64
}

func (c *borrowedConn) Write(raw []byte) (int, error) {
	if err := c.sharing.partner.Write(c.id, raw); err != nil {
		return 0, fmt.Errorf("%w: %w", errBorrowed, err)
	}
	return len(raw), nil
}

func (c *borrowedConn) SetWriteDeadline(time.Time) error { return nil }

// Close is called when the flow can't be used any more, from wherever that was noticed.
func (c *borrowedConn) Close() error {
	c.sharing.stack.post(func() { c.sharing.stack.OnLost(c.id) })
	return nil
}

var errBorrowed = errors.New("connection of the process before")
