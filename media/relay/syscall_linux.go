package relay

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"handoff/media/sockaddr"
)

// The system calls are raw: none of them waits, so that the scheduler needs to know of none.

// receive reads as many datagrams as there are, up to a batch.
func (in *inbox) receive(fd int) (int, unix.Errno) {
	n, _, err := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&in.messages[0])), batch,
		unix.MSG_DONTWAIT, 0, 0)
	if err != 0 {
		return 0, err
	}
	return int(n), 0
}

// send writes messages in their order and returns how many were taken. The error is that of the next one,
// and is told only if none was taken.
func send(fd int, messages []message) (int, unix.Errno) {
	n, _, err := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(messages))), uintptr(len(messages)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if err != 0 {
		return 0, err
	}
	return int(n), 0
}

const (
	// header is where the data of a control message begins (cmsg(3)), aligned as the next one is.
	header = (unix.SizeofCmsghdr + word - 1) &^ (word - 1)
	word   = int(unsafe.Sizeof(uintptr(0)))
	// ancillary is room for the control messages of a datagram: where it came to, and when.
	ancillary = 2*header + (unix.SizeofSockaddrInet6+word-1)&^(word-1) + int(unsafe.Sizeof(unix.Timespec{}))
)

// read finds in control messages where a datagram came to and when; zero if they do not tell.
func read(control []byte) (to netip.AddrPort, stamp unix.Timespec) {
	for len(control) >= header {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		size := int(h.Len)
		if size < header || size > len(control) {
			break
		}
		data := control[header:size]
		switch {
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(stamp)):
			stamp = *(*unix.Timespec)(unsafe.Pointer(&data[0]))
		case h.Level == unix.SOL_IP && h.Type == unix.IP_ORIGDSTADDR, h.Level == unix.SOL_IPV6 && h.Type == unix.IPV6_ORIGDSTADDR:
			var at sockaddr.Addr
			copy(at[:], data)
			to = at.Get()
		}
		control = control[min((size+word-1)&^(word-1), len(control)):]
	}
	return to, stamp
}
