//go:build !linux

package stack

import (
	"net/netip"
)

func (u *udpSocket) sendTo(raw []byte, to netip.AddrPort) error {
	_, err := u.conn.WriteToUDPAddrPort(raw, to)
	return err
}

type incoming struct {
	socket *udpSocket
	buf    []byte
}

func (u *udpSocket) incoming(size int) *incoming { return &incoming{u, make([]byte, size)} }

func (in *incoming) next() ([]byte, netip.AddrPort, error) {
	n, from, err := in.socket.conn.ReadFromUDPAddrPort(in.buf)
	return in.buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), err
}
