//go:build linux

// Package sockaddr is an IP address and port as Linux has it in system calls. It is for paths that
// make these themselves: those of the library allocate an address for each packet.
package sockaddr

import (
	"encoding/binary"
	"net/netip"

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
