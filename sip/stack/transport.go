package stack

import (
	"fmt"
	"strings"
)

// Transport is what carries SIP.
type Transport uint8

const (
	UDP Transport = iota
	TCP
	TLS
)

var transportNames = [...]string{"udp", "tcp", "tls"}

func (t Transport) String() string {
	if int(t) < len(transportNames) {
		return transportNames[t]
	}
	return fmt.Sprintf("transport(%d)", uint8(t))
}

// ParseTransport reads "udp", "tcp" or "tls" in any letter case.
func ParseTransport(s string) (Transport, error) {
	for i, name := range transportNames {
		if strings.EqualFold(s, name) {
			return Transport(i), nil
		}
	}
	return 0, fmt.Errorf("transport %q: want udp, tcp or tls", s)
}

// via is the name in a Via header.
func (t Transport) via() string { return strings.ToUpper(t.String()) }

// stream tells whether the transport is a connection.
func (t Transport) stream() bool { return t != UDP }

// defaultPort is RFC 3261 §19.1.2's.
func (t Transport) defaultPort() uint16 {
	if t == TLS {
		return 5061
	}
	return 5060
}
