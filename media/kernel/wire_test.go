//go:build linux && (amd64 || arm64)

package kernel

import (
	"encoding/binary"
	"net"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"handoff/media/quality"
)

// wire is a packet socket at a device: it sees frames as they come off it, and sends some that no
// device computes a checksum for.
type wire struct {
	t    testing.TB
	file *os.File
	link netlink.Link
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

func (s space) tap(device string) *wire {
	s.t.Helper()
	w := &wire{t: s.t}
	s.do(func() error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_ALL)))
		if err != nil {
			return err
		}
		w.link, w.file = link, os.NewFile(uintptr(fd), device)
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: link.Attrs().Index})
	})
	s.t.Cleanup(func() { _ = w.file.Close() })
	return w
}

// write puts a frame for the device at the other end onto the wire.
func (w *wire) write(b []byte, to net.HardwareAddr) error {
	copy(b, to)
	copy(b[6:], w.link.Attrs().HardwareAddr)
	_, err := w.file.Write(b)
	return err
}

func (w *wire) send(b []byte, to net.HardwareAddr) {
	w.t.Helper()
	if err := w.write(b, to); err != nil {
		w.t.Fatal(err)
	}
}

// take waits for the next UDP frame that came in, and tells whether its checksum is still to be computed.
func (w *wire) take() (b []byte, partial bool) {
	w.t.Helper()
	_ = w.file.SetReadDeadline(time.Now().Add(10 * time.Second))
	raw, err := w.file.SyscallConn()
	if err != nil {
		w.t.Fatal(err)
	}
	for range 1000 {
		b = make([]byte, 2048)
		control := make([]byte, 128)
		var n, oobn int
		var from unix.Sockaddr
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, oobn, _, from, failed = unix.Recvmsg(int(fd), b, control, 0)
			return failed != unix.EAGAIN
		})
		if err != nil || failed != nil {
			w.t.Fatal("no frame:", err, failed)
		}
		b = b[:n]
		outgoing := from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING
		if outgoing || n < ethernet+header4+20 || b[ethernet]>>4 == 4 && b[ethernet+9] != 17 || b[ethernet]>>4 == 6 && b[ethernet+6] != 17 {
			continue
		}
		messages, err := unix.ParseSocketControlMessage(control[:oobn])
		if err != nil {
			w.t.Fatal(err)
		}
		for _, m := range messages {
			if m.Header.Type == unix.PACKET_AUXDATA {
				partial = binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_CSUMNOTREADY != 0
			}
		}
		return b, partial
	}
	w.t.Fatal("no frame of UDP")
	return nil, false
}

// A packet whose checksum the sending device left to another stays so, with the right sum of its
// pseudo header; any other leaves with a right checksum.
func TestChecksumsAreRightOnTheWire(t *testing.T) {
	for _, where := range places[2:] {
		t.Run(where.name, func(t *testing.T) {
			r := newRig(t, where)
			p := open(t)
			start(t, p, r.way, quality.State{})
			sending, receiving := r.fromAt.tap("peer1"), r.outAt.tap("peer2")
			relay, err := netlink.LinkByName("relay1")
			if err != nil {
				t.Fatal(err)
			}
			for i := range uint16(20) {
				left := i%2 == 0 // to the device
				if left {
					r.from.send(rtp(i), r.way.Local)
				} else {
					sending.send(frame(r.way.From, r.way.Local, rtp(i)), relay.Attrs().HardwareAddr)
				}
				b, isPartial := receiving.take()
				check := binary.BigEndian.Uint16(udpOf(b)[6:])
				switch {
				case isPartial != left:
					t.Fatalf("packet %d: still to be computed: %t", i, isPartial)
				case left && check != partial(b), !left && !checksumsRight(b):
					t.Fatalf("packet %d: checksum %04x: %x", i, check, b)
				}
				if got := r.to.take(); got.payload != string(rtp(i)) {
					t.Fatalf("packet %d: the socket got %d", i, sequenceOf(got.payload))
				}
			}
		})
	}
}
