package relay

import (
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"handoff/media/lane"
	"handoff/media/sockaddr"
)

// outbox holds departures until they leave together, in their order. It belongs to one goroutine at a time.
type outbox struct {
	path  *Path // whose exits these are
	exits exits

	n        int
	waiting  [batch]lane.Departure
	exit     [batch]int // the socket of each
	messages [batch]message
	vectors  [batch]unix.Iovec
	frames   [batch][headersRoom + lane.BufferSize]byte // headers, packet
	targets  [batch]sockaddr.Addr                       // or a struct sockaddr_ll
}

// headersRoom is what headers take at most.
const headersRoom = ethernetHeader + ip6Header + udpHeader

func newOutbox(path *Path, x exits) *outbox {
	out := &outbox{path: path, exits: x}
	for i := range batch {
		m := &out.messages[i]
		m.Name = &out.targets[i][0]
		m.Iov = &out.vectors[i]
		m.SetIovlen(1)
		out.vectors[i].Base = &out.frames[i][0]
	}
	return out
}

// add puts a departure behind the others. Its packet is copied behind its headers, which costs less than having the
// system gather it.
func (out *outbox) add(d lane.Departure, now time.Duration) {
	by := d.Out.Owner.(*Port)
	y, r, err := by.way(d.To.Addr())
	if err != nil {
		d.Left(err)
		return
	}
	source := netip.AddrPortFrom(by.source(r), by.number+uint16(d.By))
	if !source.Addr().IsValid() {
		d.Left(unix.ENETUNREACH)
		return
	}
	if out.n == batch {
		out.flush()
	}
	i := out.n
	b, m, size := out.frames[i][:], &out.messages[i], 0
	x := out.exits
	if by.path != out.path { // a peer of the other family
		x = by.path.exits
	}
	if y.frames(r, now) {
		copy(b, r.link[:])
		size = ethernetHeader + putHeaders(b[ethernetHeader:], source, d.To, d.B)
		m.Namelen = putLink(&out.targets[i], r)
		out.exit[i] = x.frames
	} else {
		size = putHeaders(b, source, d.To, d.B)
		m.Namelen = uint32(out.targets[i].Set(netip.AddrPortFrom(d.To.Addr(), 0))) // an IP packet has no port
		out.exit[i] = x.ip
	}
	out.vectors[i].SetLen(size + copy(b[size:], d.B))
	out.waiting[i] = d
	out.n++
}

// putLink writes a struct sockaddr_ll, of which a whole frame needs no more than where it leaves:
//
//	|family|protocol|device|…|
func putLink(a *sockaddr.Addr, r *route) uint32 {
	clear(a[:])
	binary.NativeEndian.PutUint16(a[:], unix.AF_PACKET)
	copy(a[2:], r.link[12:])
	binary.NativeEndian.PutUint32(a[4:], uint32(r.hop.device))
	return unix.SizeofSockaddrLinklayer
}

// flush sends what waits, in as few calls as there are changes of the socket, and counts it. A packet that
// the system does not take holds up no other.
func (out *outbox) flush() {
	for first := 0; first < out.n; {
		end := first + 1
		for end < out.n && out.exit[end] == out.exit[first] {
			end++
		}
		sent, err := send(out.exit[first], out.messages[first:end])
		if err == unix.EINTR {
			continue
		}
		for i := first; i < first+sent; i++ {
			out.waiting[i].Left(nil)
		}
		if first += sent; err != 0 {
			out.waiting[first].Left(err)
			first++
		}
	}
	clear(out.waiting[:out.n]) // packets and lanes are not kept alive
	out.n = 0
}
