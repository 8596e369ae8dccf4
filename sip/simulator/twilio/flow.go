package twilio

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"handoff/sip/simulator/wire"
)

// peerAddress is where a SIP URI points.
type peerAddress struct {
	host      string
	port      uint16
	transport wire.Transport
	addr      netip.AddrPort // resolved; zero until then
}

// parseAddress reads host, port and transport of a SIP URI (RFC 3263 without NAPTR and SRV: Twilio is given host and port).
func parseAddress(uri string) (peerAddress, error) {
	var p peerAddress
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok || scheme != "sip" && scheme != "sips" {
		return p, fmt.Errorf("SIP URI %q", uri)
	}
	rest, _, _ = strings.Cut(rest, "?")
	base, params, _ := strings.Cut(rest, ";")
	if _, after, ok := strings.Cut(base, "@"); ok {
		base = after
	}
	for _, param := range strings.Split(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		if !strings.EqualFold(name, "transport") {
			continue
		}
		for _, t := range wire.Transports() {
			if strings.EqualFold(value, t.String()) {
				p.transport = t
			}
		}
	}
	if scheme == "sips" {
		p.transport = wire.TLS
	}
	p.host, p.port = base, 5060
	if p.transport == wire.TLS {
		p.port = 5061
	}
	if host, port, err := net.SplitHostPort(base); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return p, fmt.Errorf("SIP URI %q: port %q", uri, port)
		}
		p.host, p.port = host, uint16(n)
	}
	p.host = strings.Trim(p.host, "[]")
	if p.host == "" {
		return p, fmt.Errorf("SIP URI %q: no host", uri)
	}
	return p, nil
}

// resolve finds the address: an IP literal, a host already known, or DNS.
func (p peerAddress) resolve(ctx context.Context, known netip.Addr, knownHost string) (netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(p.host); err == nil {
		return netip.AddrPortFrom(ip, p.port), nil
	}
	if known.IsValid() && strings.EqualFold(p.host, knownHost) {
		return netip.AddrPortFrom(known, p.port), nil
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", p.host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("look up %s: %w", p.host, err)
	}
	return netip.AddrPortFrom(found[0].Unmap(), p.port), nil
}

func (a *Account) connect(ctx context.Context, p peerAddress, known netip.Addr, knownHost string) (*wire.Conn, error) {
	to, err := p.resolve(ctx, known, knownHost)
	if err != nil {
		return nil, err
	}
	if !a.cfg.Shared || p.transport == wire.UDP {
		return a.wire.Dial(ctx, p.transport, to, p.host)
	}
	a.dialling.Lock()
	defer a.dialling.Unlock()
	key := p.transport.String() + " " + to.String() + " " + p.host
	if conn := a.shared[key]; conn != nil && conn.Open() {
		return conn, nil
	}
	conn, err := a.wire.Dial(ctx, p.transport, to, p.host)
	if err == nil {
		a.shared[key] = conn
	}
	return conn, err
}

// flow is the connection for the next request: the open one if it leads where the edge's Contact points, else a new one to there.
// May dial: not from a handler, but for ready being true.
func (c *Call) flow(ctx context.Context) (*wire.Conn, error) {
	if conn, ready := c.readyFlow(); ready {
		return conn, nil
	}
	c.mu.Lock()
	target := c.dialog.Target
	c.mu.Unlock()
	p, err := parseAddress(target)
	if err != nil {
		return nil, err
	}
	conn, err := c.account.connect(ctx, p, c.edge.addr.Addr(), c.edge.host)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	return conn, nil
}

func (c *Call) readyFlow() (*wire.Conn, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := parseAddress(c.dialog.Target)
	if err != nil || !c.conn.Open() || p.transport != c.conn.Transport() || p.port != c.conn.Remote().Port() {
		return nil, false
	}
	here := strings.EqualFold(p.host, c.edge.host) || p.host == c.conn.Remote().Addr().String()
	return c.conn, here
}

// requestLocked builds the next request inside the dialog, with Twilio's headers.
func (c *Call) requestLocked(method string) *wire.Message {
	m := c.dialog.Request(method)
	c.dress(m)
	return m
}

// dress adds what every request of Twilio has. The Vias are of the connection in use when it is built.
func (c *Call) dress(m *wire.Message) {
	vias := &wire.Message{}
	c.addVias(vias)
	m.Headers = append(vias.Headers, m.Headers...)
	m.Add("User-Agent", "Twilio Gateway").Add("X-Twilio-CallSid", c.sid)
}

// Request builds the next request inside the dialog, for a scenario to spoil and Send.
func (c *Call) Request(method string) *wire.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requestLocked(method)
}

// Send sends a request over the leg's connection, or a new one when that is gone, and waits for its final response.
func (c *Call) Send(ctx context.Context, m *wire.Message) (*wire.Message, error) {
	response, err := c.account.wire.Ask(ctx, answerWithin, c.flow, m)
	if err == nil {
		c.checkHidden(response)
	}
	return response, err
}

// SendRaw writes bytes to the leg's connection as they are.
func (c *Call) SendRaw(pieces ...[]byte) error {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	return conn.SendRaw(pieces...)
}
