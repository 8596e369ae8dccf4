package portable

import (
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"handoff/media/lane"
	"handoff/media/sockaddr"
)

// listen returns a socket that Go's own poller does not know, bound to one family only: on a
// dual-stack socket every source would come as IPv4 inside IPv6, and an edge that announces an IPv4
// address has no use for it.
func listen(ip netip.Addr, port uint16) (int, error) {
	family, level, hops := unix.AF_INET, unix.IPPROTO_IP, unix.IP_TTL
	var at unix.Sockaddr = &unix.SockaddrInet4{Port: int(port)}
	if ip.Is6() {
		family, level, hops = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
		at = &unix.SockaddrInet6{Port: int(port), Addr: ip.As16()}
	} else {
		at.(*unix.SockaddrInet4).Addr = ip.As4()
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	err = unix.SetsockoptInt(fd, level, hops, lane.TTL)
	if err == nil && ip.Is6() {
		err = unix.SetsockoptInt(fd, level, unix.IPV6_V6ONLY, 1)
	}
	if err == nil {
		err = unix.Bind(fd, at)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// sendTo and receive are raw system calls: those of the library allocate an address for each packet.
// Neither waits, so that the scheduler needs to know of none.
func sendTo(fd int, b []byte, to netip.AddrPort) error {
	var at sockaddr.Addr
	size := at.Set(to)
	_, _, err := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&at)), size)
	if err != 0 {
		return err
	}
	return nil
}

// receiver is what datagrams are read into, one at a time.
type receiver struct {
	buf  []byte
	from sockaddr.Addr
	size uint32
}

func newReceiver() *receiver { return &receiver{buf: lane.NewBuffer()} }

// receive returns the next datagram of a socket, good until the next call.
func (r *receiver) receive(fd int) ([]byte, netip.AddrPort, unix.Errno) {
	r.size = uint32(len(r.from))
	n, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(r.buf))), uintptr(len(r.buf)),
		unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&r.from)), uintptr(unsafe.Pointer(&r.size)))
	if err != 0 {
		return nil, netip.AddrPort{}, err
	}
	return r.buf[:n], r.from.Get(), 0
}

// waiting tells whether a datagram waits at a socket.
func waiting(fd int) bool {
	var b [1]byte
	_, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b)), 1,
		unix.MSG_DONTWAIT|unix.MSG_PEEK, 0, 0)
	return err == 0
}

// maxDropped is more than the buffers of a pair can hold: what comes on meanwhile is new.
const maxDropped = 4096

// Drop throws away what waits at sockets that nobody reads, and tells how many datagrams that were.
func Drop(sockets []int) (n int) {
	var b [1]byte
	for _, fd := range sockets {
		for range maxDropped {
			_, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b)), 1, unix.MSG_DONTWAIT, 0, 0)
			if err != 0 {
				break // nothing waits
			}
			n++
		}
	}
	return n
}
