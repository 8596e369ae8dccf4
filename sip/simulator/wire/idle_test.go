package wire

import (
	"testing"
	"time"
)

func TestQuietTLSConnectionIsCut(t *testing.T) {
	server, client := secured(t)
	const idle = 300 * time.Millisecond
	a := newPeer(t, Config{ServerTLS: server, ClientTLS: client, IdleClose: idle}, TLS, TCP)
	b := newPeer(t, Config{ServerTLS: server, ClientTLS: client}, TLS, TCP)
	plain := b.dial(t, a, TCP)
	began := time.Now()
	quiet, busy := b.dial(t, a, TLS), b.dial(t, a, TLS)
	for quietClosed := false; !quietClosed; {
		if err := busy.Send(request("OPTIONS", "1").Push("Via", Via(TLS, "b", Branch()))); err != nil {
			t.Fatal(err)
		}
		receive(t, a.requests)
		select {
		case <-quiet.Closed():
			quietClosed = true
		case <-time.After(idle / 10): // the busy one speaks as often
		}
	}
	if took := time.Since(began); took < idle {
		t.Errorf("cut after %s", took)
	}
	if !busy.Open() || !plain.Open() {
		t.Errorf("open: busy %t, TCP %t", busy.Open(), plain.Open())
	}
}
