package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"handoff/sip/uri"
)

// slowName is how long a look-up may take before it is worth a word: calls wait for it.
const slowName = time.Second

// maxAddrs bounds how many addresses of one name are tried, as in the edge.
const maxAddrs = 8

// host is a name that somebody has to resolve.
type host struct {
	name string
	do   string // when it does not resolve
	idle bool   // only this program wants it
	srv  bool   // calls go where its SRV records say, if there are any
}

// hosts are the names of the configuration, each once, in its order.
func (d *doctor) hosts() []host {
	own := func(name, key string) host {
		return host{name: name, do: "give it an A or AAAA record, or correct " + key}
	}
	theirs := func(name, key string) host {
		return host{name: name, do: "correct " + key + ", or see to this machine's resolver (/etc/resolv.conf)"}
	}
	api := theirs(webHost(d.cfg.Twilio.REST.BaseURL), "twilio.rest.base_url")
	api.idle = d.cfg.Twilio.REST.AccountSID == ""
	all := []host{own(d.cfg.SIP.Public, "sip.public")}
	called := func(text, key string) host {
		u, _ := uri.Parse(text) // without a host it is skipped
		h := theirs(strings.Trim(u.Host, "[]"), key)
		h.srv = asksService(u)
		return h
	}
	for _, t := range d.cfg.Watson.Targets {
		all = append(all, called(t, "watson.targets"))
	}
	for _, name := range d.cfg.Watson.RedirectHosts {
		all = append(all, theirs(name, "watson.redirect_hosts"))
	}
	all = append(all,
		called(d.cfg.Twilio.SIPDomain.URI, "twilio.sip_domain.uri"),
		own(webHost(d.cfg.Webhooks.PublicURL), "webhooks.public_url"), api)
	var names []host
	for _, h := range all {
		_, err := netip.ParseAddr(h.name)
		known := slices.ContainsFunc(names, func(n host) bool { return n.name == h.name && n.srv == h.srv })
		if h.name != "" && err != nil && !known {
			names = append(names, h)
		}
	}
	return names
}

func (d *doctor) resolve(ctx context.Context, h host) Finding {
	ctx, cancel := context.WithTimeout(ctx, d.deps.Within)
	defer cancel()
	if h.srv {
		if records, err := d.records(ctx, h.name); err != nil {
			return warn("dns", h.name, "see to this machine's resolver (/etc/resolv.conf): calls wait for it", "SRV: %v", err)
		} else if len(records) > 0 {
			return d.follow(ctx, h, records)
		}
	}
	asked := time.Now()
	addrs, err := d.lookup(ctx, h.name)
	took := time.Since(asked)
	switch {
	case err != nil && h.idle:
		return warn("dns", h.name, h.do, "%v", err)
	case err != nil:
		return fail("dns", h.name, h.do, "%v", err)
	case took > slowName:
		return warn("dns", h.name, "use a resolver that is nearer: calls wait for it", "%s in %s", list(addrs), short(took))
	}
	return ok("dns", h.name, "%s in %s", list(addrs), short(took))
}

// lookup returns the addresses of a host in a fixed order.
func (d *doctor) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	addrs, err := d.deps.Resolver.LookupNetIP(ctx, "ip", name)
	if none := (*net.DNSError)(nil); errors.As(err, &none) && none.IsNotFound {
		return nil, errors.New("does not resolve")
	}
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, errors.New("does not resolve")
	}
	addrs = slices.Clone(addrs) // the resolver's own, perhaps
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	return addrs[:min(len(addrs), maxAddrs)], nil
}

// webHost is the host of a URL, without brackets.
func webHost(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func list(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}

func short(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}
