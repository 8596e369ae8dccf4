package portable

import (
	"net"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"handoff/media/epoll"
	"handoff/media/lane"
)

// maxPollers is how many cores the packets of a path may take for themselves.
const maxPollers = 4

// readers are the pollers of a path; the pairs are dealt out to them.
type readers struct {
	mu      sync.Mutex
	pollers []*poller // none before the first pair
	next    int
	closed  bool
}

// read gives a pair to the next poller.
func (r *readers) read(p *Pair) error {
	l, err := r.poller()
	if err != nil {
		return err
	}
	return l.add(p)
}

func (r *readers) poller() (*poller, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, net.ErrClosed
	}
	for len(r.pollers) < min(runtime.GOMAXPROCS(0), maxPollers) {
		l, err := newPoller()
		if err != nil {
			return nil, err
		}
		r.pollers = append(r.pollers, l)
	}
	r.next++
	return r.pollers[r.next%len(r.pollers)], nil
}

// Close ends the readers, after all pairs were closed.
func (path *Path) Close() {
	r := &path.readers
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, l := range r.pollers {
		l.close()
	}
	r.pollers = nil
}

// poller reads the sockets of many pairs by one goroutine and into one buffer. They are in an epoll
// that is level-triggered.
type poller struct {
	epoll *epoll.Epoll
	done  chan struct{}

	mu     sync.Mutex
	pairs  map[uint64]*Pair // by an id that is never given twice, as descriptors are
	last   uint64
	closed bool

	// owned by run
	events [64]unix.EpollEvent
	ready  [64]ready
	in     []byte
}

// ready is a port with something to read.
type ready struct {
	pair *Pair
	side lane.Side
}

func newPoller() (*poller, error) {
	e, err := epoll.New()
	if err != nil {
		return nil, err
	}
	l := &poller{epoll: e, done: make(chan struct{}), pairs: map[uint64]*Pair{}, in: lane.NewBuffer()}
	go l.run() // ends when close takes the epoll away
	return l, nil
}

func (l *poller) run() {
	defer close(l.done)
	l.epoll.Listen(l.drain)
}

// close ends the goroutine and waits for it.
func (l *poller) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.epoll.Close()
	<-l.done
}

// add reads a pair from now on.
func (l *poller) add(p *Pair) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.last++
	p.sockets.poller, p.sockets.id = l, l.last
	l.pairs[l.last] = p
	return l.controlLocked(unix.EPOLL_CTL_ADD, p, unix.EPOLLIN)
}

// watch tells whether a pair is read. A socket that is not keeps its place, so that its return can't
// fail; edge-triggered, whatever is not to be masked is told once.
func (l *poller) watch(p *Pair, on bool) {
	events := uint32(unix.EPOLLET)
	if on {
		events = unix.EPOLLIN
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		_ = l.controlLocked(unix.EPOLL_CTL_MOD, p, events)
	}
}

// forget reads a pair no more.
func (l *poller) forget(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pairs, id)
}

func (l *poller) controlLocked(op int, p *Pair, events uint32) error {
	for i, fd := range p.sockets.fds {
		e := unix.EpollEvent{Events: events}
		setTag(&e, p.sockets.id, lane.Side(i))
		if err := l.epoll.Control(op, fd, &e); err != nil {
			return err
		}
	}
	return nil
}

// drain reads until nothing is ready; from then on the epoll tells of what comes. One datagram of each
// socket is read in its turn, so that a flood at one does not hold up the others; the level brings back
// what has more.
func (l *poller) drain() (done bool) {
	for {
		n := l.epoll.Ready(l.events[:])
		if n == 0 {
			return false
		}
		l.find(n)
		sound := true
		for i := range l.ready[:n] {
			if r := &l.ready[i]; r.pair != nil {
				sound = r.pair.receive(r.side, l.in) && sound
				r.pair = nil
			}
		}
		if !sound {
			// A socket that is broken for good must not eat a core.
			time.Sleep(time.Millisecond)
		}
	}
}

// find looks up the pairs of n events, nil for those closed meanwhile.
func (l *poller) find(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range n {
		id, s := tag(&l.events[i])
		l.ready[i] = ready{l.pairs[id], s}
	}
}

// setTag writes into an event whose it is: the pair in 63 bits, its side in one.
func setTag(e *unix.EpollEvent, id uint64, s lane.Side) {
	data := id<<1 | uint64(s)
	e.Fd, e.Pad = int32(uint32(data)), int32(uint32(data>>32))
}

func tag(e *unix.EpollEvent) (id uint64, s lane.Side) {
	data := uint64(uint32(e.Pad))<<32 | uint64(uint32(e.Fd))
	return data >> 1, lane.Side(data & 1)
}
