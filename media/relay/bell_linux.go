package relay

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// bell tells of the first datagram that comes after it was set, and of no other: Go's own poller would wake the
// process for each one that comes while its worker naps. It is an epoll with the socket, watched by Go's poller in
// its turn.
type bell struct {
	epoll  *os.File
	fd     int
	socket int
}

func newBell(socket int) (*bell, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	err = unix.SetNonblock(fd, true) // or os.NewFile leaves it alone
	b := &bell{os.NewFile(uintptr(fd), "bell"), fd, socket}
	// A deadline is what only a file in Go's poller can have.
	err = errors.Join(err, b.epoll.SetReadDeadline(time.Time{}), b.control(unix.EPOLL_CTL_ADD))
	if err != nil {
		_ = b.epoll.Close()
		return nil, err
	}
	return b, nil
}

// listen calls heard whenever the bell rings, and lets it set the bell again before it returns. It returns when
// heard says that it is done, or the bell is closed.
func (b *bell) listen(heard func() (done bool)) {
	conn, err := b.epoll.SyscallConn()
	if err != nil {
		return // closed before
	}
	_ = conn.Read(func(uintptr) bool {
		b.still()
		return heard()
	})
}

// still takes what the bell has told, which unsets it.
func (b *bell) still() {
	var events [1]unix.EpollEvent
	for {
		if _, err := unix.EpollWait(b.fd, events[:], 0); err != unix.EINTR {
			return
		}
	}
}

// set lets the bell ring for the next datagram, at once if one waits.
func (b *bell) set() { _ = b.control(unix.EPOLL_CTL_MOD) }

func (b *bell) control(op int) error {
	once := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(b.fd, op, b.socket, &once))
}

func (b *bell) close() { _ = b.epoll.Close() }
