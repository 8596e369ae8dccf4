package stack

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"handoff/metrics"
	"handoff/sip/stack/certificate"
	"handoff/sip/uri"
)

// Hop says where a request goes next.
type Hop struct {
	// Flow is preferred while it is an open connection no less safe than URI asks for. Of a UDP flow
	// the local socket is kept.
	Flow *Flow
	// URI is the top Route or the Request-URI. It is what is dialled without Flow, or again when Flow
	// is lost.
	URI uri.URI
	// Names are the names of which the TLS certificate must show one; none: the URI's host.
	Names []string
	// Roots verify the certificate; nil: the system's.
	Roots *x509.CertPool
	// Certificate is shown to a peer that asks for one, after its own was verified; nil: none.
	Certificate *certificate.Source
	// Peer tells on whose behalf the other side of a dialled connection speaks.
	Peer metrics.Peer
	// Branch is the transaction's; "" takes one that never was.
	Branch string
}

// target is the identity of a dialled connection. A connection is used again only for the very same
// one: it was verified for these names and nothing else.
type target struct {
	transport Transport
	host      string // without brackets
	port      uint16
	service   bool   // no port was given: SRV records come first
	names     string // divided by blanks, the order kept; TLS only
	roots     *x509.CertPool
	own       *certificate.Source // TLS only
	peer      metrics.Peer
	socket    *udpSocket // UDP: leave from here; nil: any
}

func (t target) String() string {
	return fmt.Sprintf("%s:%s:%d", t.transport, hostText(t.host), t.port)
}

// target reads where the hop leads: a sips URI over TLS whatever its parameter says, else the
// transport parameter, else UDP (RFC 3263 §4.1 without NAPTR). The certificate is verified for the host that stands in the URI, whatever
// name an SRV record leads to: only the URI was told by somebody who is trusted (RFC 5922 §7.3, RFC 6125 §6.2.1).
func (h Hop) target() (target, error) {
	if h.URI.Host == "" {
		return target{}, fmt.Errorf("%w: next hop has no host", ErrTransport)
	}
	t := target{host: strings.Trim(h.URI.Host, "[]"), port: h.URI.Port, peer: h.Peer}
	if name := h.URI.Transport(); name != "" {
		t.transport, _ = ParseTransport(name)
	}
	if h.URI.Secure() {
		t.transport = TLS
	}
	if t.port == 0 {
		_, literal := t.literal()
		t.port, t.service = t.transport.defaultPort(), !literal
	}
	switch {
	case t.transport == TLS:
		names := slices.Clone(h.Names)
		if len(names) == 0 {
			names = []string{t.host}
		}
		t.names, t.roots, t.own = strings.Join(names, " "), h.Roots, h.Certificate
	case t.transport == UDP && h.Flow != nil:
		t.socket = h.Flow.udp
	}
	return t, nil
}

// connection returns the hop's flow if requests may take it.
func (h Hop) connection() *Flow {
	f := h.Flow
	if f == nil || !f.transport.stream() || !f.Open() {
		return nil
	}
	if f.transport != TLS && (h.URI.Secure() || h.URI.Transport() == "tls") {
		return nil
	}
	return f
}

// overTCP is the same place over TCP (RFC 3261 §18.1.1).
func (t target) overTCP() target {
	t.transport, t.socket = TCP, nil
	return t
}

// literal returns the address when the host is one.
func (t target) literal() (netip.Addr, bool) {
	ip, err := netip.ParseAddr(t.host)
	return ip.Unmap(), err == nil
}
