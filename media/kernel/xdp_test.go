//go:build linux && (amd64 || arm64)

package kernel

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"handoff/media/quality"
)

// acceptXDP lets the far end of a cable take frames from XDP, as a veth does only when it has a
// program of its own.
func (s space) acceptXDP(device string) {
	s.t.Helper()
	s.do(func() error {
		program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.XDP, License: "MIT", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
		})
		if err != nil {
			return err
		}
		device, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: device.Attrs().Index, Flags: link.XDPDriverMode})
		s.t.Cleanup(func() {
			_ = program.Close()
			if l != nil {
				_ = l.Close()
			}
		})
		return err
	})
}

// wholeSender sends from the far end of the first cable with checksums computed: XDP leaves others to tc.
func (r *rig) wholeSender() func([]byte) error {
	r.fromAt.t.Helper()
	relay, err := netlink.LinkByName("relay1")
	if err != nil {
		r.fromAt.t.Fatal(err)
	}
	sending := r.fromAt.tap("peer1")
	return func(b []byte) error {
		return sending.write(frame(r.way.From, r.way.Local, b), relay.Attrs().HardwareAddr)
	}
}

func runs(t *testing.T, program *ebpf.Program) uint64 {
	t.Helper()
	stats, err := program.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return stats.RunCount
}

// eventually tries for as long as anything may take on a busy machine.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 500 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("never: " + what)
}

// While the neighbour is unknown tc forwards, which makes the kernel ask; then XDP does.
func TestXDPForwardsBelowTC(t *testing.T) {
	for _, where := range places[2:] {
		t.Run(where.name, func(t *testing.T) {
			r := newRig(t, where)
			r.fromAt.acceptXDP("peer1")
			r.outAt.acceptXDP("peer2")
			p := open(t, by(HookXDP))
			counting, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = counting.Close() }()
			start(t, p, r.way, quality.State{})
			whole := r.wholeSender()
			send := func(sequence uint16) {
				if err := whole(rtp(sequence)); err != nil {
					t.Fatal(err)
				}
				if got := r.to.take(); got.payload != string(rtp(sequence)) || got.from != r.way.Out || got.ttl != 64 {
					t.Fatalf("packet %d from %s, TTL %d", sequenceOf(got.payload), got.from, got.ttl)
				}
			}
			send(0)
			slot := p.slot(r.way.Local.Port())
			eventually(t, "the neighbour is known", func() bool {
				s := slot.snapshot()
				return s.flags&flagFramed != 0 && !slot.isOff()
			})
			tcRuns, xdpRuns := runs(t, p.objects.RelayTc), runs(t, p.objects.RelayXdp)
			const packets = 100
			for i := range uint16(packets) {
				send(i + 1)
			}
			if more := runs(t, p.objects.RelayXdp) - xdpRuns; more < packets {
				t.Errorf("XDP saw %d packets", more)
			}
			if more := runs(t, p.objects.RelayTc) - tcRuns; more > packets/4 {
				t.Errorf("tc saw %d packets", more)
			}
			if c := p.Stop(r.way.Local.Port()); c.Packets != packets+1 || c.Stream.Lost() != 0 {
				t.Errorf("counted %+v", c)
			}
			if err := whole(rtp(500)); err != nil {
				t.Fatal(err)
			}
			if got := r.up.take(); sequenceOf(got.payload) != 500 {
				t.Errorf("after Stop packet %d went up", sequenceOf(got.payload))
			}
		})
	}
}
