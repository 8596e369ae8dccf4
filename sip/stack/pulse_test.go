package stack

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func every(d time.Duration) func(*Config) { return func(c *Config) { c.PingEvery = d } }

// awaitPing tells how long the other side was quiet before its ping.
func (p *wirePeer) awaitPing() time.Duration {
	p.t.Helper()
	began := time.Now()
	if got := p.bytes(4); got != "\r\n\r\n" {
		p.t.Fatalf("got %q, want a ping", got)
	}
	return time.Since(began)
}

func TestQuietConnectionIsPinged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, f, p := piped(t, 0, every(time.Minute))
		defer n.Close()
		pauses := map[time.Duration]bool{}
		for range 20 {
			pause := p.awaitPing()
			if pause < 48*time.Second || pause > time.Minute {
				t.Errorf("after %s", pause)
			}
			pauses[pause] = true
			p.send("\r\n")
		}
		if len(pauses) < 2 {
			t.Error("always after the same time")
		}
		// Twenty pongs in a row were no ping, and the stream goes on.
		p.send(rawRequest("OPTIONS", "behind", 1))
		tx := <-n.seen.requests
		tx.Respond(tx.Response(200, "OK"))
		if m := p.read(); m.start() != "SIP/2.0 200 OK" {
			t.Error(m.start())
		}
		// A message is as good as a ping.
		time.Sleep(40 * time.Second)
		p.send(rawRequest("OPTIONS", "again", 2))
		<-n.seen.requests
		if pause := p.awaitPing(); pause < 48*time.Second {
			t.Errorf("%s behind a message", pause)
		}
		// Nobody answers any more.
		if time.Sleep(11 * time.Second); f.Open() {
			t.Error("a dead connection is kept")
		}
		if synctest.Wait(); !errors.Is(f.stream.cause, errNoPong) {
			t.Error(f.stream.cause)
		}
	})
}

func TestPeerThatKnowsNoPingsKeepsItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, f, p := piped(t, 0, every(time.Minute))
		defer n.Close()
		for range 5 {
			p.awaitPing()
		}
		if time.Sleep(30 * time.Second); !f.Open() {
			t.Error("closed")
		}
		// Its own pings are pings still. Of the first, one half passes for the pong that never came.
		p.send("\r\n\r\n\r\n\r\n")
		if got := p.bytes(2); got != "\r\n" {
			t.Errorf("got %q, want a pong", got)
		}
	})
}

func TestNoPingUnlessAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, p := piped(t, 0)
		defer n.Close()
		p.SetReadDeadline(time.Now().Add(50 * time.Minute))
		if b, err := p.r.ReadByte(); err == nil {
			t.Errorf("got %q", b)
		}
	})
}

func (p *wirePeer) bytes(n int) string {
	p.t.Helper()
	buf := make([]byte, n)
	if _, err := io.ReadFull(p.r, buf); err != nil {
		p.t.Fatal(err)
	}
	return string(buf)
}
