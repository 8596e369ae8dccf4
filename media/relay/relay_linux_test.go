package relay

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/pion/rtp"

	"handoff/media/lane"
	"handoff/media/quality"
)

// here is where the edge listens in these tests. Its range is silent for the whole machine, so that the address
// is this process's own.
var here = netip.AddrFrom4([4]byte{127, 11, byte(os.Getpid() >> 8), byte(os.Getpid())})

const first, last = 20000, 39999

// newPath closes after the ports that are opened later.
func newPath(t testing.TB) *Path { return newPathAt(t, here) }

func newPathAt(t testing.TB, ip netip.Addr) *Path {
	t.Helper()
	path, err := New(Config{Listen: ip, First: first, Last: last, Epoch: time.Now()})
	if err != nil {
		unsupported(t, err)
	}
	t.Cleanup(path.Close)
	return path
}

// unsupported skips a test where the path can't be had, but not in CI as root, who is to have it.
func unsupported(t testing.TB, err error) {
	t.Helper()
	if u := (*Unsupported)(nil); errors.As(err, &u) && (os.Geteuid() != 0 || os.Getenv("CI") != "true") {
		t.Skip(err)
	}
	t.Fatal(err)
}

func open(t testing.TB, path *Path, port uint16) *Port {
	t.Helper()
	p, err := path.Open(path.cfg.Listen, port, quality.Report{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// at is where peers send to.
func (p *Port) addr() netip.AddrPort { return netip.AddrPortFrom(p.ip, p.number) }

func socket(t testing.TB) *net.UDPConn { return socketAt(t, netip.MustParseAddr("127.0.0.12")) }

func socketAt(t testing.TB, ip netip.Addr) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func addr(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// bridge connects x to y one way: from is the peer of x, to the peer of y.
func bridge(x, y *Port, from, to netip.AddrPort) {
	x.Forward(&lane.Flow{RTP: from, RTCP: from, Open: true, Out: &y.Lane, ToRTP: to, ToRTCP: to})
}

func say(t testing.TB, from *net.UDPConn, to netip.AddrPort, b []byte) {
	t.Helper()
	if _, err := from.WriteToUDPAddrPort(b, to); err != nil {
		t.Fatal(err)
	}
}

func take(t testing.TB, receiver *net.UDPConn) ([]byte, netip.AddrPort) {
	t.Helper()
	_ = receiver.SetReadDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, lane.MaxPacket)
	n, from, err := receiver.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n], from
}

// audio is 20 ms of PCMU.
func audio(t testing.TB, ssrc uint32, sequence uint16) []byte {
	t.Helper()
	p := rtp.Packet{
		Header:  rtp.Header{Version: 2, SequenceNumber: sequence, Timestamp: 160 * uint32(sequence), SSRC: ssrc},
		Payload: make([]byte, 160),
	}
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAPacketLeavesByThePortOfTheOtherSide(t *testing.T) {
	path := newPath(t)
	x, y := open(t, path, 20000), open(t, path, 20002)
	sender, receiver := socket(t), socket(t)
	bridge(x, y, addr(sender), addr(receiver))
	for n := range uint16(40) {
		say(t, sender, x.addr(), audio(t, 1, n))
		if _, from := take(t, receiver); from != y.addr() {
			t.Fatalf("came from %s", from)
		}
		if n%10 == 0 {
			time.Sleep(50 * time.Millisecond) // the worker falls asleep, and must wake again
		}
	}
	if got := x.Report(); got.Received != 40 || got.Stream.Lost() != 0 {
		t.Errorf("%+v", got)
	}
}
