package relay

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// way is how packets get to an address. Many ports share one.
type way struct {
	to      netip.Addr
	route   atomic.Pointer[route]
	retired atomic.Bool  // no longer kept up to date: ask for another
	asked   atomic.Int64 // when a packet last went by the system's own way, since the epoch

	mu sync.Mutex // held while the route is looked up
}

// route is what the system says of an address at a time.
type route struct {
	source netip.Addr // that it would send from, zero without a route
	hop    hop        // zero if it is no neighbour's by Ethernet
	framed bool       // the neighbour is known; else packets are handed to the system
	link   [ethernetHeader]byte
}

// hop is a neighbour.
type hop struct {
	device int
	ip     netip.Addr
}

// mac is an Ethernet address.
type mac [6]byte

// askEvery is how often a packet goes by the system's own way though a frame could be made: so that the
// system goes on asking whether the neighbour is there, and tells when it is another. It is often enough
// to notice a router that changed within a breath, and rare enough to cost nothing.
const askEvery = time.Second

// frames tells whether a packet leaves in a frame, at this time.
func (w *way) frames(r *route, now time.Duration) bool {
	if !r.framed {
		return false
	}
	last := w.asked.Load()
	return int64(now)-last < int64(askEvery) || !w.asked.CompareAndSwap(last, int64(now))
}

// maxWays bounds what is kept: beyond it all begins anew. The peers of an edge are a few hundred hosts.
const maxWays = 4096

// ways keeps routes and neighbours up to date by what the system tells of their changes.
type ways struct {
	handle *netlink.Handle
	events *nl.NetlinkSocket
	family int
	closed atomic.Bool
	done   chan struct{}

	mu         sync.Mutex // no packet whose way is known takes it
	known      map[netip.Addr]*way
	neighbours map[hop]mac
}

// watchWays begins to listen before it looks, so that no change is missed.
func watchWays(listen netip.Addr) (*ways, error) {
	w := &ways{family: int(family(listen)), done: make(chan struct{}), known: map[netip.Addr]*way{}}
	var err error
	groups := []uint{unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV4_RULE}
	if listen.Is6() {
		groups = []uint{unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE}
	}
	if w.events, err = nl.Subscribe(unix.NETLINK_ROUTE, groups...); err != nil {
		return nil, os.NewSyscallError("netlink", err)
	}
	if w.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		w.events.Close()
		return nil, os.NewSyscallError("netlink", err)
	}
	w.survey()
	go w.watch() // ends when close takes the events away
	return w, nil
}

func (w *ways) close() {
	w.closed.Store(true)
	w.events.Close()
	<-w.done
	w.handle.Close()
}

// to returns the way to an address. It asks the system, microseconds, if nobody sent there before.
func (w *ways) to(ip netip.Addr) *way {
	w.mu.Lock()
	y, ok := w.known[ip]
	if !ok {
		if len(w.known) == maxWays {
			for _, old := range w.known {
				old.retired.Store(true)
			}
			clear(w.known)
		}
		y = &way{to: ip}
		w.known[ip] = y
	}
	w.mu.Unlock()
	if y.route.Load() == nil {
		w.look(y)
	}
	return y
}

// look asks the system for the route, and notes it.
func (w *ways) look(y *way) {
	y.mu.Lock()
	defer y.mu.Unlock()
	r := new(route)
	if found, err := w.handle.RouteGet(net.IP(y.to.AsSlice())); err == nil && len(found) > 0 {
		r.source = address(found[0].Src)
		w.frame(r, y.to, found[0])
	}
	y.route.Store(r)
}

// frame adds what a frame needs, if the route is one to a neighbour by Ethernet and nothing more.
func (w *ways) frame(r *route, to netip.Addr, found netlink.Route) {
	if found.Type != unix.RTN_UNICAST || found.Encap != nil || found.Via != nil || len(found.MultiPath) > 0 {
		return
	}
	device, err := w.handle.LinkByIndex(found.LinkIndex)
	if err != nil {
		return
	}
	a := device.Attrs()
	if a.EncapType != "ether" || len(a.HardwareAddr) != len(mac{}) || a.Flags&net.FlagLoopback != 0 || a.Flags&net.FlagUp == 0 {
		return
	}
	next := hop{found.LinkIndex, to}
	if found.Gw != nil {
		next.ip = address(found.Gw)
	}
	w.mu.Lock()
	target, ok := w.neighbours[next]
	w.mu.Unlock()
	if r.hop, r.framed = next, ok; !ok {
		return
	}
	copy(r.link[:], target[:])
	copy(r.link[6:], a.HardwareAddr)
	r.link[12], r.link[13] = 0x08, 0x00
	if to.Is6() {
		r.link[12], r.link[13] = 0x86, 0xdd
	}
}

// watch follows the system.
func (w *ways) watch() {
	defer close(w.done)
	for {
		told, _, err := w.events.Receive()
		switch {
		case err != nil && w.closed.Load():
			return
		case err != nil: // it told more than was heard
			w.survey()
			w.lookAgain(func(*way) bool { return true })
			time.Sleep(time.Millisecond) // if it is broken for good
			continue
		}
		everything, changed := false, map[hop]bool{}
		for _, m := range told {
			switch m.Header.Type {
			case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
				if n, err := netlink.NeighDeserialize(m.Data); err == nil && n.Family == w.family {
					w.note(*n, m.Header.Type == unix.RTM_DELNEIGH, changed)
				}
			default:
				everything = true
			}
		}
		w.lookAgain(func(y *way) bool { return everything || changed[y.route.Load().hop] })
	}
}

// lookAgain looks up the ways that may have changed.
func (w *ways) lookAgain(changed func(*way) bool) {
	w.mu.Lock()
	var stale []*way
	for _, y := range w.known {
		// Without a route yet, someone is about to look.
		if y.route.Load() == nil || changed(y) {
			stale = append(stale, y)
		}
	}
	w.mu.Unlock()
	for _, y := range stale {
		w.look(y)
	}
}

// survey asks for all neighbours.
func (w *ways) survey() {
	all, _ := w.handle.NeighList(0, w.family) // without them packets go by the system's own way
	w.mu.Lock()
	w.neighbours = map[hop]mac{}
	w.mu.Unlock()
	for _, n := range all {
		w.note(n, false, map[hop]bool{})
	}
}

// reachable are the states in which the system itself sends to a neighbour.
const reachable = unix.NUD_PERMANENT | unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE

// note keeps what is told of a neighbour, and marks it if that is new. The table is as large as the
// system's own, which is bounded.
func (w *ways) note(n netlink.Neigh, gone bool, changed map[hop]bool) {
	at := hop{n.LinkIndex, address(n.IP)}
	w.mu.Lock()
	defer w.mu.Unlock()
	was, known := w.neighbours[at]
	if gone || n.State&reachable == 0 || len(n.HardwareAddr) != len(mac{}) {
		delete(w.neighbours, at)
		changed[at] = changed[at] || known
		return
	}
	is := mac(n.HardwareAddr)
	w.neighbours[at] = is
	changed[at] = changed[at] || !known || was != is
}

func address(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
