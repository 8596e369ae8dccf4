//go:build linux && (amd64 || arm64)

package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"handoff/media/quality"
)

// odd packets, by what is odd about them. Offsets of the IP header are those of IPv4.
var odd = []struct {
	name   string
	change func(w *Way, b *[]byte) // of the frame
	six    func(w *Way, b *[]byte) // instead, for IPv6; nil for the same
}{
	{"RTP of version 1", rtpByte(0, 0x40), nil},
	{"RTP of version 3", rtpByte(0, 0xc0), nil},
	{"a sender report", rtpByte(1, 200), nil},
	{"payload type 64", rtpByte(1, 64), nil},
	{"payload type 95 with a marker", rtpByte(1, 0x80|95), nil},
	{"STUN", rtpByte(0, 0), nil},
	{"no room for an RTP header", func(_ *Way, b *[]byte) { cut(b, 11) }, nil},
	{"nothing but UDP", func(_ *Way, b *[]byte) { cut(b, 0) }, nil},
	{"IP options, or extension headers", ipByte(0, 0x46), ipByte(6, 0)},
	{"a first fragment", ipByte(6, 0x20), ipByte(6, 44)},
	{"a later fragment", ipByte(7, 1), ipByte(6, 44)},
	{"a later fragment, or no checksum", ipByte(7, 1), func(_ *Way, b *[]byte) { udpOf(*b)[6], udpOf(*b)[7] = 0, 0 }},
	{"a broadcast of Ethernet", func(_ *Way, b *[]byte) { copy(*b, "\xff\xff\xff\xff\xff\xff") }, nil},
	{"TCP", ipByte(9, 6), ipByte(6, 6)},
	{"UDP-Lite", ipByte(9, 136), ipByte(6, 136)},
	{"an IP length beyond the frame", ipByte(3, 0xf0), ipByte(5, 0xf0)},
	{"a UDP length that is not IP's", func(_ *Way, b *[]byte) { udpOf(*b)[5]-- }, nil},
	{"another protocol of Ethernet", func(_ *Way, b *[]byte) { (*b)[12] = 0x88 }, nil},
	{"the other IP", ipByte(0, 0x65), ipByte(0, 0x45)},
	{"a source port of somebody else", func(_ *Way, b *[]byte) { udpOf(*b)[1]++ }, nil},
	{"a source of somebody else", ipByte(15, 99), ipByte(23, 99)},
	{"another address of ours", ipByte(19, 99), ipByte(39, 99)},
	{"a port without a slot", func(_ *Way, b *[]byte) { udpOf(*b)[3]++ }, nil},
	{"a port below those with slots", func(_ *Way, b *[]byte) { binary.BigEndian.PutUint16(udpOf(*b)[2:], first-1) }, nil},
	{"a port above those with slots", func(_ *Way, b *[]byte) { binary.BigEndian.PutUint16(udpOf(*b)[2:], last+1) }, nil},
}

func rtpByte(at int, value byte) func(*Way, *[]byte) {
	return func(_ *Way, b *[]byte) { udpOf(*b)[8+at] = value }
}

func ipByte(at int, value byte) func(*Way, *[]byte) {
	return func(_ *Way, b *[]byte) { ipOf(*b)[at] = value }
}

func cut(b *[]byte, payload int) {
	w := map[bool]Way{true: way6, false: way4}[ipOf(*b)[0]>>4 == 6]
	*b = frame(w.From, w.Local, make([]byte, payload))
}

func TestWhateverIsOddGoesUp(t *testing.T) {
	for _, w := range []Way{way4, way6} {
		l := newLab(t, w)
		for _, program := range []struct {
			*ebpf.Program
			up, forward uint32
		}{
			{l.objects.RelayTc, tcUp, tcRedirect},
			{l.objects.RelayXdp, xdpPass, xdpTX},
		} {
			if verdict, _ := l.run(program.Program, frame(w.From, w.Local, rtp(1))); verdict != program.forward {
				t.Fatalf("%s: verdict %d for what is not odd", program, verdict)
			}
			before := l.counts()
			for _, tt := range odd {
				b := frame(w.From, w.Local, rtp(2))
				if tt.change(&w, &b); w == way6 && tt.six != nil {
					b = frame(w.From, w.Local, rtp(2))
					tt.six(&w, &b)
				}
				verdict, after := l.run(program.Program, b)
				if verdict != program.up || !bytes.Equal(b, after) {
					t.Errorf("%s, %s: verdict %d", program, tt.name, verdict)
				}
			}
			after := l.counts()
			if after.Packets != before.Packets || after.Stream != before.Stream {
				t.Errorf("%s: counted %+v, before %+v", program, after, before)
			}
			// Below tc nothing is counted as foreign, for tc sees it again.
			if foreign := after.Foreign - before.Foreign; foreign != map[uint32]uint64{tcUp: 2, xdpPass: 0}[program.up] {
				t.Errorf("%s: %d foreign packets", program, foreign)
			}
		}
		_ = l.Close()
	}
}

// What a device merged, or a VLAN is still to see, or was for another host, is not for tc.
func TestWhatIsNotOnePacketForUsGoesUp(t *testing.T) {
	l := newLab(t, way4)
	b := frame(way4.From, way4.Local, rtp(1))
	const size, gsoSegments, gsoSize = 192, 164, 176 // of struct __sk_buff
	merged := make([]byte, size)
	binary.NativeEndian.PutUint32(merged[gsoSegments:], 2)
	binary.NativeEndian.PutUint32(merged[gsoSize:], 80)
	verdict, err := l.objects.RelayTc.Run(&ebpf.RunOptions{Data: b, Context: merged})
	if err != nil || verdict != tcUp {
		t.Errorf("merged: verdict %d, %v", verdict, err)
	}
	b[0] = 2
	if verdict, _ := l.run(l.objects.RelayTc, b); verdict != tcUp {
		t.Errorf("for another host: verdict %d", verdict)
	}

	r := newRig(t, places[2])
	p := open(t)
	start(t, p, r.way, quality.State{})
	relay, err := netlink.LinkByName("relay1")
	if err != nil {
		t.Fatal(err)
	}
	sending := r.fromAt.tap("peer1")
	b = frame(r.way.From, r.way.Local, rtp(1))
	sending.send(slices.Insert(b, 12, 0x81, 0, 0, 5), relay.Attrs().HardwareAddr)
	sending.send(frame(r.way.From, r.way.Local, rtp(2)), relay.Attrs().HardwareAddr)
	r.to.take()
	if c := p.Stop(r.way.Local.Port()); c.Packets != 1 {
		t.Errorf("counted %+v", c)
	}
}

// forwardable is what the programs should forward, from the RFCs and not from the programs.
func forwardable(b []byte, w Way) bool {
	six := w.From.Addr().Is6()
	headers, ethertype := header4, uint16(unix.ETH_P_IP)
	if six {
		headers, ethertype = header6, unix.ETH_P_IPV6
	}
	if len(b) < ethernet+headers+8+12 || binary.BigEndian.Uint16(b[12:]) != ethertype {
		return false
	}
	ip, udp := b[ethernet:], b[ethernet+headers:]
	length := int(binary.BigEndian.Uint16(udp[4:]))
	var source, destination netip.Addr
	var plain bool
	if six {
		source, _ = netip.AddrFromSlice(ip[8:24])
		destination, _ = netip.AddrFromSlice(ip[24:40])
		plain = ip[0]>>4 == 6 && ip[6] == 17 && int(binary.BigEndian.Uint16(ip[4:])) == length && (udp[6] != 0 || udp[7] != 0)
	} else {
		source, _ = netip.AddrFromSlice(ip[12:16])
		destination, _ = netip.AddrFromSlice(ip[16:20])
		plain = ip[0] == 0x45 && ip[6]&0x3f == 0 && ip[7] == 0 && ip[9] == 17 && int(binary.BigEndian.Uint16(ip[2:])) == length+header4
	}
	rtp := udp[8:]
	return plain && length >= 20 && length <= len(udp) &&
		netip.AddrPortFrom(source, binary.BigEndian.Uint16(udp)) == w.From &&
		netip.AddrPortFrom(destination, binary.BigEndian.Uint16(udp[2:])) == w.Local &&
		rtp[0]>>6 == 2 && (rtp[1]&0x7f < 64 || rtp[1]&0x7f > 95)
}

// Headers with bytes turned at random: whatever the programs forward should be, and is right.
func TestSprayedHeadersAreForwardedOnlyIfPlain(t *testing.T) {
	const tries = 30000
	for _, w := range []Way{way4, way6} {
		l := newLab(t, w)
		seed := uint64(time.Now().UnixNano())
		random := rand.New(rand.NewPCG(seed, 1))
		forwarded := 0
		for range tries {
			good := frame(w.From, w.Local, rtp(uint16(random.Uint32())))
			b := bytes.Clone(good)
			for range random.IntN(3) {
				b[ethernet-2+random.IntN(header6+22)] = byte(random.Uint32())
			}
			if random.IntN(10) == 0 {
				b = b[:max(ethernet+1, random.IntN(len(b)))]
			}
			program, up := l.objects.RelayTc, uint32(tcUp)
			if random.IntN(2) == 0 {
				program, up = l.objects.RelayXdp, xdpPass
			}
			want := forwardable(b, w)
			if want && program == l.objects.RelayXdp && binary.BigEndian.Uint16(udpOf(b)[6:]) == partial(b) {
				want = false // what only tc can tell from a checksum that is still to be computed
			}
			right := want && checksumsRight(b)
			verdict, after, err := try(program, b)
			if errors.Is(err, unix.EINVAL) && len(b) < ethernet+header6 {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			if (verdict != up) != want {
				t.Fatalf("seed %d, %s: verdict %d, forwardable %t:\n%x", seed, program, verdict, want, b)
			}
			if !want {
				if !bytes.Equal(after, b) {
					t.Fatalf("seed %d, %s: went up changed:\n%x\n%x", seed, program, b, after)
				}
				continue
			}
			forwarded++
			if right && !checksumsRight(after) {
				t.Fatalf("seed %d, %s: wrong checksums:\n%x\n%x", seed, program, b, after)
			}
		}
		if forwarded < tries/10 {
			t.Errorf("only %d of %d were forwarded", forwarded, tries)
		}
		_ = l.Close()
	}
}
