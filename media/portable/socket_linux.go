package portable

import (
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"handoff/media/lane"
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
