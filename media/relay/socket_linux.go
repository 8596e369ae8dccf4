package relay

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"handoff/media/lane"
	"handoff/media/sockaddr"
)

// room is what a socket may hold, each way. All calls of a worker share it, and it must last while
// the process is held up: 50,000 packets a second take 1 KB each of it.
const room = 8 << 20

// shared returns the socket that the program hands datagrams to, bound to whatever port.
func shared(listen netip.Addr) (fd int, err error) {
	level, option := unix.SOL_IP, unix.IP_RECVORIGDSTADDR
	if listen.Is6() {
		level, option = unix.SOL_IPV6, unix.IPV6_RECVORIGDSTADDR
	}
	fd, err = unix.Socket(int(family(listen)), unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	err = bind(fd, netip.AddrPortFrom(loopback(listen), 0))
	for _, o := range []struct{ level, option, value int }{
		{level, option, 1},                        // which port it came to
		{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1}, // and when
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room},
	} {
		if err == nil {
			err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, o.level, o.option, o.value))
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("shared socket: %w", err)
	}
	return fd, nil
}

// pit returns a socket that takes everything and keeps nothing. A port without a call is not silent by
// being dropped at the lookup: that is a port without a socket, and the system says so by ICMP.
func pit(listen netip.Addr) (fd int, err error) {
	fd, err = unix.Socket(int(family(listen)), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}} // bytes are let in
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing[0]})
	if err = os.NewSyscallError("setsockopt", err); err == nil {
		err = bind(fd, netip.AddrPortFrom(loopback(listen), 0))
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("silent socket: %w", err)
	}
	return fd, nil
}

// loopback is where sockets are bound that the program alone may reach.
func loopback(listen netip.Addr) netip.Addr {
	if listen.Is6() {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

func bind(fd int, at netip.AddrPort) error {
	var sa unix.Sockaddr = &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	if at.Addr().Is4() {
		sa = &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// free tells whether another process holds a port: nothing of the path's own does.
func free(at netip.AddrPort) error {
	fd, err := unix.Socket(int(family(at.Addr())), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if at.Addr().Is6() {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return bind(fd, at)
}

// bound lists the UDP ports that are in use in this network namespace, at whichever address: the local
// address is the second column, in hexadecimal digits.
func bound(listen netip.Addr) (ports []uint16) {
	tables := []string{"udp", "udp6"} // a socket of IPv6 can have IPv4 too
	if listen.Is6() {
		tables = tables[1:]
	}
	for _, name := range tables {
		table, _ := os.ReadFile("/proc/thread-self/net/" + name) // without it nobody is seen but by Open
		for line := range strings.Lines(string(table)) {
			if columns := strings.Fields(line); len(columns) > 1 {
				_, digits, _ := strings.Cut(columns[1], ":")
				if port, err := strconv.ParseUint(digits, 16, 16); err == nil {
					ports = append(ports, uint16(port))
				}
			}
		}
	}
	return ports
}

// exits are the sockets that packets leave by. They receive nothing.
type exits struct {
	frames int // AF_PACKET: whole Ethernet frames
	ip     int // raw: whole IP packets
}

func openExits(listen netip.Addr) (x exits, err error) {
	x = exits{-1, -1}
	if x.frames, err = exit(unix.AF_PACKET, 0); err == nil {
		x.ip, err = exit(int(family(listen)), unix.IPPROTO_RAW)
	}
	if err != nil {
		x.close()
	}
	return x, err
}

func exit(family, protocol int) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return -1, &Unsupported{"the capability CAP_NET_RAW", os.NewSyscallError("raw socket", err)}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, room); err != nil {
		_ = unix.Close(fd)
		return -1, missing(os.NewSyscallError("setsockopt", err))
	}
	return fd, nil
}

func (x exits) close() {
	for _, fd := range []int{x.frames, x.ip} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// batch is how many packets a system call takes at most.
const batch = 64

// message is a struct mmsghdr.
type message struct {
	unix.Msghdr
	n uint32
}

// inbox is what datagrams are read into, a batch at a time.
type inbox struct {
	messages [batch]message
	vectors  [batch]unix.Iovec
	sources  [batch]sockaddr.Addr
	control  [batch][ancillary]byte
	buffers  [batch][]byte
}

func newInbox() *inbox {
	in := new(inbox)
	for i := range batch {
		m := &in.messages[i]
		in.buffers[i] = lane.NewBuffer()
		in.vectors[i].Base = &in.buffers[i][0]
		in.vectors[i].SetLen(len(in.buffers[i]))
		m.Iov = &in.vectors[i]
		m.SetIovlen(1)
		m.Name = &in.sources[i][0]
		m.Control = &in.control[i][0]
		in.reset(i)
	}
	return in
}

// reset makes room again for what the last message shortened.
func (in *inbox) reset(i int) {
	in.messages[i].Namelen = uint32(len(in.sources[i]))
	in.messages[i].SetControllen(len(in.control[i]))
}

// at returns a datagram, which is good until the next batch is read, and leaves its place ready for that.
func (in *inbox) at(i int) (b []byte, from netip.AddrPort, to netip.AddrPort, stamp unix.Timespec) {
	to, stamp = read(in.control[i][:in.messages[i].Controllen])
	in.reset(i)
	return in.buffers[i][:in.messages[i].n], in.sources[i].Get(), to, stamp
}
