package hep

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"time"
)

// connection leads to the collector until it is closed, either side breaks it off, or nobody waits for it any more.
type connection struct {
	net.Conn
	wire   net.Conn      // below TLS, else the same
	forget func() bool   // ends the watch over the context
	gone   chan struct{} // closed when the collector has left; nil over UDP, where it can't say so
}

// dial looks the collector up and connects, within dialTime.
func dial(ctx context.Context, cfg Config) (*connection, error) {
	dialling, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	network := cfg.Network
	if network == "tls" {
		network = "tcp"
	}
	wire, err := (&net.Dialer{}).DialContext(dialling, network, cfg.Server)
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: wire, wire: wire}
	if cfg.Network == "tls" {
		host, _, _ := net.SplitHostPort(cfg.Server)
		secured := tls.Client(wire, &tls.Config{RootCAs: cfg.Roots, ServerName: host})
		if err := secured.HandshakeContext(dialling); err != nil {
			wire.Close()
			return nil, err
		}
		c.Conn = secured
	}
	c.forget = context.AfterFunc(ctx, func() { c.wire.Close() }) // whatever is being written
	if network == "tcp" {
		c.gone = make(chan struct{})
		go c.listen() // ends with the connection
	}
	return c, nil
}

// listen waits for the end. A collector says nothing else, and what is written behind it would be lost and count as sent.
func (c *connection) listen() {
	defer close(c.gone)
	_, _ = io.Copy(io.Discard, c.Conn)
}

// broken tells that the collector has left.
func (c *connection) broken() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

func (c *connection) write(packet []byte) error {
	_ = c.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := c.Write(packet)
	return err
}

// close does not say goodbye in TLS: a collector that does not read would be waited for, and each packet tells its own length.
func (c *connection) close() {
	c.forget()
	_ = c.wire.Close()
	if c.gone != nil {
		<-c.gone
	}
}
