package ops

import (
	stdlog "log"
	"net"
	"net/netip"
	"sync"
)

// share is how many of the connections one address may have, so that nobody keeps all others out by himself. Behind a proxy all of
// them come from one.
const share = connections / 4

// crowd is a listener that closes what is above an address's share.
type crowd struct {
	net.Listener
	log *stdlog.Logger

	mu   sync.Mutex
	from map[netip.Addr]int // connections that stand
}

func newCrowd(l net.Listener, log *stdlog.Logger) *crowd {
	return &crowd{Listener: l, log: log, from: map[netip.Addr]int{}}
}

// Accept implements net.Listener.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		source := sourceOf(conn)
		if c.enter(source) {
			return &guest{Conn: conn, leave: sync.OnceFunc(func() { c.leave(source) })}, nil
		}
		conn.Close()
		c.log.Printf("closed a connection of %s, which has %d", source, share)
	}
}

func (c *crowd) enter(source netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.from[source] >= share {
		return false
	}
	c.from[source]++
	return true
}

func (c *crowd) leave(source netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.from[source]--; c.from[source] == 0 {
		delete(c.from, source)
	}
}

// sourceOf is who is connected; of IPv6 the network of 64 bits, all of which one host has.
func sourceOf(conn net.Conn) netip.Addr {
	at, _ := conn.RemoteAddr().(*net.TCPAddr)
	ip := at.AddrPort().Addr().Unmap().WithZone("")
	if ip.Is6() {
		ip = netip.PrefixFrom(ip, 64).Masked().Addr()
	}
	return ip
}

// guest is a connection that is counted.
type guest struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (g *guest) Close() error {
	g.leave()
	return g.Conn.Close()
}
