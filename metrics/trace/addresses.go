package trace

import (
	"net"
	"net/netip"
	"strings"

	"handoff/metrics"
)

// roles tells whose the addresses of an exchange are, each with its port and, where only one end
// has it, without.
func roles(messages []Message) map[string]string {
	all := map[string]string{}
	claim := func(address, role string) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return
		}
		all[address] = role
		if owner, taken := all[host]; taken && owner != role {
			role = "" // both ends have it, as on loopback: only the port tells
		}
		all[host] = role
	}
	for _, m := range messages {
		claim(m.Local, "edge")
		if m.Peer != metrics.PeerUnknown {
			claim(m.Remote, m.Peer.String())
		}
	}
	return all
}

// uri normalises the URI in a header value: the scheme and the user stay, the host becomes a role,
// of the parameters only transport keeps its value, and values of URI headers become names.
func (n *normaliser) uri(value string) string {
	uri, headers := splitURI(value)
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok || !strings.EqualFold(scheme, "sip") && !strings.EqualFold(scheme, "sips") {
		return printable(uri) + n.uriHeaders(headers)
	}
	user := ""
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		user, rest = rest[:i+1], rest[i+1:]
	}
	parts := strings.Split(rest, ";")
	parts[0] = n.host(parts[0])
	for i, p := range parts[1:] {
		if name, _, _ := strings.Cut(p, "="); !strings.EqualFold(name, "transport") {
			parts[i+1] = name
		}
	}
	return printable(scheme+":"+user+strings.Join(parts, ";")) + n.uriHeaders(headers)
}

func (n *normaliser) uriHeaders(headers []headField) string {
	text, separator := "", "?"
	for _, h := range headers {
		text += separator + printable(h.name) + "=" + n.secret(h.value)
		separator = "&"
	}
	return text
}

// host names the host of a URI. A host name stays, as it is configured; an address becomes the
// role of its end or a number.
func (n *normaliser) host(hostPort string) string {
	host := hostPort
	if h, _, err := net.SplitHostPort(hostPort); err == nil {
		host = h
	}
	if role := n.roles[hostPort]; role != "" {
		return role
	}
	host = strings.Trim(host, "[]")
	if role := n.roles[host]; role != "" {
		return role
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return n.name("host", hostPort)
	}
	return host
}
