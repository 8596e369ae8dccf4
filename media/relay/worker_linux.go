package relay

import (
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"handoff/media/lane"
)

const (
	// nap is how long a worker looks away while packets flow. What comes meanwhile costs one wake-up
	// together, and is late by half of that on average. It is a sleep of Go's: one of the system's
	// would take no less and would hold up the collector and, of few processors, a whole one.
	nap = time.Millisecond
	// maxCredit is how many naps without a packet a worker takes at most. A packet earns one nap: below
	// one a nap it is cheaper to be woken by each.
	maxCredit = 32
)

// worker reads one socket, and handles and forwards what it read.
type worker struct {
	path    *Path
	fd      int // the socket
	bell    *bell
	exits   exits
	place   uint64 // of the socket, which its ports hold in the table
	closing atomic.Bool
	done    chan struct{}
	woken   time.Duration // since the epoch; owned by run

	work  sync.Mutex // held for a batch; guards all below
	in    *inbox
	came  [batch]received
	lanes [batch]*lane.Lane
	out   *outbox
	left  []*Port // those that are leaving
}

// received is a datagram of a batch and whose it is, nil for nobody's.
type received struct {
	datagram
	b    []byte
	port *Port
}

// datagram is what is known of one beside what is in it.
type datagram struct {
	from, to netip.AddrPort
	arrival  time.Duration
}

func newWorker(path *Path) (*worker, error) {
	fd, err := shared(path.cfg.Listen)
	if err != nil {
		return nil, missing(err)
	}
	w := &worker{path: path, fd: fd, done: make(chan struct{}), in: newInbox()}
	if w.bell, err = newBell(fd); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	if w.exits, err = openExits(path.cfg.Listen); err == nil {
		if w.place, err = path.lookup.take(fd); err != nil {
			w.exits.close()
		}
	}
	if err != nil {
		w.bell.Close()
		_ = unix.Close(fd)
		return nil, err
	}
	w.out = newOutbox(path, w.exits)
	go w.run() // ends when close takes the bell away
	return w, nil
}

func (w *worker) run() {
	defer close(w.done)
	w.bell.listen(w.drain)
}

// close ends the goroutine and waits for it.
func (w *worker) close() {
	w.closing.Store(true)
	w.bell.Close()
	<-w.done
	_ = unix.Close(w.fd)
	w.exits.close()
}

// drain takes what comes until it does not pay to look any more, and then lets the bell tell of what comes.
func (w *worker) drain() (done bool) {
	credit := w.advance()
	for !w.closing.Load() {
		n, more := w.turn()
		if credit = min(credit+n, maxCredit); more {
			runtime.Gosched()
			continue
		}
		if credit--; credit <= 0 {
			w.bell.set()
			return false
		}
		w.bell.rest()
		time.Sleep(nap)
	}
	return true
}

// advance is the credit of a worker that was just woken: a nap to try, if the last time is so short ago
// that it could have slept for both.
func (w *worker) advance() int {
	now := time.Since(w.path.cfg.Epoch)
	dense := now-w.woken < nap
	if w.woken = now; dense {
		return 2
	}
	return 0
}

// turn handles a batch and tells how many datagrams it had, and whether to look again at once.
func (w *worker) turn() (n int, more bool) {
	w.work.Lock()
	defer w.work.Unlock()
	n, err := w.in.receive(w.fd)
	if err == unix.EINTR {
		return 0, true
	}
	if n == 0 {
		w.idle()
		return 0, false
	}
	w.sort(n)
	for i := range n {
		w.handle(&w.came[i])
	}
	w.out.flush()
	clear(w.came[:n]) // ports are not kept alive
	clear(w.lanes[:n])
	return n, n == batch || len(w.left) > 0
}

// sort finds whose each datagram of a batch is, and fetches what handling them will read.
func (w *worker) sort(n int) {
	c := w.path.clock()
	for i := range n {
		b, from, to, stamp := w.in.at(i)
		p := w.path.find(to.Port())
		w.came[i] = received{datagram{from, to, c.arrival(stamp)}, b, p}
		if w.lanes[i] = nil; p != nil {
			w.lanes[i] = &p.Lane
		}
	}
	lane.Warm(w.lanes[:n])
}

// empty handles all that has come so far.
func (w *worker) empty() {
	for {
		if n, more := w.turn(); n == 0 && !more {
			return
		}
	}
}

// handle takes a datagram to its port. One of a port that was closed meanwhile is dropped as if it had
// come later.
func (w *worker) handle(r *received) {
	switch p := r.port; {
	case p == nil || !p.at(w, r.to.Addr()):
	case p.frozen:
		p.wait(r.datagram, r.b)
	default:
		w.forward(p, r.datagram, r.b)
	}
}

// forward lets the port's lane decide. b is borrowed until return.
func (w *worker) forward(p *Port, d datagram, b []byte) {
	leaving := p.Receive(p.side(d.to.Port()), b, d.from, d.arrival)
	if leaving.Out == nil {
		return
	}
	p.hear(d.to.Addr())
	w.out.add(leaving, d.arrival)
	if f := p.Flow(); !leaving.RTCP && !p.leaving && f != nil && f.Idle != nil {
		p.leaving = true
		w.left = append(w.left, p)
	}
}

// idle tells the flows that nothing waits to be read.
func (w *worker) idle() {
	for _, p := range w.left {
		p.leaving = false
		if f := p.Flow(); f != nil && f.Idle != nil && !p.frozen && !p.closed.Load() {
			f.Idle()
		}
	}
	clear(w.left)
	w.left = w.left[:0]
}

// clock is one moment by both of its clocks.
type clock struct {
	since time.Duration // the path's epoch
	wall  int64         // nanoseconds, as the system stamps packets
}

// maxAge bounds how long ago a packet came. Beyond it the clock was set in between.
const maxAge = time.Second

// arrival is when a packet came that was stamped so.
func (c clock) arrival(stamp unix.Timespec) time.Duration {
	age := time.Duration(c.wall - stamp.Nano())
	if age < 0 || age > maxAge {
		age = 0
	}
	return c.since - age
}
