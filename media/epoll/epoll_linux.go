package epoll

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Epoll is a set of sockets. Its methods may be called from any goroutine.
type Epoll struct {
	file *os.File
	fd   int
}

// New returns one without sockets.
func New() (*Epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	err = unix.SetNonblock(fd, true) // or os.NewFile leaves it alone
	e := &Epoll{os.NewFile(uintptr(fd), "epoll"), fd}
	// A deadline is what only a file in Go's poller can have.
	if err = errors.Join(err, e.file.SetReadDeadline(time.Time{})); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// Control is epoll_ctl(2).
func (e *Epoll) Control(op, socket int, event *unix.EpollEvent) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(e.fd, op, socket, event))
}

// Ready takes what there is to be told, and returns how many events that are. It does not wait.
func (e *Epoll) Ready(events []unix.EpollEvent) int {
	for {
		n, err := unix.EpollWait(e.fd, events, 0)
		if err != unix.EINTR {
			return max(n, 0)
		}
	}
}

// Listen calls woken at once, and whenever there is something to be told that was not when woken returned last: Go's
// poller is edge-triggered. It returns when woken says that it is done, or behind Close.
func (e *Epoll) Listen(woken func() (done bool)) {
	conn, err := e.file.SyscallConn()
	if err != nil {
		return // closed before
	}
	_ = conn.Read(func(uintptr) bool { return woken() }) // the error is that of the end
}

// Close ends Listen, if not the call of woken in work.
func (e *Epoll) Close() { _ = e.file.Close() }
