package relay

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"handoff/media/quality"
)

// maxWorkers is how many cores the packets of a path may take for themselves.
const maxWorkers = 4

// Path makes ports, and carries what comes for them.
type Path struct {
	cfg     Config
	lookup  *lookup
	ways    *ways
	workers []*worker
	exits   exits
	ports   []atomic.Pointer[Port] // by number, from cfg.First on; both of a pair hold the same
	taken   []atomic.Bool          // by number: nobody else held it when it was opened first, and whoever does now hears nothing
	next    atomic.Uint32
	pit     int // the socket for what comes to ports without a call
	closed  atomic.Bool

	sending sync.Mutex // held for one packet; guards own
	own     *outbox    // of what the edge itself says
}

// New makes all that a path needs; from then on the range is silent but for the ports that are open. The error
// is an *Unsupported if the path can't be had here.
func New(cfg Config) (*Path, error) {
	path := &Path{cfg: cfg, pit: -1, exits: exits{-1, -1}, ports: make([]atomic.Pointer[Port], numbers(cfg)), taken: make([]atomic.Bool, numbers(cfg))}
	if err := path.open(); err != nil {
		path.Close()
		return nil, err
	}
	return path, nil
}

func numbers(cfg Config) int { return int(cfg.Last) - int(cfg.First) + 1 }

func (path *Path) open() (err error) {
	if path.exits, err = openExits(path.cfg.Listen); err != nil {
		return err
	}
	if path.ways, err = watchWays(path.cfg.Listen); err != nil {
		return err
	}
	path.own = newOutbox(path, path.exits)
	if path.lookup, err = newLookup(path.cfg); err != nil {
		return err
	}
	if path.pit, err = pit(path.cfg.Listen); err != nil {
		return missing(err)
	}
	path.lookup.sweep(others) // as an earlier process found them
	for _, port := range bound(path.cfg.Listen) {
		if path.cfg.First <= port && port <= path.cfg.Last && free(netip.AddrPortFrom(path.cfg.Listen, port)) != nil {
			path.lookup.leave(port)
		}
	}
	if err = path.lookup.swallow(path.pit); err != nil {
		return missing(err)
	}
	// Half of the processors: the other half is that of the calls.
	for range min(max(1, runtime.GOMAXPROCS(0)/2), maxWorkers) {
		w, err := newWorker(path)
		if err != nil {
			return err
		}
		path.workers = append(path.workers, w)
	}
	return path.lookup.attach(path.cfg)
}

// Close ends the workers, after all ports were closed.
func (path *Path) Close() {
	if path.closed.Swap(true) {
		return
	}
	for _, w := range path.workers {
		w.close()
	}
	if path.pit >= 0 {
		_ = unix.Close(path.pit)
	}
	if path.lookup != nil {
		path.lookup.close()
	}
	if path.ways != nil {
		path.ways.close()
	}
	path.exits.close()
}

// Open takes a pair of ports of the range; all is dropped until Forward. Counting goes on from before,
// which is zero for a new call. Whoever had the pair in a process that shares the pins has it no more.
func (path *Path) Open(ip netip.Addr, port uint16, before quality.Report) (*Port, error) {
	return path.openPort(ip, port, before, false)
}

// Take is Open of a pair that another process has: it is frozen, and what comes from now on waits for Resume and Thaw.
// That process sees by Yield that it has it no more.
func (path *Path) Take(ip netip.Addr, port uint16) (*Port, error) {
	return path.openPort(ip, port, quality.Report{}, true)
}

func (path *Path) openPort(ip netip.Addr, port uint16, before quality.Report, frozen bool) (*Port, error) {
	switch listen := path.cfg.Listen; {
	case path.closed.Load():
		return nil, net.ErrClosed
	case port < path.cfg.First || port >= path.cfg.Last:
		return nil, fmt.Errorf("port %d is not of the range %d-%d", port, path.cfg.First, path.cfg.Last)
	case !path.Speaks(ip) || !listen.IsUnspecified() && ip != listen:
		return nil, fmt.Errorf("%s is not listened at, but %s", ip, listen)
	}
	for n := port; n <= port+1; n++ {
		if path.taken[n-path.cfg.First].Load() {
			continue
		}
		if err := free(netip.AddrPortFrom(ip, n)); err != nil {
			path.lookup.leave(n)
			return nil, fmt.Errorf("port %d: %w", n, err)
		}
		path.taken[n-path.cfg.First].Store(true)
	}
	p := &Port{system: system{path: path, ip: ip, number: port, frozen: frozen}}
	p.worker = path.workers[int(path.next.Add(1))%len(path.workers)]
	p.Begin(p, path.cfg.Epoch, before)
	for n := port; n <= port+1; n++ {
		if !path.place(n).CompareAndSwap(nil, p) {
			path.forget(p)
			return nil, fmt.Errorf("port %d is open already", n)
		}
	}
	for n := port; n <= port+1; n++ {
		path.lookup.hand(n, p.worker.place)
	}
	return p, nil
}

// Shares tells whether another process can take the ports of this one.
func (path *Path) Shares() bool { return path.cfg.Pins != "" }

// Silence is the socket that swallows what comes for ports without a call, lent until Close. With Shares, whoever keeps a
// copy keeps all ports of the range silent when the process is dead: no peer is told that nobody is there.
func (path *Path) Silence() int { return path.pit }

// Reclaim silences the ports without a call again, after another process that did so has ended.
func (path *Path) Reclaim() error { return path.lookup.swallow(path.pit) }

func (path *Path) forget(p *Port) {
	if path.closed.Load() {
		return // and so is the table
	}
	for n := p.number; n <= p.number+1; n++ {
		if path.place(n).Load() == p {
			path.lookup.silence(n, p.worker.place)
			path.place(n).Store(nil)
		}
	}
}

func (path *Path) place(port uint16) *atomic.Pointer[Port] { return &path.ports[port-path.cfg.First] }

// find returns who has a port, nil for nobody.
func (path *Path) find(port uint16) *Port {
	if port < path.cfg.First || port > path.cfg.Last {
		return nil
	}
	return path.place(port).Load()
}

// Speaks tells whether an address is of the path's family.
func (path *Path) Speaks(ip netip.Addr) bool {
	return ip.IsValid() && ip.Is4() == path.cfg.Listen.Is4()
}

func (path *Path) clock() clock {
	now := time.Now()
	return clock{now.Sub(path.cfg.Epoch), now.UnixNano()}
}
