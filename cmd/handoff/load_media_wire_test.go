//go:build linux

package main

import (
	"net/netip"
	"os"
	"testing"
	"time"

	mediaload "handoff/media/load"
)

// TestFramesArriveWithRightChecksums: a UDP socket lets no other in.
func TestFramesArriveWithRightChecksums(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	requires(t, "ip", "iproute2")
	canMakeSpaces(t)
	for _, nic := range []bool{false, true} {
		sites++
		near, far := cable(sites, newSpace(t), newSpace(t), generatorCore, relayCore)
		var sink, wire mediaload.Wire
		far.in(func() (err error) {
			sink, err = mediaload.Listen(netip.AddrPortFrom(far.address, 5000))
			return err
		})
		t.Cleanup(func() { _ = sink.Close() })
		var card *mediaload.NIC
		near.in(func() (err error) {
			at := netip.AddrPortFrom(near.address, 4000)
			if !nic {
				wire, err = mediaload.Frames(at, near.Interface, far.HardwareAddr)
				return err
			}
			if card, err = mediaload.NewNIC(near.Interface, 160, generatorCore); err != nil {
				return err
			}
			if wire, err = card.Wire(at, far.HardwareAddr); err != nil {
				return err
			}
			return card.Start()
		})
		const frames = 20
		var packets []mediaload.Packet
		for i := range frames {
			b := make([]byte, 172)
			b[0], b[171] = byte(i), byte(i*i*17)
			packets = append(packets, mediaload.Packet{To: sink.Local(), Data: b})
		}
		if n := wire.Send(packets); n != frames {
			t.Errorf("NIC %v: %d sent", nic, n)
		}
		got := 0
		for end := time.Now().Add(patience); got < frames && time.Now().Before(end); time.Sleep(time.Millisecond) {
			_ = sink.Receive(func(a mediaload.Arrived) {
				if a.From != wire.Local() || a.Data[0] != byte(got) || a.Data[171] != byte(got*got*17) {
					t.Errorf("NIC %v: %d is %v from %s", nic, got, a.Data, a.From)
				}
				got++
			})
		}
		if got != frames {
			t.Errorf("NIC %v: %d of %d came", nic, got, frames)
		}
		if card != nil {
			if err := card.Stop(); err != nil {
				t.Error(err)
			}
			card.Close()
		}
		_ = wire.Close()
	}
}
