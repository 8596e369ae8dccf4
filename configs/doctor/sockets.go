package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"

	"handoff/configs"
)

// sockets tries what the edge would bind, for the moment that takes. Of a running edge only addresses in use are touched: its media ports
// are left alone, since it may want one just then.
func (d *doctor) sockets(ctx context.Context) []Finding {
	running := d.running(ctx)
	var findings []Finding
	for i, l := range d.cfg.SIP.Listen {
		key := fmt.Sprintf("sip.listen[%d]", i)
		findings = append(findings, listener(key, l.String(), l.Addr, l.Transport == configs.UDP, running))
	}
	if w := d.cfg.Webhooks; w.PublicURL != "" {
		findings = append(findings, listener("webhooks.listen", w.Listen.String(), w.Listen, false, running))
	}
	findings = append(findings, listener("ops.listen", d.cfg.Ops.Listen.String(), d.cfg.Ops.Listen, false, running))
	return append(findings, d.mediaPorts(running))
}

// running tells whether an edge answers at ops.listen.
func (d *doctor) running(ctx context.Context) bool {
	at := d.cfg.Ops.Listen
	switch {
	case at.Port() == 0:
		return false
	case at.Addr() == netip.IPv4Unspecified():
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	case at.Addr() == netip.IPv6Unspecified():
		at = netip.AddrPortFrom(netip.IPv6Loopback(), at.Port())
	}
	ctx, cancel := context.WithTimeout(ctx, d.deps.Within)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.String()+"/healthz", nil)
	if err != nil {
		return false
	}
	response, err := d.client(nil).Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 16))
	return err == nil && response.StatusCode == http.StatusOK && strings.TrimSpace(string(text)) == "ok"
}

// listener tries one address; text says it with its transport.
func listener(key, text string, addr netip.AddrPort, udp, running bool) Finding {
	const probe = "listen"
	if addr.Port() == 0 {
		return skip(probe, key, "%s: the system chooses the port", text)
	}
	try, kind := bindTCP, "t"
	if udp {
		try, kind = bindUDP, "u"
	}
	switch err := try(addr); {
	case err == nil:
		return ok(probe, key, "%s is free", text)
	case errors.Is(err, syscall.EADDRINUSE) && running:
		return ok(probe, key, "%s is in use, an edge is running", text)
	case errors.Is(err, syscall.EADDRINUSE):
		return warn(probe, key, fmt.Sprintf("see who has it, unless an edge is running: ss -l%snp 'sport = :%d'", kind, addr.Port()), "%s is in use", text)
	default:
		return unbound(probe, key, text, err)
	}
}

// unbound is why an address can't be had at all.
func unbound(probe, key, text string, err error) Finding {
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fail(probe, key, "correct "+key+": 0.0.0.0 or :: is every address of this machine", "%s: no interface has the address", text)
	case errors.Is(err, syscall.EACCES):
		return fail(probe, key, "take a port from 1024 on, or give the program CAP_NET_BIND_SERVICE", "%s: not permitted", text)
	}
	return fail(probe, key, "correct "+key, "%s: %v", text, err)
}

func bindTCP(addr netip.AddrPort) error {
	l, err := net.Listen("tcp", addr.String())
	if err != nil {
		return err
	}
	return l.Close()
}

func bindUDP(addr netip.AddrPort) error {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return err
	}
	return conn.Close()
}

// samples are how many pairs of the range are tried.
const samples = 8

func (d *doctor) mediaPorts(running bool) Finding {
	const probe, key = "media ports", "media.ports"
	ports := d.cfg.Media.Ports
	if running {
		return skip(probe, key, "%v: an edge is running, its ports are not touched", ports)
	}
	var taken []string
	tried := sample(ports)
	for _, port := range tried {
		for _, p := range []uint16{port, port + 1} {
			err := bindUDP(netip.AddrPortFrom(d.cfg.Media.Listen, p))
			if errors.Is(err, syscall.EADDRINUSE) {
				taken = append(taken, fmt.Sprint(p))
			} else if err != nil {
				return unbound(probe, "media.listen", fmt.Sprintf("udp:%s", netip.AddrPortFrom(d.cfg.Media.Listen, p)), err)
			}
		}
	}
	if len(taken) > 0 {
		return warn(probe, key, "move media.ports to where nobody else is, unless an edge is running", "in use: %s, of %d pairs tried in %v",
			strings.Join(taken, ", "), len(tried), ports)
	}
	return ok(probe, key, "%v: %d pairs tried, all free", ports, len(tried))
}

// sample picks even ports: the first, the last and some between, at even distances.
func sample(r configs.PortRange) []uint16 {
	pairs := (int(r.Last) - int(r.First) + 1) / 2
	n := min(samples, pairs)
	var ports []uint16
	for i := range n {
		at := 0
		if n > 1 {
			at = i * (pairs - 1) / (n - 1)
		}
		ports = append(ports, r.First+uint16(2*at))
	}
	return ports
}
