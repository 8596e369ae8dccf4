package ops

import (
	"io"
	stdlog "log"
	"net"
	"strings"
	"testing"
)

// callers is a listener to which connections come from these addresses, one after the other.
type callers struct {
	net.Listener
	from []string
}

func (c *callers) Accept() (net.Conn, error) {
	if len(c.from) == 0 {
		return nil, io.EOF
	}
	from := c.from[0]
	c.from = c.from[1:]
	near, _ := net.Pipe()
	return addressed{near, &net.TCPAddr{IP: net.ParseIP(from), Port: 4711}}, nil
}

type addressed struct {
	net.Conn
	from net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.from }

func TestNobodyHasAllConnections(t *testing.T) {
	many := func(from string, n int) []string { return strings.Fields(strings.Repeat(from+" ", n)) }
	l := &callers{from: append(append(many("192.0.2.1", share+5), "192.0.2.2"), append(many("2001:db8::1", share), "2001:db8::2:0:0:1", "2001:db8:0:1::1")...)}
	var said strings.Builder
	c := newCrowd(l, stdlog.New(&said, "", 0))
	var from []string
	var first net.Conn
	for {
		conn, err := c.Accept()
		if err != nil {
			break
		}
		if first == nil {
			first = conn
		}
		from = append(from, conn.RemoteAddr().(*net.TCPAddr).IP.String())
	}
	if got := len(from); got != 2*share+2 || from[share] != "192.0.2.2" || from[got-1] != "2001:db8:0:1::1" {
		t.Errorf("%d of %v", got, from)
	}
	if n := strings.Count(said.String(), "closed a connection of 192.0.2.1"); n != 5 {
		t.Errorf("said %q", &said)
	}
	for range 2 { // net/http closes twice
		first.Close()
	}
	l.from = []string{"192.0.2.1", "192.0.2.1"}
	if _, err := c.Accept(); err != nil {
		t.Errorf("behind one that has left: %v", err)
	}
	if _, err := c.Accept(); err != io.EOF {
		t.Errorf("one too many: %v", err)
	}
}
