//go:build linux && (amd64 || arm64)

package kernel

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"handoff/media/quality"
)

// schema is the version of slot and its maps; a new layout has a new one.
const schema = 1

// The states of a slot. A program holds a live slot as busy while it handles one packet.
const (
	off uint32 = iota
	live
	busy
)

// The flags of a slot.
const (
	flagV6 = 1 << iota
	flagDigits
	flagFramed
	flagOneStream
)

// slot is struct slot of slot.h, in memory that the programs share. Addresses and ports are in
// network order.
type slot struct {
	// written here while the slot is off, but for the deadline
	state     uint32
	ifindex   uint32
	deadline  uint64
	addresses [5][4]byte // IPv4: from, local, out, to, hop; IPv6: hop
	fromPort  [2]byte
	outPort   [2]byte
	toPort    [2]byte
	mtu       uint16
	clock     uint32
	events    uint8
	flags     uint8
	toMAC     [6]byte
	outMAC    [6]byte
	_         [2]byte

	// written by the programs, and here while the slot is off
	packets, bytes                           uint64
	lastSeen                                 uint64
	foreign                                  uint64 // never reset
	base, highest, received, lostBefore      uint64
	reordered, duplicates, seen              uint64
	ssrc, jitter                             uint32
	transit, timestamp                       uint32
	streamClock                              uint32
	eventTimestamp, eventsLost               uint32
	suspect                                  uint16
	started, doubting, timed, awaited, event uint8
	wanted                                   uint8 // of samples; written here at any time
	saying                                   uint8
	_                                        [3]byte

	addresses6 [4][16]byte // from, local, out, to
}

// turnOff makes the slot the owner's and tells whether it was on. The wait ends when the program has
// handled one packet, which takes well under a microsecond.
func (s *slot) turnOff() bool {
	for turn := 0; ; turn++ {
		switch {
		case atomic.CompareAndSwapUint32(&s.state, live, off):
			return true
		case atomic.LoadUint32(&s.state) == off:
			return false
		case turn < 100:
			runtime.Gosched()
		default: // the CPU of the program is not running: a virtual machine
			time.Sleep(50 * time.Microsecond)
		}
	}
}

// turnOn is the last store of all that makes a slot live.
func (s *slot) turnOn() { atomic.StoreUint32(&s.state, live) }

func (s *slot) isOff() bool { return atomic.LoadUint32(&s.state) == off }

// refresh may be called while the slot is live.
func (s *slot) refresh(deadline uint64) { atomic.StoreUint64(&s.deadline, deadline) }

// setWay is for a slot that is off, as setHop and setStream are.
func (s *slot) setWay(w Way) {
	s.flags &= flagFramed
	if w.Digits {
		s.flags |= flagDigits
	}
	ends := [4]netip.Addr{w.From.Addr(), w.Local.Addr(), w.Out.Addr(), w.To.Addr()}
	if ends[0].Is6() {
		s.flags |= flagV6
		for i, a := range ends {
			s.addresses6[i] = a.As16()
		}
	} else {
		for i, a := range ends {
			s.addresses[i] = a.As4()
		}
	}
	binary.BigEndian.PutUint16(s.fromPort[:], w.From.Port())
	binary.BigEndian.PutUint16(s.outPort[:], w.Out.Port())
	binary.BigEndian.PutUint16(s.toPort[:], w.To.Port())
	s.clock, s.events = w.Clock, w.Events
}

// way is what setWay was given; port is the slot's.
func (s *slot) way(port uint16) Way {
	var ends [4]netip.Addr
	for i := range ends {
		if s.flags&flagV6 != 0 {
			ends[i] = netip.AddrFrom16(s.addresses6[i])
		} else {
			ends[i] = netip.AddrFrom4(s.addresses[i])
		}
	}
	return Way{
		From:  netip.AddrPortFrom(ends[0], binary.BigEndian.Uint16(s.fromPort[:])),
		Local: netip.AddrPortFrom(ends[1], port),
		Out:   netip.AddrPortFrom(ends[2], binary.BigEndian.Uint16(s.outPort[:])),
		To:    netip.AddrPortFrom(ends[3], binary.BigEndian.Uint16(s.toPort[:])),
		Clock: s.clock, Events: s.events, Digits: s.flags&flagDigits != 0,
	}
}

func (s *slot) setHop(h hop) {
	s.ifindex, s.mtu = uint32(h.ifindex), h.mtu
	if h.next.Is6() {
		next := h.next.As16()
		for i := range 4 {
			copy(s.addresses[i][:], next[4*i:])
		}
	} else {
		s.addresses[4] = h.next.As4()
	}
	s.toMAC, s.outMAC = h.to, h.out
	s.flags &^= flagFramed
	if h.framed {
		s.flags |= flagFramed
	}
}

// hop is what setHop was given.
func (s *slot) hop() hop {
	h := hop{ifindex: int(s.ifindex), mtu: s.mtu, to: s.toMAC, out: s.outMAC, framed: s.flags&flagFramed != 0}
	if s.flags&flagV6 == 0 {
		h.next = netip.AddrFrom4(s.addresses[4])
		return h
	}
	var next [16]byte
	for i := range 4 {
		copy(next[4*i:], s.addresses[i][:])
	}
	h.next = netip.AddrFrom16(next)
	return h
}

// setStream sets the statistics back to those of a stream that userspace measured until now. The
// window of duplicates begins anew, as it does for quality.Stream's Restore.
func (s *slot) setStream(since quality.State) {
	if !since.Started || since.SSRC != s.ssrc {
		s.event, s.eventTimestamp = 0, 0 // else an event that was told is not told again
	}
	s.packets, s.bytes, s.lastSeen, s.eventsLost = 0, 0, 0, 0
	s.base, s.highest, s.received, s.lostBefore = since.Base, since.Highest, since.Received, since.LostBefore
	s.reordered, s.duplicates, s.seen = since.Reordered, since.Duplicates, 0
	s.ssrc, s.jitter, s.streamClock = since.SSRC, since.JitterUnits, since.Clock
	s.transit, s.timestamp, s.timed = 0, 0, 0
	s.suspect, s.doubting = 0, 0
	s.started, s.awaited, s.wanted = 0, 0, 0
	if since.Started {
		s.started, s.awaited = 1, 1
		s.flags |= flagOneStream
	}
}

func (s *slot) stream() quality.State {
	return quality.State{
		SSRC: s.ssrc, Started: s.started != 0,
		Base: s.base, Highest: s.highest, Received: s.received, LostBefore: s.lostBefore,
		Reordered: s.reordered, Duplicates: s.duplicates,
		JitterUnits: s.jitter, Clock: s.streamClock,
	}
}

// snapshotTries bounds how often a copy is repeated that a packet came across: at a packet every
// 20 ms one is as good as always enough.
const snapshotTries = 100

// snapshot is a copy that is consistent in itself: no packet was in work while it was made.
func (s *slot) snapshot() slot {
	var c slot
	for range snapshotTries {
		before, state := atomic.LoadUint64(&s.packets), atomic.LoadUint32(&s.state)
		c = *s
		if state != busy && atomic.LoadUint32(&s.state) == state && atomic.LoadUint64(&s.packets) == before {
			break
		}
	}
	return c
}
