package load

import (
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"handoff/media/sockaddr"
)

// Listen returns a wire on a UDP socket of an address; port 0 is any. The socket belongs to the network
// namespace of the calling thread.
func Listen(at netip.AddrPort) (Wire, error) {
	family, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(at.Port())})
	if at.Addr().Is4() {
		to.(*unix.SockaddrInet4).Addr = at.Addr().As4()
	} else {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	s := &socket{fd: fd, in: newMessages(true), out: newMessages(false)}
	if err := s.bind(to); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("listen on %s: %w", at, err)
	}
	return s, nil
}

// socket sends and receives by one system call for many packets.
type socket struct {
	fd      int
	local   netip.AddrPort
	in, out *messages
}

func (s *socket) bind(to unix.Sockaddr) error {
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil { // needs CAP_NET_ADMIN
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); err != nil {
			return err
		}
	}
	// The system notes when a packet came, however late it is read.
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return err
	}
	if err := unix.Bind(s.fd, to); err != nil {
		return err
	}
	bound, err := unix.Getsockname(s.fd)
	if err != nil {
		return err
	}
	switch a := bound.(type) {
	case *unix.SockaddrInet4:
		s.local = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		s.local = netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return nil
}

func (s *socket) Local() netip.AddrPort { return s.local }

func (s *socket) Send(packets []Packet) int {
	for i, p := range packets {
		s.out.set(i, p.Data)
		s.out.headers[i].Name = &s.out.names[i][0]
		s.out.headers[i].Namelen = uint32(s.out.names[i].Set(p.To))
	}
	return s.out.send(s.fd, len(packets))
}

func (s *socket) Receive(take func(Arrived)) error {
	for {
		n, err := s.in.receive(s.fd)
		for i := range n {
			h := &s.in.headers[i]
			take(Arrived{s.in.names[i].Get(), s.in.buffers[i][:h.size], s.in.stamp(i)})
		}
		if err != nil || n < batch {
			return err
		}
	}
}

func (s *socket) Close() error { return unix.Close(s.fd) }

// messages is what sendmmsg and recvmmsg are given.
type messages struct {
	headers [batch]message
	vectors [batch]unix.Iovec
	names   [batch]sockaddr.Addr
	// of what is received only
	buffers [batch][]byte
	control [batch][8]uint64 // words, for the system aligns what it writes
}

// message is a struct mmsghdr.
type message struct {
	unix.Msghdr
	size uint32
}

func newMessages(receiving bool) *messages {
	m := &messages{}
	for i := range m.headers {
		h := &m.headers[i]
		h.Iov = &m.vectors[i]
		h.SetIovlen(1)
		if receiving {
			m.buffers[i] = make([]byte, room)
			m.set(i, m.buffers[i])
		}
	}
	return m
}

func (m *messages) set(i int, b []byte) {
	m.vectors[i].Base = unsafe.SliceData(b)
	m.vectors[i].SetLen(len(b))
}

// send returns how many were taken. One that is refused is left out.
func (m *messages) send(fd, count int) (sent int) {
	for done := 0; done < count; {
		n, _, err := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.headers[done])),
			uintptr(count-done), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if err != 0 {
			done++
			continue
		}
		done += int(n)
		sent += int(n)
	}
	return sent
}

func (m *messages) receive(fd int) (int, error) {
	for i := range m.headers {
		h := &m.headers[i]
		h.Name, h.Namelen = &m.names[i][0], uint32(len(m.names[i]))
		h.Control = (*byte)(unsafe.Pointer(&m.control[i]))
		h.SetControllen(int(unsafe.Sizeof(m.control[i])))
	}
	n, _, err := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.headers)), batch, unix.MSG_DONTWAIT, 0, 0)
	switch err {
	case 0:
		return int(n), nil
	case unix.EAGAIN, unix.EINTR, unix.ECONNREFUSED: // the last tells of a packet sent before
		return 0, nil
	}
	return 0, err
}

// stamp is when a message came.
func (m *messages) stamp(i int) time.Time {
	c := (*unix.Cmsghdr)(unsafe.Pointer(&m.control[i]))
	if m.headers[i].Controllen == 0 || c.Level != unix.SOL_SOCKET || c.Type != unix.SO_TIMESTAMPNS {
		return time.Now()
	}
	at := (*unix.Timespec)(unsafe.Add(unsafe.Pointer(c), unix.CmsgLen(0)))
	return time.Unix(at.Unix())
}

// pause sleeps by the system's own timer: that of the runtime knows no less than a millisecond while it
// waits for descriptors.
func pause(d time.Duration) {
	if d > 0 {
		t := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&t, nil)
	}
}
