package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"handoff/sip/uri"
)

// records asks for the SRV records of a host that the edge calls over TLS (RFC 3263 §4.2); none is no error.
func (d *doctor) records(ctx context.Context, name string) ([]*net.SRV, error) {
	_, records, err := d.deps.Resolver.LookupSRV(ctx, "sips", "tcp", name)
	if none := (*net.DNSError)(nil); errors.As(err, &none) && none.IsNotFound {
		return nil, nil
	}
	return records[:min(len(records), maxAddrs)], err
}

// follow says where SRV records lead.
func (d *doctor) follow(ctx context.Context, h host, records []*net.SRV) Finding {
	var texts []string
	lost := 0
	for _, r := range records {
		text := fmt.Sprintf("%d %d %s:%d at ", r.Priority, r.Weight, r.Target, r.Port)
		addrs, err := d.lookup(ctx, r.Target)
		if err != nil {
			lost++
			text = fmt.Sprintf("%d %d %s:%d: %v", r.Priority, r.Weight, r.Target, r.Port, err)
		}
		texts = append(texts, text+list(addrs))
	}
	found := "SRV " + strings.Join(texts, "; ")
	do := "let whoever keeps the zone correct _sips._tcp." + h.name + ", or write a port into the configuration: then only the host's addresses are asked for"
	switch {
	case lost == len(records):
		return fail("dns", h.name, do, "%s", found)
	case lost > 0:
		return warn("dns", h.name, do, "%s", found)
	}
	return ok("dns", h.name, "%s", found)
}

// where returns the addresses of a peer as the edge finds them: by its SRV records if it has neither port nor address.
func (d *doctor) where(ctx context.Context, u uri.URI) ([]netip.AddrPort, error) {
	name := strings.Trim(u.Host, "[]")
	places := []*net.SRV{{Target: name, Port: cmp.Or(u.Port, 5061)}}
	if asksService(u) {
		if records, err := d.records(ctx, name); err == nil && len(records) > 0 {
			places = records
		}
	}
	var all []netip.AddrPort
	var failed error
	for _, p := range places {
		addrs, err := d.lookup(ctx, p.Target)
		if err != nil {
			failed = err
		}
		for _, ip := range addrs {
			all = append(all, netip.AddrPortFrom(ip, p.Port))
		}
	}
	if len(all) == 0 {
		return nil, failed
	}
	return all[:min(len(all), maxAddrs)], nil
}

func asksService(u uri.URI) bool {
	_, err := netip.ParseAddr(strings.Trim(u.Host, "[]"))
	return u.Port == 0 && err != nil
}
