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
	vectors  [batch][2]unix.Iovec // headers, packet
	headers  [batch][ethernetHeader + ip6Header + udpHeader]byte
	targets  [batch]sockaddr.Addr // or a struct sockaddr_ll
}

func newOutbox(path *Path, x exits) *outbox {
	out := &outbox{path: path, exits: x}
	for i := range batch {
		m := &out.messages[i]
		m.Name = &out.targets[i][0]
		m.Iov = &out.vectors[i][0]
		m.SetIovlen(2)
		out.vectors[i][0].Base = &out.headers[i][0]
	}
	return out
}

// add puts a departure behind the others. Its packet stays borrowed until flush.
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
	h, m := out.headers[i][:], &out.messages[i]
	x := out.exits
	if by.path != out.path { // a peer of the other family
		x = by.path.exits
	}
	if y.frames(r, now) {
		copy(h, r.link[:])
		out.vectors[i][0].SetLen(ethernetHeader + putHeaders(h[ethernetHeader:], source, d.To, d.B))
		m.Namelen = putLink(&out.targets[i], r)
		out.exit[i] = x.frames
	} else {
		out.vectors[i][0].SetLen(putHeaders(h, source, d.To, d.B))
		m.Namelen = uint32(out.targets[i].Set(netip.AddrPortFrom(d.To.Addr(), 0))) // an IP packet has no port
		out.exit[i] = x.ip
	}
	out.vectors[i][1].Base = &d.B[0]
	out.vectors[i][1].SetLen(len(d.B))
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
	for i := range out.n {
		out.vectors[i][1].Base = nil
	}
	out.n = 0
}
