package stack

import (
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"handoff/media/sockaddr"
)

// sendTo writes a datagram.
func (u *udpSocket) sendTo(raw []byte, to netip.AddrPort) error {
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	var errno syscall.Errno
	err := u.raw.Write(func(fd uintptr) bool {
		errno = sockaddr.SendTo(int(fd), raw, to)
		return errno != unix.EAGAIN // else it waits for room
	})
	return told(err, "sendto", errno)
}

// incoming is what one goroutine reads into.
type incoming struct {
	socket *udpSocket
	buf    []byte

	n     int
	from  netip.AddrPort
	errno syscall.Errno
	read  func(fd uintptr) bool
}

func (u *udpSocket) incoming(size int) *incoming {
	in := &incoming{socket: u, buf: make([]byte, size)}
	in.read = func(fd uintptr) bool {
		in.n, in.from, in.errno = sockaddr.ReceiveFrom(int(fd), in.buf)
		return in.errno != unix.EAGAIN // else it waits for a datagram
	}
	return in
}

// next waits for a datagram, which is good until the next one.
func (in *incoming) next() ([]byte, netip.AddrPort, error) {
	err := in.socket.raw.Read(in.read)
	return in.buf[:in.n], in.from, told(err, "recvfrom", in.errno)
}

// told is the error of a socket or, without one, of a system call.
func told(err error, call string, errno syscall.Errno) error {
	if err == nil && errno != 0 {
		return os.NewSyscallError(call, errno)
	}
	return err
}
