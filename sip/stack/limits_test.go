package stack

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"handoff/metrics"
)

// TestLimitsOfAMessage sends what is above each limit, and then a good request over the same socket or, where the stream is
// lost, another one.
func TestLimitsOfAMessage(t *testing.T) {
	limits := func(c *Config, _ *Deps) { c.MaxMessage, c.MaxBody, c.MaxHeaderLines = 2000, 500, 20 }
	body := func(n int) string {
		return strings.Replace(rawRequest("OPTIONS", "large", 1), "Content-Length: 0\r\n\r\n", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n)), 1)
	}
	tests := []struct {
		name   string
		text   string
		want   string
		closed bool
		reject metrics.Reject
	}{
		{"body", body(501), "SIP/2.0 513 ", false, metrics.RejectTooLarge},
		{"message", body(1900), "SIP/2.0 513 ", true, metrics.RejectTooLarge},
		{"a length that is only claimed", strings.Replace(body(0), "Content-Length: 0", "Content-Length: 2000000000", 1), "SIP/2.0 513 ", true, metrics.RejectTooLarge},
		{"a length that is none", strings.Replace(body(0), "Content-Length: 0", "Content-Length: -1", 1), "SIP/2.0 400 ", true, metrics.RejectFraming},
		{"two lengths", strings.Replace(body(0), "Content-Length: 0", "Content-Length: 1\r\nl: 2", 1), "SIP/2.0 400 ", true, metrics.RejectFraming},
		{"header lines", edit("X-Other: 1", strings.Repeat("X: 1\r\n", 20)+"X-Other: 1"), "SIP/2.0 400 ", true, metrics.RejectFraming},
		{"lines that continue one", edit("X-Other: 1", "X-Other: 1"+strings.Repeat("\r\n 1", 20)), "SIP/2.0 400 ", true, metrics.RejectFraming},
		{"a length in a line that is none", strings.Replace(body(40), "Content-Length: 40", "Content-Length 40", 1), "SIP/2.0 400 ", true, metrics.RejectFraming},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := start(t, limits, TCP)
			p := dialPeer(t, n.Addr(TCP))
			p.send(rawRequest("OPTIONS", "first", 1) + tt.text)
			if m := p.read(); !strings.HasPrefix(m.start(), tt.want) {
				t.Errorf("answer %q, want %q", m.lines, tt.want)
			}
			if tt.closed {
				p.wantClosed()
				p = dialPeer(t, n.Addr(TCP))
			}
			p.send(rawRequest("OPTIONS", "next", 1))
			for range 2 {
				take(t, n.seen.requests, "good request")
			}
			eventually(t, "it is counted", func() bool { return n.seen.rejects(tt.reject) == 1 })
		})
	}
}

// What a peer begins he has to finish; between messages he may be silent for longer.
func TestMessageThatDoesNotEndClosesItsConnection(t *testing.T) {
	n := start(t, func(c *Config, _ *Deps) { c.MessageTimeout = 300 * time.Millisecond }, TCP)
	slow, quiet := dialPeer(t, n.Addr(TCP)), dialPeer(t, n.Addr(TCP))
	for i, p := range []*wirePeer{slow, quiet} {
		p.send(rawRequest("OPTIONS", fmt.Sprint("first", i), 1))
		take(t, n.seen.requests, "OPTIONS")
	}
	drip := time.NewTicker(20 * time.Millisecond)
	defer drip.Stop()
	ended := make(chan struct{})
	go func() { // ends with the connection
		slow.wantClosed()
		close(ended)
	}()
	for i, dripping := 0, true; dripping; i++ {
		select {
		case <-drip.C:
			slow.Write([]byte("X"))
		case <-ended:
			dripping = false
		}
	}
	quiet.send(rawRequest("OPTIONS", "later", 1))
	take(t, n.seen.requests, "OPTIONS")
}
