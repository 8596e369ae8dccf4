package configs

import (
	"fmt"
	"net/netip"
	"slices"
)

// Validate checks what the values of a Config mean together; a program that builds one from
// Default calls it as Parse does. It also sets what is derived: media.public_ip from sip.public.
// It returns an *Error.
func (c *Config) Validate() error {
	f := findings{origin: c.origin}
	c.validate(&f)
	return f.err()
}

// validate adds its problems to f and stays silent about keys that have one already.
func (c *Config) validate(f *findings) {
	f.need(c.SIP.Public == "", "sip.public", "required: the host name or IP address at which Twilio and Watson reach this edge")
	c.validateListeners(f)
	c.validateTLS(f)
	f.need(len(c.Twilio.Sources) == 0, "twilio.sources", "expected at least one range: nobody could call")
	c.validateTargets(f)
	c.validateTransfer(f)
	c.validateMethods(f)
	c.validateWebhooks(f)
	c.validateMedia(f)
	f.need(!c.Ops.Listen.Addr().IsLoopback() && c.Ops.TokenFile == "", "ops.token_file", "required unless ops.listen is a loopback address: a file with the token that requests must show")
	f.need(c.Journal.Kind == JournalBolt && c.Journal.Path == "", "journal.path", "required by journal.kind bbolt: the file that keeps the calls")
	f.need(c.CDR.Kind == CDRFile && c.CDR.Path == "", "cdr.path", "required by cdr.kind file: the file that tells of calls that ended")
}

// validateListeners refuses sockets that cannot be bound beside each other.
func (c *Config) validateListeners(f *findings) {
	f.need(len(c.SIP.Listen) == 0, "sip.listen", "expected at least one listener")
	if f.touches("sip.listen") || f.touches("ops.listen") || f.touches("webhooks.listen") {
		return // the indices below would not be those of the file
	}
	type bound struct {
		key string
		Listen
	}
	all := []bound{}
	for i, l := range c.SIP.Listen {
		all = append(all, bound{fmt.Sprintf("sip.listen[%d]", i), l})
	}
	all = append(all, bound{"ops.listen", Listen{TCP, c.Ops.Listen}})
	if c.Webhooks.PublicURL != "" {
		all = append(all, bound{"webhooks.listen", Listen{TCP, c.Webhooks.Listen}})
	}
	for i, later := range all {
		for _, earlier := range all[:i] {
			if collide(earlier.Listen, later.Listen) {
				f.add(later.key, "%q: the address is taken by %s, %s", later.Addr, earlier.key, earlier.Listen)
			}
		}
		if later.Transport == UDP && c.Media.Ports.contains(later.Addr.Port()) {
			f.add(later.key, "%q: the port is inside media.ports, %v", later.Listen, c.Media.Ports)
		}
	}
}

// collide reports whether two listeners need the same socket; TLS runs over TCP's.
func collide(a, b Listen) bool {
	if (a.Transport == UDP) != (b.Transport == UDP) || a.Addr.Port() != b.Addr.Port() || a.Addr.Port() == 0 {
		return false
	}
	x, y := a.Addr.Addr(), b.Addr.Addr()
	return x == y || x.Is4() == y.Is4() && (x.IsUnspecified() || y.IsUnspecified())
}

func (c *Config) validateTLS(f *findings) {
	i := slices.IndexFunc(c.SIP.Listen, func(l Listen) bool { return l.Transport == TLS })
	pair := c.SIP.TLS
	if i < 0 && pair == (KeyPair{}) {
		return
	}
	f.need(pair.Certificate == "", "sip.tls.certificate", "required by the tls: listener: the PEM file of the certificate chain")
	f.need(pair.Key == "", "sip.tls.key", "required by the tls: listener: the PEM file of the certificate's key")
}

func (c *Config) validateTargets(f *findings) {
	f.need(len(c.Watson.Targets) == 0, "watson.targets", "required: at least one sips: URI of the assistant's phone integration")
	duplicates(f, "watson.targets", c.Watson.Targets)
	duplicates(f, "watson.redirect_hosts", c.Watson.RedirectHosts)
	duplicates(f, "watson.headers", c.Watson.Headers)
	if pair := c.Watson.TLS; (pair.Certificate == "") != (pair.Key == "") && !f.touches("watson.tls.certificate") && !f.touches("watson.tls.key") {
		f.add("watson.tls.key", "expected with certificate, and certificate with it")
	}
}

func (c *Config) validateTransfer(f *findings) {
	f.need(len(c.Transfer.Intercept) == 0, "transfer.intercept", "expected at least one target: every transfer would be refused")
	f.need(len(c.Transfer.Methods) == 0, "transfer.methods", "expected at least one of refer, rest and invite")
	duplicates(f, "transfer.methods", c.Transfer.Methods)
	if c.Transfer.Total < c.Transfer.Timeout && !f.touches("transfer.timeout") && !f.touches("transfer.total") {
		f.add("transfer.total", "%v is less than transfer.timeout, %v: expected at least that", c.Transfer.Total, c.Transfer.Timeout)
	}
}

func (c *Config) validateMedia(f *findings) {
	if !c.Media.PublicIP.IsValid() {
		// Left invalid by a host name.
		c.Media.PublicIP, _ = netip.ParseAddr(c.SIP.Public)
	}
	if !c.Media.PublicIP.IsValid() && !f.touches("sip.public") && !f.touches("media.public_ip") {
		f.add("media.public_ip", "required, as sip.public is a name: the IP address at which media reaches this edge")
	}
	if listen, public := c.Media.Listen, c.Media.PublicIP; public.IsValid() && listen.Is4() != public.Is4() &&
		!f.touches("media.listen") && !f.touches("media.public_ip") {
		f.add("media.public_ip", "%q: not of the same IP version as media.listen, %v", public, listen)
	}
	six := c.Media.PublicIPv6
	f.need(six.IsValid() && !six.Is6(), "media.public_ipv6", "expected an IPv6 address")
	f.need(six.Is6() && c.Media.PublicIP.Is6(), "media.public_ipv6", "expected beside an IPv4 media.public_ip only: that one is IPv6 already")
	f.need(!c.Media.ListenIPv6.Is6(), "media.listen_ipv6", "expected an IPv6 address")
}

// duplicates notes values that stand in a list twice. It leaves a list with a problem inside alone:
// its indices are not those of the file.
func duplicates[T comparable](f *findings, key string, values []T) {
	if f.touches(key) {
		return
	}
	for i, v := range values {
		if j := slices.Index(values, v); j < i {
			f.add(fmt.Sprintf("%s[%d]", key, i), "\"%v\": stands at %s[%d] already", v, key, j)
		}
	}
}

func (p PortRange) contains(port uint16) bool { return p.First <= port && port <= p.Last }

func (p PortRange) String() string { return fmt.Sprintf("%d-%d", p.First, p.Last) }
