//go:build unix && !linux

package portable

import (
	"net"
	"syscall"

	"handoff/media/lane"
)

func setTTL(conn *net.UDPConn, six bool) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	level, option := syscall.IPPROTO_IP, syscall.IP_TTL
	if six {
		level, option = syscall.IPPROTO_IPV6, syscall.IPV6_UNICAST_HOPS
	}
	var set error
	err = raw.Control(func(fd uintptr) { set = syscall.SetsockoptInt(int(fd), level, option, lane.TTL) })
	if err != nil {
		return err
	}
	return set
}
