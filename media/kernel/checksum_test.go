//go:build linux && (amd64 || arm64)

package kernel

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// Addresses, ports and payloads of all kinds, also such whose checksum is 0xffff, or equals the sum
// that stands there when a device is still to compute it.
func TestChecksumsAreRightWhateverIsRewritten(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 2))
	for _, six := range []bool{false, true} {
		l := newLab(t, way4)
		for i := range 6000 {
			w := randomWay(random, six)
			l.live(w)
			payload := rtp(uint16(i))
			b := frame(w.From, w.Local, payload)
			switch i % 4 {
			case 1: // by chance, what a partial checksum would be
				steer(b, partial(b))
			case 2:
				steer(b, 0xffff)
			case 3: // none (RFC 768)
				if !six {
					binary.BigEndian.PutUint16(udpOf(b)[6:], 0)
				}
			}
			if !checksumsRight(b) {
				t.Fatalf("the test's own frame is wrong: %x", b)
			}
			for _, program := range []*ebpf.Program{l.objects.RelayTc, l.objects.RelayXdp} {
				verdict, after := l.run(program, b)
				if program == l.objects.RelayXdp && binary.BigEndian.Uint16(udpOf(b)[6:]) == partial(b) {
					if verdict != xdpPass { // only tc can tell
						t.Fatalf("XDP: verdict %d", verdict)
					}
					continue
				}
				if verdict == tcUp || verdict == xdpPass {
					t.Fatalf("seed %d, %s: %+v went up", seed, program, w)
				}
				none := binary.BigEndian.Uint16(udpOf(after)[6:]) == 0
				if !checksumsRight(after) || none != (i%4 == 3 && !six) {
					t.Fatalf("seed %d, %s: %+v:\n%x\n%x", seed, program, w, b, after)
				}
				if program == l.objects.RelayTc {
					checkCovered(t, b, after)
				}
				if want := frame(w.Out, w.To, payload); i%4 == 0 && string(udpOf(want)) != string(udpOf(after)) {
					t.Fatalf("seed %d, %s: %+v:\n got %x\nwant %x", seed, program, w, after, want)
				}
			}
		}
		_ = l.Close()
	}
}

func randomWay(random *rand.Rand, six bool) Way {
	at := func(port uint16) netip.AddrPort {
		var b [16]byte
		for i := range b {
			b[i] = byte(random.Uint32() >> (random.IntN(2) * 8))
		}
		if six {
			b[0] = 0x20
			return netip.AddrPortFrom(netip.AddrFrom16(b), port)
		}
		b[0] |= 1
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:])), port)
	}
	some := func() uint16 { return uint16(random.Uint32()) | 1 }
	return Way{From: at(some()), Local: at(way4.Local.Port()), Out: at(some()), To: at(some())}
}

// checkCovered compares the change of the whole with what the program tells the kernel of it, for a
// device that sums up what it receives.
func checkCovered(t *testing.T, before, after []byte) {
	t.Helper()
	udp := func(b []byte) uint64 { return sum(udpOf(b)[:8]) }
	addresses := uint64(^fold(sum(addressesOf(before)))) + sum(addressesOf(after))
	told := uint64(^fold(udp(before))) + udp(after) // with a checksum: what set_ports returns
	if binary.BigEndian.Uint16(udpOf(before)[6:]) != 0 {
		told = uint64(^fold(addresses))
	}
	if six := ipOf(before)[0]>>4 == 6; six {
		told += addresses + (0xffff - uint64(ipOf(before)[7])) + uint64(ipOf(after)[7])
	}
	if got, want := fold(sum(ipOf(after))), fold(sum(ipOf(before))+told); got != want {
		t.Fatalf("sum %04x, told %04x:\n%x\n%x", got, want, before, after)
	}
}

func addressesOf(b []byte) []byte {
	if ip := ipOf(b); ip[0]>>4 == 4 {
		return ip[12:20]
	}
	return ipOf(b)[8:40]
}

// partial is the checksum of a frame that a device is still to complete: the sum of the pseudo header.
func partial(b []byte) uint16 { return fold(udpSum(b) - sum(udpOf(b))) }

// steer changes the last word of the payload so that the checksum becomes another.
func steer(b []byte, want uint16) {
	udp := udpOf(b)
	word := udp[len(udp)-2:]
	binary.BigEndian.PutUint16(udp[6:], want)
	binary.BigEndian.PutUint16(word, 0)
	binary.BigEndian.PutUint16(word, ^fold(udpSum(b)))
}
