//go:build linux && (amd64 || arm64)

package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"handoff/media/quality"
)

const (
	insideEnv = "KERNEL_TEST_INSIDE" // we are in namespaces of our own
	helperEnv = "KERNEL_TEST_HELPER" // we are a process that a test has started
)

// outside is why the tests are not in namespaces of their own.
var outside = "not root: network namespaces and eBPF cannot be had"

// TestMain runs the tests as root in a network and a mount namespace of their own, so that nothing
// outside is touched and nothing is left.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(helperEnv) != "":
		os.Exit(help(os.Getenv(helperEnv)))
	case os.Getenv(insideEnv) != "":
		if err := furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "furnish the namespaces:", err)
			os.Exit(1)
		}
	case os.Geteuid() == 0:
		code, err := runInside()
		if err == nil {
			os.Exit(code)
		}
		outside = "run in new namespaces: " + err.Error()
		if os.Getenv("CI") == "true" {
			fmt.Fprintln(os.Stderr, outside)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// runInside runs this program again. An error is that it could not be started.
func runInside() (code int, err error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// needRoot skips where the tests are not in namespaces of their own.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Getenv(insideEnv) == "" {
		t.Skip(outside)
	}
}

const first, last = 20000, 24095

// open opens a path that ends with the test.
func open(t testing.TB, change ...func(*Config)) *Path {
	t.Helper()
	needRoot(t)
	cfg := Config{First: first, Last: last}
	for _, c := range change {
		c(&cfg)
	}
	p, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

func by(h Hook) func(*Config) { return func(c *Config) { c.Hook = h } }

// space is a network namespace.
type space struct {
	t      testing.TB
	handle netns.NsHandle // -1 for that of the relay
}

var here = netns.NsHandle(-1)

// newSpace makes a namespace that is gone when the test and its sockets are.
func newSpace(t testing.TB) space {
	t.Helper()
	made := make(chan error, 1)
	s := space{t: t}
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- err
			return
		}
		var err error
		if s.handle, err = netns.Get(); err == nil {
			var lo netlink.Link
			if lo, err = netlink.LinkByName("lo"); err == nil {
				err = netlink.LinkSetUp(lo)
			}
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.handle.Close() })
	return s
}

// do runs f in the namespace. What it opens stays there.
func (s space) do(f func() error) {
	s.t.Helper()
	if s.handle == here {
		if err := f(); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(s.handle); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	if err := <-done; err != nil {
		s.t.Fatal(err)
	}
}

// cable joins the namespace with that of the relay by a veth pair of one network for each family: host 1
// is the relay, host 2 the other end. It returns the relay's device.
func (s space) cable(number int) netlink.Link {
	s.t.Helper()
	near, far := fmt.Sprintf("relay%d", number), fmt.Sprintf("peer%d", number)
	veth := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: near, MTU: 1500}, PeerName: far, PeerNamespace: netlink.NsFd(s.handle),
	}
	if err := netlink.LinkAdd(veth); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if link, err := netlink.LinkByName(near); err == nil {
			_ = netlink.LinkDel(link)
		}
	})
	if err := raise(near, number, 1); err != nil {
		s.t.Fatal(err)
	}
	s.do(func() error { return raise(far, number, 2) })
	link, err := netlink.LinkByName(near)
	if err != nil {
		s.t.Fatal(err)
	}
	return link
}

func raise(name string, number, host int) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, text := range []string{fmt.Sprintf("10.77.%d.%d/24", number, host), fmt.Sprintf("fd77:%d::%d/64", number, host)} {
		addr, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		addr.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link, addr); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// udp binds a socket that tells the TTL of what it receives.
func (s space) udp(addr netip.AddrPort) *socket {
	s.t.Helper()
	var conn *net.UDPConn
	s.do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
		return err
	})
	s.t.Cleanup(func() { _ = conn.Close() })
	raw, err := conn.SyscallConn()
	if err != nil {
		s.t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		if addr.Addr().Is4() {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTTL, 1)
		} else {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1)
		}
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return &socket{s.t, conn, conn.LocalAddr().(*net.UDPAddr).AddrPort()}
}

type socket struct {
	t    testing.TB
	conn *net.UDPConn
	addr netip.AddrPort
}

func (s *socket) send(b []byte, to netip.AddrPort) {
	s.t.Helper()
	if _, err := s.conn.WriteToUDPAddrPort(b, to); err != nil {
		s.t.Fatal(err)
	}
}

// received is a datagram as it came.
type received struct {
	payload string
	from    netip.AddrPort
	ttl     int
}

// take waits for the next datagram.
func (s *socket) take() received {
	s.t.Helper()
	r, err := s.read(10 * time.Second)
	if err != nil {
		s.t.Fatal("nothing came:", err)
	}
	return r
}

// empty tells whether nothing is there. What was sent before something else that has arrived at the
// same machine would be.
func (s *socket) empty() bool {
	_, err := s.read(30 * time.Millisecond)
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func (s *socket) read(wait time.Duration) (received, error) {
	var b [2048]byte
	var control [128]byte
	_ = s.conn.SetReadDeadline(time.Now().Add(wait))
	n, oobn, _, from, err := s.conn.ReadMsgUDPAddrPort(b[:], control[:])
	if err != nil {
		return received{}, err
	}
	r := received{payload: string(b[:n]), from: netip.AddrPortFrom(from.Addr().Unmap(), from.Port())}
	messages, err := unix.ParseSocketControlMessage(control[:oobn])
	if err != nil {
		return r, err
	}
	for _, m := range messages {
		if m.Header.Type == unix.IP_TTL || m.Header.Type == unix.IPV6_HOPLIMIT {
			r.ttl = int(binary.NativeEndian.Uint32(m.Data))
		}
	}
	return r, nil
}

// rig is a way between two peers, with the sockets at its ends and a socket for what goes up.
type rig struct {
	way           Way
	from, to, up  *socket
	fromAt, outAt space
}

// place is where the peers of a rig are.
type place struct {
	name string
	six  bool
	wire bool // beyond veth pairs, instead of on loopback
}

var places = []place{
	{"loopback, IPv4", false, false},
	{"loopback, IPv6", true, false},
	{"two cables, IPv4", false, true},
	{"two cables, IPv6", true, true},
}

func newRig(t testing.TB, p place) *rig {
	t.Helper()
	needRoot(t)
	addrs := [4]string{"127.0.0.11", "127.0.0.1", "127.0.0.2", "127.0.0.12"} // from, local, out, to
	switch {
	case p.wire && p.six:
		addrs = [4]string{"fd77:1::2", "fd77:1::1", "fd77:2::1", "fd77:2::2"}
	case p.wire:
		addrs = [4]string{"10.77.1.2", "10.77.1.1", "10.77.2.1", "10.77.2.2"}
	case p.six:
		addrs = [4]string{"::1", "::1", "::1", "::1"}
	}
	near, far := space{t, here}, space{t, here}
	if p.wire {
		near, far = newSpace(t), newSpace(t)
		near.cable(1)
		far.cable(2)
	}
	at := func(i int, port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(addrs[i]), port)
	}
	r := &rig{fromAt: near, outAt: far}
	r.from = near.udp(at(0, 0))
	r.to = far.udp(at(3, 0))
	r.up = space{t, here}.udp(at(1, first+100))
	r.way = Way{From: r.from.addr, Local: r.up.addr, Out: at(2, first+102), To: r.to.addr, Clock: 8000}
	return r
}

// rtp is a packet of 20 ms of G.711, with some payload that depends on its number.
func rtp(sequence uint16, change ...func([]byte)) []byte {
	b := make([]byte, 172)
	b[0], b[1] = 0x80, 0
	binary.BigEndian.PutUint16(b[2:], sequence)
	binary.BigEndian.PutUint32(b[4:], uint32(sequence)*160)
	binary.BigEndian.PutUint32(b[8:], 0xabad1dea)
	for i := range b[12:] {
		b[12+i] = byte(i) ^ byte(sequence)
	}
	for _, c := range change {
		c(b)
	}
	return b
}

func sequenceOf(payload string) uint16 { return uint16(payload[2])<<8 | uint16(payload[3]) }

func start(t testing.TB, p *Path, w Way, since quality.State) {
	t.Helper()
	if err := p.Start(w, since); err != nil {
		t.Fatal(err)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
