package stack

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"handoff/sip/uri"
)

// Listen is one address to listen on. Port 0 takes a free one. A UDP wildcard (0.0.0.0, ::) becomes
// one socket for each local address, so that an answer leaves from the address that was asked.
type Listen struct {
	Transport Transport
	Addr      netip.AddrPort
}

// Config says where to listen and what is bearable. Zero values take the defaults.
type Config struct {
	// Public is the host name or IP address that peers know the edge by; it stands in Via.
	Public string
	Listen []Listen
	// Certificate and Key are PEM files, needed with a TLS listener. They are read again when they
	// change.
	Certificate, Key string
	// KeyLog is a file to which the secrets of every TLS connection are appended, for debugging; empty: none.
	KeyLog string

	// MaxConnections bounds accepted connections, and as many again dialled; default 1024.
	MaxConnections int
	// MaxConnectionsPerSource bounds those accepted from one IP address; default 256.
	MaxConnectionsPerSource int
	// MaxTransactions bounds requests of peers under way, each kept for up to 32 s; above it they
	// hear 503, and those within dialogs above twice as many. Default 65536.
	MaxTransactions int
	// MaxMessage bounds a message, in bytes, and MaxBody what stands behind its blank line: above them it is answered 513, and a
	// stream that brings a message above the first is closed. Default 65535 and 32768.
	MaxMessage, MaxBody int
	// MaxHeaderLines bounds its header, in lines as they come, those that continue others among them: above it 400. Default 256.
	MaxHeaderLines int
	// HandshakeTimeout bounds the TLS handshake of who connects to us; default 10 s.
	HandshakeTimeout time.Duration
	// DialTimeout bounds the connection to each single address, its TLS handshake included, and the wait for an unknown name;
	// default 3 s, less than the patience of a call: the next one after a silent target's return shall not wait behind an old dial.
	DialTimeout time.Duration
	// MessageTimeout ends an accepted connection that has not brought one valid message, and any on which a message has begun and
	// not come to its end; default 30 s.
	MessageTimeout time.Duration
	// IdleTimeout ends a connection over which nothing came for so long and on which no request waits; the
	// next request dials. Default 1 h.
	IdleTimeout time.Duration
	// PingEvery is how long a connection is quiet before it is pinged; 0: never.
	PingEvery time.Duration
	// Waits leaves the sockets alone until Serve.
	Waits bool
}

// Validate says what is wrong.
func (c Config) Validate() error {
	if _, err := uri.Parse("sip:" + hostText(c.Public)); err != nil || c.Public == "" {
		return fmt.Errorf("public %q: want a host name or an IP address", c.Public)
	}
	for _, l := range c.Listen {
		if !l.Addr.IsValid() {
			return fmt.Errorf("listen %s: no address", l.Transport)
		}
		if l.Transport == TLS && (c.Certificate == "" || c.Key == "") {
			return errors.New("a tls listener needs certificate and key")
		}
	}
	if min(c.MaxConnections, c.MaxConnectionsPerSource, c.MaxTransactions, c.MaxMessage, c.MaxBody, c.MaxHeaderLines) < 0 ||
		min(c.HandshakeTimeout, c.DialTimeout, c.MessageTimeout, c.IdleTimeout, c.PingEvery) < 0 {
		return errors.New("limits and timeouts must not be negative")
	}
	if c.MaxMessage > maxDatagramSize {
		return fmt.Errorf("messages of %d bytes: at most %d", c.MaxMessage, maxDatagramSize)
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.MaxConnections = cmp.Or(c.MaxConnections, 1024)
	c.MaxConnectionsPerSource = cmp.Or(c.MaxConnectionsPerSource, 256)
	c.MaxTransactions = cmp.Or(c.MaxTransactions, 65536)
	c.HandshakeTimeout = cmp.Or(c.HandshakeTimeout, 10*time.Second)
	c.DialTimeout = cmp.Or(c.DialTimeout, 3*time.Second)
	c.MaxMessage = cmp.Or(c.MaxMessage, maxDatagramSize)
	c.MaxBody = cmp.Or(c.MaxBody, 32<<10)
	c.MaxHeaderLines = cmp.Or(c.MaxHeaderLines, maxFields)
	c.MessageTimeout = cmp.Or(c.MessageTimeout, 30*time.Second)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, time.Hour)
	return c
}

// hostText writes a host as it stands in a URI or Via: an IPv6 address in brackets.
func hostText(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		return "[" + host + "]"
	}
	return host
}
