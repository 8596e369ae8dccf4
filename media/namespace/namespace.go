//go:build linux

// Package namespace gives tests a network of their own: two network namespaces, that of the edge and that
// of its peers, with a cable (veth) between them. Nothing else is connected, and all of it is gone when the
// test is over. It needs root.
package namespace

import (
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Addresses of both ends.
const (
	Edge4, Peers4 = "192.0.2.1", "192.0.2.2"
	Edge6, Peers6 = "2001:db8::1", "2001:db8::2"
)

// Network is what the test has. The goroutine of the test stays in the namespace of the edge, and sockets
// that it opens are there; goroutines that it starts are not.
type Network struct {
	t           testing.TB
	edge, peers int
	// Device is the edge's end of the cable.
	Device netlink.Link
}

// New makes the network, or skips the test without root.
func New(t testing.TB) *Network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	n := &Network{t: t}
	n.peers = n.unshare()
	n.edge = n.unshare()
	n.must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "edge"}, PeerName: "peers", PeerNamespace: netlink.NsFd(n.peers)}))
	n.Device = n.up("edge", Edge4+"/24", Edge6+"/64")
	n.InPeers(func() { n.up("peers", Peers4+"/24", Peers6+"/64") })
	return n
}

func (n *Network) unshare() int {
	n.t.Helper()
	n.must(unix.Unshare(unix.CLONE_NEWNET))
	n.up("lo")
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	n.must(err)
	n.t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func (n *Network) up(name string, addresses ...string) netlink.Link {
	n.t.Helper()
	device, err := netlink.LinkByName(name)
	n.must(err)
	for _, text := range addresses {
		ip, network, err := net.ParseCIDR(text)
		n.must(err)
		network.IP = ip
		// Without duplicate address detection, which would take seconds.
		n.must(netlink.AddrAdd(device, &netlink.Addr{IPNet: network, Flags: unix.IFA_F_NODAD}))
	}
	n.must(netlink.LinkSetUp(device))
	return device
}

// InPeers runs something in the namespace of the peers.
func (n *Network) InPeers(do func()) {
	n.t.Helper()
	n.must(unix.Setns(n.peers, unix.CLONE_NEWNET))
	defer func() { n.must(unix.Setns(n.edge, unix.CLONE_NEWNET)) }()
	do()
}

func (n *Network) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}
