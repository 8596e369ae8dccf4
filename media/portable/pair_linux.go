package portable

import (
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"handoff/media/lane"
	"handoff/media/sockaddr"
)

// sockets are bare descriptors. A descriptor's number is given to the next socket as soon as it is
// closed, so that none is used but under one of the locks, which Close takes both. Lock reading before
// sending: what reads one pair sends by another.
type sockets struct {
	poller *poller
	id     uint64 // at the poller
	fds    [2]int // by side

	reading sync.Mutex // held for one packet at most
	frozen  bool       // guarded by reading
	sending sync.Mutex // held for one system call
	closed  bool       // written under both
}

func (p *Pair) open(path *Path, ip netip.Addr, port uint16) error {
	s := &p.sockets
	for i := range s.fds {
		fd, err := listen(ip, port+uint16(i))
		if err != nil {
			for _, bound := range s.fds[:i] {
				_ = unix.Close(bound)
			}
			return fmt.Errorf("bind %s: %w", lane.Side(i), err)
		}
		s.fds[i] = fd
	}
	return p.begin(path)
}

func (p *Pair) adopt(path *Path, sockets [2]int) error {
	p.sockets.fds, p.sockets.frozen = sockets, true
	if err := p.begin(path); err != nil {
		return err
	}
	p.Freeze() // or the poller would look at them again and again
	return nil
}

func (p *Pair) begin(path *Path) error {
	if err := path.readers.read(p); err != nil {
		p.Close()
		return fmt.Errorf("poll: %w", err)
	}
	return nil
}

// Descriptors are those of a pair that is frozen, lent until Close: another process can go on with them.
func (p *Pair) Descriptors() []int { return p.sockets.fds[:] }

// send does not wait for room: what finds none is lost, as it would be on the way.
func (p *Pair) send(by lane.Side, b []byte, to netip.AddrPort) error {
	s := &p.sockets
	s.sending.Lock()
	defer s.sending.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	if err := sockaddr.SendTo(s.fds[by], b, to); err != 0 {
		return err
	}
	return nil
}

// receive handles the next datagram of a port, read into buf, if there is one and nobody stopped it meanwhile. It is
// false when the socket is in trouble.
func (p *Pair) receive(on lane.Side, buf []byte) bool {
	s := &p.sockets
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.frozen || s.closed {
		return true
	}
	n, from, err := sockaddr.ReceiveFrom(s.fds[on], buf)
	switch err {
	case 0:
		if rtp := p.handle(on, buf[:n], from); rtp {
			p.rest()
		}
	case unix.EAGAIN, unix.EINTR: // a wrong checksum, for one: it is known only when read
	default:
		p.ReadFailed()
		return false
	}
	return true
}

// rest tells who may carry what follows that nothing waits.
func (p *Pair) rest() {
	if f := p.Flow(); f != nil && f.Idle != nil && !waiting(p.sockets.fds[lane.Media]) {
		f.Idle()
	}
}

// Freeze stops reading. What arrives waits in the sockets until Thaw; nothing is lost unless their
// buffers (some seconds of audio) overflow.
func (p *Pair) Freeze() { p.freeze(true) }

// Thaw reads on.
func (p *Pair) Thaw() { p.freeze(false) }

func (p *Pair) freeze(frozen bool) {
	s := &p.sockets
	s.reading.Lock()
	defer s.reading.Unlock()
	if !s.closed {
		s.frozen = frozen
		s.poller.watch(p, !frozen)
	}
}

// Close closes the sockets; after it nothing is read or sent. It may be called twice.
func (p *Pair) Close() {
	s := &p.sockets
	s.reading.Lock()
	defer s.reading.Unlock()
	s.sending.Lock()
	defer s.sending.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	if s.poller != nil {
		s.poller.forget(s.id)
	}
	for _, fd := range s.fds {
		_ = unix.Close(fd) // which takes it from the epoll too
	}
}
