package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"handoff/configs"
)

// addresses compares what others are told with what this machine has.
func (d *doctor) addresses(ctx context.Context) []Finding {
	own, err := d.deps.Interfaces()
	if err != nil {
		return []Finding{skip("address", "", "the interfaces can't be read: %v", err)}
	}
	ctx, cancel := context.WithTimeout(ctx, d.deps.Within)
	defer cancel()
	signalling := skip("address", "sip.public", "%s does not resolve", d.cfg.SIP.Public)
	if public, err := d.lookup(ctx, d.cfg.SIP.Public); err == nil {
		signalling = behind("sip.public", public, own, d.signallingPorts())
	}
	ports := fmt.Sprintf("UDP %v", d.cfg.Media.Ports)
	found := []Finding{signalling, behind("media.public_ip", []netip.Addr{d.cfg.Media.PublicIP}, own, ports)}
	if six := d.cfg.Media.PublicIPv6; six.IsValid() {
		found = append(found, behind("media.public_ipv6", []netip.Addr{six}, own, ports))
	}
	return found
}

func behind(key string, public, own []netip.Addr, ports string) Finding {
	var away []netip.Addr
	for _, ip := range public {
		if !slices.Contains(own, ip) {
			away = append(away, ip)
		}
	}
	if len(away) == 0 {
		return ok("address", key, "%s is this machine's", list(public))
	}
	return warn("address", key, "forward "+ports+" to this machine, each to the same port, if it is behind NAT; else correct "+key,
		"%s is on no interface of this machine", list(away))
}

// signallingPorts are those at which the vendors call.
func (d *doctor) signallingPorts() string {
	var ports []string
	add := func(transport string, port uint16) {
		if text := fmt.Sprintf("%s %d", transport, port); port != 0 && !slices.Contains(ports, text) {
			ports = append(ports, text)
		}
	}
	for _, l := range d.cfg.SIP.Listen {
		if l.Transport == configs.UDP {
			add("UDP", l.Addr.Port())
		} else {
			add("TCP", l.Addr.Port())
		}
	}
	if d.cfg.Webhooks.PublicURL != "" {
		add("TCP", d.cfg.Webhooks.Listen.Port())
	}
	return strings.Join(ports, ", ")
}

// interfaces lists the addresses of this machine.
func interfaces() ([]netip.Addr, error) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, a := range found {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			addrs = append(addrs, prefix.Addr().Unmap())
		}
	}
	return addrs, nil
}
