//go:build linux

// Package sockaddr is an IP address and port as Linux has it in system calls, and the two calls that
// bring one datagram. It is for what makes these itself: those of the library allocate an address for each
// packet and tell the scheduler of each call, which then wakes a thread to see whether it takes long.
package sockaddr

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Addr is a struct sockaddr_in or sockaddr_in6:
//
//	|family|port|address|                        IPv4, 16 bytes with padding
//	|family|port|flow information|address|scope| IPv6, 28 bytes
//
// The family is in the byte order of the machine, all else in that of the network.
type Addr [unix.SizeofSockaddrInet6]byte

// Set writes an address and returns its length.
func (a *Addr) Set(to netip.AddrPort) uintptr {
	binary.BigEndian.PutUint16(a[2:], to.Port())
	if to.Addr().Is4() {
		binary.NativeEndian.PutUint16(a[:], unix.AF_INET)
		*(*[4]byte)(a[4:]) = to.Addr().As4()
		return unix.SizeofSockaddrInet4
	}
	binary.NativeEndian.PutUint16(a[:], unix.AF_INET6)
	*(*[16]byte)(a[8:]) = to.Addr().As16()
	return unix.SizeofSockaddrInet6
}

// Get returns an address without a zone: no SDP has one.
func (a *Addr) Get() netip.AddrPort {
	port := binary.BigEndian.Uint16(a[2:])
	if binary.NativeEndian.Uint16(a[:]) == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[4:])), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(a[8:])), port)
}

// SendTo writes a datagram, and does not wait for room.
func SendTo(fd int, b []byte, to netip.AddrPort) unix.Errno {
	var at Addr
	size := at.Set(to)
	_, _, err := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&at)), size)
	return err
}

// ReceiveFrom reads a datagram into b, as far as it has room, and does not wait for one.
func ReceiveFrom(fd int, b []byte) (n int, from netip.AddrPort, err unix.Errno) {
	var at Addr
	size := uint32(len(at))
	read, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&at)), uintptr(unsafe.Pointer(&size)))
	if err != 0 {
		return 0, netip.AddrPort{}, err
	}
	return int(read), at.Get(), 0
}
