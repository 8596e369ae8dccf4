package relay

import (
	"golang.org/x/sys/unix"

	"handoff/media/epoll"
)

// bell tells of the first datagram that comes after it was set, and of no other: Go's own poller would wake the
// process for each one that comes while its worker naps.
type bell struct {
	*epoll.Epoll
	socket int
	away   bool // taken off the socket; owned by whom listen calls
}

func newBell(socket int) (*bell, error) {
	e, err := epoll.New()
	if err != nil {
		return nil, err
	}
	b := &bell{Epoll: e, socket: socket}
	if err := b.control(unix.EPOLL_CTL_ADD); err != nil {
		e.Close()
		return nil, err
	}
	return b, nil
}

// listen calls heard whenever the bell rings, and lets it set the bell again before it returns. It returns when
// heard says that it is done, or the bell is closed.
func (b *bell) listen(heard func() (done bool)) {
	var told [1]unix.EpollEvent
	b.Listen(func() bool {
		b.Ready(told[:]) // which unsets it
		return heard()
	})
}

// set lets the bell ring for the next datagram, at once if one waits.
func (b *bell) set() {
	op := unix.EPOLL_CTL_MOD
	if b.away {
		op, b.away = unix.EPOLL_CTL_ADD, false
	}
	_ = b.control(op)
}

// rest takes the bell off the socket until it is set again. One that does not ring still costs each datagram
// a look at who waits, a thirtieth of all that is done for it; taking it off costs as much as a few of them.
func (b *bell) rest() {
	if !b.away {
		b.away = b.control(unix.EPOLL_CTL_DEL) == nil
	}
}

func (b *bell) control(op int) error {
	return b.Control(op, b.socket, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT})
}
