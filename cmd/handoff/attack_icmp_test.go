//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"handoff/sip/simulator/phone"
	"handoff/sip/simulator/twilio"
	"handoff/sip/stack"
)

// icmpErrors are types and codes of RFC 792 that say that a packet has not arrived, or shall go or look otherwise.
var icmpErrors = [][2]byte{{3, 0}, {3, 1}, {3, 2}, {3, 3}, {3, 4}, {3, 5}, {3, 9}, {3, 10}, {3, 13}, {4, 0}, {5, 0}, {5, 1}, {11, 0}, {11, 1}, {12, 0}}

// forgeICMP tells the edge that the peers of a call are not there, as anybody can who knows the addresses.
func forgeICMP(t *testing.T) string {
	if os.Geteuid() != 0 {
		return "not played: it takes root"
	}
	var sent atomic.Uint64
	worlds := inEachWorld(t, func(sc *scene, w mediaWorld) {
		conn, err := net.ListenPacket("ip4:icmp", outside.String())
		sc.must(err)
		defer conn.Close()
		caller, assistant := sc.place(twilio.Options{Report: 50 * time.Millisecond})
		phones := []*phone.Phone{caller.Phone(), assistant.Phone()}
		sc.must(hearMore(sc.ctx, phones, 10))
		for range sized(5, 100) {
			for _, p := range phones {
				rtp, rtcp := p.Far()
				peer := p.Local()
				for _, kind := range icmpErrors {
					for _, raw := range [][]byte{
						icmpOf(kind, 17, rtp, peer), icmpOf(kind, 17, rtcp, netip.AddrPortFrom(peer.Addr(), peer.Port()+1)),
						icmpOf(kind, 17, sc.edge.stack.Addr(stack.UDP), peer), icmpOf(kind, 6, sc.edge.stack.Addr(stack.TLS), peer),
					} {
						_, err := conn.WriteTo(raw, &net.IPAddr{IP: rtp.Addr().AsSlice()})
						sc.must(err)
						sent.Add(1)
					}
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		sc.must(hearMore(sc.ctx, phones, 25))
		sc.must(caller.Hangup(sc.ctx))
		sc.over(caller, assistant)
		sc.unharmed(w, phones...)
		sc.clean()
	})
	return fmt.Sprintf("%d messages of %d kinds in %d kinds of media path: 0 of the calls' own lost, every call lives", sent.Load(), len(icmpErrors), worlds)
}

// icmpOf is an error about a packet of the edge's to a peer (RFC 792).
func icmpOf(kind [2]byte, protocol byte, edge, peer netip.AddrPort) []byte {
	b := make([]byte, 8+20+8)
	b[0], b[1] = kind[0], kind[1]
	if kind == [2]byte{3, 4} {
		binary.BigEndian.PutUint16(b[6:], 68) // the smallest path that there can be
	}
	ip := b[8:]
	ip[0], ip[8], ip[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(ip[2:], 20+8+172)
	copy(ip[12:], edge.Addr().AsSlice())
	copy(ip[16:], peer.Addr().AsSlice())
	binary.BigEndian.PutUint16(ip[10:], checksum(ip[:20]))
	binary.BigEndian.PutUint16(ip[20:], edge.Port())
	binary.BigEndian.PutUint16(ip[22:], peer.Port())
	binary.BigEndian.PutUint16(ip[24:], 8+172)
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	return b
}

// checksum is the Internet's (RFC 1071), of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 0; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum + sum>>16)
}
